"""What the slide's section says in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.ui.training_controller import long_duration

if TYPE_CHECKING:
    from napari_histodiff.ui.slide.status import SlideStatus

__all__ = [
    "SlideCost",
    "bytes_text",
    "cost_of",
    "count_text",
    "level_text",
    "microns_text",
    "place_text",
    "queue_text",
    "size_text",
    "speed_text",
    "time_text",
]

#: Bytes of a stored pixel when nothing can be compressed.
_PIXEL_BYTES = 3


@dataclass(frozen=True, slots=True)
class SlideCost:
    """What a slide would take if all of it were drawn: tiles by the model, bytes at the most."""

    tiles: int
    largest: int

    def seconds(self, rate: float) -> float | None:
        """Return how long drawing all tiles takes at `rate` tiles per second; None if unknown."""
        return self.tiles / rate if rate > 0 else None


def cost_of(recipe: SlideRecipe) -> SlideCost:
    """Return what drawing every tile of a slide costs."""
    spec = recipe.spec
    tiles = 0
    largest = 0
    for level in range(spec.levels):
        bounds = spec.bounds(level)
        largest += bounds.area * _PIXEL_BYTES
        if level <= recipe.coarsest:
            tiles += -(-bounds.height // spec.tile) * -(-bounds.width // spec.tile)
    return SlideCost(tiles, largest)


def bytes_text(count: float) -> str:
    """Return bytes as people say them: "640 kB", "1.2 GB", "69 GB"."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        del units[0]
    short = f"{count:.1f}" if count < 9.95 and units[0] != "bytes" else f"{count:.0f}"
    return f"{short} {units[0]}"


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun: "1 tile", "12,345 tiles"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def microns_text(microns: float) -> str:
    """Return a length in the unit that reads best: "64 µm", "8.19 mm"."""
    return f"{microns:.0f} µm" if microns < 1000 else f"{microns / 1000:.2f} mm"


def size_text(height: int, width: int, mpp: float) -> str:
    """Return width and height of a slide in one unit: "32.8 × 32.8 mm"."""
    wide, high = width * mpp / 1000, height * mpp / 1000
    digits = 1 if max(wide, high) >= 9.995 else 2
    return f"{wide:.{digits}f} × {high:.{digits}f} mm"


def level_text(status: SlideStatus) -> str:
    """Return the level in view: "Level 1 · 1.00 µm/px · 10x"."""
    mpp = f"{status.mpp:.2f}" if status.mpp < 10 else f"{status.mpp:.0f}"
    return f"Level {status.level} · {mpp} µm/px · {status.magnification:.2g}x"


def place_text(view: Region, mpp: float) -> str:
    """Return where the middle of the view is, from the slide's left and top, in mm."""
    x, y = (view.x + view.width / 2) * mpp / 1000, (view.y + view.height / 2) * mpp / 1000
    return f"x {x:.2f}, y {y:.2f} mm"


def queue_text(status: SlideStatus) -> str:
    """Return what is asked for and not drawn yet; empty when nothing is."""
    if not status.queued and not status.in_flight:
        return ""
    return f"{status.queued:,} waiting, {status.in_flight:,} in work"


def speed_text(status: SlideStatus) -> str:
    """Return how fast it goes; empty when unknown."""
    return f"{status.rate:.1f} tiles/s" if status.rate > 0 else ""


def time_text(status: SlideStatus) -> str:
    """Return how long the queue will take; empty when unknown or there is none."""
    if status.seconds_left is None or not status.queued + status.in_flight:
        return ""
    return f"about {long_duration(max(1.0, status.seconds_left))} left"
