"""A synthetic slide on disk: what was drawn, what the user changed, and how to take it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.edit_store import EditStore
from napari_histodiff.slide.editing.edits import edit_of_sketch
from napari_histodiff.slide.editing.growths import Growth, Growths
from napari_histodiff.slide.editing.pyramid import average_up, check_tile, draw, rebuild_far
from napari_histodiff.slide.editing.undo import MAX_UNDO_BYTES
from napari_histodiff.slide.growing import (
    check_sides,
    finish_growing,
    grow,
    is_growing,
    refine,
    shrink,
)
from napari_histodiff.slide.maintenance import evict, repair
from napari_histodiff.slide.state import LayoutFactory, SlideState, lock_for, make_slide
from napari_histodiff.slide.storage.chunks import CACHE_BYTES
from napari_histodiff.slide.storage.ome import read_recipe
from napari_histodiff.slide.storage.tile_table import TileState

if TYPE_CHECKING:
    from filelock import FileLock

__all__ = ["SlideStore"]


class SlideStore(EditStore):
    """A slide in a folder `NAME.ome.zarr` (OME-Zarr 0.5); made by `create` or `open`.

    Parameters
    ----------
    slide : SlideState
        What it is made of.
    lock : FileLock, optional
        Makes this the one writer; without it the slide is open for reading only.
    max_undo_bytes : int
        Limit of the edits kept on disk.
    """

    _slide: SlideState

    def __init__(self, slide: SlideState, lock: FileLock | None, max_undo_bytes: int) -> None:
        super().__init__(slide, lock, max_undo_bytes)
        self._growths = Growths(slide.path)

    @property
    def recipe(self) -> SlideRecipe:
        """What the slide is a function of."""
        return self._slide.recipe

    @property
    def sketch(self) -> Sketch | None:
        """Where which tissue is, as far as the user said."""
        return self._slide.sketch

    @property
    def layout(self) -> Any:
        """What `layout` made of recipe and sketch; its regions are in PLANE coordinates."""
        return self._slide.layout

    @classmethod
    def create(
        cls,
        path: Path | str,
        recipe: SlideRecipe,
        sketch: Sketch | None = None,
        *,
        layout: LayoutFactory = SlideLayout,
        cache_bytes: int = CACHE_BYTES,
    ) -> Self:
        """Make a new slide, all of it or nothing, and open it for writing.

        Parameters
        ----------
        path : Path
            The new folder; `NAME.ome.zarr` by convention.
        recipe : SlideRecipe
            What it is a function of.
        sketch : Sketch, optional
            Where which tissue is.
        layout : callable
            Makes the layout.
        cache_bytes : int
            Limit of decoded tiles kept in memory.

        Raises
        ------
        StorageError
            When there is something at `path`, or it can not be written.
        """
        path = Path(path)
        make_slide(path, recipe, sketch)
        return cls.open(path, read_only=False, layout=layout, cache_bytes=cache_bytes)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        read_only: bool | None = None,
        layout: LayoutFactory = SlideLayout,
        cache_bytes: int = CACHE_BYTES,
        max_undo_bytes: int = MAX_UNDO_BYTES,
    ) -> Self:
        """Open a slide.

        Parameters
        ----------
        path : Path
            Its folder.
        read_only : bool, optional
            True never writes, and may be while another program does (see `refresh`); False must be
            the only writer; without it, to write unless another program does or the folder can not
            be written.
        layout : callable
            Makes the layout.
        cache_bytes : int
            Limit of decoded tiles kept in memory.
        max_undo_bytes : int
            Limit of the edits kept on disk for undoing them; the oldest are dropped.

        Raises
        ------
        StorageError
            When it is no slide of this package, damaged, of a newer version, or is open for writing
            elsewhere and `read_only` is False.
        """
        path = Path(path)
        read_recipe(path)
        lock = lock_for(path, read_only)
        try:
            if lock is not None:
                finish_growing(path)
            elif is_growing(path):
                raise StorageError(
                    f"expected a slide in one piece, got {path} in the middle of growing; wait "
                    "until it has grown, or open it for writing to finish that"
                )
            # Once more: the writer may have changed it until it let go of the lock.
            recipe = read_recipe(path)
            slide = SlideState(path, recipe, layout, cache_bytes, repair, writable=lock is not None)
            return cls(slide, lock, max_undo_bytes)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    def base(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels that finer levels are drawn from.

        As `read`, but without what edits of finer levels averaged into it, so that drawn tiles do
        not depend on the order of edits and visits.

        Parameters
        ----------
        region : Region
            Any place of a level that the model draws, ARRAY coordinates.

        Returns
        -------
        (h, w, 3) uint8

        Raises
        ------
        StorageError
            When a tile of the slide in it is not drawn, or is stale.
        """
        return self._slide.tile_reader.base(region)

    def put_generated(
        self,
        tile: TileAddress,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int32] | None = None,
        *,
        since: int | None = None,
    ) -> bool:
        """Store a tile that the model drew; return whether it was taken.

        An edited tile is left alone, and of a stale one the pixels that the user changed. A crash
        leaves the tile as it was or stored whole.

        Parameters
        ----------
        tile : TileAddress
            Of a level that the model draws.
        pixels : (h, w, 3) uint8
            The tile, cut at the slide's border.
        labels : (h, w) int32, optional
            Its nuclei as 7 * instance + class.
        since : int, optional
            `revision` before what it is drawn from was read; not taken when an edit changed that.

        Raises
        ------
        InvalidImage
            When the pixels do not fit the tile.
        StorageError
            When it can not be written; the tile is as it was.
        """
        check_tile(self.recipe, tile, pixels)
        with self._writing():
            if since is not None and self._revisions.is_stale(tile, since):
                return False
            if self._slide.info(tile).state in (TileState.EDITED, TileState.SOURCE):
                return False
            change = self._slide.change()
            draw(change, tile, pixels, labels)
            coarsest = self.recipe.coarsest
            changed = {tile}
            if change.info(tile).has("edits"):
                changed = average_up(change, self._slide.tile_reader, coarsest, changed)
            rebuild_far(change, [tile for tile in changed if tile.level == coarsest])
            self._slide.save(change)
        self._listeners.emit(self.spec.region(tile))
        return True

    def set_sketch(self, sketch: Sketch | None) -> list[Region]:
        """Say anew where which tissue is; an edit like others, which `undo` takes back.

        Drawn tiles become STALE where the layout may change; edited pixels stay.

        Returns
        -------
        list of Region
            Where, level 0, ARRAY coordinates.

        Raises
        ------
        StorageError
            When it can not be written; the slide is as it was.
        """
        with self._writing():
            edit = edit_of_sketch(self._slide, sketch)
            self._undo_steps.do(edit)
            self._growths.forget_undone()
        self._listeners.emit(edit.region)
        return list(edit.boxes)

    def evict(self, max_bytes: int) -> int:
        """Drop drawn tiles until at most so many bytes are left; return how many bytes that freed.

        Those out of date go first, then the finest, among them those read longest ago. Nothing that
        holds an edit goes, nor the levels that are never drawn; what goes comes back the same when
        it is drawn again.

        Raises
        ------
        StorageError
            When it can not be recorded; nothing is dropped then.
        """
        with self._writing():
            freed = evict(self._slide, max_bytes)
        if freed:
            self._listeners.emit(self.spec.bounds(0))
        return freed

    def grow(self, top: int = 0, left: int = 0, bottom: int = 0, right: int = 0) -> None:
        """Add rows and columns of level 0 at the borders.

        What is there keeps its pixels and its place on the plane. Tiles that the old borders cut,
        or that were drawn from what lay beyond, become STALE. Edits from before can be undone, and
        `undo_growth` makes the slide as large as it was. A crash leaves it as it was or grown.

        Parameters
        ----------
        top, left, bottom, right : int
            Multiples of `TILE << recipe.coarsest`.

        Raises
        ------
        InvalidRequest
            When one is no such multiple, or the slide would be too large.
        StorageError
            When it can not be written.
        """
        sides = {"top": top, "left": left, "bottom": bottom, "right": right}
        with self._writing():
            recipe = check_sides(self.recipe, sides)
            if recipe != self.recipe:
                edits, before = self._slide.ledger.edits, self._slide.frame
                if self._growths.undone:  # edits undone with them lay in what is not there
                    for number in tuple(edits.undone):
                        self._slide.ledger.drop(number)
                grow(self._slide, recipe)
                self._revisions.all_stale()
                self._growths.do(Growth(before, self._slide.frame, edits.last))
        self._listeners.emit(self.spec.bounds(0))

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to do again, and no growth that has to be repeated before."""
        return super().can_redo and self.growth_to_redo is None

    @property
    def growth_to_undo(self) -> Growth | None:
        """The growth that is the last step; None when an edit is, or there is none."""
        if self.read_only:
            return None
        return self._growths.to_undo(self._slide.frame, self._slide.ledger.edits.done)

    @property
    def growth_to_redo(self) -> Growth | None:
        """The growth that is the next step to repeat; None when an edit is, or there is none."""
        if self.read_only:
            return None
        return self._growths.to_redo(self._slide.frame, self._slide.ledger.edits.undone)

    def write(
        self,
        request: EditRequest,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.bool_] | None = None,
    ) -> Region:
        """Put an edit into the slide, see `EditStore.write`."""
        region = super().write(request, pixels, mask)
        with self._lock:
            self._growths.forget_undone()
        return region

    def redo(self) -> Region | None:
        """Do the edit that was taken back last again; return where, None when there was none.

        Nor is there one while a growth has to be repeated before it.

        Raises
        ------
        StorageError
            When nothing can be written, or the edit's file is damaged; the slide is as it was.
        """
        return super().redo() if self.growth_to_redo is None else None

    def undo_growth(self) -> bool:
        """Make the slide as large as it was before it grew; returns whether that was the last step.

        What was drawn in the part that goes is lost; edits there have to be undone before. Tiles
        drawn from what lay there become STALE.

        Raises
        ------
        StorageError
            When it can not be written; the slide is as it was.
        """
        growth = self.growth_to_undo
        if growth is None:
            return False
        with self._writing():
            shrink(self._slide, growth.before)
            self._revisions.all_stale()
            self._growths.undo()
        self._listeners.emit(self.spec.bounds(0))
        return True

    def redo_growth(self) -> bool:
        """Grow the slide as `undo_growth` took it back; returns whether that was the next step.

        Raises
        ------
        StorageError
            When it can not be written; the slide is as it was.
        """
        growth = self.growth_to_redo
        if growth is None:
            return False
        to, frame = growth.after, self._slide.frame
        with self._writing():
            grow(
                self._slide,
                self.recipe.grown(
                    top=frame.y - to.y,
                    left=frame.x - to.x,
                    bottom=to.y + to.height - frame.y - frame.height,
                    right=to.x + to.width - frame.x - frame.width,
                ),
            )
            self._revisions.all_stale()
            self._growths.redo()
        self._listeners.emit(self.spec.bounds(0))
        return True

    def refine(self, info: BackendInfo) -> None:
        """Add a finer level below all others, of half the pixel size; nothing is drawn by that.

        What was level k is level k + 1 from now on, with all its tiles and edits, which can still
        be undone. A crash leaves the slide as it was or refined.

        Parameters
        ----------
        info : BackendInfo
            The slide's model.

        Raises
        ------
        InvalidRequest
            When it is another model, or does not draw so finely.
        StorageError
            When it can not be written.
        """
        with self._writing():
            refine(self._slide, self.recipe.finer(info))
            self._revisions.all_stale()
        self._listeners.emit(self.spec.bounds(0))
