from __future__ import annotations

from typing import TYPE_CHECKING

from napari_histodiff.core.listeners import Listeners

if TYPE_CHECKING:
    import pytest


def test_a_listener_hears_until_it_stops() -> None:
    heard: list[int] = []
    listeners: Listeners[int] = Listeners()
    stop = listeners.add(heard.append)
    listeners.emit(1)
    stop()
    stop()
    listeners.emit(2)
    assert heard == [1]


def test_one_that_fails_keeps_none_back(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []
    listeners: Listeners[int] = Listeners()

    def fail(_: int) -> None:
        raise ValueError("the moon is full")

    listeners.add(fail)
    listeners.add(heard.append)
    listeners.emit(3)
    assert heard == [3]
    assert "a listener failed on int" in caplog.text
