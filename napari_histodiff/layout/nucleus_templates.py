"""Outlines of nuclei, drawn once from real statistics and turned, ready to be stamped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.maps import FIBRE_TURNS, N_CLASSES
from napari_histodiff.core.nucleus_shapes import draw_nucleus

__all__ = ["AXES", "REACH", "TURNS", "VARIANTS", "NucleusTemplates", "templates_of", "turn_of"]

#: Outlines per class from small to large, and orientations of each over half a turn.
VARIANTS: Final = 24
TURNS: Final = FIBRE_TURNS  # nuclei lie along fibres

#: No outline reaches farther from its middle, in um.
REACH: Final = 8.0

_ANGLES: Final = np.arange(TURNS) * np.pi / TURNS
#: Unit vectors (y, x) of the turns, (2, TURNS).
AXES: Final = np.stack([np.sin(_ANGLES), np.cos(_ANGLES)]).astype(np.float32)

_SEED: Final = 20240613
_FINER: Final = 3  # drawn this much finer than the slide, then turned
_QUARTERS: Final = 64  # entries per quadrant of the table of angles


@dataclass(frozen=True, slots=True)
class NucleusTemplates:
    """Outlines by shape = class index * VARIANTS + variant, and turn.

    Attributes
    ----------
    starts : (shapes * TURNS + 1,) int64
        Where the pixels of an outline start in `dy` and `dx`.
    dy, dx : (n,) int16
        Pixels of level 0 relative to the middle, or parts of them, see `templates_of`.
    major, minor : (shapes,) float32
        Semi-axes of the ellipse of equal moments, in pixels of level 0.
    """

    starts: NDArray[np.int64]
    dy: NDArray[np.int16]
    dx: NDArray[np.int16]
    major: NDArray[np.float32]
    minor: NDArray[np.float32]


@lru_cache(maxsize=8)
def templates_of(mpp: float, parts: int = 1) -> NucleusTemplates:
    """Return the outlines at a resolution of level 0; always the same ones.

    With `parts`, `dy` and `dx` count so many parts of a pixel of level 0, and those that are
    multiples of `parts` are the ones without it.
    """
    rng = np.random.default_rng(_SEED)
    pieces: list[NDArray[np.int64]] = []
    axes = []
    for class_id in range(1, N_CLASSES + 1):
        drawn = sorted((_drawn(class_id, mpp, rng) for _ in range(VARIANTS)), key=np.sum)
        for outline in drawn:
            angle, major, minor = _moments(outline)
            axes.append((max(major / _FINER, 1.0), max(minor / _FINER, 1.0)))
            pieces += [
                _turned(outline, turn * np.pi / TURNS - angle, parts) for turn in range(TURNS)
            ]
    starts = np.cumsum([0] + [piece.shape[1] for piece in pieces], dtype=np.int64)
    pixels = np.concatenate(pieces, axis=1).astype(np.int16)
    major, minor = np.array(axes, np.float32).T
    return NucleusTemplates(starts, pixels[0].copy(), pixels[1].copy(), major.copy(), minor.copy())


def turn_of(dy: NDArray[np.float32], dx: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the turn whose long axis lies along a vector."""
    span = np.abs(dy) + np.abs(dx)
    q = dy / np.maximum(span, np.float32(1e-20))
    q = np.where(dx < 0, 2 - q, q) + np.float32(1)
    turn: NDArray[np.int64] = _TABLE[np.minimum((q * _QUARTERS).astype(int), 4 * _QUARTERS - 1)]
    return turn


def _drawn(class_id: int, mpp: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    while True:
        outline = draw_nucleus(class_id, mpp / _FINER, rng)
        # The smallest outline is a pixel, however large that is.
        if len(outline) <= max(2 * _FINER * REACH / mpp, _FINER):
            return outline


def _table() -> NDArray[np.int64]:
    # Turn by diamond angle, see `star_lattice`.
    q = (np.arange(4 * _QUARTERS) + 0.5) / _QUARTERS - 1
    dy = np.where(q < 1, q, 2 - q)
    dx = np.where(q < 1, 1 - np.abs(dy), np.abs(dy) - 1)
    return np.rint(np.arctan2(dy, dx) * TURNS / np.pi).astype(np.int64) % TURNS


_TABLE: Final = _table()


def _moments(mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    # Angle and semi-axes of the ellipse with the same second moments.
    y, x = (np.nonzero(mask)[axis] - (len(mask) // 2) for axis in (0, 1))
    yy, xx, xy = float(np.var(y)), float(np.var(x)), float(np.cov(y, x, bias=True)[0, 1])
    angle = 0.5 * float(np.arctan2(2 * xy, xx - yy))
    spread = float(np.sqrt((xx - yy) ** 2 / 4 + xy**2))
    middle = (xx + yy) / 2
    return angle, 2 * (middle + spread) ** 0.5, 2 * max(middle - spread, 0.01) ** 0.5


def _turned(mask: NDArray[np.bool_], angle: float, parts: int) -> NDArray[np.int64]:
    # Parts of pixels (dy, dx) that the mask, turned by an angle from x towards y, covers.
    middle = len(mask) // 2
    reach = (int(middle * 1.42) // _FINER + 1) * parts
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] * (_FINER / parts)
    cosine, sine = np.cos(angle), np.sin(angle)
    source_y = np.rint(y * cosine - x * sine).astype(int) + middle
    source_x = np.rint(y * sine + x * cosine).astype(int) + middle
    inside = (source_y >= 0) & (source_y < len(mask)) & (source_x >= 0) & (source_x < len(mask))
    last = len(mask) - 1
    covered = inside & mask[np.clip(source_y, 0, last), np.clip(source_x, 0, last)]
    covered[reach, reach] = True
    return np.stack(np.nonzero(covered)) - reach
