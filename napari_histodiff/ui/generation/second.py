"""A second model that draws each edit too, so that both can be seen side by side.

It draws after the first, in a worker process of its own. Its variants wait beside those of the
first. No Qt here: the dock listens to the signal and calls the methods, a timer calls `pump`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import (
    Engine,
    EngineState,
    EngineStateChanged,
    Job,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobProgress,
)
from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.maps import in_schema
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.ui.generation.engines import Mailbox, default_engine
from napari_histodiff.ui.generation.history import HistoryEntry
from napari_histodiff.ui.generation.request import own_settings
from napari_histodiff.ui.generation.states import Level, Notice, RunPhase, RunState

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller

__all__ = ["SecondModel", "same_for"]

log = logging.getLogger(__name__)


def same_for(entry: HistoryEntry, first: BackendInfo | None, info: BackendInfo) -> EditRequest:
    """Return the request of an edit as another model draws it: same seed, place, paint and caption.

    Steps and guidance are its own where it is meant for others, and tissue is told in its schema.
    """
    request = entry.request
    tissue = request.tissue_map
    if entry.tissue is not None and entry.tissue.shape == request.shape:
        tissue = entry.tissue
    told = None if tissue is None else in_schema(tissue, info.tissue_names)
    return replace(
        request,
        tissue_map=told if told is not None and told.any() else None,
        model_name=info.name,
        model_revision=info.revision,
        **own_settings(first, info),
    )


class SecondModel:
    """Draws what the first model drew, while it is asked to compare.

    Parameters
    ----------
    controller : Controller
        Whose edits are drawn again, and who keeps and tells.
    make_engine : callable
        Makes the engine of a model folder; None = the bundled model.
    """

    #: How far it is; idle when it does not draw.
    run_changed = Signal(RunState)

    def __init__(
        self, controller: Controller, make_engine: Callable[[Path | None], Engine] = default_engine
    ) -> None:
        self._controller = controller
        self._make_engine = make_engine
        self._mailbox = Mailbox()
        self._engine: Engine | None = None
        self._folder: Path | None = None
        self._info: BackendInfo | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._first: HistoryEntry | None = None
        self._job: Job | None = None
        self._is_adding = False
        controller.drawn.connect(self._on_drawn)
        controller.drawing.run_changed.connect(self._on_run)
        controller.stopping.connect(self.cancel)

    @property
    def compares(self) -> bool:
        """Whether each edit is drawn by a second model too."""
        return self._engine is not None

    def compare_with(self, folder: Path | None) -> None:
        """Draw each edit with the model of a folder too from now on; None: the bundled."""
        self.stop()
        self._engine, self._folder = self._make_engine(folder), folder
        self._unsubscribe = self._engine.subscribe(self._mailbox.put)
        try:
            self._engine.start()
        except HistodiffError as error:
            self._trouble(str(error))
            self.stop()
            return
        name = "the bundled model" if folder is None else folder.name
        self._tell(
            Level.INFO,
            f"Each edit is drawn by {name} too, after the first model; its variants wait beside "
            "the others. Model > Stop comparing ends it.",
        )

    def stop(self) -> None:
        """Draw with one model again; what waits stays."""
        self.cancel()
        self._unsubscribe()
        engine, self._engine, self._info = self._engine, None, None
        if engine is not None:
            engine.close()

    def cancel(self) -> None:
        """Leave the edit that the second model draws; the variants of the first stay."""
        was_busy = self._first is not None
        self._drop()
        if was_busy:
            self.run_changed.emit(RunState())

    def pump(self) -> None:
        """Handle what its engine told since the last call; call it on the GUI thread."""
        for event in self._mailbox.drain():
            if isinstance(event, EngineStateChanged):
                self._engine_changed(event)
            elif self._job is None or event.job != self._job.id:
                continue
            elif isinstance(event, JobProgress):
                name = self._job.request.model_name
                said = f"{name}: step {event.done} of {event.total}"
                self._show(RunState(RunPhase.RUNNING, event.done, event.total, said))
            elif isinstance(event, JobFinished):
                self._finished(self._job.request, event)
            elif isinstance(event, JobCancelled):
                self._end()
            elif isinstance(event, JobFailed):
                self._trouble(str(event.error) or type(event.error).__name__, event.details)

    def close(self) -> None:
        """Stop the second engine; idempotent."""
        self.stop()

    # ---------------------------------------------------------------- plumbing
    def _on_drawn(self, entry: HistoryEntry) -> None:
        if self._engine is None or self._is_adding:
            return
        self._first = entry
        self._show(RunState(RunPhase.RUNNING, message="Waiting for the second model…"))
        self._submit()

    def _on_run(self, state: RunState) -> None:
        if state.phase is RunPhase.RUNNING and self._first is not None:
            self._drop()  # another edit began, which shows how far it is itself

    def _submit(self) -> None:
        """Draw what waits, as soon as it is known what the second model is."""
        if self._engine is None or self._first is None or self._job or self._info is None:
            return
        try:
            request = same_for(self._first, self._controller.status.info, self._info)
            self._job = self._engine.submit(request)
        except HistodiffError as error:
            self._trouble(str(error))

    def _engine_changed(self, event: EngineStateChanged) -> None:
        if event.info is not None and self._engine is not None:
            self._info = event.info
            self._controller.saving.meet(event.info, self._folder)
            self._submit()
        elif event.state is EngineState.DEAD and self._engine is not None:
            self._info = None
            self._trouble(event.message or "The second model ended.")

    def _finished(self, request: EditRequest, event: JobFinished) -> None:
        first, controller = self._first, self._controller
        self._end()
        if first is None:
            return
        entry = controller.history.add(
            request,
            event.images,
            event.seconds,
            image=first.image,
            tissue=first.tissue,
            image_name=first.image_name,
            image_path=first.image_path,
            frame=first.frame,
        )
        self._is_adding = True
        try:
            controller.history_changed.emit()
            controller.drawn.emit(entry)
        finally:
            self._is_adding = False
        now = controller.staged.now
        if now is not None and first.id in {one.id for one in now.entries}:
            controller.staged.put(now.joined(entry))

    def _trouble(self, message: str, details: str = "") -> None:
        log.error("%s\n%s", message, details)
        self._end()
        said = f"The second model drew nothing; the variants of the first stay. {message}"
        self._tell(Level.ERROR, said, details)

    def _drop(self) -> None:
        job, self._job, self._first = self._job, None, None
        if job is not None and self._engine is not None:
            self._engine.cancel(job)

    def _end(self) -> None:
        was_busy = self._first is not None
        self._first = self._job = None
        if was_busy:
            self._show(RunState())

    def _show(self, state: RunState) -> None:
        self.run_changed.emit(state)

    def _tell(self, level: Level, message: str, details: str = "") -> None:
        self._controller.noticed.emit(Notice(level, message, details))
