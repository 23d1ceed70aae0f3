from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.nucleus_shapes import nucleus_statistics
from napari_histodiff.ui.painting.filling import Filling
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.filling import deliver


@pytest.fixture
def workspace() -> Workspace:
    workspace = Workspace(ViewerModel(), seed=0)
    workspace.new_canvas(256, 256)
    workspace.document.set_frame(Region(0, 0, 0, 128, 128))
    return workspace


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch):
    """Fillings that wait until they are let go; the threads they are worked out in."""
    work = Filling.nuclei
    go, threads = threading.Event(), []

    def wait(self: Filling, is_left):
        threads.append(threading.current_thread())
        go.wait()
        return work(self, is_left)

    monkeypatch.setattr(Filling, "nuclei", wait)
    yield go, threads
    go.set()


def test_an_area_is_filled_in_a_thread_clear_of_what_is_painted_meanwhile(workspace, held) -> None:
    go, threads = held
    document = workspace.document
    step = workspace.fill_area()
    assert workspace.doing.text == "Filling the area…"
    document.nuclei.layer.data_setitem((np.arange(60, 70), np.full(10, 64)), 9)
    go.set()
    deliver(workspace, step)
    assert threading.main_thread() not in threads
    assert workspace.doing.text == ""
    labels = document.nuclei.labels
    assert (labels[60:70, 64] == 9).all()
    assert len(np.unique(labels)) > 20
    document.nuclei.layer.undo()
    assert set(np.unique(labels)) == {0, 9}  # one step


def test_another_frame_or_cancel_leave_the_paint_as_it_is(workspace, held) -> None:
    go, _ = held
    said: list[tuple[str, bool]] = []
    workspace.doing.changed.connect(lambda *told: said.append(told))
    step = workspace.fill_area()
    assert said == [("Filling the area…", True)]  # the main button is Cancel
    workspace.document.set_frame(Region(0, 128, 128, 128, 128))
    assert isinstance(step.error, InvalidRequest)
    step = workspace.fill_area()
    with pytest.raises(InvalidRequest, match="nothing else"):
        workspace.fill_area()
    workspace.cancel_import()
    assert (step.is_over, step.error) == (True, None)
    go.set()
    workspace.deliver()
    assert not workspace.document.nuclei.labels.any()


def test_nobody_works_for_an_area_that_was_left(workspace) -> None:
    asked = []
    filling = workspace.document.filling()

    def is_left() -> bool:
        asked.append(True)
        return len(asked) > 4

    _, instances = filling.nuclei(is_left)
    assert len(asked) == 5
    assert 1 <= instances.max() <= 3


def test_nuclei_of_a_full_area_neither_touch_nor_are_cut_apart(workspace) -> None:
    classes, instances = workspace.document.filling().nuclei()
    wanted = nucleus_statistics(2).density * (128 * 0.5 / 1000) ** 2
    assert 0.5 * wanted < instances.max() <= wanted + 2
    assert set(np.unique(classes)) == {0, 2}
    for axis in (0, 1):
        one = np.moveaxis(instances, axis, 0)
        pairs = one[1:][(one[1:] > 0) & (one[:-1] > 0)], one[:-1][(one[1:] > 0) & (one[:-1] > 0)]
        assert (pairs[0] == pairs[1]).all()
