"""Paint of the frame changed in words or made up, in a thread, and taken back in one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Final

import numpy as np
from psygnal import Signal

from napari_histodiff.core.errors import Cancelled, HistodiffError, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.layout.changes import change_paint
from napari_histodiff.layout.completion import Maps
from napari_histodiff.layout.invention import invent
from napari_histodiff.ui.generation.request import schema_of, seed_of_run
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.painting.places import put_paint
from napari_histodiff.ui.workspace.pending import PendingStep, StepReader

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["LayoutMaker", "MakingState"]

_MOVED: Final = (
    "expected frame, image and paint to stay while the layout is made, got other ones; nothing was "
    "painted, so try again"
)


@dataclass(frozen=True, slots=True)
class MakingState:
    """What is being made: steps done of `total`, 0 when nothing is; what was done last."""

    done: int = 0
    total: int = 0
    said: str = ""
    can_take_back: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    region: Region
    before: Maps
    after: Maps
    said: str


class LayoutMaker:
    """One viewer's changes in words and invented layouts.

    Parameters
    ----------
    workspace : Workspace
        The frame and its paint.
    controller : Controller
        Caption, seed and model.
    """

    state_changed = Signal(object)
    noticed = Signal(object)

    def __init__(self, workspace: Workspace, controller: Controller) -> None:
        self._workspace, self._controller = workspace, controller
        self._reader = StepReader()
        self._leave = Event()
        self._progress: tuple[int, int] = (0, 0)
        self._made: _Made | None = None
        self.state = MakingState()
        #: What the box holds: the sentence, the density, whether the frame is the example.
        self.text, self.density, self.like_frame = "", 1.0, False
        workspace.frame_changed.connect(self._moved)
        workspace.target_changed.connect(self._moved)

    def change(self) -> None:
        """Change the paint in the frame as the sentence says."""
        self._begin("Changing the paint…", self._changed)

    def invent(self) -> None:
        """Make up tissue and nuclei for the frame, in place of what is painted."""
        self._begin("Inventing a layout…", self._invented)

    def take_back(self) -> None:
        """Bring back what was painted before the last change or invention, in one step."""
        made = self._made
        if made is None or self.state.total:
            return
        document = self._workspace.document
        if made.region != document.region or not _same(_paint_of(document), made.after):
            self._notice(
                "expected the paint as the last change left it, got other paint; undo in the "
                "layers instead (Ctrl+Z with Nuclei or Tissue selected)"
            )
            return
        put_paint(document, made.region, made.before)
        self._made = None
        self._show(MakingState(said="taken back"))

    def cancel(self) -> None:
        """Leave what is being made."""
        self._leave.set()
        self._reader.cancel()

    def pump(self) -> None:
        """Tell how far it is and put it into the layers; call it on the viewer's thread."""
        self._reader.deliver()
        done, total = self._progress
        if self.state.total and (done, total) != (self.state.done, self.state.total) and total:
            self._show(MakingState(done, total, self.state.said))

    def close(self) -> None:
        """Leave what is being made; idempotent."""
        self.cancel()

    def _begin(self, words: str, make: Callable[..., _Made]) -> None:
        try:
            if self._workspace.target is None:
                raise InvalidRequest(
                    "expected an image to paint on, got none; make a canvas or use an image first"
                )
            controller = self._controller
            controller.set(seed=seed_of_run(controller.settings))
            self._leave = Event()
            self._progress = (0, 1)
            document = self._workspace.document
            step = self._reader.begin(
                partial(make, document, document.region, _paint_of(document), self._leave),
                partial(self._put, document),
            )
        except HistodiffError as error:
            self._notice(str(error))
            return
        self._show(MakingState(0, 1))
        self._workspace.doing.follow(words, step)
        step.then(self._ended)

    def _changed(self, document: Document, region: Region, paint: Maps, _: Event) -> _Made:
        settings = self._controller.settings
        mask = document.edit_mask.mask
        found = change_paint(
            *paint,
            self.text,
            mpp=document.target.mpp_at(region.level),
            where=mask if mask.any() else None,  # nothing painted: everywhere
            caption=settings.caption,
            seed=settings.seed,
            origin=(region.y, region.x),
        )
        after = found.class_map, found.instance_map, found.tissue_map
        return _Made(region, paint, after, "; ".join(found.said))

    def _invented(self, document: Document, region: Region, paint: Maps, leave: Event) -> _Made:
        settings = self._controller.settings

        def on_step(done: int, total: int) -> None:
            if leave.is_set():
                raise Cancelled("expected a layout, got a request to stop; nothing was painted")
            self._progress = done, total

        found = invent(
            region.shape,
            settings.caption,
            density=self.density,
            like=paint if self.like_frame else None,
            mpp=document.target.mpp_at(region.level),
            seed=settings.seed,
            origin=(region.y, region.x),
            tissue_names=tuple(schema_of(self._controller.status.info)),
            on_step=on_step,
        )
        counts = (f"{name} {many}" for name, many in found.facts["counts"].items() if many)
        after = found.class_map, found.instance_map, found.tissue_map
        said = f"invented by seed {settings.seed}: {', '.join(counts) or 'no nuclei'}"
        return _Made(region, paint, after, said)

    def _put(self, document: Document, made: _Made) -> Region:
        if made.region != document.region or not _same(_paint_of(document), made.before):
            raise InvalidRequest(_MOVED)
        put_paint(document, made.region, made.after)
        self._made = _Made(made.region, made.before, _paint_of(document), made.said)
        return made.region

    def _ended(self, step: PendingStep) -> None:
        made = self._made
        if step.error is not None:
            self._show(MakingState(can_take_back=made is not None))
            self._notice(str(step.error))
        elif step.region is None or made is None:
            self._show(MakingState(said="left", can_take_back=made is not None))
        else:
            self._show(MakingState(said=made.said, can_take_back=True))

    def _moved(self, *_: object) -> None:
        self._leave.set()
        self._reader.cancel(InvalidRequest(_MOVED))
        if self._made is not None:
            self._made = None
            self._show(MakingState())

    def _show(self, state: MakingState) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _notice(self, message: str) -> None:
        self.noticed.emit(Notice(Level.WARNING, message))


def _paint_of(document: Document) -> Maps:
    classes, instances = document.nuclei.maps()
    return classes, instances, document.tissue.tissue.copy()


def _same(one: Maps, other: Maps) -> bool:
    # Ids change when nuclei are painted; which pixels and classes there are does not.
    return np.array_equal(one[0], other[0]) and np.array_equal(one[2], other[2])
