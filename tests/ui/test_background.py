from __future__ import annotations

import threading

import pytest
from qtpy.QtCore import QTimer

from napari_histodiff.core.errors import StorageError
from napari_histodiff.ui.background import in_background


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
