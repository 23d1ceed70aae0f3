"""What a slide knows of itself, on disk: a snapshot and the journal of what came after it.

Records of the journal begin with one byte: `T` lines of the table of tiles; `C` an edit is
committed (number, direction); `A` the files of the last commit are in place (lines of the table);
`D` an edit is too old to be undone (number). A commit without its `A` is carried out when the slide
is opened.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import PyramidSpec
from napari_histodiff.slide.storage.journal import Journal, read_records
from napari_histodiff.slide.storage.tile_table import ENTRY, TileTable
from napari_histodiff.slide.storage.transactions import write_file

__all__ = ["DO", "REDO", "UNDO", "CommittedEdits", "Ledger"]

#: Directions of a commit.
DO: Final = 0
UNDO: Final = 1
REDO: Final = 2

#: A journal longer than this is folded into the snapshot.
_MAX_JOURNAL: Final = 8 * 2**20

_SNAPSHOT: Final = b"HDS1"
_HEAD: Final = struct.Struct("<4sIII")
_COMMIT: Final = struct.Struct("<QB")
_NUMBER: Final = struct.Struct("<Q")

_T = TypeVar("_T")


@dataclass
class CommittedEdits:
    """Numbers of the edits that can be undone and redone, oldest first.

    Attributes
    ----------
    done, undone : list of int
        The last one of each is next.
    last : int
        The highest number given to an edit.
    pending : tuple of int, optional
        Number and direction of a commit whose files are not all in place.
    """

    done: list[int] = field(default_factory=list)
    undone: list[int] = field(default_factory=list)
    last: int = 0
    pending: tuple[int, int] | None = None

    def commit(self, number: int, direction: int) -> None:
        """Take over a commit."""
        if direction == DO:
            self.done.append(number)
            self.undone.clear()
            self.last = max(self.last, number)
        elif direction == UNDO:
            self.done.remove(number)
            self.undone.append(number)
        else:
            self.undone.remove(number)
            self.done.append(number)
        self.pending = (number, direction)

    @property
    def kept(self) -> set[int]:
        """Numbers of the edits whose files are still needed."""
        return {*self.done, *self.undone}


class Ledger:
    """Table of tiles and edits, in memory and on disk.

    Parameters
    ----------
    folder : Path
        The slide's `histodiff` folder.
    spec : PyramidSpec
        The slide's pyramid.
    writable : bool
        Whether to hold the journal open; only the one writer may.

    Raises
    ------
    StorageError
        When the snapshot is missing or damaged, or the journal can not be opened.
    """

    def __init__(self, folder: Path, spec: PyramidSpec, *, writable: bool) -> None:
        self._folder = folder
        self._spec = spec
        self._journal: Journal | None = None
        self._generation = 0
        self._end = 0
        self._load()
        if writable:
            self._journal = Journal(self._path, self._end)
            for old in folder.glob("journal-*.log"):
                if old != self._path:
                    with suppress(OSError):
                        old.unlink()

    @classmethod
    def start(
        cls, folder: Path, table: TileTable, edits: CommittedEdits, generation: int = 0
    ) -> None:
        """Write a snapshot, with an empty journal to follow."""
        head = {
            "generation": generation,
            "done": edits.done,
            "undone": edits.undone,
            "last": edits.last,
        }
        names, tiles = json.dumps(head).encode(), table.to_bytes()
        body = names + tiles
        packed = _HEAD.pack(_SNAPSHOT, zlib.crc32(body), len(names), len(tiles)) + body
        write_file(folder / "tiles.bin", packed, sync=True)

    def tiles(self, entries: NDArray[Any]) -> None:
        """Record and take over lines of the table.

        Raises
        ------
        StorageError
            When they could not be recorded; nothing is taken over then.
        """
        self._append(b"T" + entries.tobytes())
        self.table.apply(entries)
        self._fold_if_long()

    def commit(self, number: int, direction: int) -> None:
        """Commit an edit: from here on it happens, even when the process ends now.

        Raises
        ------
        StorageError
            When it could not be recorded; it does not happen then.
        """
        self._append(b"C" + _COMMIT.pack(number, direction), sync=True)
        self.edits.commit(number, direction)

    def applied(self, entries: NDArray[Any]) -> None:
        """Take over the lines of the commit whose files are in place, and record that they are.

        Raises
        ------
        StorageError
            When that could not be recorded; it will be when the slide is opened the next time.
        """
        self.table.apply(entries)
        self._append(b"A" + entries.tobytes(), sync=True)
        self.edits.pending = None
        self._fold_if_long()

    def drop(self, number: int) -> None:
        """Record that an edit can not be undone or redone any more."""
        self._append(b"D" + _NUMBER.pack(number), sync=True)
        self._forget(number)

    def refresh(self) -> NDArray[Any] | None:
        """Read what the writer recorded since; return the changed lines, None = any may have.

        Raises
        ------
        StorageError
            When the slide can not be read any more.
        """
        if self._read_head()["generation"] != self._generation:
            self._load()
            return None
        records, self._end = read_records(self._path, self._end)
        changed = [self._take(record) for record in records]
        return np.concatenate([np.zeros(0, ENTRY), *changed])

    def fold(self) -> int:
        """Write a new snapshot and begin an empty journal; return its number.

        Raises
        ------
        StorageError
            When the disk is full; the old ones stay valid.
        """
        if self._journal is None or self.edits.pending is not None:
            return self._generation
        old = self._path
        fresh = Journal(self._journal_path(self._generation + 1))
        try:
            Ledger.start(self._folder, self.table, self.edits, self._generation + 1)
        except StorageError:
            fresh.close()
            raise
        self._journal.close()
        self._journal = fresh
        self._generation += 1
        with suppress(OSError):
            old.unlink()
        return self._generation

    def close(self) -> None:
        """Fold the journal where there is one, and let go of it."""
        if self._journal is None:
            return
        if self._journal.size > len(b"HDJ1"):
            with suppress(StorageError):
                self.fold()
        self._journal.close()
        self._journal = None

    @property
    def _path(self) -> Path:
        return self._journal_path(self._generation)

    def _journal_path(self, generation: int) -> Path:
        return self._folder / f"journal-{generation}.log"

    def _load(self) -> None:
        head = self._read_head()
        self._generation = int(head["generation"])
        self.edits = CommittedEdits(list(head["done"]), list(head["undone"]), int(head["last"]))
        self.table = self._on_damage(lambda: TileTable.from_bytes(self._spec, head["tiles"]))
        records, self._end = read_records(self._path)
        for record in records:
            self._take(record)

    def _read_head(self) -> dict[str, Any]:
        def parse() -> dict[str, Any]:
            data = (self._folder / "tiles.bin").read_bytes()
            magic, check, n_names, n_tiles = _HEAD.unpack_from(data)
            body = data[_HEAD.size :]
            if magic != _SNAPSHOT or zlib.crc32(body) != check or len(body) != n_names + n_tiles:
                raise ValueError("a checksum that does not match")
            head: dict[str, Any] = json.loads(body[:n_names])
            return head | {"tiles": body[n_names:]}

        return self._on_damage(parse)

    def _on_damage(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise StorageError(
                f"expected a whole table of tiles at {self._folder / 'tiles.bin'}, got {error}; "
                "restore this file from a backup, or export the slide with another OME-Zarr program"
            ) from error

    def _take(self, record: bytes) -> NDArray[Any]:
        kind, rest = record[:1], record[1:]
        if kind == b"C":
            self.edits.commit(*_COMMIT.unpack(rest))
        elif kind == b"D":
            self._forget(*_NUMBER.unpack(rest))
        if kind not in (b"T", b"A"):
            return np.zeros(0, ENTRY)
        entries = np.frombuffer(rest, ENTRY)
        self.table.apply(entries)
        if kind == b"A":
            self.edits.pending = None
        return entries

    def _forget(self, number: int) -> None:
        for numbers in (self.edits.done, self.edits.undone):
            if number in numbers:
                numbers.remove(number)

    def _append(self, record: bytes, *, sync: bool = False) -> None:
        if self._journal is None:
            raise StorageError(
                "expected a slide open for writing, got one open for reading only; "
                "close it where it is being written, then open it again"
            )
        self._journal.append(record, sync=sync)

    def _fold_if_long(self) -> None:
        if self._journal is not None and self._journal.size > _MAX_JOURNAL:
            # The journal goes on when there is no room for a snapshot.
            with suppress(StorageError):
                self.fold()
