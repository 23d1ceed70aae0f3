"""Paint changed in words and layouts made up, in a thread, taken back in one step."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.settings import SeedMode, SettingsStore
from napari_histodiff.ui.layouts.maker import LayoutMaker
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.doubles import RecordingEngine

GLAND, STROMA, NECROSIS = (TISSUE_NAMES.index(name) for name in ("gland", "stroma", "necrosis"))


class Studio:
    """A real workspace with a canvas of gland and stroma."""

    def __init__(self, folder: Path) -> None:
        viewer = ViewerModel()
        self.workspace = Workspace(viewer, seed=0)
        store = SettingsStore(folder / "studio.json")
        engine = RecordingEngine()
        self.controller = Controller(viewer, self.workspace, engine, store=store)
        self.maker = LayoutMaker(self.workspace, self.controller)
        self.notices: list[str] = []
        self.maker.noticed.connect(lambda notice: self.notices.append(notice.message))
        self.workspace.new_canvas(128, 128)
        self.controller.set(caption="colon", seed=4, seed_mode=SeedMode.FIXED)
        tissue = np.full(self.document.region.shape, STROMA, np.uint8)
        tissue[40:90, 40:90] = GLAND
        self.document.paint_tissue(tissue)

    @property
    def document(self):
        return self.workspace.document

    @property
    def tissue(self) -> np.ndarray:
        return self.document.tissue.tissue.copy()

    @property
    def classes(self) -> np.ndarray:
        return self.document.nuclei.maps()[0]

    def wait(self) -> None:
        """Let the thread come to its end."""
        end = time.monotonic() + 200
        while self.maker.state.total:
            assert time.monotonic() < end
            time.sleep(0.01)
            self.maker.pump()


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def test_the_paint_becomes_what_the_sentence_says_and_is_taken_back_at_once(studio: Studio) -> None:
    before = studio.tissue
    studio.maker.text = "grow the tumour by 8 um, then 6 lymphocytes at its border"
    studio.maker.change()
    studio.wait()
    assert studio.notices == []
    assert (studio.tissue == GLAND).sum() > (before == GLAND).sum()
    assert (studio.classes == 3).any()
    assert studio.maker.state.said.startswith("grew the gland by 8 µm")
    assert studio.maker.state.can_take_back
    studio.maker.take_back()
    np.testing.assert_array_equal(studio.tissue, before)
    assert not studio.classes.any()
    assert not studio.maker.state.can_take_back


def test_here_is_the_painted_edit_mask(studio: Studio) -> None:
    before = studio.tissue
    mask = np.zeros(before.shape, bool)
    mask[100:120, 5:50] = True
    studio.document.edit_mask.put(mask)
    studio.maker.text = "necrosis here"
    studio.maker.change()
    studio.wait()
    np.testing.assert_array_equal(studio.tissue, np.where(mask, NECROSIS, before))


def test_here_is_the_whole_frame_where_no_mask_is_painted(studio: Studio) -> None:
    studio.maker.text = "necrosis here"
    studio.maker.change()
    studio.wait()
    assert studio.notices == []
    assert (studio.tissue == NECROSIS).all()


def test_a_layout_is_invented_with_progress_and_undone_in_one_step(studio: Studio) -> None:
    before, nuclei = studio.tissue, studio.classes
    told: list[int] = []
    studio.maker.state_changed.connect(lambda state: told.append(state.done))
    studio.maker.invent()
    studio.wait()
    assert studio.notices == []
    assert max(told) > 1
    assert studio.tissue.all()
    assert (studio.tissue != before).any()
    assert studio.classes.any()
    assert "invented by seed 4" in studio.maker.state.said
    studio.document.tissue.layer.undo()
    np.testing.assert_array_equal(studio.tissue, before)
    np.testing.assert_array_equal(studio.classes, nuclei)


def test_what_is_not_understood_is_said_and_nothing_changes(studio: Studio) -> None:
    before = studio.tissue
    studio.maker.text = "gorw the tumour"
    studio.maker.change()
    studio.wait()
    assert "did you mean" in studio.notices[0]
    np.testing.assert_array_equal(studio.tissue, before)
    assert not studio.maker.state.can_take_back


def test_cancelling_and_painting_meanwhile_leave_the_paint_alone(studio: Studio) -> None:
    before = studio.tissue
    studio.maker.invent()
    studio.maker.cancel()
    studio.wait()
    np.testing.assert_array_equal(studio.tissue, before)
    assert studio.notices == []
    studio.maker.text = "grow the gland by 5 um"
    studio.maker.change()
    studio.document.paint_tissue(np.full_like(before, STROMA))
    studio.wait()
    assert "got other ones" in studio.notices[0]
    assert (studio.tissue == STROMA).all()


def test_paint_on_top_of_a_change_is_not_taken_back(studio: Studio) -> None:
    studio.maker.text = "grow the gland by 5 um"
    studio.maker.change()
    studio.wait()
    mine = studio.tissue
    mine[:10] = NECROSIS
    studio.document.paint_tissue(mine)
    studio.maker.take_back()
    np.testing.assert_array_equal(studio.tissue, mine)
    assert "other paint" in studio.notices[0]


def test_without_an_image_it_says_what_to_do(tmp_path: Path) -> None:
    viewer = ViewerModel()
    workspace = Workspace(viewer, seed=0)
    store = SettingsStore(tmp_path / "studio.json")
    maker = LayoutMaker(workspace, Controller(viewer, workspace, RecordingEngine(), store=store))
    notices: list[str] = []
    maker.noticed.connect(lambda notice: notices.append(notice.message))
    maker.invent()
    assert "make a canvas" in notices[0]
    assert maker.state.total == 0
