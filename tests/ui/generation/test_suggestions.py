"""What is not painted is suggested before it is drawn, in a thread."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.engine import JobCancelled
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SeedMode, SettingsStore
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.doubles import RecordingEngine

GLAND = TISSUE_NAMES.index("gland")


class Studio:
    """A real workspace with a canvas, and an engine that remembers what it is asked."""

    def __init__(self, folder: Path) -> None:
        viewer = ViewerModel()
        self.workspace = Workspace(viewer, seed=0)
        self.engine = RecordingEngine()
        store = SettingsStore(folder / "studio.json")
        self.controller = Controller(viewer, self.workspace, self.engine, store=store)
        self.workspace.new_canvas(128, 128)
        self.controller.set(caption="colon, gland", seed=4, seed_mode=SeedMode.FIXED)
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


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def test_three_strokes_of_tissue_are_enough(studio: Studio) -> None:
    tissue = studio.paint_gland()
    studio.controller.generate()
    assert not studio.engine.submitted
    studio.wait()
    (request,) = studio.engine.submitted
    assert (request.tissue_map[tissue > 0] == GLAND).all()
    assert request.tissue_map.all()
    assert request.class_map[tissue > 0].any()
    # What is drawn is what the layers show.
    classes, _ = studio.document.nuclei.maps()
    np.testing.assert_array_equal(classes, request.class_map)
    np.testing.assert_array_equal(studio.document.tissue.tissue, request.tissue_map)
    studio.document.tissue.layer.undo()
    np.testing.assert_array_equal(studio.document.tissue.tissue, tissue)


def run(studio: Studio) -> np.ndarray:
    """Generate, wait until the engine has the request, and cancel it there."""
    studio.controller.generate()
    studio.wait()
    studio.engine.emit(JobCancelled(str(len(studio.engine.submitted))))
    studio.controller.pump()
    return studio.engine.submitted[-1].tissue_map


def test_each_run_suggests_something_else_until_somebody_touches_it(studio: Studio) -> None:
    studio.paint_gland()
    first = run(studio)
    np.testing.assert_array_equal(run(studio), first)
    studio.controller.set(seed=5)
    second = run(studio)
    assert (second != first).any()
    edited = second.copy()
    edited[:20, :20] = TISSUE_NAMES.index("glass")
    studio.document.paint_tissue(edited)
    studio.controller.set(seed=6)
    np.testing.assert_array_equal(run(studio), edited)


def test_what_was_asked_for_is_drawn_as_it_is_shown(studio: Studio) -> None:
    studio.paint_gland()
    studio.controller.suggest()
    studio.wait()
    shown = studio.document.tissue.tissue.copy()
    assert shown.all()
    studio.controller.set(seed=9)
    np.testing.assert_array_equal(run(studio), shown)
    # Asking again brings another one; what somebody painted stays.
    studio.controller.suggest()
    studio.wait()
    assert (studio.document.tissue.tissue != shown).any()
    assert (studio.document.tissue.tissue[30:90, 30:100] == GLAND).all()


def test_the_switch_off_leaves_the_paint_as_it_is(studio: Studio) -> None:
    tissue = studio.paint_gland()
    studio.controller.set(suggest=False)
    studio.controller.generate()
    (request,) = studio.engine.submitted
    np.testing.assert_array_equal(request.tissue_map, tissue)
    assert request.class_map is None


def test_cancelling_leaves_the_paint_and_draws_nothing(studio: Studio) -> None:
    tissue = studio.paint_gland()
    studio.controller.generate()
    assert studio.workspace.doing.text
    studio.controller.cancel()
    studio.wait()
    assert not studio.engine.submitted
    assert not studio.notices
    np.testing.assert_array_equal(studio.document.tissue.tissue, tissue)


def test_paint_that_changes_meanwhile_is_not_overwritten(studio: Studio) -> None:
    studio.paint_gland()
    studio.controller.generate()
    painted = np.full(studio.document.region.shape, GLAND, np.uint8)
    studio.document.paint_tissue(painted)
    studio.wait()
    assert not studio.engine.submitted
    assert "nothing was suggested" in studio.notices[-1]
    np.testing.assert_array_equal(studio.document.tissue.tissue, painted)
