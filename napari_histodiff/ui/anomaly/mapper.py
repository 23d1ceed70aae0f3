"""Makes the anomaly map of the frame: asks the judge for paint, the engine for drawings, compares.

No Qt here: the dock listens to the signals and calls the methods, a timer calls `pump`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.engine import (
    EngineState,
    EngineStateChanged,
    Job,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobProgress,
)
from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.evaluation.maps.anomaly import (
    NUCLEI_MPP,
    AnomalyMap,
    AnomalySettings,
    Paint,
    anomaly_request,
    check_scale,
    difference,
    ordinary_of,
    stain_of,
)
from napari_histodiff.evaluation.maps.tiles import ArraySource
from napari_histodiff.ui.colormaps import heat_colormap
from napari_histodiff.ui.generation.engines import Mailbox
from napari_histodiff.ui.generation.states import Level, Notice, RunPhase
from napari_histodiff.ui.proposals.process import Judge, JudgeDone, JudgeFailed, JudgeStep
from napari_histodiff.ui.workspace.pending import PendingStep, StepReader
from napari_histodiff.ui.workspace.transforms import insert_above, place_region

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendInfo
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["ANOMALY_NAME", "AnomalyMapper", "MappingState"]

log = logging.getLogger(__name__)

ANOMALY_NAME: Final = "Unlike the model"

_NO_PAINT: Final[Paint] = (None, None, None)


@dataclass(frozen=True, slots=True)
class MappingState:
    """What the dock shows: whether it runs, how far it is, and one line in words."""

    running: bool = False
    done: int = 0
    total: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """The frame that is compared with its drawings."""

    target: Any
    region: Region
    image: NDArray[np.uint8]
    covered: NDArray[np.bool_]
    mpp: float
    stain: tuple[float, ...]
    info: BackendInfo


class AnomalyMapper:
    """One viewer's anomaly maps.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the map is shown.
    workspace : Workspace
        The frame.
    controller : Controller
        Whose engine draws, and who tells notices.
    judge : sequence of str, optional
        Another program that proposes nuclei; see `proposals.process`.
    """

    state_changed = Signal(MappingState)

    def __init__(
        self,
        viewer: Any,
        workspace: Workspace,
        controller: Controller,
        judge: Sequence[str] | None = None,
    ) -> None:
        self.state = MappingState()
        self.layer: Image | None = None
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._settings = AnomalySettings()
        self._judge = Judge(judge)
        self._reader = StepReader()
        self._mailbox = Mailbox()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._engine: Any = None
        self._job: Job | None = None
        self._work: _Work | None = None
        workspace.target_changed.connect(self._leave)

    def begin(self) -> None:
        """Map the frame; says why where that cannot be done."""
        if self._work is not None:
            self._notice(Level.WARNING, "The frame is being compared; cancel that or wait for it.")
            return
        if self._controller.run_state.phase is not RunPhase.IDLE:
            self._notice(Level.WARNING, "An edit is running; cancel it or wait for its end.")
            return
        try:
            work = self._look()
        except HistodiffError as error:
            self._notice(Level.WARNING, str(error))
            return
        self._work = work
        self._show(MappingState(running=True, note="Proposing the paint of the frame…"))
        if work.mpp > NUCLEI_MPP or not work.info.paint:
            self._draw(work, _NO_PAINT)
        else:
            self._judge.begin(work.image, work.mpp, work.covered)

    def cancel(self) -> None:
        """Stop; nothing when nothing runs."""
        if self._work is None:
            return
        self._judge.cancel()
        self._reader.cancel()
        if self._job is not None:
            self._engine.cancel(self._job)
        self._end("Cancelled.")

    def pump(self) -> None:
        """Handle what was told since the last call; call it on the GUI thread."""
        for event in self._judge.events():
            if self._work is None:
                continue
            if isinstance(event, JudgeStep):
                note = f"Proposing the paint: pass {event.done} of {event.total}"
                self._show(MappingState(True, event.done, event.total, note))
            elif isinstance(event, JudgeFailed):
                self._fail(event.message, event.details)
            elif isinstance(event, JudgeDone):
                instances, classes = event.proposal.maps(0.0)
                self._draw(self._work, (classes, instances, event.proposal.tissue_map))
        for told in self._mailbox.drain():
            self._handle(told)
        self._reader.deliver()

    def close(self) -> None:
        """Stop the judge; idempotent."""
        self._unsubscribe()
        self._judge.close()

    # ---------------------------------------------------------------- plumbing
    def _look(self) -> _Work:
        """Copy what lies in the frame, and check that it can be drawn again."""
        document = self._workspace.document
        info = self._controller.status.info
        if info is None:
            raise InvalidRequest("The model is loading; try again when it is ready.")
        summary, target = document.summary(), document.target
        if summary.problem:
            raise InvalidRequest(summary.problem)
        if not summary.has_pixels:
            raise InvalidRequest(
                "There are no pixels under the frame; move it onto tissue, or use an image."
            )
        if not target.knows_mpp:
            raise InvalidRequest(
                "The image does not say how large its pixels are; enter µm per pixel under Canvas, "
                "then compare."
            )
        region = summary.region
        check_scale(region.shape, summary.mpp, info)
        image = np.array(target.read(region))
        covered = target.coverage(region)
        stain = stain_of(ArraySource(image), Region(0, 0, 0, *region.shape))
        return _Work(self._workspace.target, region, image, covered, summary.mpp, stain, info)

    def _draw(self, work: _Work, paint: Paint) -> None:
        try:
            request = anomaly_request(
                work.image, work.region, work.mpp, paint, work.stain, self._settings, work.info
            )
            self._engine = self._controller.engine
            self._unsubscribe()
            self._unsubscribe = self._engine.subscribe(self._mailbox.put)
            self._job = self._engine.submit(request)
        except HistodiffError as error:
            self._fail(str(error))
            return
        self._show(MappingState(running=True, note="Drawing the frame again…"))

    def _handle(self, event: object) -> None:
        if self._work is None or self._job is None:
            return
        if isinstance(event, EngineStateChanged):
            if event.state is EngineState.CLOSED:  # another model draws from now on
                self._end("Cancelled.")
        elif getattr(event, "job", None) != self._job.id:
            return
        elif isinstance(event, JobProgress):
            note = f"Drawing the frame again: step {event.done} of {event.total}"
            self._show(MappingState(True, event.done, event.total, note))
        elif isinstance(event, JobFailed):
            self._fail(str(event.error), event.details)
        elif isinstance(event, JobCancelled):
            self._end("Cancelled.")
        elif isinstance(event, JobFinished):
            self._job = None
            self._show(MappingState(running=True, note="Comparing…"))
            compared = partial(_compared, self._work, event.images, self._settings)
            self._reader.begin(compared, self._put).then(self._compared)

    def _put(self, found: AnomalyMap) -> None:
        work = self._work
        if work is None:
            return
        self.hide()
        layer = Image(
            found.values,
            name=ANOMALY_NAME,
            colormap=heat_colormap(),
            contrast_limits=found.limits,
            blending="translucent",
            metadata={
                "unit": found.unit,
                "ordinary_density": found.ordinary,
                "model": work.info.name,
                "model_revision": work.info.revision,
            },
            **place_region(work.target, work.region),
        )
        if hasattr(layer, "colorbar"):
            layer.colorbar.visible = True
        insert_above(self._viewer, layer, [work.target])
        self.layer = layer
        inside = found.values[work.covered]
        share = float((inside > found.limits[0]).mean()) if inside.size else 0.0
        self._end(f"{100 * share:.1f} % above {found.limits[0]:.1f} {found.unit}")

    def _compared(self, step: PendingStep) -> None:
        if step.error is not None:
            self._fail(str(step.error))

    def hide(self) -> None:
        """Remove the map."""
        layer, self.layer = self.layer, None
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _leave(self) -> None:
        if self._work is not None and self._workspace.target is not self._work.target:
            self.cancel()

    def _fail(self, message: str, details: str = "") -> None:
        log.error("%s\n%s", message, details)
        self._end("The frame was not compared.")
        self._notice(Level.ERROR, message, details)

    def _end(self, note: str) -> None:
        self._work = self._job = None
        self._unsubscribe()
        self._unsubscribe = lambda: None
        self._show(MappingState(note=note))

    def _show(self, state: MappingState) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _notice(self, level: Level, message: str, details: str = "") -> None:
        self._controller.noticed.emit(Notice(level, message, details))


def _compared(work: _Work, drawn: NDArray[np.uint8], settings: AnomalySettings) -> AnomalyMap:
    """The map, in any thread; nothing where no pixels are."""
    density = difference(work.image, drawn, work.mpp, settings.smooth)
    return ordinary_of(settings, work.info, np.where(work.covered, density, np.float32(0)))
