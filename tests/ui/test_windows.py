"""What one test does to a window, the next does not see."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from qtpy.QtWidgets import QDialog, QLabel

from napari_histodiff.ui.viewport import camera_of, show_scale_bar
from tests.ui.windows import Windows

pytestmark = pytest.mark.usefixtures("qtbot")


def test_a_viewer_that_was_used_is_like_a_new_one(windows: Windows) -> None:
    viewer = windows.lend()
    camera, main, heard = camera_of(viewer), viewer.window._qt_window, list[object]()
    new = (viewer.title, viewer.theme, viewer.status, viewer.dims.ndisplay, camera.zoom)
    keys, size = set(viewer.keymap), main.size()
    viewer.add_image(np.zeros((3, 8, 8)))
    show_scale_bar(viewer)
    viewer.dims.ndisplay = 3
    viewer.title, viewer.theme, viewer.status, camera.zoom = "used", "light", "busy", 7.5
    viewer.bind_key("k", lambda _: None)
    viewer.mouse_move_callbacks.append(lambda *_: None)
    viewer.layers.events.inserted.connect(heard.append)
    camera.events.connect(heard.append)
    viewer.window.add_dock_widget(QLabel("used"), name="used")
    dialog = QDialog(main)
    dialog.setObjectName("used")
    viewer.window.resize(1500, 300)
    windows.take_back(has_passed=True)

    assert windows.lend() is viewer
    assert (viewer.title, viewer.theme, viewer.status, viewer.dims.ndisplay, camera.zoom) == new
    assert (set(viewer.keymap), main.size()) == (keys, size)
    assert len(viewer.layers) == len(viewer.window.dock_widgets) == 0
    assert [each for each in main.findChildren(QLabel) if each.text() == "used"] == []
    assert main.findChild(QDialog, "used") is None
    viewer.add_image(np.zeros((8, 8)))
    camera.zoom = 2.0
    assert heard == viewer.mouse_move_callbacks == []
    windows.take_back(has_passed=True)


def test_who_holds_a_viewer_never_gets_it_twice(windows: Windows) -> None:
    one, other = windows.lend(), windows.lend()
    assert one is not other
    windows.take_back(has_passed=True)


@pytest.mark.parametrize("way", ["failed", "closed"])
def test_a_viewer_that_may_be_broken_is_not_used_again(windows: Windows, way: str) -> None:
    gone = weakref.ref(windows.lend())
    if way == "closed":
        gone().close()
    windows.take_back(has_passed=way == "closed")
    again = windows.lend()
    assert again is not gone()
    windows.take_back(has_passed=True)


def test_a_window_without_style_is_not_to_be_shown(windows: Windows) -> None:
    windows.lend().window._qt_window.show()
    with pytest.raises(AssertionError, match="show=True"):
        windows.take_back(has_passed=True)
