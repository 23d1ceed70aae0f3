"""What is painted in the frame, and what is not: suggested in a thread and put into its layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import give
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
from napari_histodiff.ui.painting.places import paint_at, put_paint
from napari_histodiff.ui.queue.edits import Place
from napari_histodiff.ui.workspace.pending import PendingStep, StepReader

if TYPE_CHECKING:
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.snapshot import FrameCopy, FrameSnapshot
    from napari_histodiff.ui.workspace.targets import Target
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Suggestions"]

_GONE: Final = (
    "expected the image to stay while its paint is looked at, got one that was closed or has other "
    "borders or pixels; nothing is drawn or suggested, so try again"
)
_PAINTED: Final = (
    "expected the paint to stay while something is suggested for it, got other paint; nothing was "
    "suggested, so press Suggest again"
)
_LEFT_ALONE: Final = (
    "Drawn as it was painted when you pressed the button. You have painted there since: that is "
    "left alone, so the layers do not show what was suggested."
)
_NOTHING_ELSE: Final = (
    "Nothing else is suggested here: the frame is painted whole, shows what its slide has, is an "
    "edit without paint, or is larger than 2 mm. To have more suggested, take some paint away, or "
    "paint where you want something else."
)

#: Pixels of a frame whose paint is looked at at once: a few hundredths of a second.
_AT_ONCE: Final = 2048**2


@dataclass(frozen=True, slots=True, eq=False)
class _Last:
    """What was suggested last: where, for what paint, and whether somebody asked to see it.

    `founds` are the structures of `seed` from number `first` on.
    """

    region: Region
    paint: Maps
    founds: tuple[Completion, ...]
    asked: bool
    seed: int
    first: int

    def after(self, paint: Maps, seed: int) -> int:
        """Return the number of the structure of a seed that follows the one in the frame."""
        found = self.shown(paint) or self.founds[0]
        return self.first + self.founds.index(found) + 1 if seed == self.seed else 0

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


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """What the thread made: the frame, the paint that counts, and whole maps for each variant.

    The maps are one where variants do not differ, none where what lies around the paint says
    enough.
    """

    snapshot: FrameSnapshot
    paint: Maps
    founds: tuple[Completion, ...]
    seed: int
    first: int
    new_nuclei: bool = False
    new_tissue: bool = False


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
        #: What is to be said of the last suggestion; empty where nothing is.
        self.remark = ""
        self._looked_at: Document | None = None
        workspace.target_changed.connect(self._on_target)

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
        copied = document.copy_frame()  # the rest is made of it in the thread
        self._looked_at, place = document, Place.of(document.target, document.region)
        names, last = tuple(tissue_names), self._last
        step = self._reader.begin(
            partial(_suggested, document.target, copied, last, asked, settings, names, count),
            partial(self._put, document, place, copied, asked),
        )
        self._workspace.doing.follow("Suggesting what is not painted…", step, can_stop=True)
        return step

    def take_paint(self) -> PendingStep:
        """Suggest nothing; the step has a region when `snapshots` are the frame as it is painted.

        Raises
        ------
        InvalidRequest
            When the frame's place is not drawn yet, or something is on its way.
        InvalidImage, InvalidMap
            When what lies in the frame cannot be read.
        """
        document = self._workspace.document
        place, copied = Place.of(document.target, document.region), document.copy_frame()
        if math.prod(copied.region.shape) <= _AT_ONCE:
            return PendingStep.carried_out(self._keep(document, place, copied.resolve()))
        self._looked_at = document
        step = self._reader.begin(copied.resolve, partial(self._keep, document, place))
        self._workspace.doing.follow("Looking at the paint…", step, can_stop=True)
        return step

    def deliver(self) -> None:
        """Put into the layers what was suggested; call it on the viewer's thread, by a timer."""
        self._reader.deliver()

    def cancel(self) -> None:
        """Leave the suggestion that is on its way; nothing when there is none."""
        self._reader.cancel()

    def _keep(self, document: Document, place: Place, snapshot: FrameSnapshot) -> Region:
        if document not in self._workspace.documents or place != _place_now(document, place):
            raise InvalidRequest(_GONE)
        self.snapshots, self.remark = (snapshot,), ""
        return snapshot.region

    def _put(
        self, document: Document, place: Place, copied: FrameCopy, asked: bool, made: _Made
    ) -> Region:
        region, founds = self._keep(document, place, made.snapshot), made.founds
        is_new = made.new_nuclei or made.new_tissue
        if asked and not is_new:
            self.remark = _NOTHING_ELSE
        if not founds:
            return region
        found = founds[0]
        labels, tissue = paint_at(document, region)
        is_same = np.array_equal(labels, copied.labels) and np.array_equal(
            tissue, copied.tissue_map
        )
        if is_new and asked and not is_same:
            raise InvalidRequest(_PAINTED)
        if is_new and is_same:
            maps = (found.class_map, found.instance_map, found.tissue_map)
            put_paint(document, region, maps, nuclei=made.new_nuclei, tissue=made.new_tissue)
        elif is_new:
            self.remark = _LEFT_ALONE
        self.snapshots = tuple(
            replace(
                made.snapshot,
                class_map=give(one.class_map),
                instance_map=give(one.instance_map),
                tissue_map=give(one.tissue_map),
            )
            for one in founds
        )
        # Else what was suggested before is what the frame still holds.
        if found.suggested and is_same:
            self._last = _Last(region, made.paint, founds, asked, made.seed, made.first)
        return region

    def _on_target(self) -> None:
        if self._looked_at not in (None, *self._workspace.documents):  # its image was closed
            self._reader.cancel(InvalidRequest(_GONE))


def _place_now(document: Document, place: Place) -> Place:
    """Return the same place of the image as it is now."""
    return Place.of(document.target, place.frame)


def _suggested(
    target: Target,
    copied: FrameCopy,
    last: _Last | None,
    asked: bool,
    settings: Settings,
    tissue_names: tuple[str, ...],
    count: int,
) -> _Made:
    """Make of a copy of the frame all that is to be put into it; in any thread."""
    snapshot = copied.resolve()
    shown = (snapshot.class_map, snapshot.instance_map, snapshot.tissue_map)
    paint: Maps = shown
    number = 0
    if last is not None and asked:
        paint = last.without(snapshot.region, shown)
        is_gone = np.array_equal(paint[0], shown[0]) and np.array_equal(paint[2], shown[2])
        if not is_gone:
            number = last.after(shown, settings.seed)
    elif last is not None and not last.asked and last.is_untouched(snapshot.region, shown):
        paint = last.paint
    numbers = range(number, number + count)
    founds = _completed(target, snapshot, paint, settings, tissue_names, numbers)
    if not founds:
        return _Made(snapshot, paint, founds, settings.seed, number)
    first = founds[0]
    new_nuclei = not np.array_equal(first.class_map, snapshot.class_map)
    new_tissue = not np.array_equal(first.tissue_map, snapshot.tissue_map)
    return _Made(snapshot, paint, founds, settings.seed, number, new_nuclei, new_tissue)


def _completed(
    target: Target,
    snapshot: FrameSnapshot,
    paint: Maps,
    settings: Settings,
    tissue_names: tuple[str, ...],
    numbers: Sequence[int],
) -> tuple[Completion, ...]:
    region = snapshot.region
    where = None if snapshot.kind is EditKind.GENERATE else snapshot.edit_mask
    own = target.own_maps(region)
    painted = any(array.any() for array in paint)
    if own is None and snapshot.kind is EditKind.INPAINT and not painted:
        return ()

    def suggested(number: int) -> Completion:
        common: dict[str, Any] = {
            "mpp": snapshot.mpp,
            "seed": structure_seed(settings.seed, number),
            "origin": (region.y, region.x),
        }
        if own is not None:
            return completed_on(own, paint, caption=settings.caption, where=where, **common)
        common["tissue_names"] = tissue_names
        found = complete_paint(*paint, caption=settings.caption, where=where, **common)
        return by_tissue(found, settings.region_captions, **common)

    first = suggested(numbers[0])
    varies = bool(first.suggested) and (own is None or painted)
    return (first, *(suggested(number) for number in numbers[1:] if varies))
