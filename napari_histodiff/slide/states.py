"""What is known of each tile."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["SETTLED", "TileState", "is_drawn", "is_settled", "summary"]


class TileState(IntEnum):
    """The state of one tile of one level, kept as uint8."""

    #: Nothing was drawn; what shows is the nearest coarser level, or the layout's colours.
    EMPTY = 0
    #: Pixels of a real slide.
    SOURCE = 1
    #: Drawn by the model; the same bytes come back when it is dropped and drawn again.
    GENERATED = 2
    #: Changed by the user; kept.
    EDITED = 3
    #: Shows what was drawn before something it depends on changed; to be drawn again, all but the
    #: pixels that the user changed.
    STALE = 4


#: States whose pixels finer levels may be drawn from.
SETTLED: Final = (TileState.SOURCE, TileState.GENERATED, TileState.EDITED)

_FROM_LEAST: Final = (
    TileState.EMPTY,
    TileState.STALE,
    TileState.EDITED,
    TileState.GENERATED,
    TileState.SOURCE,
)


def is_drawn(states: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which tiles have pixels of their own to show, of the shape of `states`."""
    drawn: NDArray[np.bool_] = states != TileState.EMPTY
    return drawn


def is_settled(states: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which tiles finer levels may be drawn from, of the shape of `states`."""
    settled: NDArray[np.bool_] = is_drawn(states) & (states != TileState.STALE)
    return settled


def summary(states: NDArray[np.uint8], steps: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the least settled state of each square of 2**steps tiles, of the shape given."""
    ranks = np.zeros(len(TileState), np.uint8)
    ranks[list(_FROM_LEAST)] = range(len(_FROM_LEAST))
    side = 1 << steps
    missing = [(0, n * side - have) for n, have in zip(shape, states.shape, strict=True)]
    padded = np.pad(ranks[states], missing, constant_values=len(_FROM_LEAST) - 1)
    lowest = padded.reshape(shape[0], side, shape[1], side).min(axis=(1, 3))
    least: NDArray[np.uint8] = np.array(_FROM_LEAST, np.uint8)[lowest]
    return least
