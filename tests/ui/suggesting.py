"""A real workspace whose engine only remembers what it is asked, for what is suggested there."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from napari.components import ViewerModel

from napari_histodiff.core.engine import JobFinished
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SeedMode, SettingsStore
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.doubles import RecordingEngine

GLAND = TISSUE_NAMES.index("gland")


class Studio:
    """A real workspace with a canvas, and an engine that remembers what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.viewer = viewer = ViewerModel()
        self.workspace = Workspace(viewer, seed=0)
        self.engine = RecordingEngine()
        store = SettingsStore(folder / "studio.json")
        self.controller = Controller(viewer, self.workspace, self.engine, store=store)
        self.workspace.new_canvas(128, 128)
        self.controller.set(caption="colon, gland", seed=4, seed_mode=SeedMode.FIXED, variants=1)
        self.engine.ready()
        self.notices: list[str] = []
        self.controller.noticed.connect(lambda notice: self.notices.append(notice.message))
        self.controller.pump()
        self.controller.refresh_plan()

    @property
    def document(self):
        return self.workspace.document

    def wait(self) -> None:
        """Let the thread come to its end."""
        end = time.monotonic() + 60
        while self.workspace.doing.text:
            assert time.monotonic() < end
            time.sleep(0.01)
            self.controller.pump()

    def paint_gland(self) -> np.ndarray:
        tissue = np.zeros(self.document.region.shape, np.uint8)
        tissue[30:90, 30:100] = GLAND
        self.document.paint_tissue(tissue)
        return tissue


def finish(studio: Studio) -> None:
    """Let the engine finish all it was asked, with noise that tells the variants apart."""
    for number, request in enumerate(studio.engine.submitted, 1):
        shape = (request.variants, *request.shape, 3)
        images = np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)
        studio.engine.emit(JobFinished(str(number), images, 1.0))
    studio.controller.pump()


def shown(studio: Studio) -> tuple[np.ndarray, np.ndarray]:
    return studio.document.nuclei.maps()[0].copy(), studio.document.tissue.tissue.copy()
