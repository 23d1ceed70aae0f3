"""Labels that are read in a thread while the window lives, and what can go wrong with them."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.import_labels import look_like_numbers_of_nuclei
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.ui.mouse import click

REGION = Region(0, 64, 64, 64, 64)


class SlowArray:
    """Nothing but what napari asks of an array; it is read when `go` is set."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim
        self.go = threading.Event()
        self.go.set()
        self.threads: list[threading.Thread] = []
        self.error: Exception | None = None
        self._pixels = pixels

    def __getitem__(self, key: object) -> np.ndarray:
        assert self.go.wait(60)
        self.threads.append(threading.current_thread())
        if self.error is not None:
            raise self.error
        return self._pixels[key]

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        return self[:]


def numbers() -> np.ndarray:
    ids = np.zeros((256, 256), np.int32)
    for number, (y, x) in enumerate(((70, 70), (80, 90), (100, 100)), start=1):
        ids[y : y + 4, x : x + 4] = number
    return ids


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def workspace(viewer):
    workspace = Workspace(viewer, seed=0)
    workspace.new_canvas(256, 256)
    workspace.document.set_frame(REGION)
    return workspace


@pytest.fixture
def slow(viewer):
    """A layer that is not read before `go` is set."""
    array = SlowArray(numbers())
    layer = viewer.add_labels(array, scale=(0.5, 0.5), units=("um", "um"))
    array.threads.clear()
    array.go.clear()
    yield layer
    array.go.set()


def deliver(workspace, step):
    end = time.monotonic() + 60
    while not step.is_over:
        assert time.monotonic() < end, "waited in vain"
        workspace.deliver()
        time.sleep(0.002)


def test_a_lazy_layer_is_read_in_a_thread_and_painted_as_one_undo_step(workspace, slow):
    said = []
    workspace.doing.changed.connect(said.append)
    document = workspace.document
    click(document.nuclei.layer, (10, 12))
    before = document.nuclei.labels.copy()
    step = workspace.import_labels(slow, 3)
    workspace.deliver()
    assert not step.is_over
    assert said == [workspace.doing.text] == ["Reading the labels…"]
    assert np.array_equal(document.nuclei.labels, before)
    slow.data.go.set()
    deliver(workspace, step)
    assert (step.error, step.region) == (None, REGION)
    assert said[1:] == [workspace.doing.text] == [""]
    assert slow.data.threads
    assert threading.main_thread() not in slow.data.threads
    assert document.nuclei.counts()["lymphocyte"] == 3
    document.nuclei.layer.undo()
    assert np.array_equal(document.nuclei.labels, before)


def test_numbers_in_memory_are_there_at_once(workspace, viewer):
    layer = viewer.add_labels(numbers(), scale=(0.5, 0.5), units=("um", "um"))
    step = workspace.import_labels(layer, 3)
    assert (step.is_over, step.region, workspace.doing.text) == (True, REGION, "")
    assert workspace.document.nuclei.counts()["lymphocyte"] == 3


def move_frame(workspace):
    workspace.document.set_frame(Region(0, 0, 0, 64, 64))


def scale_image(workspace):
    workspace.target.scale = (0.25, 0.25)


def use_other_image(workspace):
    workspace.new_canvas(128, 128)


def remove_image(workspace):
    workspace._viewer.layers.remove(workspace.target)


@pytest.mark.parametrize("change", [move_frame, scale_image, use_other_image, remove_image])
def test_labels_for_another_place_are_dropped_with_a_word(viewer, slow, change):
    workspace = Workspace(viewer, seed=0)
    workspace.use_layer(
        viewer.add_image(np.zeros((256, 256, 3), np.uint8), scale=(0.5, 0.5), units=("um", "um"))
    )
    workspace.document.set_frame(REGION)
    layer = workspace.document.nuclei.layer
    step = workspace.import_labels(slow, 3)
    change(workspace)
    assert isinstance(step.error, InvalidRequest)
    assert "import or fill again" in str(step.error)
    assert workspace.doing.text == ""
    slow.data.go.set()
    while not slow.data.threads:
        time.sleep(0.002)
    slow.data.threads[0].join(60)
    workspace.deliver()
    assert not layer.data.any()


def test_cancelled_labels_leave_the_paint_and_the_next_ones_do_not_wait(workspace, slow, viewer):
    step = workspace.import_labels(slow, 3)
    workspace.cancel_import()
    assert (step.is_over, step.region, step.error) == (True, None, None)
    array = SlowArray(numbers())
    other = viewer.add_labels(array, scale=(0.5, 0.5), units=("um", "um"))
    deliver(workspace, workspace.import_labels(other, 3))
    assert slow.data.threads == []
    assert workspace.document.nuclei.counts()["lymphocyte"] == 3


def test_one_layer_is_read_at_a_time(workspace, slow):
    step = workspace.import_labels(slow, 3)
    with pytest.raises(InvalidRequest, match="wait"):
        workspace.import_labels(slow, 2)
    slow.data.go.set()
    deliver(workspace, step)
    assert workspace.document.nuclei.counts()["lymphocyte"] == 3


@pytest.mark.parametrize("error", [OSError("the share is gone"), KeyError(4), MemoryError()])
def test_an_array_that_raises_is_an_error_with_its_reason(workspace, slow, error):
    slow.data.error = error
    step = workspace.import_labels(slow, 3)
    slow.data.go.set()
    deliver(workspace, step)
    assert isinstance(step.error, InvalidMap)
    assert type(error).__name__ in str(step.error)
    assert slow.name in str(step.error)
    assert workspace.doing.text == ""
    with pytest.raises(InvalidMap, match=type(error).__name__):  # and from a script
        workspace.document.import_labels(slow, 3)
    assert not workspace.document.nuclei.labels.any()


def test_layers_that_the_user_took_away_meanwhile_are_put_back(workspace, slow, viewer):
    step = workspace.import_labels(slow, 3)
    viewer.layers.remove(workspace.document.nuclei.layer)
    slow.data.go.set()
    deliver(workspace, step)
    assert step.error is None
    assert workspace.document.nuclei.counts()["lymphocyte"] == 3


def test_numbers_of_nuclei_are_refused_as_classes(workspace, viewer):
    ids = np.kron(np.arange(64).reshape(8, 8), np.ones((16, 16), int))
    layer = viewer.add_labels(np.tile(ids, (2, 2)), scale=(0.5, 0.5), units=("um", "um"))
    with pytest.raises(InvalidMap, match=r"numbers up to 63, as if each nucleus had its own"):
        workspace.import_labels(layer, None)


@pytest.mark.parametrize(
    ("pixels", "counts", "expected"),
    [
        ([1, 2, 3], {"a": 1, "b": 1, "c": 1}, True),
        ([3, 64], {"a": 1}, True),
        ([3], {"a": 1}, False),
        ([1, 2, 3], {"a": 4, "b": 1, "c": 0}, False),
        ([64], {"a": 0}, False),
    ],
)
def test_numbers_of_nuclei_are_told_from_classes(pixels, counts, expected):
    layer = Labels(np.array([pixels] * 2))
    assert look_like_numbers_of_nuclei(layer, counts) is expected


def test_nothing_more_of_a_lazy_layer_is_read_to_tell_its_numbers(slow):
    assert look_like_numbers_of_nuclei(slow, {"a": 3}) is False
    assert slow.data.threads == []
