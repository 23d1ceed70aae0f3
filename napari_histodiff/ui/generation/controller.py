"""Turns what the user painted and chose into requests, and engine events into layers.

No Qt here: panels listen to the signals and call the methods, a timer calls `pump`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from psygnal import Signal

from napari_histodiff.core.engine import (
    Engine,
    EngineState,
    EngineStateChanged,
    JobFinished,
)
from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.ui.generation.asked import Asked
from napari_histodiff.ui.generation.engines import Mailbox
from napari_histodiff.ui.generation.estimates import Estimate, Estimator
from napari_histodiff.ui.generation.history import History, HistoryEntry
from napari_histodiff.ui.generation.plan import FramePlan, make_plan
from napari_histodiff.ui.generation.presets import settings_for
from napari_histodiff.ui.generation.request import (
    caption_of,
    following_seed,
    schema_of,
    seed_of_run,
    settings_of,
    takes_paint,
)
from napari_histodiff.ui.generation.settings import Settings, SettingsStore
from napari_histodiff.ui.generation.staged import StagedVariants
from napari_histodiff.ui.generation.states import (
    EngineStatus,
    Level,
    Notice,
    RunPhase,
    RunState,
    Staging,
)
from napari_histodiff.ui.generation.structures import StructureInView, painted_on
from napari_histodiff.ui.generation.suggestions import Suggestions
from napari_histodiff.ui.generation.variation import Series, Variation, share_of
from napari_histodiff.ui.masks.context import summary_of
from napari_histodiff.ui.queue.drawing import Drawing
from napari_histodiff.ui.queue.edits import Place, QueuedEdit
from napari_histodiff.ui.queue.results import Results
from napari_histodiff.ui.queue.series import SeriesDrawing
from napari_histodiff.ui.saving.saving import Saving
from napari_histodiff.ui.steering.reference import Reference, reference_of
from napari_histodiff.ui.workspace.frame import at_its_level

if TYPE_CHECKING:
    from napari_histodiff.ui.workspace.pending import PendingStep
    from napari_histodiff.ui.workspace.snapshot import FrameSummary
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Controller"]

log = logging.getLogger(__name__)

_NO_IMAGE: Final = "Make a canvas or use an image layer first."

#: Seconds between two looks at the painting, so that a stroke costs nothing.
_PLAN_INTERVAL: Final = 0.2


class Controller:
    """One viewer's edits, from panel to engine to layers.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the preview is shown.
    workspace : Workspace
        The painting and the target image.
    engine : Engine
        Runs the edits; the controller closes it.
    store : SettingsStore, optional
        Where settings are remembered.
    """

    status_changed = Signal(EngineStatus)
    plan_changed = Signal(FramePlan)
    staging_changed = Signal(object)  # Staging | None
    history_changed = Signal()
    #: An edit is finished, and in the history.
    drawn = Signal(HistoryEntry)
    #: Edits in which one thing varies are finished; the first of them is staged.
    series_drawn = Signal(Series)
    #: What is drawn is to stop.
    stopping = Signal()
    settings_changed = Signal(Settings)
    counts_changed = Signal(dict)
    #: Which share of the frame each painted tissue covers, by name.
    tissue_changed = Signal(dict)
    noticed = Signal(Notice)
    reference_changed = Signal(object)  # Reference | None
    #: An event of the engine, on the window's thread.
    engine_told = Signal(object)

    def __init__(
        self,
        viewer: Any,
        workspace: Workspace,
        engine: Engine,
        *,
        store: SettingsStore | None = None,
    ) -> None:
        self.workspace = workspace
        self.staged = StagedVariants(viewer, workspace, self._complain, self._is_still)
        self.suggestions = Suggestions(workspace)
        self.history = History()
        self.saving = Saving(workspace, self.staged, self.history, self.noticed.emit)
        self.settings = (store or SettingsStore()).load()
        self.status = EngineStatus(engine.state, engine.info)
        self.plan = FramePlan("Generate", False, _NO_IMAGE)
        self.engine = engine
        self.model_folder: Path | None = None
        self.reference: Reference | None = None
        self._store = store or SettingsStore()
        self._mailbox = Mailbox()
        self._unsubscribe = engine.subscribe(self._mailbox.put)
        self._estimator = Estimator(self._store.speeds)
        self.drawing = Drawing(engine)
        self.drawing.drawn.connect(self._drawn)
        self.drawing.failed.connect(self._complain)
        self.drawing.run_changed.connect(self._on_run)
        self._structure = StructureInView(workspace)
        self._plan_due: float | None = 0.0
        self._counts: Mapping[str, int] = {}
        self._shares: Mapping[str, float] = {}
        for signal in (workspace.frame_changed, workspace.target_changed, workspace.pixels_changed):
            signal.connect(self._touch)
        workspace.painting_changed.connect(self._touch)
        workspace.doing.changed.connect(self._touch)
        self.results = Results(workspace, self.drawing, self.staged)
        self.series = SeriesDrawing(self.drawing, self.results)
        self.series.drawn.connect(self.series_drawn.emit)
        self.staged.changed.connect(self.staging_changed.emit)
        self.staged.changed.connect(self._structure.follow)
        self.staged.changed.connect(self._touch)

    # ------------------------------------------------------------------ engine
    def start(self) -> None:
        """Start the engine in the background."""
        self._attempt(self.engine.start)

    def restart(self) -> None:
        """Load the model afresh, in a new process; the running edit is cancelled."""
        self._estimator = Estimator(self._store.speeds)
        self._attempt(self.engine.restart)

    def use_engine(self, engine: Engine, model_folder: Path | None = None) -> None:
        """Draw with another engine from now on; the running edit is cancelled.

        `model_folder` is that of its model, for code that is copied; None = the bundled one.
        """
        self.model_folder = model_folder
        self.engine.close()
        self._unsubscribe()
        self.engine = engine
        self._unsubscribe = engine.subscribe(self._mailbox.put)
        self._estimator = Estimator(self._store.speeds)
        self.drawing.use_engine(engine)
        self.start()

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except HistodiffError as error:
            self._complain(error)

    def close(self) -> None:
        """Close the engine and remember the settings; idempotent."""
        self._unsubscribe()
        self.engine.close()
        self._store.save(self.settings)

    def pump(self) -> None:
        """Handle what the engine told since the last call; call it on the GUI thread."""
        self.suggestions.deliver()
        self.saving.deliver()
        for event in self._mailbox.drain():
            if isinstance(event, EngineStateChanged):
                self._engine_changed(event)
            self.drawing.handle(event)
            self.engine_told.emit(event)
        self.drawing.pump()
        due = self._plan_due is not None and time.monotonic() >= self._plan_due
        if due and not self.workspace.doing.text:
            self._plan_due = None
            self.refresh_plan()

    # ---------------------------------------------------------------- settings
    @property
    def settings_here(self) -> Settings:
        """The settings that count on the image worked on: a slide has its own guidance."""
        return self.settings.at(self.workspace.guidance)

    def set(self, **changes: Any) -> None:
        """Change settings by name, as they are on the image; unchanged values are ignored."""
        settings = self.settings.changed(self.workspace.guidance, **changes)
        if settings != self.settings:
            self.settings = settings
            self.settings_changed.emit(settings)
            self._touch()

    def use_settings(self, settings: Settings) -> None:
        """Take all settings over, as they were chosen before."""
        self.settings = settings
        self.settings_changed.emit(settings)
        self._touch()

    def take_reference(self) -> None:
        """Take what lies in the frame as what drawings are made like."""
        try:
            document = self.workspace.document
            self._refer(reference_of(document.snapshot(), document.target.name))
        except HistodiffError as error:
            self._notice(Level.WARNING, str(error))

    def drop_reference(self) -> None:
        """Make drawings like nothing any more."""
        self._refer(None)

    def _refer(self, reference: Reference | None) -> None:
        self.reference = reference
        self.reference_changed.emit(reference)
        self._touch()

    def next_seed(self) -> None:
        """Move to the next seed."""
        self.set(seed=following_seed(self.settings.seed))

    def caption_from_paint(self) -> None:
        """Write the caption from what is painted in the frame."""
        try:
            self.set(caption=caption_of(self.workspace.document))
        except HistodiffError as error:
            self._notice(Level.WARNING, str(error))

    # --------------------------------------------------------------------- run
    def refresh_plan(self) -> None:
        """Look at the frame and say what the main button will do."""
        summary, problem = self._summary()
        at, here = (self.status, self._estimator, self.reference), self.settings_here
        # Tiles of a slide, say; an edit of ours is told of by the line itself.
        idle = self.run_state.phase is RunPhase.IDLE
        waits = idle and self.status.state is EngineState.BUSY
        self.plan = make_plan(summary, problem, here, *at, waits=waits)
        self.plan_changed.emit(self.plan)
        if summary is not None and summary.counts != self._counts:
            self._counts = summary.counts
            self.counts_changed.emit(summary.counts)
        if summary is not None and summary.tissue != self._shares:
            self._shares = summary.tissue
            self.tissue_changed.emit(summary.tissue)

    @property
    def run_state(self) -> RunState:
        """How far the edit is that is drawn."""
        return self.drawing.run

    def generate(self) -> None:
        """Start the edit that the plan names, after the one that runs and those that wait.

        What is staged at the same place is discarded, and at another one set aside.
        """
        self._begin(None)

    def vary(self, variation: Variation) -> None:
        """Draw the frame several times with the same noise, and one thing that varies."""
        self._begin(variation)

    def price(self, variation: Variation) -> Estimate | None:
        """Return what a series costs in the frame; None before that is known."""
        info, estimate = self.status.info, self.plan.estimate
        if info is None or estimate is None:
            return None
        return estimate.times(share_of(variation, self.settings_here, info))

    def _begin(self, variation: Variation | None) -> None:
        if not self._is_still():
            return
        self.refresh_plan()
        # A closed engine is for `submit` to judge: it starts one that is only not up yet.
        if not self.plan.enabled and self.status.state is not EngineState.CLOSED:
            self._notice(Level.WARNING, self.plan.note)
            return
        self.set(seed=seed_of_run(self.settings))
        settings = self.settings_here
        try:
            document = self.workspace.document
            asked = Asked(
                document,
                Place.of(document.target, document.region),
                self.plan.title.partition(" (")[0],
                settings,
                self.reference,
                variation,
                self.plan.estimate if variation is None else self.price(variation),
            )
            if settings.suggest and takes_paint(self.status.info):
                count = settings.variants if variation is None else variation.structures
                step = self._suggest(asked=False, count=count)
            else:
                step = self.suggestions.take_paint()
            step.then(lambda done: self._draw_suggested(done, asked))
        except HistodiffError as error:
            self._notice(Level.WARNING, str(error))

    def suggest(self) -> None:
        """Put nuclei and tissue into the frame where none are painted, each time other ones."""
        if not self._is_still():
            return
        self.set(seed=seed_of_run(self.settings))
        try:
            self._suggest(asked=True).then(self._tell_suggested)
        except HistodiffError as error:
            self._notice(Level.WARNING, str(error))

    def _suggest(self, *, asked: bool, count: int = 1) -> PendingStep:
        names = schema_of(self.status.info)
        return self.suggestions.begin(self.settings_here, names, asked=asked, count=count)

    def _tell_suggested(self, step: PendingStep) -> None:
        if step.error is not None:
            self._notice(Level.WARNING, str(step.error))
        elif step.region is not None and self.suggestions.remark:
            self._notice(Level.INFO, self.suggestions.remark)

    def _draw_suggested(self, step: PendingStep, asked: Asked) -> None:
        self._tell_suggested(step)
        if step.region is None or not self.suggestions.snapshots:
            return
        try:
            edits = asked.edits(self.suggestions.snapshots, self.status.info)
            self.results.make_room(next(iter(edits.values())))
            if asked.variation is None:
                self.drawing.ask_for(edits[""])
            else:
                self.series.ask_for(asked.variation.what, edits)
        except HistodiffError as error:
            self._complain(error)
            return
        self._store.save(self.settings)

    def cancel(self) -> None:
        """Ask the running edit to stop, or leave what is being suggested for it."""
        self.suggestions.cancel()
        self.stopping.emit()
        self.drawing.cancel()

    # ----------------------------------------------------------------- history
    def restore(self, entry: HistoryEntry) -> None:
        """Bring back an entry's settings, frame and paint, and stage its images again."""
        if not self._is_still():
            return
        try:
            document = self.workspace.document
            if entry.image not in (None, document.target.key):
                raise InvalidRequest(
                    "expected an edit of the image worked on, got one of another image; "
                    "select that in the layer list and press Use image"
                )
            entry = at_its_level(entry, document.target.mpps)
            request, place = entry.request, entry.place
            inside = place.relative_to(request.region).slices
            mask, strengths = request.edit_mask, request.strength_map
            document.set_frame(place)
            classes, instances, tissue = painted_on(entry, place)
            mask = np.zeros(place.shape, np.bool_) if mask is None else mask[inside]
            document.set_painting(classes, instances, mask, tissue)
            document.edit_mask.recall(None if strengths is None else strengths[inside])
        except HistodiffError as error:
            self._complain(error)
            return
        self.set(**settings_of(request))
        self.staged.put(Staging(entry, frame=place))

    def stage(self, entry: HistoryEntry, index: int) -> None:
        """Let a variant of an edit wait again, where it fits the image worked on."""
        target = self.workspace.document.target
        if entry.image == target.key and target.bounds.contains(entry.request.region):
            self.staged.put(Staging(entry, index % len(entry.images), frame=entry.frame))

    # ---------------------------------------------------------------- internal
    def _engine_changed(self, event: EngineStateChanged) -> None:
        before, info = self.status.info, event.info or self.status.info
        died = event.state is EngineState.DEAD and self.status.state is not EngineState.DEAD
        self.status = EngineStatus(event.state, info, event.memory, event.message)
        self.status_changed.emit(self.status)
        if event.info is not None:
            self.saving.meet(event.info, self.model_folder)
            self.set(**settings_for(self.settings, before, event.info))
        if died and event.message:
            self._notice(Level.ERROR, event.message)
        self._touch()

    def _on_run(self, state: RunState) -> None:
        if state.phase is RunPhase.IDLE:
            self._touch()

    def _drawn(self, edit: QueuedEdit, event: JobFinished) -> None:
        if edit.estimate is not None:
            self._estimator.learn(edit.estimate, event.seconds)
        place = edit.place
        entry = self.history.add(
            edit.request,
            event.images,
            event.seconds,
            place.key,
            edit.tissue,
            image_name=place.name,
            image_path=place.path,
            frame=place.frame,
        )
        self.history_changed.emit()
        self.drawn.emit(entry)
        if not self.series.take(edit.id, entry):
            self.drawing.set_ready(edit.id, entry)
            self.results.offer(edit.id)

    def _is_still(self) -> bool:
        """Whether nothing is being written; says so when something is."""
        doing = self.workspace.doing.text
        if doing:
            self._notice(Level.WARNING, f"{doing} Try again in a moment.")
        return not doing

    def _summary(self) -> tuple[FrameSummary | None, str]:
        """Return what lies in the frame, or why there is none to look at."""
        if self.workspace.target is None:
            return None, _NO_IMAGE
        try:
            return summary_of(self.workspace.document, self.settings_here.context), ""
        except HistodiffError as error:
            return None, str(error)

    def _touch(self, *_: object) -> None:
        if self._plan_due is None:
            self._plan_due = time.monotonic() + _PLAN_INTERVAL

    def _complain(self, error: Exception, details: str = "") -> None:
        log.error("%s\n%s", error, details)
        self._notice(Level.ERROR, str(error) or type(error).__name__, details)

    def _notice(self, level: Level, message: str, details: str = "") -> None:
        self.noticed.emit(Notice(level, message, details))
