"""What a step does to a slide's files and table, worked out before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, TileAddress
from napari_histodiff.slide.storage.chunks import (
    ChunkReader,
    DamagedChunk,
    checksum_of,
    decode,
    encode,
    full,
)
from napari_histodiff.slide.storage.tile_table import (
    IS_AVERAGED,
    PLANE_FLAGS,
    TileInfo,
    TileState,
    TileTable,
    entries_of,
)

__all__ = ["Change"]


class Change:
    """New chunks and lines of the table; reads see them before the slide does.

    Parameters
    ----------
    table : TileTable
        The slide's, not changed here.
    chunk_reader : ChunkReader
        The slide's, not changed here.
    repair : callable
        Repairs a damaged or missing chunk, or removes it from the table.
    """

    def __init__(
        self,
        table: TileTable,
        chunk_reader: ChunkReader,
        repair: Callable[[str, TileAddress], None],
    ) -> None:
        self._table = table
        self._chunk_reader = chunk_reader
        self._repair = repair
        self._lines: dict[TileAddress, TileInfo] = {}
        self._pixels: dict[tuple[str, TileAddress], NDArray[Any] | None] = {}
        self._chunks: dict[tuple[str, TileAddress], bytes | None] = {}
        #: Other files of the slide, by path relative to it; None = to be removed.
        self.others: dict[str, bytes | None] = {}

    @property
    def spec(self) -> PyramidSpec:
        """The slide's pyramid."""
        return self._table.spec

    def shape(self, tile: TileAddress) -> tuple[int, int]:
        """Return the height and width of the part of a tile that the slide has."""
        return self.spec.region(tile).shape

    def info(self, tile: TileAddress) -> TileInfo:
        """Return what will be known of a tile."""
        return self._lines.get(tile) or self._table[tile]

    def under(self, tile: TileAddress, level: int, flag: int) -> Iterator[TileAddress]:
        """Yield the tiles of a finer level at the place of one that have a flag in the table."""
        steps = tile.level - level
        flags = self._table.flags[level]
        block = np.zeros(flags.shape, np.bool_)
        part = (
            slice(tile.row << steps, (tile.row + 1) << steps),
            slice(tile.col << steps, (tile.col + 1) << steps),
        )
        block[part] = flags[part] & flag != 0
        yield from self._table.addresses(level, block)

    def get(self, plane: str, tile: TileAddress) -> NDArray[Any] | None:
        """Return a full tile as it will be, not writable; None where nothing will be stored.

        Raises
        ------
        StorageError
            When it is damaged beyond repair.
        """
        key = (plane, tile)
        if key not in self._pixels:
            chunk = self._chunks.get(key)
            if chunk is not None:
                self._pixels[key] = decode(plane, chunk)
            else:
                self._pixels[key] = None if key in self._chunks else self._stored(plane, tile)
        return self._pixels[key]

    def touch(self, plane: str, tile: TileAddress) -> None:
        """Count a tile among the changed ones, as it is."""
        if (plane, tile) not in self._chunks and self.get(plane, tile) is not None:
            self._chunks[plane, tile] = self._chunk_reader.raw(self._chunk_reader.key(plane, tile))

    def put(self, plane: str, tile: TileAddress, pixels: NDArray[Any] | None) -> None:
        """Store a tile, cut at the slide's border or full; None removes it."""
        if pixels is None and self.get(plane, tile) is None:
            return
        if pixels is not None:
            pixels = full(pixels, self.shape(tile))
        self._chunks[plane, tile] = None if pixels is None else encode(plane, pixels)
        self._pixels[plane, tile] = pixels

    def put_chunk(self, plane: str, tile: TileAddress, data: bytes | None) -> None:
        """Store a tile already encoded; None removes it."""
        self._chunks[plane, tile] = data
        self._pixels.pop((plane, tile), None)

    def settle(self, tile: TileAddress, state: TileState, *, averaged: bool | None = None) -> None:
        """Give a tile its state, after its chunks were put.

        Parameters
        ----------
        tile : TileAddress
            Which.
        state : TileState
            The new state.
        averaged : bool, optional
            Whether coarser levels hold its means; without it as before.
        """
        before = self.info(tile)
        flags = before.flags
        if averaged is not None:
            flags = flags | IS_AVERAGED if averaged else flags & ~IS_AVERAGED
        for plane, flag in PLANE_FLAGS.items():
            if (plane, tile) in self._chunks:
                kept = self._chunks[plane, tile] is not None
                flags = flags | flag if kept else flags & ~flag
        check = before.check
        if ("image", tile) in self._chunks:
            data = self._chunks["image", tile]
            check = 0 if data is None else checksum_of(data)
        size = self._size(tile, flags, has_image=check != 0)
        self._lines[tile] = TileInfo(state, flags, check, size)

    def mark(self, tile: TileAddress, state: TileState) -> None:
        """Give a tile another state and leave its chunks alone."""
        self._lines[tile] = replace(self.info(tile), state=state)

    def chunks(self) -> Iterator[tuple[str, TileAddress, bytes | None]]:
        """Yield every new chunk as (plane, tile, contents); None = to be removed."""
        for (plane, tile), data in self._chunks.items():
            yield plane, tile, data

    def files(self) -> dict[str, bytes | None]:
        """Return the new contents of files by path relative to the slide; None = to be removed."""
        return {
            self._chunk_reader.key(plane, tile): data for plane, tile, data in self.chunks()
        } | self.others

    def lines(self) -> dict[TileAddress, TileInfo]:
        """Return what will be known of each tile that changes."""
        return dict(self._lines)

    def entries(self) -> NDArray[Any]:
        """Return the lines as an array of dtype `ENTRY`."""
        return entries_of(self._lines.items())

    def _stored(self, plane: str, tile: TileAddress) -> NDArray[Any] | None:
        for attempt in range(2):
            info = self._table[tile]
            if not (info.check if plane == "image" else info.has(plane)):
                return None
            try:
                stored = self._chunk_reader.load(plane, tile, info.check if plane == "image" else 0)
            except DamagedChunk:
                stored = None
            if stored is not None or attempt:
                return stored
            self._repair(plane, tile)
        return None

    def _size(self, tile: TileAddress, flags: int, *, has_image: bool) -> int:
        planes = [plane for plane, flag in PLANE_FLAGS.items() if flags & flag]
        if has_image:
            planes.append("image")
        total = 0
        for plane in planes:
            if (plane, tile) in self._chunks:
                total += len(self._chunks[plane, tile] or b"")
            else:
                total += self._chunk_reader.size(self._chunk_reader.key(plane, tile))
        return total
