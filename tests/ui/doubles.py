"""A workspace and an engine that only remember what was asked of them, and a desk of both."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal
from skimage.measure import label

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import EngineState, EngineStateChanged, Job, JobFinished, Listener
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.maps import encode_labels
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.steering.strengths import levels_of
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SeedMode, SettingsStore
from napari_histodiff.ui.generation.states import Notice
from napari_histodiff.ui.workspace.pending import PendingOperations, PendingStep
from napari_histodiff.ui.workspace.snapshot import FrameSnapshot, FrameSummary
from napari_histodiff.ui.workspace.tissue_layer import shares_of
from tests.fakes import FAKE_INFO


@dataclass
class Frame:
    """What `Document.snapshot` returns, 48 x 64 px."""

    kind: EditKind = EditKind.GENERATE
    region: Region = field(default_factory=lambda: Region(0, 16, 32, 48, 64))
    mpp: float = 0.5
    has_pixels: bool = False
    image: np.ndarray = field(default_factory=lambda: np.full((48, 64, 3), 7, np.uint8))
    edit_mask: np.ndarray = field(default_factory=lambda: np.zeros((48, 64), bool))
    class_map: np.ndarray = field(default_factory=lambda: np.zeros((48, 64), np.uint8))
    instance_map: np.ndarray = field(default_factory=lambda: np.zeros((48, 64), np.int32))
    tissue_map: np.ndarray = field(default_factory=lambda: np.zeros((48, 64), np.uint8))
    shares: np.ndarray | None = None
    uses_paint = FrameSnapshot.uses_paint
    uses_tissue = FrameSnapshot.uses_tissue
    _counts = FrameSnapshot._counts

    def resolve(self) -> Frame:
        return self


class RecordingDocument:
    """A document of one frame; it is its own target and its own paint layers."""

    mpps = (0.5,)
    mpp = 0.5
    origin = (0, 0)
    key = "the image"
    name = "Canvas"
    path = ""
    spec = PyramidSpec(4096, 4096, 256, 1, 0.5)

    def __init__(self, doing: PendingOperations) -> None:
        self.frame = Frame()
        self.problem = ""
        self.written: list[tuple[Region, np.ndarray, np.ndarray | None]] = []
        self.painted: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.undone = 0
        self.doing = doing
        #: What `write` and `undo` begin; tests end it where it is not over at once.
        self.step = PendingStep.carried_out(None)
        self.strengths: list[np.ndarray | None] = []
        self.target = self.nuclei = self.edit_mask = self

    @property
    def region(self) -> Region:
        return self.frame.region

    def copy_frame(self) -> Frame:
        return self.snapshot()

    def snapshot(self) -> Frame:
        if self.problem:
            raise InvalidRequest(self.problem)
        return self.frame

    def summary(self) -> FrameSummary:
        frame = self.frame
        return FrameSummary(
            frame.kind,
            frame.region,
            frame.mpp,
            frame.has_pixels,
            frame.uses_paint,
            self.counts(),
            self.problem,
            shares_of(frame.tissue_map),
            shares=levels_of(frame.shares) or (1.0,),
        )

    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        classes = self.frame.class_map
        return classes, label(classes, background=0, connectivity=2).astype(np.int32)

    @property
    def layers(self) -> list[object]:
        return [self]

    @property
    def labels(self) -> np.ndarray:
        return encode_labels(*reversed(self.maps()))

    @property
    def tissue(self) -> SimpleNamespace:
        return SimpleNamespace(tissue=self.frame.tissue_map)

    def counts(self) -> dict[str, int]:
        return {"plasma": int(self.frame.class_map.any())}

    def own_maps(self, region: Region) -> None:
        return None

    def with_slide_conditions(self, request: EditRequest) -> EditRequest:
        return request

    def write(
        self,
        region: Region,
        pixels: np.ndarray,
        edit_mask: np.ndarray | None = None,
        request: EditRequest | None = None,
    ) -> PendingStep:
        self.written.append((region, pixels, edit_mask))
        self.doing.follow("Writing the edit…", self.step)
        return self.step

    def set_frame(self, region: Region) -> None:
        self.frame.region = region

    def set_painting(self, *maps: np.ndarray) -> None:
        self.painted.append(maps)

    def recall(self, strength_map: np.ndarray | None) -> None:
        self.strengths.append(strength_map)

    def undo(self) -> PendingStep:
        self.undone += 1
        return self.step


class RecordingWorkspace:
    frame_changed = Signal()
    painting_changed = Signal()
    target_changed = Signal()
    pixels_changed = Signal()

    def __init__(self) -> None:
        self.doing = PendingOperations()
        self.document = RecordingDocument(self.doing)
        self.documents = (self.document,)
        self.target: Image | None = Image(np.zeros((99, 99, 3), np.uint8), scale=(0.5, 0.5))
        self.can_undo = self.can_redo = False
        self.paint_layers: list[object] = []
        self.guidance: float | None = None


class RecordingEngine:
    """Answers nothing by itself; tests `tell` what an engine would."""

    def __init__(self) -> None:
        self.state = EngineState.CLOSED
        self.info: BackendInfo | None = None
        self.listeners: list[Listener] = []
        self.submitted: list[EditRequest] = []
        self.cancelled: list[str] = []
        self.started = self.restarted = self.closed = 0

    def start(self) -> None:
        self.started += 1
        self.emit(EngineStateChanged(EngineState.STARTING))

    def restart(self) -> None:
        self.restarted += 1
        self.emit(EngineStateChanged(EngineState.STARTING))

    def subscribe(self, listener: Listener):
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener) if listener in self.listeners else None

    def submit(self, request: EditRequest, *, behind: bool = False) -> Job:
        self.submitted.append(request)
        return Job(str(len(self.submitted)), request)

    def cancel(self, job: Job) -> None:
        self.cancelled.append(job.id)

    def close(self) -> None:
        self.closed += 1

    def emit(self, *events: object) -> None:
        for event in events:
            for listener in tuple(self.listeners):
                listener(event)

    def ready(self) -> None:
        self.emit(EngineStateChanged(EngineState.READY, FAKE_INFO, 2**30))


class Desk:
    """A controller with everything around it recorded."""

    def __init__(self, folder: Path) -> None:
        self.viewer = ViewerModel()
        self.workspace = RecordingWorkspace()
        self.engine = RecordingEngine()
        self.store = SettingsStore(folder / "studio.json")
        self.controller = Controller(self.viewer, self.workspace, self.engine, store=self.store)
        self.controller.set(seed_mode=SeedMode.FIXED, variants=2, suggest=False, context=0.0)
        self.notices: list[Notice] = []
        self.controller.noticed.connect(self.notices.append)

    def emit(self, *events: object) -> None:
        self.engine.emit(*events)
        self.controller.pump()

    def finish(self, *, shade: int = 100) -> None:
        request = self.engine.submitted[-1]
        images = np.full((request.variants, *request.shape, 3), shade, np.uint8)
        images[1:] += 1
        self.emit(JobFinished(str(len(self.engine.submitted)), images, 1.0))

    def save(self, folder: Path) -> None:
        step = self.controller.saving.save(folder, self.controller.status.info)
        while step is not None and not step.is_over:
            time.sleep(0.005)
            self.controller.pump()

    def ready(self) -> None:
        self.engine.ready()
        self.controller.pump()
        self.controller.refresh_plan()
