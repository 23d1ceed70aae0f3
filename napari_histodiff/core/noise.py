"""Noise that belongs to a place: the same position always draws the same numbers.

Counter-based Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), keyed
by (seed, level, variant) and counted by absolute 64-pixel blocks. Places of different kinds, such
as tissue regions, have fields of their own: what is drawn of one noise looks alike whatever it is.

Windows of a noisy field overlap; `ramp_weights` blends them, summing to one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region, WindowGrid

__all__ = ["NOISE_BLOCK", "noise_field", "ramp_weights"]

#: Side in pixels of the blocks that are drawn as a whole.
NOISE_BLOCK: Final = 64

_WORD: Final = 2**64 - 1
_HALF_WORD: Final = 2**32 - 1
_BLOCKS: Final = WindowGrid(NOISE_BLOCK, NOISE_BLOCK)


def noise_field(
    seed: int,
    region: Region,
    *,
    channels: int = 3,
    variant: int = 0,
    kinds: NDArray[np.uint8] | None = None,
) -> NDArray[np.float32]:
    """Return standard normal noise of a place, (channels, h, w) float32.

    A pure function of (seed, level, variant, position and kind): any crop of the plane equals the
    same pixels of any other crop, and fewer channels are the first of more.

    Parameters
    ----------
    seed : int
        0 .. 2**64 - 1.
    region : Region
        The place, in pixels of its level; may lie at negative positions, and at a negative level.
    channels : int
        Independent planes.
    variant : int
        0 .. 2**32 - 1; each is an independent field.
    kinds : (h, w) uint8, optional
        Which of 256 independent fields each pixel is taken from; 0, and without it, the first.

    Raises
    ------
    InvalidRequest
        When seed, variant, level or channels are out of range, or the kinds are of another shape.
    """
    key = _key(seed, region.level, variant)
    if channels < 1:
        raise InvalidRequest(f"expected at least 1 channel, got {channels}; ask for 1 or more")
    if kinds is not None and kinds.shape != region.shape:
        raise InvalidRequest(
            f"expected kinds of shape {region.shape} like the region, got {kinds.shape}; "
            "make both of one place"
        )
    field = np.empty((channels, *region.shape), np.float32)
    for block in _BLOCKS.covering(region):
        part = block.intersect(region)
        source, target = part.relative_to(block).slices, part.relative_to(region).slices
        if kinds is None:
            field[:, *target] = _draw(key, block, channels)[:, *source]
            continue
        here = kinds[target]
        for kind in np.unique(here):
            drawn = _draw(key, block, channels, int(kind))[:, *source]
            np.copyto(field[:, *target], drawn, where=here == kind)
    return field


def _draw(
    key: NDArray[np.uint64], block: Region, channels: int, kind: int = 0
) -> NDArray[np.float32]:
    row, col = block.y // NOISE_BLOCK, block.x // NOISE_BLOCK
    # The generator counts up in the first word; masking turns negative rows into two's complement.
    # Python ints above 2**63 would pass through float64 without the explicit dtype and lose bits.
    counter = np.array([0, kind, row & _WORD, col & _WORD], dtype=np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
    return generator.standard_normal((channels, NOISE_BLOCK, NOISE_BLOCK), dtype=np.float32)


def _key(seed: int, level: int, variant: int) -> NDArray[np.uint64]:
    for name, value, bits in (("seed", seed, 64), ("variant", variant, 32)):
        if not 0 <= value < 2**bits:
            raise InvalidRequest(
                f"expected {name} from 0 to 2**{bits} - 1, got {value}; choose one in that range"
            )
    if not -(2**31) <= level < 2**31:
        raise InvalidRequest(
            f"expected level from -2**31 to 2**31 - 1, got {level}; choose one in that range"
        )
    # Two's complement: levels below 0 have keys of their own.
    return np.array([int(seed), (int(level) & _HALF_WORD) << 32 | int(variant)], dtype=np.uint64)


def ramp_weights(height: int, width: int, ramp: int) -> NDArray[np.float32]:
    """Return the weights of one window, a trapezoid on each axis, (h, w) float32 in (0, 1].

    Windows laid out with a stride of (height - ramp, width - ramp) have weights that sum to 1 at
    every pixel, to float32 rounding. No weight is 0, so a lone window can be normalised.

    Parameters
    ----------
    height, width : int
        Sides of the window in pixels.
    ramp : int
        Pixels by which neighbours overlap; at most half a side. 0 = no overlap, all weights 1.

    Raises
    ------
    InvalidRequest
        When the ramp is negative or longer than half a side.
    """
    if not 0 <= 2 * ramp <= min(height, width):
        raise InvalidRequest(
            f"expected a ramp from 0 to {min(height, width) // 2} pixels for a window of "
            f"{height} x {width}, got {ramp}; choose a shorter ramp or a larger window"
        )
    weights = np.outer(_trapezoid(height, ramp), _trapezoid(width, ramp))
    return weights.astype(np.float32)


def _trapezoid(side: int, ramp: int) -> NDArray[np.float64]:
    weights = np.ones(side)
    if ramp:
        rise = (np.arange(ramp) + 0.5) / ramp
        weights[:ramp] = rise
        weights[side - ramp :] = rise[::-1]
    return weights
