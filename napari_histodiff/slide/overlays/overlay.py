"""The edits of a scanned slide on disk: edited tiles, paint and journal, laid over the scan."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidMap, StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.listeners import Listeners
from napari_histodiff.datasets.annotations.placing import first_pixel
from napari_histodiff.slide.edit_store import EditStore
from napari_histodiff.slide.editing.edits import known_chunk
from napari_histodiff.slide.editing.undo import MAX_UNDO_BYTES
from napari_histodiff.slide.maintenance import repair
from napari_histodiff.slide.overlays.annotations import (
    OnPainted,
    Painting,
    next_number,
    paint_annotations,
)
from napari_histodiff.slide.overlays.recipe import (
    SUFFIX,
    ScanRecipe,
    overlay_files,
    read_scan_recipe,
)
from napari_histodiff.slide.overlays.state import OverlayState
from napari_histodiff.slide.scans.padded import Margins, padded
from napari_histodiff.slide.scans.scan import Scan
from napari_histodiff.slide.state import lock_for, make_store
from napari_histodiff.slide.storage.change import Change
from napari_histodiff.slide.storage.chunks import CACHE_BYTES, encode, full
from napari_histodiff.slide.storage.edit_files import Edit
from napari_histodiff.slide.storage.tile_table import HAS_LABELS, HAS_TISSUE, TileState, TileTable
from napari_histodiff.slide.storage.transactions import write_file
from napari_histodiff.slide.tile_reader import full_tile

if TYPE_CHECKING:
    from filelock import FileLock

__all__ = ["ScanOverlay"]


class ScanOverlay(EditStore):
    """A scan with edits that last, in a folder `NAME.histodiff.ome.zarr`; see `places`.

    Reading shows the scan with the edits over it, at every level; the scan is never written to. A
    pixel of a coarser level shows the mean of the four below where one of them was edited, and the
    scan's own otherwise. An edit made at a coarser level shows enlarged at finer ones until they
    are edited there. Edits go by the same journal as those of a synthetic slide: all of one or
    nothing, also when the process is killed, and undo works after a restart.

    Opened without its scan, it shows the tiles that were edited, at this level or a finer one, with
    the coarser ones enlarged around them, and can only be looked at.
    """

    _slide: OverlayState

    def __init__(self, slide: OverlayState, lock: FileLock | None, max_undo_bytes: int) -> None:
        super().__init__(slide, lock, max_undo_bytes)
        self._paint_listeners: Listeners[Region] = Listeners()

    @classmethod
    def create(cls, path: Path | str, scan: Scan, *, cache_bytes: int = CACHE_BYTES) -> Self:
        """Make a folder for the edits of a scan, all of it or nothing, and open it for writing.

        Parameters
        ----------
        path : Path
            The new folder; `NAME.histodiff.ome.zarr` by convention.
        scan : Scan
            Stays open, and the caller's, as long as this is.
        cache_bytes : int
            Limit of decoded tiles kept in memory.

        Raises
        ------
        StorageError
            When there is something at `path`, or it can not be written.
        """
        path = Path(path)
        recipe = ScanRecipe.of(scan)
        files = dict(overlay_files(path.name.removesuffix(SUFFIX), recipe))
        make_store(path, files, TileTable.untouched(recipe.spec, TileState.SOURCE))
        return cls.open(path, scan, read_only=False, cache_bytes=cache_bytes)

    @classmethod
    def open(
        cls,
        path: Path | str,
        scan: Scan | None = None,
        *,
        read_only: bool | None = None,
        cache_bytes: int = CACHE_BYTES,
        max_undo_bytes: int = MAX_UNDO_BYTES,
    ) -> Self:
        """Open the edits of a scan.

        Parameters
        ----------
        path : Path
            Their folder.
        scan : Scan, optional
            The scan, wherever it lies now and whatever it is called; it stays the caller's. Without
            it the edits can only be looked at, tile by tile; see `missing`.
        read_only : bool, optional
            As `SlideStore.open` has it.
        cache_bytes : int
            Limit of decoded tiles kept in memory.
        max_undo_bytes : int
            Limit of the edits kept on disk for undoing them; the oldest are dropped.

        Raises
        ------
        StorageError
            When the folder holds no edits of a scan, or those of another one, is damaged, of a
            newer version, or is open for writing elsewhere and `read_only` is False.
        """
        path = Path(path)
        recipe = read_scan_recipe(path)
        if scan is not None:
            scan = padded(scan, Margins(*recipe.margins))
            recipe = recipe.follow(scan)
        elif read_only is False:
            raise StorageError(_needs(recipe))
        lock = None if scan is None else lock_for(path, read_only)
        try:
            if lock is not None:
                _bring_up_to_date(path, recipe)
            state = OverlayState(path, recipe, scan, cache_bytes, repair, writable=lock is not None)
            return cls(state, lock, max_undo_bytes)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    @property
    def recipe(self) -> ScanRecipe:
        """What is known of the scan."""
        return self._slide.recipe

    @property
    def scan(self) -> Scan | None:
        """The scan on its canvas, None when it is not at hand."""
        return self._slide.scan

    @property
    def margins(self) -> Margins:
        """How far the canvas goes beyond the scan; all places are counted from the canvas."""
        return Margins(*self._slide.recipe.margins)

    @property
    def _scan_place(self) -> Region:
        top, left, bottom, right = self.margins
        whole = self.spec.bounds(0)
        return Region(0, top, left, whole.height - top - bottom, whole.width - left - right)

    @property
    def missing(self) -> str:
        """What is needed to see all of it, for a person; empty when the scan is at hand."""
        return "" if self.scan is not None else _needs(self.recipe)

    def lay_over(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        """Put the edits over what a window shows of the scan there, in place.

        Parameters
        ----------
        region : Region
            Any place of a level.
        pixels : (h, w, 3) uint8
            What is shown of it, which need not be what the scan has: it may still be read.
        """
        self._slide.tile_reader.lay_over(region, pixels)

    def shows_edits(self, region: Region) -> NDArray[np.bool_]:
        """Return which pixels show an edit, of their level or another one, (h, w) bool."""
        dark, light = (np.full((*region.shape, 3), value, np.uint8) for value in (0, 255))
        for pixels in (dark, light):
            self.lay_over(region, pixels)
        shown: NDArray[np.bool_] = (dark == light).all(-1)
        return shown

    def paint(
        self,
        region: Region,
        nuclei: NDArray[np.int32] | None = None,
        tissue: NDArray[np.uint8] | None = None,
    ) -> None:
        """Keep what was painted in a region; it replaces what was kept there.

        Paint is no edit: no pixel changes, and `undo` leaves it. A crash leaves the earlier paint
        of a tile or the new one.

        Parameters
        ----------
        region : Region
            Any place of a level; what lies beyond the scan is dropped.
        nuclei : (h, w) int32, optional
            As `labels` returns them: 7 * instance + class.
        tissue : (h, w) uint8, optional
            Tissue classes, see `core.maps`.

        Raises
        ------
        InvalidMap
            When a map has another shape than the region.
        StorageError
            When it can not be written; what was kept stays.
        """
        planes = {"labels": nuclei, "tissue": tissue}
        maps = {plane: painted for plane, painted in planes.items() if painted is not None}
        for painted in maps.values():
            if painted.shape != region.shape:
                raise InvalidMap(
                    f"expected paint of shape {region.shape} as the region, got {painted.shape}; "
                    "crop it to the region"
                )
        with self._writing():
            change = self._slide.change()
            for plane, painted in maps.items():
                _put_paint(change, plane, region, painted)
            if change.lines():
                self._slide.save(change)

    def paint_annotations(
        self, path: Path | str, on_painted: OnPainted = lambda _: None
    ) -> Painting:
        """Paint all nuclei and regions of tissue of a file, as one step that `undo` takes back.

        What is painted stays where the file has nothing. The paint is that of level 0.

        Parameters
        ----------
        path : Path
            GeoJSON, as of QuPath, or XML of ImageScope or ASAP, in pixels of the scan's level 0.
        on_painted : callable
            Told how many objects were painted so far; what it raises leaves the paint as it was.

        Returns
        -------
        Painting
            What was painted, and what was left out.

        Raises
        ------
        InvalidMap
            When the file is no such annotation, or nothing of it lies on the scan.
        StorageError
            When it can not be written; the paint is as it was.
        """
        with self._writing():
            known = self.scan is not None and self.scan.facts.mpp is not None
            painted = paint_annotations(
                Path(path),
                self.spec,
                self.spec.mpp if known else None,
                self._kept_paint,
                next_number(map(self.labels, self._tiles_with(HAS_LABELS))),
                on_painted,
                at=first_pixel(Path(path), self.spec.bounds(0), self._scan_place),
            )
            edit = self._edit_of(painted.chunks)
            self._undo_steps.do(edit)
        self._paint_listeners.emit(edit.region)
        return painted.report

    def subscribe_paint(self, listener: Callable[[Region], None]) -> Callable[[], None]:
        """Call `listener` with each region whose paint a step changed; returns what stops it.

        Not told are calls of `paint`. It is called from whichever thread made the change.
        """
        return self._paint_listeners.add(listener)

    def undo(self) -> Region | None:
        """As `EditStore.undo`; also takes back what `paint_annotations` painted."""
        return self._step(self._slide.ledger.edits.done, super().undo)

    def redo(self) -> Region | None:
        """As `EditStore.redo`."""
        return self._step(self._slide.ledger.edits.undone, super().redo)

    # ------------------------------------------------------- to be done again elsewhere
    def own_pixels(self, region: Region) -> NDArray[np.uint8]:
        """Return what was put at the level of a region itself, (h, w, 3) uint8; see `edited`."""
        known, pixels = self._slide.change(), np.zeros((*region.shape, 3), np.uint8)
        for tile in self.spec.tiles(region):
            image = known.get("base", tile)
            image = known.get("image", tile) if image is None else image
            if image is not None:
                piece = self.spec.region(tile).intersect(region)
                inside = piece.relative_to(full_tile(tile)).slices
                pixels[piece.relative_to(region).slices] = image[inside]
        return pixels

    def next_redo(self) -> Edit:
        """Return the edit that `redo` does."""
        return self._slide.edit_files.get(self._slide.ledger.edits.undone[-1])

    def painted(self) -> list[Region]:
        """Return the tiles of every level that hold paint."""
        table, flags = self._slide.table, HAS_LABELS | HAS_TISSUE
        return [
            self.spec.region(tile)
            for level in range(self.spec.levels)
            for tile in table.addresses(level, table.flags[level] & flags != 0)
        ]

    def forget_steps(self) -> None:
        """Keep what was done, and nothing to undo it by."""
        with self._writing():
            for number in tuple(self._slide.ledger.edits.done):
                self._slide.ledger.drop(number)
            self._undo_steps.tidy()

    def paint_step(
        self,
        region: Region,
        labels: Callable[[Region], NDArray[np.int32]],
        tissue: Callable[[Region], NDArray[np.uint8]],
    ) -> None:
        """Paint a region of level 0 tile by tile, as one step that `undo` takes back.

        Parameters
        ----------
        region : Region
            All of it.
        labels, tissue : callable
            Return the paint of a part of it.
        """
        chunks = {}
        with self._writing():
            for tile in self.spec.tiles(region):
                where = self.spec.region(tile)
                for plane, painted in (("labels", labels(where)), ("tissue", tissue(where))):
                    if painted.any() or self._slide.info(tile).has(plane):
                        chunks[plane, tile] = encode(plane, full(painted, where.shape))
            self._undo_steps.do(self._edit_of(chunks))

    def _step(self, numbers: list[int], step: Callable[[], Region | None]) -> Region | None:
        is_paint = bool(numbers) and not self._slide.edit_files.get(numbers[-1]).boxes
        region = step()
        if region is not None and is_paint:
            self._paint_listeners.emit(region)
        return region

    def _kept_paint(self, plane: str, tile: TileAddress) -> NDArray[Any] | None:
        return self._slide.change().get(plane, tile)

    def _tiles_with(self, flag: int) -> list[Region]:
        table = self._slide.table
        return [self.spec.region(tile) for tile in table.addresses(0, table.flags[0] & flag != 0)]

    def _edit_of(self, chunks: dict[tuple[str, TileAddress], bytes]) -> Edit:
        """Return the step that puts paint in place; no pixel follows from it."""
        slide = self._slide
        known = {tile: slide.info(tile) for _, tile in chunks}
        where = [self.spec.region(tile) for tile in known]
        return Edit(
            region=reduce(Region.union, where),
            boxes=(),
            layout=False,
            frame=slide.frame,
            seen_from=slide.frame,
            chunks={
                (plane, tile): (known_chunk(slide, plane, tile), data)
                for (plane, tile), data in chunks.items()
            },
            others={},
            before=known,
            after=known,
            dependents={},
        )


def _put_paint(change: Change, plane: str, region: Region, painted: NDArray[Any]) -> None:
    for tile in change.spec.tiles(region):
        piece = change.spec.region(tile).intersect(region)
        inside = piece.relative_to(full_tile(tile)).slices
        kept = change.get(plane, tile)
        fresh = np.zeros(full_tile(tile).shape, painted.dtype) if kept is None else kept.copy()
        fresh[inside] = painted[piece.relative_to(region).slices]
        if kept is None or not np.array_equal(fresh, kept):
            change.put(plane, tile, fresh if fresh.any() else None)
            change.settle(tile, change.info(tile).state)


def _bring_up_to_date(path: Path, recipe: ScanRecipe) -> None:
    """Write anew what the scan is called and how large its pixels are, where that changed."""
    if read_scan_recipe(path) != recipe:
        for name, data in overlay_files(path.name.removesuffix(SUFFIX), recipe):
            write_file(path / name, data)


def _needs(recipe: ScanRecipe) -> str:
    return (
        f"expected the scan that these edits were made on, {recipe.describe()}, got the edits "
        "alone; open that scan and choose these edits for it, or look at the edited places only"
    )
