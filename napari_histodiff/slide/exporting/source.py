"""What can be exported: anything that reads regions of a pyramid, with what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.slide.exporting.provenance import EditMark, Provenance
from napari_histodiff.slide.storage.tile_table import is_drawn
from napari_histodiff.slide.store import SlideStore

__all__ = ["ExportSource"]

#: The coarsest level of a part fits one screen.
_COARSEST_SIDE = 512


def _everywhere(region: Region) -> NDArray[np.bool_]:
    return np.ones(region.shape, np.bool_)


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
    synthetic : callable
        Returns which pixels of a region of level 0 are synthetic, (h, w) bool; asked only where
        `provenance` says that a part is.
    changed : callable
        Returns rectangles of level 0 that hold all synthetic pixels, then.
    paths : tuple of Path
        Files and folders it is read from, which no export may write to.
    """

    name: str
    spec: PyramidSpec
    read: Callable[[Region], NDArray[np.uint8]]
    provenance: Provenance
    mpp: tuple[float, float] | None = None
    labels: Callable[[Region], NDArray[np.int32]] | None = None
    tissue: Callable[[Region], NDArray[np.uint8]] | None = None
    synthetic: Callable[[Region], NDArray[np.bool_]] = _everywhere
    changed: Callable[[], list[Region]] = list
    paths: tuple[Path, ...] = ()

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
                f"Of {drawn.size} tiles at full resolution {int(drawn.sum())} are drawn; the "
                "others show coarser pixels enlarged, or the colours of the plan.",
            )
        return cls(
            name=slide.path.name.removesuffix(".ome.zarr"),
            spec=spec,
            read=slide.read,
            mpp=(spec.mpp, spec.mpp),
            labels=slide.labels,
            tissue=_tissue_of(slide),
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
        place = inside.snap(1 << (levels - 1)).intersect(bounds)

        def moved(one: Region) -> Region:
            return one.translate(place.y >> one.level, place.x >> one.level)

        labels, tissue = self.labels, self.tissue
        return replace(
            self,
            spec=PyramidSpec(*place.shape, self.spec.tile, levels, self.spec.mpp),
            read=lambda one: self.read(moved(one)),
            labels=None if labels is None else lambda one: labels(moved(one)),
            tissue=None if tissue is None else lambda one: tissue(moved(one)),
            synthetic=lambda one: self.synthetic(moved(one)),
            changed=lambda: [one.translate(-place.y, -place.x) for one in self.changed()],
            provenance=self.provenance.within(place),
        )

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


def _tissue_of(slide: SlideStore) -> Callable[[Region], NDArray[np.uint8]] | None:
    layout = slide.layout
    if not hasattr(layout, "tissue"):
        return None

    def tissue(region: Region) -> NDArray[np.uint8]:
        y, x = slide.recipe.origin
        found: NDArray[np.uint8] = layout.tissue(
            region.translate(y >> region.level, x >> region.level)
        )
        return found

    return tissue
