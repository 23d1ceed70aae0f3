"""What is not painted in the frame, suggested in a thread and put into its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind
from napari_histodiff.layout.completion import (
    Completion,
    Maps,
    by_tissue,
    complete_paint,
    completed_on,
    structure_seed,
)
from napari_histodiff.ui.generation.settings import Settings
from napari_histodiff.ui.workspace.pending import PendingStep, StepReader

if TYPE_CHECKING:
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.snapshot import FrameSnapshot
    from napari_histodiff.ui.workspace.targets import Target
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Suggestions"]

_MOVED: Final = (
    "expected frame, image and paint to stay while tissue is suggested, got other ones; nothing "
    "was suggested, so try again"
)


@dataclass(frozen=True, slots=True, eq=False)
class _Last:
    """What was suggested last: where, for what paint, and whether somebody asked to see it."""

    region: Region
    paint: Maps
    founds: tuple[Completion, ...]
    asked: bool

    def shown(self, paint: Maps) -> Completion | None:
        """The suggestion, one of each variant, that the frame holds; None when it was changed."""
        for found in self.founds:
            maps = (found.class_map, found.tissue_map)
            if all(map(np.array_equal, maps, (paint[0], paint[2]))):
                return found
        return None

    def is_untouched(self, region: Region, paint: Maps) -> bool:
        """Whether the frame holds what was suggested, and nothing else."""
        return region == self.region and self.shown(paint) is not None

    def without(self, region: Region, paint: Maps) -> Maps:
        """Return paint without what was suggested and nobody has changed since."""
        if region != self.region:
            return paint
        classes, instances, tissue = paint
        found = self.shown(paint) or self.founds[0]
        nuclei = ((classes > 0) | (instances > 0)) & found.nuclei_suggested
        nuclei &= classes == found.class_map
        own = found.tissue_suggested & (tissue == found.tissue_map)
        return (
            np.where(nuclei, np.uint8(0), classes),
            np.where(nuclei, np.int32(0), instances),
            np.where(own, np.uint8(0), tissue),
        )


class Suggestions:
    """One viewer's suggestions.

    As long as nobody touches what was suggested for a run, the next run suggests something else;
    what was asked for, or changed since, is drawn as it is. Each variant of a run has a suggestion
    of its own; the frame shows that of the first.

    Parameters
    ----------
    workspace : Workspace
        The frame and its paint.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._reader = StepReader()
        self._last: _Last | None = None
        #: The frame after the last suggestion, once for each variant where these differ.
        self.snapshots: tuple[FrameSnapshot, ...] = ()
        workspace.frame_changed.connect(self._leave)
        workspace.target_changed.connect(self._leave)

    def begin(
        self, settings: Settings, tissue_names: Sequence[str], *, asked: bool, count: int = 1
    ) -> PendingStep:
        """Suggest what is open in the frame; the step has a region when `snapshots` are whole.

        Parameters
        ----------
        settings : Settings
            Their seed and caption.
        tissue_names : sequence of str
            The schema of the model.
        asked : bool
            Whether somebody asked to see a suggestion, rather than to draw.
        count : int
            For so many variants.

        Raises
        ------
        InvalidRequest
            When the frame's place is not drawn yet, or a suggestion is on its way.
        InvalidImage, InvalidMap
            When what lies in the frame cannot be read.
        """
        document = self._workspace.document
        snapshot = document.snapshot()
        shown = (snapshot.class_map, snapshot.instance_map, snapshot.tissue_map)
        paint: Maps = shown
        last = self._last
        if last is not None and asked:
            paint = last.without(snapshot.region, shown)
        elif last is not None and not last.asked and last.is_untouched(snapshot.region, shown):
            paint = last.paint
        step = self._reader.begin(
            partial(
                _suggested, document.target, snapshot, paint, settings, tuple(tissue_names), count
            ),
            partial(self._put, document, snapshot, paint, asked),
        )
        self._workspace.doing.follow("Suggesting what is not painted…", step)
        return step

    def deliver(self) -> None:
        """Put into the layers what was suggested; call it on the viewer's thread, by a timer."""
        self._reader.deliver()

    def cancel(self) -> None:
        """Leave the suggestion that is on its way; nothing when there is none."""
        self._reader.cancel()

    def _put(
        self,
        document: Document,
        snapshot: FrameSnapshot,
        paint: Maps,
        asked: bool,
        founds: tuple[Completion, ...],
    ) -> Region:
        classes, _ = document.nuclei.maps()
        tissue = document.tissue.tissue
        now = (classes, tissue)
        if not all(map(np.array_equal, now, (snapshot.class_map, snapshot.tissue_map))):
            raise InvalidRequest(_MOVED)
        self.snapshots = (snapshot,)
        if not founds:
            return snapshot.region
        found = founds[0]
        if not np.array_equal(found.class_map, classes):
            document.paint_nuclei(found.class_map, found.instance_map)
        if not np.array_equal(found.tissue_map, tissue):
            document.paint_tissue(found.tissue_map)
        self.snapshots = tuple(
            replace(
                snapshot,
                class_map=one.class_map,
                instance_map=one.instance_map,
                tissue_map=one.tissue_map,
            )
            for one in founds
        )
        if found.suggested:  # else what was suggested before is what the frame still holds
            self._last = _Last(snapshot.region, paint, founds, asked)
        return snapshot.region

    def _leave(self, *_: object) -> None:
        self._reader.cancel(InvalidRequest(_MOVED))


def _suggested(
    target: Target,
    snapshot: FrameSnapshot,
    paint: Maps,
    settings: Settings,
    tissue_names: tuple[str, ...],
    count: int,
) -> tuple[Completion, ...]:
    """Return whole maps for each variant, or of one where they do not differ; in any thread.

    None where what lies around the paint says enough.
    """
    region = snapshot.region
    where = None if snapshot.kind is EditKind.GENERATE else snapshot.edit_mask
    own = target.own_maps(region)
    painted = any(array.any() for array in paint)
    if own is None and snapshot.kind is EditKind.INPAINT and not painted:
        return ()

    def suggested(variant: int) -> Completion:
        common: dict[str, Any] = {
            "mpp": snapshot.mpp,
            "seed": structure_seed(settings.seed, variant),
            "origin": (region.y, region.x),
            "where": where,
        }
        if own is not None:
            return completed_on(own, paint, caption=settings.caption, **common)
        common["tissue_names"] = tissue_names
        found = complete_paint(*paint, caption=settings.caption, **common)
        return by_tissue(found, paint[0], paint[1], settings.region_captions, **common)

    first = suggested(0)
    varies = bool(first.suggested) and (own is None or painted)
    return (first, *(suggested(variant) for variant in range(1, count if varies else 1)))
