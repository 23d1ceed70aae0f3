from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_histodiff.ui.starting import garbage
from napari_histodiff.ui.starting.garbage import KeptObjects

#: What docks do outside of tests.
LEAVE_OUT = KeptObjects.leave_out


@pytest.fixture
def leave_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(KeptObjects, "leave_out", LEAVE_OUT)
    monkeypatch.setattr(garbage, "_AFTER", 20)
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()  # as the session had it


class Held:
    """Refers to itself, so that only a search finds that nobody needs it."""

    def __init__(self) -> None:
        self.me = self


def viewer_with_a_layer() -> tuple[ViewerModel, weakref.ref[Held]]:
    viewer = ViewerModel()
    layer = viewer.add_layer(Image(np.zeros((4, 4), np.uint8)))
    layer.metadata["held"] = held = Held()
    return viewer, weakref.ref(held)


@pytest.mark.usefixtures("leave_out", "qtbot")
def test_a_layer_that_stood_goes_when_it_is_removed() -> None:
    viewer, held = viewer_with_a_layer()
    kept = KeptObjects(viewer)
    kept.leave_out()
    assert gc.get_freeze_count() > 10_000
    gc.collect()
    is_there = held() is not None
    assert is_there
    viewer.add_layer(Image(np.zeros((4, 4), np.uint8)))  # napari remembers the one selected last
    viewer.layers.pop(0)
    assert gc.get_freeze_count() == 0
    gc.collect()
    is_there = held() is not None
    assert not is_there


@pytest.mark.usefixtures("leave_out")
def test_what_came_later_changes_nothing_and_what_stood_is_left_out_again(qtbot) -> None:
    viewer, _ = viewer_with_a_layer()
    kept = KeptObjects(viewer)
    kept.leave_out()
    viewer.add_layer(Image(np.zeros((4, 4), np.uint8)))
    viewer.layers.pop()
    assert gc.get_freeze_count()
    viewer.layers.pop()
    assert not gc.get_freeze_count()
    qtbot.waitUntil(lambda: gc.get_freeze_count() > 0)


@pytest.mark.usefixtures("leave_out", "qtbot")
def test_it_ends() -> None:
    kept = KeptObjects(ViewerModel())
    kept.leave_out()
    assert gc.get_freeze_count()
    kept.close()
    kept.close()
    assert not gc.get_freeze_count()
