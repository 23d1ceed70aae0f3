"""Proposing nuclei with a fake judge in a process of its own; no window."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.proposals import process
from napari_histodiff.ui.proposals.layers import (
    DOUBT_NAME,
    PROPOSED_NAME,
    PROPOSED_TISSUE_NAME,
    UNCERTAIN_NAME,
)
from napari_histodiff.ui.proposals.process import JudgeDone, make_proposal
from napari_histodiff.ui.proposals.proposer import Proposer
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.proposals.test_process import fake_command, tissue


class StillRun:
    """A judge that says what the test tells it to."""

    pid = None

    def __init__(self, *given: Any) -> None:
        self._put = given[-1]

    def tell(self, event: object) -> None:
        self._put(self, event)

    def cancel(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing runs."""


class Bench:
    """An image of three nuclei in a viewer without a window."""

    def __init__(self, mode: str) -> None:
        self.viewer = ViewerModel()
        self.workspace = Workspace(self.viewer, seed=0)
        self.proposer = Proposer(self.viewer, self.workspace, fake_command(mode))
        self.notices: list[Notice] = []
        self.proposer.noticed.connect(self.notices.append)
        self.workspace.use_layer(self.viewer.add_image(tissue(), rgb=True, name="Tissue"))

    @property
    def nuclei(self) -> np.ndarray:
        return self.viewer.layers["Nuclei"].data

    @property
    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]

    def until(self, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < limit
            self.proposer.pump()
            time.sleep(0.01)

    def propose(self) -> None:
        """Propose without a process: what the fake judge would find."""
        runs: list[StillRun] = []
        with patch.object(
            process, "JudgeRun", lambda *given: runs.append(StillRun(*given)) or runs[0]
        ):
            self.proposer.propose()
        area = self.workspace.document.region.slices
        instances = np.zeros((128, 128), np.int32)
        for i, y in enumerate((10, 50, 90), 1):
            instances[y : y + 12, 40:56] = i
        instances = instances[area]
        ids = np.unique(instances[instances > 0])
        arrays = {
            "instance_map": instances,
            "class_map": np.where(instances, 3, 0),
            "ids": ids,
            "uncertainty": np.array([0.08, 0.16, 0.78])[ids - 1],
            "tissue_map": np.where(np.arange(instances.shape[1]) < 32, 2, 0)[None].repeat(
                len(instances), 0
            ),
        }
        proposal = make_proposal(arrays, np.ones(instances.shape, bool))
        runs[0].tell(JudgeDone(proposal))
        self.proposer.pump()

    def paint_mine(self) -> np.ndarray:
        """Paint a nucleus over the first proposed one and one away from all."""
        classes = np.zeros((128, 128), np.uint8)
        classes[14:20, 50:60] = 2
        classes[60:66, 100:110] = 2
        instances = np.where(classes > 0, 1 + (np.arange(128)[:, None] > 40), 0)
        self.workspace.document.paint_nuclei(classes, instances)
        return self.nuclei.copy()


@pytest.fixture
def open_bench() -> Iterator[Callable[[str], Bench]]:
    opened: list[Bench] = []

    def open_(mode: str) -> Bench:
        opened.append(Bench(mode))
        return opened[-1]

    yield open_
    for bench in opened:
        bench.proposer.close()


@pytest.fixture
def bench(open_bench: Callable[[str], Bench]) -> Bench:
    """With a proposal of three nuclei, one of them uncertain."""
    bench = open_bench("hang")
    bench.propose()
    return bench


def test_where_an_ensemble_disagrees_is_a_layer_and_a_column(
    open_bench: Callable[[str], Bench],
) -> None:
    bench = open_bench("work")
    bench.proposer.propose(ensemble=True)
    bench.until(lambda: bench.proposer.state.proposal is not None)
    doubt = bench.viewer.layers[DOUBT_NAME]
    proposed = bench.viewer.layers[PROPOSED_NAME]
    assert doubt.data.shape == proposed.data.shape
    assert bench.names.index(DOUBT_NAME) < bench.names.index(PROPOSED_NAME)
    np.testing.assert_array_equal(doubt.scale, proposed.scale)
    features = proposed.features
    labels = np.unique(proposed.data)
    assert set(features["index"]) == set(labels[labels > 0])
    assert set(features["class"]) == {"lymphocyte"}
    np.testing.assert_allclose(features["agreement"], 1 - features["uncertainty"], atol=0.011)
    bench.proposer.accept(keep=False)
    assert DOUBT_NAME in bench.names  # for a second look at what was painted
    bench.proposer.discard()
    assert DOUBT_NAME not in bench.names


def test_from_pixels_to_a_proposal(open_bench: Callable[[str], Bench]) -> None:
    bench = open_bench("work")
    notes: list[str] = []
    bench.proposer.state_changed.connect(lambda state: notes.append(state.note))
    bench.proposer.propose()
    bench.until(lambda: bench.proposer.state.proposal is not None)
    assert next(filter(None, notes)) == "Getting ready to find nuclei…"
    assert "Pass 2 of 2" in notes
    assert notes[-1] == "3 nuclei proposed (1 uncertain), and tissue"
    shown = bench.viewer.layers[PROPOSED_NAME].data
    np.testing.assert_array_equal(shown > 0, tissue()[..., 1] < 100)


def test_without_pixels_it_says_what_is_missing(open_bench: Callable[[str], Bench]) -> None:
    bench = open_bench("work")
    bench.workspace.new_canvas(128, 128)
    bench.proposer.propose()
    bench.viewer.layers.clear()
    bench.proposer.propose()
    assert [notice.level for notice in bench.notices] == [Level.WARNING] * 2
    assert "no pixels under the frame" in bench.notices[0].message
    assert "make a canvas" in bench.notices[1].message
    assert bench.proposer.pid is None


def test_a_proposal_is_shown_and_not_yet_painted(bench: Bench) -> None:
    assert not bench.nuclei.any()
    assert bench.names[-2:] == [PROPOSED_NAME, UNCERTAIN_NAME]
    shown, rings = bench.viewer.layers[-2:]
    assert len(np.unique(shown.data)) == 4
    np.testing.assert_allclose(rings.data, [(95.5, 47.5)])
    assert rings.size[0] > 12
    assert bench.viewer.layers.selection.active.name == "Nuclei"


def test_the_limit_hides_live_and_what_is_hidden_is_not_painted(bench: Bench) -> None:
    bench.proposer.set_least(0.5)
    layers = bench.viewer.layers
    assert len(np.unique(layers[PROPOSED_NAME].data)) == 3
    assert not layers[UNCERTAIN_NAME].size.any()
    assert bench.proposer.state.note.endswith("1 hidden, and tissue")
    bench.proposer.set_least(0.0)
    assert layers[UNCERTAIN_NAME].size.all()
    bench.proposer.set_least(0.5)
    bench.proposer.accept(keep=False)
    assert bench.workspace.document.nuclei.counts()["lymphocyte"] == 2
    assert UNCERTAIN_NAME not in layers


def test_accepting_is_one_undo_step(bench: Bench) -> None:
    bench.proposer.accept(keep=False)
    assert bench.workspace.document.nuclei.counts()["lymphocyte"] == 3
    snapshot = bench.workspace.document.snapshot()
    assert snapshot.instance_map.max() == 3
    np.testing.assert_array_equal(snapshot.class_map > 0, tissue()[..., 1] < 100)
    assert PROPOSED_NAME not in bench.names
    assert UNCERTAIN_NAME in bench.names  # for a second look
    assert bench.proposer.state.proposal is None
    assert bench.proposer.state.note == "3 nuclei painted, 1 with a ring, and tissue"
    nuclei = bench.viewer.layers["Nuclei"]
    nuclei.undo()
    assert not nuclei.data.any()
    nuclei.redo()
    assert bench.workspace.document.nuclei.counts()["lymphocyte"] == 3


def test_keep_mine_adds_what_does_not_touch(bench: Bench) -> None:
    mine = bench.paint_mine()
    bench.proposer.accept(keep=True)
    painted = bench.nuclei
    np.testing.assert_array_equal(painted[mine > 0], mine[mine > 0])
    assert not painted[10:14, 40:50].any()  # the rest of the nucleus under mine
    assert bench.workspace.document.nuclei.counts()["lymphocyte"] == 2
    bench.viewer.layers["Nuclei"].undo()
    np.testing.assert_array_equal(bench.nuclei, mine)


def test_replace_removes_mine(bench: Bench) -> None:
    bench.paint_mine()
    bench.proposer.accept(keep=False)
    counts = bench.workspace.document.nuclei.counts()
    assert (counts["epithelial"], counts["lymphocyte"]) == (0, 3)


def test_accepting_brings_the_frame_back(open_bench: Callable[[str], Bench]) -> None:
    bench = open_bench("hang")
    here = Region(0, 0, 0, 64, 64)
    bench.workspace.document.set_frame(here)
    bench.propose()
    bench.workspace.document.set_frame(Region(0, 64, 64, 64, 64))
    assert bench.proposer.go_back() == 0
    bench.proposer.accept(keep=False)
    assert bench.workspace.document.region == here
    assert bench.workspace.document.nuclei.counts()["lymphocyte"] == 2


def test_a_frame_of_another_size_is_an_error_not_a_crash(bench: Bench) -> None:
    bench.proposer._region = Region(0, 0, 0, 64, 64)
    bench.proposer.accept(keep=False)
    assert bench.notices[0].level is Level.ERROR
    assert "like the frame" in bench.notices[0].message
    assert not bench.nuclei.any()


@pytest.mark.parametrize("by", ["discard", "image", "removal"])
def test_a_proposal_is_dropped(bench: Bench, by: str) -> None:
    if by == "discard":
        bench.proposer.discard()
    elif by == "image":
        bench.workspace.new_canvas(128, 128)
    else:
        bench.viewer.layers.remove("Tissue")
    assert bench.proposer.state.proposal is None
    assert not {PROPOSED_NAME, UNCERTAIN_NAME} & set(bench.names)


def test_layers_the_user_removed_are_not_missed(bench: Bench) -> None:
    for name in (PROPOSED_NAME, UNCERTAIN_NAME):
        bench.viewer.layers.remove(name)
    bench.proposer.set_least(0.1)
    bench.proposer.accept(keep=False)
    assert bench.workspace.document.nuclei.counts()["lymphocyte"] == 3


def test_another_image_cancels_the_judge(open_bench: Callable[[str], Bench]) -> None:
    bench = open_bench("hang")
    bench.proposer.propose()
    bench.until(lambda: bench.proposer.pid is not None)
    process = psutil.Process(bench.proposer.pid)
    bench.workspace.new_canvas(128, 128)
    bench.until(lambda: not process.is_running())
    assert not bench.proposer.state.running


def test_no_nuclei_is_an_answer(open_bench: Callable[[str], Bench]) -> None:
    bench = open_bench("work")
    bench.workspace.document.write(Region(0, 0, 0, 128, 128), np.full((128, 128, 3), 230, np.uint8))
    bench.proposer.propose()
    bench.until(lambda: not bench.proposer.state.running)
    assert "No nuclei were found" in bench.proposer.state.note
    assert PROPOSED_NAME not in bench.names


def test_one_proposal_at_a_time(open_bench: Callable[[str], Bench]) -> None:
    bench = open_bench("hang")
    bench.proposer.propose()
    bench.proposer.propose()
    assert "cancel that or wait" in bench.notices[0].message


def test_tissue_is_shown_and_painted_where_none_is(bench: Bench) -> None:
    document = bench.workspace.document
    assert PROPOSED_TISSUE_NAME in bench.viewer.layers
    mine = np.zeros(document.tissue.tissue.shape, np.uint8)
    mine[:10] = 3
    document.paint_tissue(mine)
    bench.proposer.accept(keep=True)
    painted = document.tissue.tissue
    assert (painted[:10] == 3).all()
    assert set(np.unique(painted[10:])) == {0, 2}
    assert PROPOSED_TISSUE_NAME not in bench.viewer.layers
    assert bench.proposer.state.note.endswith(", and tissue")
    assert document.nuclei.labels.any()
    document.tissue.layer.undo()
    np.testing.assert_array_equal(document.tissue.tissue, mine)
    assert not document.nuclei.labels.any()
