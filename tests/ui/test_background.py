from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_histodiff.core.errors import StorageError
from napari_histodiff.ui.background import glance, in_background


def test_the_window_lives_while_work_is_waited_for(qtbot) -> None:
    ticks: list[str] = []
    go = threading.Event()
    timer = QTimer()
    timer.timeout.connect(lambda: (ticks.append(threading.current_thread().name), go.set()))
    timer.start(1)

    def work() -> str:
        assert go.wait(60)
        return threading.current_thread().name

    assert in_background(work).startswith("histodiff-files")
    assert ticks[0] == threading.current_thread().name


def test_what_work_raises_is_raised(qtbot) -> None:
    def work() -> None:
        raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="full"):
        in_background(work)


@pytest.fixture
def window(make_napari_viewer, qtbot) -> SimpleNamespace:
    """The canvas of a window that is up; `told` has what happens."""
    canvas = make_napari_viewer(show=True).window._qt_viewer.canvas
    told: list[str] = []
    canvas._scene_canvas.events.draw.connect(lambda _: told.append("drawn"))
    qtbot.waitExposed(canvas.native)
    canvas.native.update()
    qtbot.waitUntil(lambda: bool(told))
    qtbot.wait(100)
    told.clear()
    return SimpleNamespace(canvas=canvas.native, told=told)


def test_timers_run_before_the_window_is_drawn(window) -> None:
    timer = QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(lambda: window.told.append("timer"))
    timer.start(1)
    time.sleep(0.02)  # it is due, as the drawing is
    window.canvas.update()
    glance()
    assert window.told[:2] == ["timer", "drawn"]
    window.told.clear()
    window.canvas.update()  # and the window is drawn as ever after
    glance()
    assert "drawn" in window.told


def test_a_canvas_that_grows_meanwhile_is_drawn_after_the_timers_too(window) -> None:
    def grow() -> None:
        window.canvas.resize(window.canvas.width() - 20, window.canvas.height() - 20)
        window.told.append("timer")

    QTimer.singleShot(0, grow)
    glance()
    assert window.told[0] == "timer"
    assert "drawn" in window.told


def test_a_window_that_goes_meanwhile_hurts_nobody(window, qtbot) -> None:
    other = QWidget()
    other.show()
    qtbot.waitExposed(other)
    other.update()
    QTimer.singleShot(0, lambda: delete(other))
    window.canvas.update()
    glance()
    assert "drawn" in window.told


def delete(widget: QWidget) -> None:
    """Delete a widget at once, as Qt does with one whose parent goes."""
    parent = QWidget()
    widget.setParent(parent)
    parent.deleteLater()
    del parent
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
