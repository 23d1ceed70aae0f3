"""Texts for people: durations, bytes, counts, lengths; and the plugin's names."""

from __future__ import annotations

from typing import Final

__all__ = [
    "PLUGIN",
    "WIDGET",
    "bytes_text",
    "count_text",
    "duration_text",
    "microns_text",
    "short_count",
]

PLUGIN: Final = "napari-histodiff"
WIDGET: Final = "Histodiff Studio"


def duration_text(seconds: float) -> str:
    """Return a duration rounded as people say it: "0.4 s", "40 s", "12 min", "2 h 5 min"."""
    if seconds < 1:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def bytes_text(count: float) -> str:
    """Return bytes as people say them: "640 kB", "1.2 GB", "69 GB"."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        del units[0]
    short = f"{count:.1f}" if count < 9.95 and units[0] != "bytes" else f"{count:.0f}"
    return f"{short} {units[0]}"


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun: "1 tile", "12,345 tiles", "2 nuclei"."""
    several = noun.removesuffix("us") + "i" if noun.endswith("us") else noun + "s"
    return f"{count:,} {noun if count == 1 else several}"


def short_count(count: float) -> str:
    """Return a count in three digits where there is little room: "713", "12.4k", "1.5M"."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.0f}"


def microns_text(microns: float) -> str:
    """Return a length in the unit that reads best: "64 µm", "8.19 mm"."""
    return f"{microns:.0f} µm" if microns < 1000 else f"{microns / 1000:.2f} mm"
