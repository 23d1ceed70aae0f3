"""Editing a slide through the frame: pixels from the store, undo steps on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.maps import in_schema
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.layout.completion import Maps
from napari_histodiff.slide.edit_store import EditStore
from napari_histodiff.slide.exporting.provenance import EditMark
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.planning import needs
from napari_histodiff.slide.streaming.tile_requests import maps_at
from napari_histodiff.ui.workspace.journal import EditJournal
from napari_histodiff.ui.workspace.pending import PendingStep, StepWorker
from napari_histodiff.ui.workspace.targets import Target

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["READ_ONLY", "SlideJournal", "SlideTarget", "StoreJournal"]

READ_ONLY: Final = (
    "This slide is open in another window or program, so it can only be looked at here; "
    "close it there and open it again to edit it."
)
_DRAWING: Final = "This place is being drawn first."
_PAUSED: Final = "This place is not drawn yet, and drawing is paused; go on with it first."
_UNDRAWN: Final = "This place is not drawn yet; paint in the frame or move it, and it is drawn."
_BUSY: Final = "An edit is being written; try again when it is, in a moment."

#: Pixels at the frame's border that stay when a whole frame is drawn anew, so that it fits in.
_RING: Final = 16


class SlideTarget(Target):
    """A slide as something edits are made on, at each level that the model draws.

    Parameters
    ----------
    layer : napari Image
        Shows the slide.
    store : SlideStore
        The slide; all regions are ARRAY coordinates of their level.
    draw : callable
        Has all tiles under a region drawn.
    is_paused : callable
        Whether drawing is held.
    worker : StepWorker
        Carries out what changes the slide.
    travel : callable
        Takes a growth back, or repeats it, where that is the next step; returns whether it was.
    marks : callable
        Returns the layer that marks tiles, None while there is none.
    """

    has_own_maps = True

    def __init__(
        self,
        layer: Image,
        store: SlideStore,
        draw: Callable[[Region], None],
        is_paused: Callable[[], bool],
        worker: StepWorker,
        travel: Callable[..., bool] = lambda **_: False,
        marks: Callable[[], Image | None] = lambda: None,
    ) -> None:
        super().__init__(layer)
        # The same slide in another layer, when it was closed or got a finer level.
        self.key = str(store.path)
        self._store = store
        self._draw = draw
        self._is_paused = is_paused
        self._worker = worker
        self._travel = travel
        self._marks = marks
        self._asked: Region | None = None

    @property
    def path(self) -> str:
        """The folder of the slide."""
        return str(self._store.path)

    @property
    def layers(self) -> list[Image]:
        """The layer that marks tiles."""
        marks = self._marks()
        return [] if marks is None else [marks]

    @property
    def spec(self) -> PyramidSpec:
        """The slide's pyramid."""
        return self._store.spec

    @property
    def origin(self) -> tuple[int, int]:
        """Where the slide's first pixel lies on the plane it is drawn on."""
        return self._store.recipe.origin

    @property
    def levels(self) -> int:
        """How many levels the model draws."""
        return self._store.recipe.coarsest + 1

    @property
    def guidance(self) -> float:
        """The guidance scale of the slide's tiles."""
        return self._store.recipe.guidance_scale

    @property
    def caption(self) -> str:
        """The caption of the slide's recipe."""
        return self._store.recipe.caption

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels as they are now, (h, w, 3) uint8."""
        return self._store.read(region)

    def pending(self, region: Region) -> str:
        """Return why a region cannot be edited now; empty when it can."""
        if self._store.read_only:
            return READ_ONLY
        if self._worker.busy:  # which keeps the slide to itself: asking it would wait
            return _BUSY
        if self._is_drawn(region):
            self._asked = None
            return ""
        if self._is_paused():
            return _PAUSED
        return _DRAWING if region == self._asked else _UNDRAWN

    def prepare(self, region: Region) -> str:
        """Have the tiles under a region drawn, if need be, and return what `pending` says then."""
        may_ask = not self._store.read_only and not self._worker.busy
        if may_ask and region != self._asked and not self._is_drawn(region):
            self._asked = region
            self._draw(region)
        return self.pending(region)

    def own_maps(self, region: Region) -> Maps:
        """Return the slide's nuclei and tissue, edits included."""
        return maps_at(self._store, region)

    def with_slide_conditions(self, request: EditRequest) -> EditRequest:
        """Return a request that draws tissue of this slide.

        It gets the stain of its level, the slide's tissue where none is painted, its nuclei unless
        some are, and its caption unless one was given. A frame that is drawn anew keeps a thin ring
        of what is there, except at the slide's border, so that no edge shows around it.
        """
        recipe, region = self._store.recipe, request.region
        changes: dict[str, Any] = {
            "stain": request.stain or recipe.stains[region.level],
            "caption": request.caption or recipe.caption,
        }
        tissue, nuclei = request.tissue_map, request.class_map
        if tissue is None or nuclei is None or not tissue.all():
            own_classes, own_instances, tissue_there = self.own_maps(region)
            own_tissue = in_schema(tissue_there, recipe.tissue_names)
            changes["tissue_map"] = (
                own_tissue if tissue is None else np.where(tissue > 0, tissue, own_tissue)
            )
            if nuclei is None:
                changes |= {"class_map": own_classes, "instance_map": own_instances}
        if request.kind is EditKind.GENERATE:
            changes |= {
                "kind": EditKind.INPAINT,
                "image": self.read(region),
                "edit_mask": self._inside(region),
                "strength": 1.0,
                "feather": 0.0,
            }
        return replace(request, **changes)

    @property
    def export_path(self) -> tuple[Path, float | None]:
        """Where the slide lies; it knows the length of its pixels."""
        return self._store.path, None

    def export_source(self, marks: Sequence[EditMark] = ()) -> ExportSource:
        """Return the slide, which keeps its edits itself."""
        return ExportSource.of_slide(self._store)

    def new_journal(self) -> EditJournal:
        """Return the journal kept with the slide."""
        return SlideJournal(self._store, self.prepare, self._worker, self._travel)

    def edits_under(self, request: EditRequest) -> int:
        """Return how many tiles hold finer edits that writing this one would replace.

        Of an edit, whose means are in coarser tiles too, only the finest tiles are counted.
        """
        tiles = self._store.edited_under(_changing(request))
        finest = min((tile.level for tile in tiles), default=0)
        return sum(tile.level == finest for tile in tiles)

    def forget_asked(self) -> None:
        """Ask again for what is not drawn: the queue was emptied."""
        self._asked = None

    def _is_drawn(self, region: Region) -> bool:
        inside = region.intersect(self.spec.bounds(region.level))
        return not needs(self._store, self._store.spec.tiles(inside))

    def _inside(self, region: Region) -> NDArray[np.bool_]:
        bounds = self.spec.bounds(region.level)
        top = 0 if region.y == bounds.y else _RING
        left = 0 if region.x == bounds.x else _RING
        bottom = region.height - (0 if region.bottom == bounds.bottom else _RING)
        right = region.width - (0 if region.right == bounds.right else _RING)
        inside = np.zeros(region.shape, np.bool_)
        inside[top:bottom, left:right] = True
        return inside


def _changing(request: EditRequest) -> Region:
    """Return the smallest rectangle around what an edit may change."""
    mask, region = request.edit_mask, request.region
    return region if mask is None or not mask.any() else Region.of_mask(mask, region)


class StoreJournal(ABC):
    """A journal kept on disk: undo works after the slide was closed and opened again.

    A step takes the better part of a second, in a thread: it is told when the slide was changed.

    Parameters
    ----------
    worker : StepWorker
        Carries out the steps.
    """

    #: Why an edit comes with its request.
    why_request: ClassVar[str]

    def __init__(self, worker: StepWorker) -> None:
        self._worker = worker

    @abstractmethod
    def store_at_hand(self) -> EditStore | None:
        """Return the store of the edits, None while there is none."""

    @abstractmethod
    def store_to_write(self, region: Region) -> EditStore:
        """Return the store of the edits, made where there is none.

        Raises
        ------
        InvalidRequest
            When the region cannot be written.
        """

    @property
    def can_undo(self) -> bool:
        """Whether an edit can be taken back, or may be once what is on its way is done."""
        store = self._writable
        return store is not None and (self._worker.busy or store.can_undo)

    @property
    def can_redo(self) -> bool:
        """Whether an edit taken back can be repeated, or may be once what is on its way is done."""
        store = self._writable
        return store is not None and (self._worker.busy or store.can_redo)

    def write(
        self,
        region: Region,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.bool_] | None = None,
        request: EditRequest | None = None,
    ) -> PendingStep:
        """Write an edit to the slide; the step's region is the rectangle that changed.

        When it cannot be written, the step ends with an error and the slide stays as it was.

        Raises
        ------
        InvalidRequest
            When the request of the edit is missing or of another place, or as `store_to_write`.
        """
        if request is None or request.region != region:
            got = "none" if request is None else f"one of {request.region}"
            raise InvalidRequest(
                f"expected the request that drew {region}, got {got}; {self.why_request}, so apply "
                "a generated variant"
            )
        store = self.store_to_write(region)
        return self._worker.submit(partial(store.write, request, pixels, mask))

    def undo(self) -> PendingStep:
        """Take the last edit back; a step without a region when there is none."""
        store = self._writable
        if store is None or not self.can_undo:
            return PendingStep.carried_out(None)
        return self._worker.submit(store.undo)

    def redo(self) -> PendingStep:
        """Repeat the edit taken back last; a step without a region when there is none."""
        store = self._writable
        if store is None or not self.can_redo:
            return PendingStep.carried_out(None)
        return self._worker.submit(store.redo)

    @property
    def _writable(self) -> EditStore | None:
        store = self.store_at_hand()
        return None if store is None or store.read_only else store


class SlideJournal(StoreJournal):
    """The journal of a synthetic slide.

    Parameters
    ----------
    store : SlideStore
        The slide.
    prepare : callable
        Has a region drawn; returns why it cannot be written yet, or nothing.
    worker : StepWorker
        Carries out the steps.
    travel : callable
        As for `SlideTarget`.
    """

    why_request = "a slide keeps where its pixels come from"

    def __init__(
        self,
        store: SlideStore,
        prepare: Callable[[Region], str],
        worker: StepWorker,
        travel: Callable[..., bool],
    ) -> None:
        super().__init__(worker)
        self._store = store
        self._prepare = prepare
        self._travel = travel

    @property
    def can_undo(self) -> bool:
        """Whether an edit or a growth can be taken back."""
        return super().can_undo or self._store.growth_to_undo is not None

    @property
    def can_redo(self) -> bool:
        """Whether an edit or a growth taken back can be repeated."""
        return super().can_redo or self._store.growth_to_redo is not None

    def undo(self) -> PendingStep:
        """Take the last edit back, or the last growth, which is over at once."""
        if self._store.growth_to_undo is not None and not self._worker.busy:
            return PendingStep.carried_out(self._whole() if self._travel(back=True) else None)
        return super().undo()

    def redo(self) -> PendingStep:
        """Repeat the edit taken back last, or the growth, which is over at once."""
        if self._store.growth_to_redo is not None and not self._worker.busy:
            return PendingStep.carried_out(self._whole() if self._travel(back=False) else None)
        return super().redo()

    def _whole(self) -> Region:
        return self._store.spec.bounds(0)

    def store_at_hand(self) -> SlideStore:
        """Return the slide."""
        return self._store

    def store_to_write(self, region: Region) -> SlideStore:
        """Return the slide.

        Raises
        ------
        InvalidRequest
            When the place is not drawn.
        """
        if problem := self._prepare(region):
            raise InvalidRequest(problem)
        return self._store
