from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.geometry import Region
from napari_histodiff.inpainting.masks import grow
from napari_histodiff.ui.generation.states import Notice
from napari_histodiff.ui.masks.recipes import Recipes
from napari_histodiff.ui.proposals import process
from napari_histodiff.ui.proposals.process import JudgeDone, JudgeFailed, make_proposal
from napari_histodiff.ui.proposals.proposer import Proposer
from tests.ui.conftest import WaitFor
from tests.ui.masks.test_mask_tools import Desk, square, three_nuclei
from tests.ui.proposals.test_proposer import StillRun


class Kitchen(Desk):
    """A desk on tissue, with recipes and a judge that says what the test tells it to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.proposer = Proposer(self.viewer, self.workspace)
        self.recipes = Recipes(self.workspace, self.controller, self.masks, self.proposer)
        self.with_canvas()
        tissue = np.full((128, 128, 3), (215, 165, 200), np.uint8)
        self.workspace.document.write(Region(0, 0, 0, 128, 128), tissue)

    def same_layout(self, event: object) -> None:
        runs: list[StillRun] = []
        with patch.object(
            process, "JudgeRun", lambda *given: runs.append(StillRun(*given)) or runs[0]
        ):
            self.recipes.same_layout()
        runs[0].tell(event)
        self.proposer.pump()


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def found() -> JudgeDone:
    instances = np.zeros((64, 64), np.int32)
    instances[20:30, 20:30] = 1
    arrays = {
        "instance_map": instances,
        "class_map": np.where(instances, 3, 0),
        "ids": np.array([1]),
        "uncertainty": np.array([0.1]),
        "tissue_map": np.full((64, 64), 2),
    }
    return JudgeDone(make_proposal(arrays, np.ones((64, 64), bool)))


def test_an_outline_is_replaced_with_whole_nuclei(kitchen: Kitchen) -> None:
    classes, instances = three_nuclei(kitchen)
    kitchen.controller.set(mask_around=0.0)
    kitchen.paint(square() & (np.indices((64, 64))[1] < 30) | (instances == 2) & (classes > 0))
    cut = kitchen.mask.copy()
    cut[10:16, 43:46] = False
    kitchen.paint(cut)
    kitchen.recipes.replace_by_painted()
    np.testing.assert_array_equal(kitchen.mask, cut | (instances == 2))
    assert kitchen.workspace.paint.palette == "nuclei"
    assert "press Inpaint" in kitchen.notices[-1].message


def test_without_an_outline_the_place_of_the_nuclei_is_it(kitchen: Kitchen) -> None:
    _, instances = three_nuclei(kitchen)
    kitchen.recipes.replace_by_painted()
    assert kitchen.mask[instances > 0].all()
    assert kitchen.mask[13, 28]  # between two nuclei 12 um apart
    assert not kitchen.mask[60, 60]


def test_with_neither_it_says_what_to_do(kitchen: Kitchen) -> None:
    kitchen.recipes.replace_by_painted()
    assert "Outline what shall be replaced" in kitchen.notices[-1].message
    assert not kitchen.mask.any()


def test_an_empty_outline_is_to_be_painted_in(kitchen: Kitchen) -> None:
    kitchen.paint(square())
    kitchen.recipes.replace_by_painted()
    np.testing.assert_array_equal(kitchen.mask, square())
    assert "paint nuclei and tissue in it" in kitchen.notices[-1].message


def test_the_layout_found_is_painted_and_the_frame_is_drawn_anew(kitchen: Kitchen) -> None:
    kitchen.same_layout(found())
    document = kitchen.workspace.document
    assert (document.nuclei.maps()[0] == 3).sum() == 100
    assert (document.tissue.tissue == 2).all()
    assert kitchen.mask.all()
    assert "press Inpaint" in kitchen.notices[-1].message
    assert kitchen.proposer.state.proposal is None


def test_a_mask_that_is_there_stays_and_a_second_run_proposes_anew(kitchen: Kitchen) -> None:
    kitchen.paint(square())
    kitchen.same_layout(found())
    np.testing.assert_array_equal(kitchen.mask, square())
    kitchen.paint(np.zeros((64, 64), bool))
    kitchen.same_layout(found())
    assert kitchen.mask.all()


def test_a_judge_that_fails_changes_nothing(kitchen: Kitchen) -> None:
    told: list[Notice] = []
    kitchen.proposer.noticed.connect(told.append)
    kitchen.same_layout(JudgeFailed("The segmenter stopped.", ""))
    assert told[-1].message == "The segmenter stopped."
    assert not kitchen.mask.any()
    assert not kitchen.workspace.document.nuclei.maps()[0].any()
    kitchen.proposer.state_changed.emit(kitchen.proposer.state)
    assert not kitchen.mask.any()


def test_a_stroke_grows_to_the_fold_under_it(kitchen: Kitchen, wait_for: WaitFor) -> None:
    folded = np.full((128, 128, 3), (215, 165, 200), np.uint8)
    folded += np.random.default_rng(0).integers(0, 20, folded.shape, dtype=np.uint8)
    fold = np.zeros((64, 64), bool)
    fold[4:60, 26:38] = True
    folded[32:96, 32:96][fold] //= 2
    kitchen.workspace.document.write(Region(0, 0, 0, 128, 128), folded)
    kitchen.masks.grow_to_artefact()
    assert "Draw a line" in kitchen.notices[-1].message
    stroke = np.zeros((64, 64), bool)
    stroke[10:54, 31:33] = True
    kitchen.paint(stroke)
    kitchen.masks.grow_to_artefact()

    def done() -> bool:
        kitchen.masks.deliver()
        return not kitchen.workspace.doing.text

    wait_for(done)
    assert kitchen.mask[fold].mean() > 0.8
    assert not (kitchen.mask & ~grow(fold, 4, 0.5)).any()


def test_a_viewer_without_an_image_is_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    viewer = ViewerModel()
    recipes = Recipes(desk.workspace, desk.controller, desk.masks, Proposer(viewer, desk.workspace))
    recipes.replace_by_painted()
    assert "make a canvas" in desk.notices[-1].message
