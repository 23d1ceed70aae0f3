"""Which worker draws which block: neighbours together, nobody idle. Pure, no dask."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.planning import blocks

__all__ = ["PARCEL", "Deal"]

#: Side in tiles of the squares that one worker draws. Neighbouring blocks share windows of the
#: model's first phase, which a worker computes once: a block alone costs half as much again.
PARCEL = 8


class Deal:
    """Deals the tiles of one level out as blocks, a parcel of neighbours at a time.

    Parameters
    ----------
    tiles : iterable of TileAddress
        Of one level; each is in exactly one of the blocks that `take` returns.
    """

    def __init__(self, tiles: Iterable[TileAddress]) -> None:
        parcels: dict[tuple[int, int], list[TileAddress]] = {}
        for tile in tiles:
            parcels.setdefault((tile.row // PARCEL, tile.col // PARCEL), []).append(tile)
        self._parcels = deque(parcels.values())
        self._given_back: deque[deque[Region]] = deque()
        self._hands: dict[str, deque[Region]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether everything was taken."""
        return not (self._parcels or self._given_back or any(self._hands.values()))

    def take(self, worker: str) -> Region | None:
        """Return the next block for a worker, None when none is left.

        It comes from the worker's parcel, then from one that another worker left behind, then from
        a new one, then from the far end of the fullest of the others.
        """
        hand = self._hands.get(worker)
        if not hand:
            hand = self._hands[worker] = self._new_hand()
        if hand:
            return hand.popleft()
        fullest = max(self._hands.values(), key=len)
        return fullest.pop() if fullest else None

    def keep(self, workers: Collection[str]) -> None:
        """Take back the parcels of workers that are not among these."""
        for worker in [name for name in self._hands if name not in workers]:
            hand = self._hands.pop(worker)
            if hand:
                self._given_back.append(hand)

    def _new_hand(self) -> deque[Region]:
        if self._given_back:
            return self._given_back.popleft()
        if not self._parcels:
            return deque()
        parcel = self._parcels.popleft()
        # Seen from its first corner a parcel falls into blocks without left-over tiles.
        scale = TILE << parcel[0].level
        row, col = parcel[0].row // PARCEL * PARCEL, parcel[0].col // PARCEL * PARCEL
        return deque(blocks(parcel, (row * scale, col * scale)))
