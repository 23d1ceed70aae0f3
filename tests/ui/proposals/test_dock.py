"""Proposing nuclei by the dock's buttons, with a fake judge in a process of its own."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui import actions
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.proposals.layers import ProposalLayers
from napari_histodiff.ui.proposals.process import make_proposal
from napari_histodiff.ui.widgets import dialogs
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine
from tests.ui.proposals.test_process import fake_command, tissue

pytestmark = pytest.mark.timeout(200)


def _open(open_dock: OpenDock, mode: str) -> StudioDock:
    dock = open_dock(RecordingEngine(), judge=fake_command(mode))
    dock.workspace.use_layer(dock.viewer.add_image(tissue(), rgb=True, name="Tissue"))
    dock.controller.refresh_plan()
    return dock


def test_the_button_needs_pixels(open_dock: OpenDock) -> None:
    dock = open_dock(RecordingEngine(), judge=fake_command("work"))
    dock.controller.refresh_plan()
    assert not dock.proposal.main.isEnabled()
    dock.workspace.new_canvas(128, 128)
    dock.controller.refresh_plan()
    assert not dock.proposal.main.isEnabled()
    assert "pixels" in dock.proposal.main.toolTip()
    dock.workspace.document.write(Region(0, 0, 0, 128, 128), tissue())
    dock.controller.refresh_plan()
    assert dock.proposal.main.isEnabled()
    assert dock.proposal.offer.isHidden()


def test_a_proposal_by_its_buttons(
    open_dock: OpenDock, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool | None] = [None, True]
    asked: list[int] = []

    def ask(_: object, painted: int) -> bool | None:
        asked.append(painted)
        return answers.pop(0)

    monkeypatch.setattr(actions, "ask_keep", ask)
    dock = _open(open_dock, "work")
    dock.proposal.main.click()
    wait_for(lambda: dock.proposer.state.proposal is not None)
    assert dock.proposal.note.text() == "3 nuclei proposed (1 uncertain), and tissue"
    assert not dock.proposal.offer.isHidden()
    dock.proposal.least.slider.setValue(0.5)
    assert dock.proposal.note.text().endswith("1 hidden, and tissue")
    dock.proposal.accept.click()  # nothing is painted yet: no question
    assert dock.workspace.document.nuclei.counts()["lymphocyte"] == 2
    assert dock.proposal.offer.isHidden()
    assert dock.proposal.note.text() == "2 nuclei painted, and tissue"
    assert dock.viewer.layers["Nuclei"].contour > 0  # the tissue below is there to compare
    dock.proposer.propose()
    wait_for(lambda: dock.proposer.state.proposal is not None)
    before = dock.viewer.layers["Nuclei"].data.copy()
    dock.proposal.accept.click()
    np.testing.assert_array_equal(dock.viewer.layers["Nuclei"].data, before)
    assert not dock.proposal.offer.isHidden()
    dock.proposal.accept.click()
    assert asked == [2, 2]
    assert dock.workspace.document.nuclei.counts()["lymphocyte"] == 3


@pytest.mark.parametrize(
    ("button", "keep"), [("Replace", False), ("Keep mine, add the rest", True), ("Cancel", None)]
)
def test_the_question_has_three_answers(
    button: str, keep: bool | None, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(box: dialogs.QMessageBox) -> None:
        assert "4 nuclei are painted" in box.text()
        next(b for b in box.buttons() if b.text().replace("&", "") == button).click()

    monkeypatch.setattr(dialogs.QMessageBox, "exec", press)
    assert dialogs.ask_keep(None, 4) is keep


def test_rings_show_and_hide(make_napari_viewer) -> None:
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((64, 64, 3), np.uint8), rgb=True)
    viewer.reset_view()
    instances = np.zeros((64, 64), np.int32)
    instances[10:16, 10:16], instances[40:50, 40:50] = 1, 2
    arrays = {"instance_map": instances, "class_map": instances * 0, "ids": [1, 2]}
    arrays |= {"uncertainty": [0.3, 0.9], "tissue_map": instances * 0}
    proposal = make_proposal(arrays, np.ones((64, 64), bool))
    layers = ProposalLayers(viewer)
    layers.show(proposal, image, Region(0, 0, 0, 64, 64), [])
    layers.accept(np.ones(2, bool))

    def coloured() -> int:
        shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        return int((shot[..., 0] - shot[..., 2] > 100).sum())

    both = coloured()
    layers.filter(proposal, 0.5)
    assert 0 < coloured() < both
    layers.filter(proposal, 1.0)
    assert coloured() == 0
    layers.filter(proposal, 0.0)
    assert coloured() == both


def test_cancel_and_closing_kill_the_judge(open_dock: OpenDock, wait_for: WaitFor) -> None:
    dock = _open(open_dock, "hang")
    for stop in (dock.proposal.main.click, dock.actions.cancel, dock.shut_down):
        dock.proposal.main.click()
        assert dock.proposal.main.text() == "Cancel"
        wait_for(lambda: dock.proposer.state.done == 2)
        assert dock.proposal.note.text() == "Pass 2 of 2"
        process = psutil.Process(dock.proposer.pid)
        stop()
        wait_for(lambda p=process: not p.is_running())
        if stop != dock.shut_down:
            assert dock.proposal.main.text() == "Propose nuclei"
            assert dock.proposal.main.isEnabled()
    assert dock.proposer.pid is None


@pytest.mark.parametrize(
    ("mode", "words"), [("crash", "propose again"), ("kill", "memory"), ("error", "fetch one")]
)
def test_a_failed_judge_becomes_a_notification(
    open_dock: OpenDock, wait_for: WaitFor, mode: str, words: str
) -> None:
    dock = _open(open_dock, mode)
    notices: list[Notice] = []
    dock.proposer.noticed.disconnect()  # napari's test fixtures raise what is shown as an error
    dock.proposer.noticed.connect(notices.append)
    dock.proposer.propose()
    wait_for(lambda: bool(notices))
    assert notices[0].level is Level.ERROR
    assert words in notices[0].message
    assert dock.proposal.main.isEnabled()
    assert dock.proposal.main.text() == "Propose nuclei"
