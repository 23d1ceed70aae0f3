"""What can be exported: anything that reads regions of a pyramid, with what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.slide.exporting.provenance import EditMark, Provenance
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.places import find_overlay
from napari_histodiff.slide.reader import OpenStore
from napari_histodiff.slide.scans.opening import is_synthetic
from napari_histodiff.slide.scans.padded import PaddedScan
from napari_histodiff.slide.scans.remembered import open_known
from napari_histodiff.slide.scans.scan import Scan
from napari_histodiff.slide.storage.tile_table import SETTLED, is_drawn
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.tile_requests import tissue_at

__all__ = ["ExportSource", "open_source"]

#: The coarsest level of a part fits one screen.
_COARSEST_SIDE = 512


def _nowhere(region: Region) -> NDArray[np.bool_]:
    return np.zeros(region.shape, np.bool_)


def _always(_: Region) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSource:
    """A pyramid to export; all of it may be called from any thread.

    Attributes
    ----------
    name : str
        Shown by other programs, and the start of the names of files.
    spec : PyramidSpec
        Level 0 is the full resolution.
    read : callable
        Returns the pixels of a region of any level inside the pyramid, (h, w, 3) uint8.
    mpp : tuple of float, optional
        Micrometres per pixel of level 0, (y, x); None where they are not known.
    provenance : Provenance
        What of it is synthetic.
    labels : callable, optional
        Returns the nuclei of a region, (h, w) int32 of 7 * instance + class.
    tissue : callable, optional
        Returns the tissue of a region, (h, w) uint8 of `TISSUE_NAMES`.
    edited : callable
        Returns which pixels of a region of level 0 were edited, (h, w) bool. Of a scan these are
        the synthetic ones.
    changed : callable
        Returns the tiles of level 0 that hold all edited pixels.
    is_drawn : callable
        Tells whether a region of level 0 shows pixels of its own, not coarser ones enlarged.
    paths : tuple of Path
        Files and folders it is read from, which no export may write to.
    scan_place : Region, optional
        Where the scan lies, where the canvas is larger than it.
    whole : (int, int), optional
        Height and width of the image that it is a part of.
    """

    name: str
    spec: PyramidSpec
    read: Callable[[Region], NDArray[np.uint8]]
    provenance: Provenance
    mpp: tuple[float, float] | None = None
    labels: Callable[[Region], NDArray[np.int32]] | None = None
    tissue: Callable[[Region], NDArray[np.uint8]] | None = None
    edited: Callable[[Region], NDArray[np.bool_]] = _nowhere
    changed: Callable[[], list[Region]] = list
    is_drawn: Callable[[Region], bool] = _always
    paths: tuple[Path, ...] = ()
    scan_place: Region | None = None
    whole: tuple[int, int] | None = None

    @classmethod
    def of_slide(cls, slide: SlideStore) -> ExportSource:
        """Return a synthetic slide as it shows now."""
        recipe, spec = slide.recipe, slide.spec
        marks = [
            EditMark.of(EditRequest.from_dict(data), recipe.model, recipe.revision)
            for data in slide.requests()
        ]
        drawn = is_drawn(slide.state(0))
        notes: tuple[str, ...] = ()
        if not drawn.all():
            notes = (
                f"Of {drawn.size} tiles of the slide at full resolution {int(drawn.sum())} are "
                "drawn; the others show coarser pixels enlarged, or the colours of the plan. "
                "Nuclei are those of drawn tiles, tissue is that of all.",
            )
        return cls(
            name=slide.path.name.removesuffix(".ome.zarr"),
            spec=spec,
            read=slide.read,
            mpp=(spec.mpp, spec.mpp),
            labels=slide.labels,
            tissue=partial(tissue_at, slide),
            edited=slide.edited,
            changed=lambda: slide.edited_tiles(0),
            is_drawn=lambda region: _is_drawn(slide, region),
            paths=(slide.path,),
            provenance=Provenance(
                extent="all",
                source={"kind": "synthetic slide", "recipe": recipe.to_dict()},
                edits=tuple(marks),
                model=recipe.model,
                revision=recipe.revision,
                caption=recipe.caption,
                seed=recipe.seed,
                notes=notes,
            ),
        )

    @classmethod
    def of_scan(cls, scan: Scan, overlay: ScanOverlay | None = None) -> ExportSource:
        """Return a scan with its edits, which may be none, as it shows now.

        Its label and other pictures of the file are left out: they may name a patient.
        """
        if overlay is not None and overlay.scan is not None:
            scan = overlay.scan  # on its canvas
        facts, spec = scan.facts, scan.spec
        described: dict[str, Any] = {
            "kind": "scan",
            "name": scan.path.name,
            "format": facts.format,
            "identity": scan.identity().to_dict(),
        }
        if isinstance(scan, PaddedScan):
            described["margins"] = scan.margins._asdict()
        source = cls(
            name=scan.path.stem,
            spec=spec,
            read=scan.read,
            mpp=facts.mpp,
            paths=(scan.path,),
            provenance=Provenance(extent="none", source=described),
            scan_place=scan.place(0) if isinstance(scan, PaddedScan) else None,
        )
        if overlay is None:
            return source
        requests = [EditRequest.from_dict(data) for data in overlay.requests()]
        changed = edited_tiles(overlay)
        return replace(
            source,
            read=overlay.read,
            paths=(scan.path, overlay.path),
            labels=overlay.labels,
            tissue=overlay.tissue,
            edited=lambda region: edited_pixels(overlay, region),
            changed=lambda: edited_tiles(overlay),
            provenance=Provenance(
                extent="part" if changed else "none",
                source=described,
                edits=tuple(EditMark.of(one, "", "") for one in requests),
                forgotten=0 if requests or not changed else 1,
            ),
        )

    @classmethod
    def of_image(
        cls,
        name: str,
        shape: tuple[int, int],
        mpp: float | None,
        read: Callable[[Region], NDArray[np.uint8]],
        edited: Callable[[Region], NDArray[np.bool_]] | None,
        *,
        source: dict[str, Any],
        marks: Sequence[EditMark] = (),
        forgotten: int = 0,
    ) -> ExportSource:
        """Return an image of one level, its coarser levels the means of 2 x 2 pixels.

        Parameters
        ----------
        name : str
            Of the image.
        shape : (height, width)
            Of its one level, in pixels.
        mpp : float or None
            Micrometres per pixel; None where nobody knows.
        read : callable
            Returns the pixels of a region of level 0, (h, w, 3) uint8.
        edited : callable or None
            Returns which of them are synthetic, (h, w) bool; None = all are.
        source : dict
            What it is, ready for JSON.
        marks : sequence of EditMark
            The edits it shows.
        forgotten : int
            How many more it shows.
        """
        levels = max(1, (max(shape) - 1).bit_length() - (_COARSEST_SIDE - 1).bit_length() + 1)
        spec = PyramidSpec(*shape, 256, levels, mpp or 0.5)
        coarser: list[NDArray[np.uint8]] = []

        def read_level(region: Region) -> NDArray[np.uint8]:
            if region.level == 0:
                return read(region)
            while len(coarser) < region.level:
                coarser.append(box_down(coarser[-1]) if coarser else _halved(read, spec.bounds(0)))
            return coarser[region.level - 1][region.slices]

        every = Provenance(extent="all", source=source, edits=tuple(marks), forgotten=forgotten)
        made = cls(
            name=name,
            spec=spec,
            read=read_level,
            mpp=None if mpp is None else (mpp, mpp),
            provenance=every,
        )
        if edited is None:
            return made
        blocks = spec.bounds(0).blocks(_COARSEST_SIDE)
        changed = [block for block in blocks if edited(block).any()]
        return replace(
            made,
            edited=edited,
            changed=lambda: changed,
            provenance=replace(every, extent="part" if changed else "none"),
        )

    def part(self, region: Region) -> ExportSource:
        """Return a part of the pyramid as a pyramid of its own.

        Parameters
        ----------
        region : Region
            Of level 0; grown outwards as far as it takes to begin on a pixel of each level.

        Raises
        ------
        InvalidRequest
            When nothing of it lies inside.
        """
        bounds = self.spec.bounds(0)
        inside = region.intersect(bounds)
        if inside.is_empty:
            raise InvalidRequest(
                f"expected a region inside {bounds.height} x {bounds.width} pixels, got {region}; "
                "give y, x, height and width in pixels of full resolution"
            )
        levels = 1
        while max(inside.shape) > _COARSEST_SIDE << (levels - 1) and levels < self.spec.levels:
            levels += 1
        first = inside.snap(1 << (levels - 1))
        place = Region(0, first.y, first.x, inside.bottom - first.y, inside.right - first.x)

        def moved(one: Region) -> Region:
            return one.translate(place.y >> one.level, place.x >> one.level)

        labels, tissue = self.labels, self.tissue
        return replace(
            self,
            spec=PyramidSpec(*place.shape, self.spec.tile, levels, self.spec.mpp),
            read=lambda one: self.read(moved(one)),
            labels=None if labels is None else lambda one: labels(moved(one)),
            tissue=None if tissue is None else lambda one: tissue(moved(one)),
            edited=lambda one: self.edited(moved(one)),
            changed=lambda: [
                one.intersect(place).translate(-place.y, -place.x)
                for one in self.changed()
                if not one.intersect(place).is_empty
            ],
            is_drawn=lambda one: self.is_drawn(moved(one)),
            provenance=self._provenance_within(place),
            scan_place=None,
            whole=bounds.shape,
        )

    def _provenance_within(self, place: Region) -> Provenance:
        """Return that of a part; nothing is synthetic where no changed pixel lies in it."""
        found = self.provenance.within(place)
        if found.extent != "part":
            return found
        parts = (tile.intersect(place) for tile in self.changed())
        is_edited = any(self.edited(part).any() for part in parts if not part.is_empty)
        return found if is_edited else replace(found, extent="none")

    def within_scan(self) -> ExportSource:
        """Return it without what was drawn beyond the border of the scan; places are the scan's."""
        return self if self.scan_place is None else self.part(self.scan_place)

    def tissue_told(self) -> Callable[[Region], NDArray[np.uint8]]:
        """Return what tells the tissue of a region, for an export that is to have it.

        Raises
        ------
        InvalidRequest
            When the slide keeps none.
        """
        if self.tissue is None:
            raise InvalidRequest(
                f"expected a slide with tissue regions, got {self.name}, which keeps none; leave "
                "them out, or paint tissue first"
            )
        return self.tissue

    def check_target(self, path: Path) -> None:
        """Refuse to write over what is exported.

        Raises
        ------
        StorageError
            When the path is the source, or lies in it, or holds it.
        """
        target = path.absolute().resolve()
        for own in self.paths:
            source = own.absolute().resolve()
            if target == source or source in target.parents or target in source.parents:
                raise StorageError(
                    f"expected a target beside {own}, got {path}, which would write over what is "
                    "exported; choose another name"
                )


@contextmanager
def open_source(path: Path | str, *, mpp: float | None = None) -> Iterator[ExportSource]:
    """Open a synthetic slide, or a scan with its edits where there are some, to be exported.

    Parameters
    ----------
    path : Path
        The slide.
    mpp : float, optional
        Micrometres per pixel of a scan whose file does not say.

    Raises
    ------
    StorageError
        When a slide of this package cannot be opened, or a scan's edits are damaged.
    ScanInvalid
        When it is no slide; the message says the way out.
    """
    path = Path(path)
    with ExitStack() as stack:
        if is_synthetic(path):
            yield ExportSource.of_slide(stack.enter_context(SlideStore.open(path, read_only=True)))
            return
        scan = stack.enter_context(closing(open_known(path, mpp=mpp)))
        place = find_overlay(scan)
        overlay = None
        if place is not None:
            overlay = stack.enter_context(ScanOverlay.open(place, scan, read_only=True))
        yield ExportSource.of_scan(scan, overlay)


def edited_pixels(store: OpenStore, region: Region) -> NDArray[np.bool_]:
    """Return which pixels of a region show an edit of its level or a coarser one, (h, w) bool."""
    found = store.edited(region)
    for level in range(region.level + 1, store.recipe.coarsest + 1):
        above = store.spec.at_level(region, level).intersect(store.spec.bounds(level))
        edited = store.edited(above)
        if edited.any():
            rows = (np.arange(region.y, region.bottom) >> (level - region.level)) - above.y
            cols = (np.arange(region.x, region.right) >> (level - region.level)) - above.x
            found = found | edited[np.ix_(rows, cols)]
    return found


def edited_tiles(store: OpenStore) -> list[Region]:
    """Return the tiles of level 0 that show edits of any level, row by row."""
    spec = store.spec
    tiles = {
        tile
        for level in range(store.recipe.coarsest + 1)
        for region in store.edited_tiles(level)
        for tile in spec.tiles(spec.at_level(region, 0))
    }
    return [spec.region(tile) for tile in sorted(tiles)]


def _halved(read: Callable[[Region], NDArray[np.uint8]], bounds: Region) -> NDArray[np.uint8]:
    """Return level 1 of an image, read in strips so that level 0 need not be in memory twice."""
    height, width = (-(-side // 2) for side in bounds.shape)
    result = np.empty((height, width, 3), np.uint8)
    for strip in bounds.blocks(_COARSEST_SIDE):
        pixels = box_down(read(strip))
        y, x = strip.y // 2, strip.x // 2
        result[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return result


def _is_drawn(slide: SlideStore, region: Region) -> bool:
    states = slide.state(region.level)
    return all(states[tile.row, tile.col] in SETTLED for tile in slide.spec.tiles(region))
