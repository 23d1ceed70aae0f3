"""The state of an open store, shared by what reads, draws, edits and checks it; new, and locked."""

from __future__ import annotations

import io
import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.core.maps import TISSUE_NAMES, in_schema
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.base import Base, Layout, LayoutBase, StoreRecipe
from napari_histodiff.slide.storage.change import Change
from napari_histodiff.slide.storage.chunks import ChunkReader
from napari_histodiff.slide.storage.dependencies import PlaneFrame
from napari_histodiff.slide.storage.edit_files import EditFiles
from napari_histodiff.slide.storage.ledger import CommittedEdits, Ledger
from napari_histodiff.slide.storage.ome import metadata_files, read_recipe
from napari_histodiff.slide.storage.tile_table import (
    IS_AVERAGED,
    TileInfo,
    TileState,
    TileTable,
    tiles_of,
)
from napari_histodiff.slide.storage.transactions import Transaction, storage_error, write_file
from napari_histodiff.slide.tile_reader import TileReader

__all__ = [
    "SKETCH_FILE",
    "LayoutFactory",
    "Repair",
    "SlideState",
    "StoreState",
    "check_is_new",
    "lock_for",
    "make_slide",
    "make_store",
    "pack_sketch",
]

#: Makes the layout of a slide.
LayoutFactory = Callable[[SlideRecipe, Sketch | None], Any]

#: Restores a damaged chunk of a slide, or gives it up: `maintenance.repair`.
Repair = Callable[["StoreState", str, TileAddress], None]

#: Where the sketch lies, relative to the slide.
SKETCH_FILE: Final = "histodiff/sketch.npz"

_SCRATCH: Final = "histodiff/scratch"

# More changed tiles than this are told of as the whole slide.
_MANY: Final = 64


class StoreState(ABC):
    """What an open store of tiles is made of, whatever it lies on.

    Parameters
    ----------
    path : Path
        The store's folder.
    recipe : StoreRecipe
        What it keeps tiles of.
    cache_bytes : int
        Limit of decoded tiles kept in memory.
    repair : callable
        Restores a damaged chunk or gives it up.
    writable : bool
        Whether this is the one writer.

    Raises
    ------
    StorageError
        When the store is damaged.
    """

    recipe: StoreRecipe
    base: Base

    #: The state of a tile that nothing is stored of.
    untouched = TileState.EMPTY

    def __init__(
        self,
        path: Path,
        recipe: StoreRecipe,
        cache_bytes: int,
        repair: Repair,
        *,
        writable: bool,
    ) -> None:
        self._repair = repair
        self.path = path
        self.writable = writable
        self.lock = threading.RLock()
        self.chunk_reader = ChunkReader(path, cache_bytes, recipe.refined)
        self.edit_files = EditFiles(path / "histodiff" / "edits-done")
        self.open_ledger(recipe)

    @abstractmethod
    def make_base(self) -> Base:
        """Make what the store lies on, for its recipe and its files as they are now."""

    @abstractmethod
    def read_recipe(self) -> StoreRecipe:
        """Read the recipe as it is on disk now.

        Raises
        ------
        StorageError
            When it is damaged or gone.
        """

    def base_files(self) -> bytes | None:
        """Return the file that the base depends on besides the recipe, None where there is none."""
        return None

    @abstractmethod
    def check_base(self) -> None:
        """Check that what the store lies on is there, before anything is written.

        Raises
        ------
        StorageError
            When it is not.
        """

    def tissue_of(self, request: EditRequest) -> NDArray[np.uint8] | None:
        """Return the tissue to keep with an edit, (h, w) uint8 of what its request draws.

        Ids of `TISSUE_NAMES`, 0 where nobody said; None where edits keep none.
        """
        return None

    @property
    def spec(self) -> PyramidSpec:
        """The pyramid."""
        return self.recipe.spec

    @property
    def frame(self) -> PlaneFrame:
        """Where the slide lies on the plane."""
        recipe = self.recipe
        return PlaneFrame(*recipe.origin, recipe.height, recipe.width, recipe.refined)

    @property
    def table(self) -> TileTable:
        """What is known of every tile."""
        return self.ledger.table

    def open_ledger(self, recipe: StoreRecipe) -> None:
        """Read what is known of every tile, and make what depends on the recipe.

        Raises
        ------
        StorageError
            When it is damaged.
        """
        self.ledger = Ledger(self.path / "histodiff", recipe.spec, writable=self.writable)
        self.chunk_reader.refined = recipe.refined
        self.set_recipe(recipe)

    def set_recipe(self, recipe: StoreRecipe) -> None:
        """Make everything that depends on the recipe and on `base_files`."""
        self.recipe = recipe
        self.base = self.make_base()
        self.tile_reader = TileReader(
            recipe,
            self.base,
            self.chunk_reader,
            self.info,
            self._averaged,
            self.repair,
            self.edits_over,
            self.shows_edits,
        )

    def refresh(self) -> list[Region]:
        """Read what the writer did since; return where pixels may have changed.

        Raises
        ------
        StorageError
            When the store can not be read any more.
        """
        recipe = self.read_recipe()
        if recipe != self.recipe:
            self.open_ledger(recipe)
            return [self.spec.bounds(0)]
        before = self.base_files()
        self.chunk_reader.overlay({})
        entries = self.ledger.refresh()
        if self.base_files() != before:
            self.set_recipe(recipe)
        if entries is None or len(entries) > _MANY:
            return [self.spec.bounds(0)]
        return [self.spec.region(tile) for tile in tiles_of(entries)]

    def close(self) -> None:
        """Let go of the files; nothing is written any more."""
        self.writable = False
        self.ledger.close()
        self.chunk_reader.forget()

    def info(self, tile: TileAddress) -> TileInfo:
        """Return what is known of a tile."""
        return self.ledger.table[tile]

    def edits_over(self, tile: TileAddress) -> list[TileAddress]:
        """Return the coarser tiles at the place of one that were edited, the finest first."""
        return self.ledger.table.edited_over(tile, self.recipe.coarsest)

    def shows_edits(self, region: Region) -> bool:
        """Return whether edits show in a region of a scan."""
        return self.ledger.table.shows_edits(region, self.recipe.coarsest)

    def change(self) -> Change:
        """Return an empty change."""
        return Change(self.table, self.chunk_reader, self.repair)

    def save(self, change: Change) -> None:
        """Carry out a change that a crash may lose, but never halve: its files, then its lines.

        Raises
        ------
        StorageError
            When it can not be written; nothing the slide knows of has changed then.
        """
        transaction = Transaction.write(
            self.path, self.path / _SCRATCH, change.files(), change.entries(), sync=False
        )
        # What is to go goes last, when nothing refers to it any more.
        transaction.place(sync=False, removing=False)
        self.ledger.tiles(transaction.entries)
        transaction.place(sync=False)
        transaction.discard()

    def repair(self, plane: str, tile: TileAddress) -> None:
        """Restore a damaged chunk, or give it up where it can be drawn again.

        Raises
        ------
        StorageError
            When the user's work in it is lost.
        """
        with self.lock:
            self._repair(self, plane, tile)

    def _averaged(self) -> NDArray[np.bool_]:
        flags = self.ledger.table.flags[self.recipe.coarsest]
        averaged: NDArray[np.bool_] = flags & IS_AVERAGED != 0
        return averaged


class SlideState(StoreState):
    """What an open synthetic slide is made of.

    Parameters
    ----------
    path : Path
        The slide's folder.
    recipe : SlideRecipe
        What it is a function of.
    make_layout : callable
        Makes its layout.
    cache_bytes : int
        Limit of decoded tiles kept in memory.
    repair : callable
        Restores a damaged chunk or gives it up.
    writable : bool
        Whether this is the one writer.

    Raises
    ------
    StorageError
        When the slide is damaged.
    """

    recipe: SlideRecipe

    def __init__(
        self,
        path: Path,
        recipe: SlideRecipe,
        make_layout: LayoutFactory,
        cache_bytes: int,
        repair: Repair,
        *,
        writable: bool,
    ) -> None:
        self._make_layout = make_layout
        super().__init__(path, recipe, cache_bytes, repair, writable=writable)

    def make_base(self) -> LayoutBase:
        """Read the sketch and lay the slide out."""
        self.sketch: Sketch | None = _unpack_sketch(
            self.path, self.base_files(), self.recipe.refined
        )
        self.layout: Layout = self._make_layout(self.recipe, self.sketch)
        return LayoutBase(self.layout, self.recipe.origin)

    def read_recipe(self) -> SlideRecipe:
        """Read the recipe as it is on disk now."""
        return read_recipe(self.path)

    def base_files(self) -> bytes | None:
        """Return the packed sketch."""
        return self.chunk_reader.raw(SKETCH_FILE)

    def check_base(self) -> None:
        """Do nothing: a layout is always there."""

    def tissue_of(self, request: EditRequest) -> NDArray[np.uint8] | None:
        """Return the tissue that a request was drawn with, None when it says nothing of tissue.

        Where it is what the layout has a model told, as fat is told by its cells, it is the
        layout's tissue.
        """
        if request.tissue_map is None:
            return None
        names, (y, x), region = self.recipe.tissue_names, self.recipe.origin, request.drawn
        # Numbers that the slide's model has no name for are those of another model.
        known = (*names, *TISSUE_NAMES[len(names) :])
        part = region.relative_to(request.region).slices
        told = in_schema(request.tissue_map[part], TISSUE_NAMES, known)
        plane = region.translate(y >> region.level, x >> region.level)
        return np.where(told == self.layout.tissue_to_draw(plane), self.layout.tissue(plane), told)

    def layout_with(self, sketch: Sketch | None) -> Layout:
        """Return the layout that the slide would have with another sketch."""
        layout: Layout = self._make_layout(self.recipe, sketch)
        return layout


def pack_sketch(sketch: Sketch | None, refined: int) -> bytes | None:
    """Return the file of a sketch; its lengths are in pixels of a slide refined so often."""
    if sketch is None:
        return None
    file = io.BytesIO()
    np.savez_compressed(
        file,
        classes=sketch.classes,
        pixel=np.int64(sketch.pixel),
        origin=np.array(sketch.origin),
        refined=np.int64(refined),
    )
    return file.getvalue()


def _unpack_sketch(path: Path, data: bytes | None, refined: int) -> Sketch | None:
    """Return a sketch in pixels of level 0 of a slide that has been refined so often by now."""
    if data is None:
        return None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            before = int(arrays["refined"]) if "refined" in arrays else 0
            scale = 1 << (refined - before)
            y, x = (int(value) * scale for value in arrays["origin"])
            return Sketch(arrays["classes"], int(arrays["pixel"]) * scale, (y, x))
    except (ValueError, KeyError, OSError, InvalidRequest) as error:
        raise StorageError(
            f"expected the sketch of the slide at {path / SKETCH_FILE}, got {error}; "
            "restore this file from a backup"
        ) from error


def make_slide(path: Path, recipe: SlideRecipe, sketch: Sketch | None) -> None:
    """Make a slide on which nothing is drawn, all of it or nothing.

    Raises
    ------
    StorageError
        When there is something at `path`, or it can not be written.
    """
    files = dict(metadata_files(path.name.removesuffix(".ome.zarr"), recipe))
    packed = pack_sketch(sketch, recipe.refined)
    if packed is not None:
        files[SKETCH_FILE] = packed
    make_store(path, files, TileTable(recipe.spec))


def check_is_new(path: Path) -> None:
    """Refuse to make a slide where something is.

    Raises
    ------
    StorageError
        When there is something at `path`.
    """
    if path.exists():
        raise StorageError(
            f"expected a new folder, got {path}, which exists; choose another name, or open it"
        )


def make_store(path: Path, files: Mapping[str, bytes], table: TileTable) -> None:
    """Make a store without tiles, all of it or nothing.

    Parameters
    ----------
    path : Path
        The new folder.
    files : mapping
        Contents by path relative to it.
    table : TileTable
        What is known of its tiles.

    Raises
    ------
    StorageError
        When there is something at `path`, or it can not be written.
    """
    check_is_new(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        for name, data in files.items():
            write_file(scratch / name, data)
        Ledger.start(scratch / "histodiff", table, CommittedEdits())
        os.rename(scratch, path)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


_NAME: Final = "histodiff/lock"


def lock_for(path: Path, read_only: bool | None) -> FileLock | None:
    """Return the lock that makes this process the writer of a slide, None to only read it.

    The lock goes when its process ends, however it ends.

    Parameters
    ----------
    path : Path
        The slide's folder.
    read_only : bool, optional
        True asks for no lock, False insists on it, None takes it when it can be had.

    Raises
    ------
    StorageError
        When it is insisted on and another process has it or the folder can not be written.
    """
    if read_only:
        return None
    try:
        lock = _lock_slide(path)
    except StorageError:
        if read_only is None:
            return None
        raise
    if lock is None and read_only is False:
        raise StorageError(
            f"expected to be the only writer of {path}, got a slide that is open elsewhere; "
            "close it there or open it read-only"
        )
    return lock


def _lock_slide(path: Path) -> FileLock | None:
    """Return the lock that makes this process the writer, or None when another one is.

    The lock goes when its process ends, however it ends.

    Raises
    ------
    StorageError
        When the folder can not be written.
    """
    lock = FileLock(path / _NAME, blocking=False)
    try:
        if not os.access(path / _NAME, os.W_OK) and (path / _NAME).exists():
            raise PermissionError(13, "Permission denied")
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        raise StorageError(
            f"expected a folder that can be written, got '{error.strerror or error}' for {path}; "
            "open the slide read-only or copy it to where you may write"
        ) from error
    return lock
