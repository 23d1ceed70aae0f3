"""Brings an image to known means of its blocks, without steps between them."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

__all__ = ["block_means", "with_means"]

#: Interpolation between blocks misses some of the means; what it missed follows this many times.
_PASSES: Final = 3


def block_means(x: Tensor, side: int) -> Tensor:
    """Return the means of blocks of `side` x `side` pixels, (..., h / side, w / side).

    Like all that follows made of sums and products one after the other, whose bits no kind of
    processor changes.
    """
    rows = x[..., ::side, :]
    for i in range(1, side):
        rows = rows + x[..., i::side, :]
    total = rows[..., ::side]
    for j in range(1, side):
        total = total + rows[..., j::side]
    return total * (1 / side**2)


def with_means(x: Tensor, means: Tensor, side: int) -> Tensor:
    """Return an image that nearly has known means.

    This is the range-space step of DDNM (Wang et al., arXiv 2212.00490), but that what is added is
    interpolated between blocks as pixels are: a step at every block shows.

    `core.box_mean.smooth_up` makes whole numbers of exact means out of nothing else; this moves an
    image in work, at every step of a sampler and on the device where that is.

    Parameters
    ----------
    x : (..., h, w) float
        The image; sides in multiples of `side`.
    means : (..., h / side, w / side) float
        What each block is to have.
    side : int
        Of a block, in pixels; a power of two.

    Returns
    -------
    (..., h, w) float
        Where means differ from block to block as much as they can, two fifths of what was missing
        still are; where they are smooth, nothing.
    """
    for _ in range(_PASSES):
        lack = means - block_means(x, side)
        x = x + _between(_between(lack, side, -1), side, -2)
    return x


def _between(x: Tensor, side: int, axis: int) -> Tensor:
    """Interpolate along an axis, the ends repeated."""
    count = x.shape[axis]
    before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, count - 1)], axis)
    after = torch.cat([x.narrow(axis, 1, count - 1), x.narrow(axis, count - 1, 1)], axis)
    parts = []
    for place in range(side):
        share = (place + 0.5) / side - 0.5  # of a block, from its middle
        parts.append(x * (1 - abs(share)) + (before if share < 0 else after) * abs(share))
    return torch.stack(parts, axis).flatten(axis - 1, axis)
