"""Live painting: the newest stroke is drawn roughly as soon as nothing else is drawn.

No Qt here. A picture is shown only when at most one stroke came after the one it was drawn for; a
drawing that a newer stroke overtook is cancelled, unless it is nearly done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from psygnal import Signal

from napari_histodiff.core.engine import (
    EngineEvent,
    EngineState,
    Job,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobProgress,
)
from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.inpainting.rescaling import enlarged
from napari_histodiff.ui.generation.request import request_of
from napari_histodiff.ui.generation.states import RunPhase, RunState
from napari_histodiff.ui.live.rough import rough

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_histodiff.core.requests import EditRequest
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["LIVE_NAME", "LivePainting"]

log = logging.getLogger(__name__)

#: What the preview is called while it shows a rough picture.
LIVE_NAME: Final = "Preview (live, rough)"

#: Seconds after a stroke in which what belongs to it is waited for.
_REST: Final = 0.05

#: A drawing that is further than this is not worth cancelling for one stroke.
_NEARLY: Final = 0.5

_SHOWN: Final = "Live picture, rough: it cannot be applied."


class LivePainting:
    """Redraws the frame roughly after each stroke, while it is switched on.

    Parameters
    ----------
    workspace : Workspace
        What is painted.
    controller : Controller
        Whose engine and settings are used, and whose edits come first.
    clock : callable
        Seconds, never running backwards.
    executor : Executor, optional
        What requests are made and pictures enlarged in; by default a thread.
    """

    #: What is to be said of it; empty = nothing.
    said = Signal(str)

    def __init__(
        self,
        workspace: Workspace,
        controller: Controller,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
    ) -> None:
        self._workspace = workspace
        self._controller = controller
        self._clock = clock
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix="histodiff-live")
        #: How many strokes there were, and of which one the picture in view is; 0 = of none.
        self.strokes = self.shown = 0
        self._due = float("inf")
        self._follows_move = False
        self._is_on = controller.settings.live
        self._text = ""
        self._asked = 0  # the stroke of what is prepared or drawn
        self._preparing: Future[tuple[EditRequest, EditRequest]] | None = None
        self._job: Job | None = None
        self._wanted: EditRequest | None = None
        self._share = 0.0
        self._is_cancelled = False
        self._enlarging: Future[NDArray[np.uint8]] | None = None
        workspace.painting_changed.connect(self._on_paint)
        workspace.frame_changed.connect(self._on_move)
        workspace.target_changed.connect(self._on_move)
        controller.settings_changed.connect(self._on_settings)
        controller.drawing.run_changed.connect(self._on_run)
        controller.engine_told.connect(self.handle)

    @property
    def is_shown(self) -> bool:
        """Whether a rough picture is in view."""
        return self.shown > 0

    def toggle(self) -> None:
        """Switch it on or off; it is remembered."""
        self._controller.set(live=not self._controller.settings.live)

    def pump(self) -> None:
        """Take in what was prepared and begin what is due; call it on the window's thread."""
        if self._preparing is not None and self._preparing.done():
            self._submit(self._preparing)
        if self._enlarging is not None and self._enlarging.done():
            self._show(self._enlarging)
        if self._job is not None:
            self._overtake(self._job)
        if self._clock() >= self._due and self._is_free:
            self._begin()

    def handle(self, event: EngineEvent) -> None:
        """Take in what the engine told; events of others' jobs are passed over."""
        job = self._job
        if job is None or getattr(event, "job", None) != job.id:
            return
        if isinstance(event, JobProgress):
            self._share = event.done / event.total
        elif isinstance(event, JobFinished):
            self._job = None
            if not self._is_late and self._wanted is not None:
                self._enlarging = self._executor.submit(_full_size, event.images, self._wanted)
        elif isinstance(event, JobCancelled | JobFailed):
            self._job = None
            if isinstance(event, JobFailed):
                log.error("live painting: %s\n%s", event.error, event.details)
                self._say(f"Live could not draw: {event.error}")

    def close(self) -> None:
        """Stop; idempotent."""
        self._stop()
        self._executor.shutdown(wait=False, cancel_futures=True)

    # ---------------------------------------------------------------- strokes
    def _on_paint(self) -> None:
        if self._follows_move:  # what is told with a move is what was painted there before
            self._follows_move = False
        elif self._is_on:
            self.strokes += 1
            self._due = self._clock() + _REST

    def _on_move(self, *_: object) -> None:
        self._follows_move = True
        self._stop()

    def _on_settings(self, settings: Any) -> None:
        if settings.live != self._is_on:
            self._is_on = settings.live
            if self._is_on:
                self._on_paint()
            else:
                self._stop()

    def _on_run(self, run: RunState) -> None:
        if run.phase is not RunPhase.IDLE:  # an edit comes first
            self._stop()

    # ---------------------------------------------------------------- drawing
    @property
    def _is_free(self) -> bool:
        """Whether nothing is drawn, prepared or written, and nothing waits for Apply."""
        controller = self._controller
        return (
            self._preparing is None
            and self._job is None
            and self._enlarging is None
            and controller.status.state is EngineState.READY
            and controller.run_state.phase is RunPhase.IDLE
            and controller.staged.now is None
            and not self._workspace.doing.text
            and self._workspace.target is not None
        )

    @property
    def _is_late(self) -> bool:
        """Whether more than one stroke came after the one that is drawn."""
        return self.strokes - self._asked > 1

    def _overtake(self, job: Job) -> None:
        newer = self.strokes - self._asked
        if not self._is_cancelled and (self._is_late or (newer and self._share < _NEARLY)):
            self._is_cancelled = True
            self._controller.engine.cancel(job)

    def _begin(self) -> None:
        self._due, self._asked = float("inf"), self.strokes
        controller, document = self._controller, self._workspace.document
        info = controller.status.info
        if info is None:
            return
        try:
            snapshot = document.snapshot()
        except HistodiffError as error:
            self._say(f"Live waits: {error}")
            return
        settings, target = controller.settings_here, document.target

        def prepared() -> tuple[EditRequest, EditRequest]:
            wanted = target.with_slide_conditions(request_of(snapshot, settings, info))
            return wanted, rough(wanted, info)

        self._preparing = self._executor.submit(prepared)

    def _submit(self, preparing: Future[tuple[EditRequest, EditRequest]]) -> None:
        self._preparing = None
        try:
            wanted, fast = preparing.result()
            if self._is_late or self._controller.run_state.phase is not RunPhase.IDLE:
                return  # the newest stroke is due already
            self._job = self._controller.engine.submit(fast)
        except HistodiffError as error:
            self._say(f"Live waits: {error}")
            return
        self._wanted, self._share, self._is_cancelled = wanted, 0.0, False

    def _show(self, enlarging: Future[NDArray[np.uint8]]) -> None:
        self._enlarging = None
        staged, wanted = self._controller.staged, self._wanted
        if self._is_late or wanted is None or staged.now is not None:
            return
        staged.show(wanted.region, enlarging.result(), name=LIVE_NAME)
        self.shown = self._asked
        self._say(_SHOWN)

    def _stop(self) -> None:
        """Leave what is prepared or drawn, and take the picture out of view."""
        self._due = float("inf")
        self._preparing = self._enlarging = self._wanted = None
        if self._job is not None:
            self._controller.engine.cancel(self._job)
            self._job = None
        if self.is_shown and self._controller.staged.now is None:
            self._controller.staged.preview.hide()
        self.shown = 0
        self._say("")

    def _say(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self.said.emit(text)


def _full_size(images: NDArray[np.uint8], wanted: EditRequest) -> NDArray[np.uint8]:
    """Return the picture, (h, w, 3) uint8, at the pixel size of the frame; in any thread."""
    same = images.shape[1:3] == wanted.shape
    picture: NDArray[np.uint8] = (images if same else enlarged(images, wanted))[0]
    return picture
