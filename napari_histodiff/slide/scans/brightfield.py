"""Turns decoded pixels into bright-field RGB of 8 bits, or says why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest, ScanInvalid

__all__ = [
    "WHITE",
    "SixteenBits",
    "Window",
    "check_pixels",
    "check_window",
    "flatten",
    "not_brightfield",
]

#: Which values of 16 bits become black and white.
Window = tuple[float, float]

#: Where nothing was scanned.
WHITE: Final = (255, 255, 255)


class SixteenBits(ScanInvalid):
    """A slide of 16 bits a colour, which opens with a window."""


def not_brightfield(path: Path, got: str) -> ScanInvalid:
    """Return the refusal of what shows no stained tissue in transmitted light."""
    return ScanInvalid(
        f"expected a bright-field slide, RGB of 8 bits, got {got} in {path}; only bright-field "
        "slides can be worked on: export it as RGB of 8 bits, or open it with napari itself"
    )


def check_window(window: Window | None) -> None:
    """Refuse a window that maps nothing.

    Raises
    ------
    InvalidRequest
        When its upper end is not above its lower one.
    """
    if window is not None and not window[0] < window[1] < float("inf"):
        raise InvalidRequest(
            f"expected a window (low, high) with low below high, got {window!r}; "
            "give the values that shall be black and white, for example (0, 65535)"
        )


def check_pixels(path: Path, dtype: np.dtype[Any], channels: int, window: Window | None) -> None:
    """Refuse pixels that are no RGB of 8 bits, or of 16 with a window.

    Raises
    ------
    SixteenBits
        When only a window lacks.
    ScanInvalid
        With the way out.
    """
    if channels not in (3, 4):
        kind = "one channel" if channels == 1 else f"{channels} channels"
        raise not_brightfield(path, f"{kind} of {dtype}")
    if dtype == np.uint16 and window is None:
        raise SixteenBits(
            f"expected 8 bits a colour, got 16 in {path}; say which values are black and white, "
            "for example window=(0, 65535), or export it with 8 bits"
        )
    if dtype not in (np.uint8, np.uint16):
        raise not_brightfield(path, f"RGB of {dtype}")


def flatten(
    pixels: NDArray[Any], background: tuple[int, int, int] = WHITE, window: Window | None = None
) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8 of RGB with or without alpha; what is transparent shows background."""
    colours: NDArray[np.uint8]
    if pixels.dtype == np.uint16:
        low, high = window or (0, 65535)
        scaled = (pixels[..., :3].astype(np.float32) - low) * (255 / (high - low))
        colours = np.rint(scaled).clip(0, 255).astype(np.uint8)
        opacity = None if pixels.shape[2] == 3 else (pixels[..., 3] >> 8).astype(np.uint8)
    else:
        colours = np.ascontiguousarray(pixels[..., :3])
        opacity = None if pixels.shape[2] == 3 else pixels[..., 3]
    if opacity is None or not opacity.size or opacity.min() == 255:
        return colours
    share = opacity[..., None].astype(np.uint16)
    under = np.asarray(background, np.uint16)
    mixed = (colours * share + under * (255 - share) + 127) // 255
    return np.asarray(mixed, np.uint8)
