from __future__ import annotations

import sys
import threading
from dataclasses import replace

import pytest
from qtpy.QtCore import QObject

from napari_histodiff.layout.nucleus_templates import templates_of
from napari_histodiff.layout.slide import SlideLayout
from napari_histodiff.ui import preload
from tests.slide.fake_store import small_recipe


@pytest.fixture
def cold():
    templates_of.cache_clear()
    preload.preload.cache_clear()
    yield
    preload.preload.cache_clear()


def test_a_layout_finds_its_outlines_ready(cold):
    thread = preload.preload()
    assert preload.preload() is thread
    thread.join()
    made = templates_of.cache_info().misses
    SlideLayout(replace(small_recipe(), mpp=0.5))
    assert templates_of.cache_info().misses == made
    assert "pandas" in sys.modules


def test_what_cannot_be_prepared_is_logged_and_hurts_nobody(cold, monkeypatch, caplog):
    def broken(mpp):
        raise ImportError("expected a library, got none; install it")

    monkeypatch.setattr(preload, "templates_of", broken)
    preload.preload().join()
    assert "install it" in caplog.text


def test_it_waits_until_the_window_is_up_and_not_for_one_that_is_gone(qtbot, monkeypatch):
    calls = []
    monkeypatch.setattr(preload, "_DELAY", 20)
    monkeypatch.setattr(preload, "_LOOK", 10)
    loading = threading.Event()
    thread = threading.Thread(target=loading.wait)

    def begin() -> threading.Thread:
        calls.append("begun")
        thread.start()
        return thread

    monkeypatch.setattr(preload, "preload", begin)
    parent, gone = QObject(), QObject()
    preload.preload_later(gone, lambda: calls.append("wrong"))
    preload.preload_later(parent, lambda: calls.append("ready"))
    assert calls == []
    del gone
    qtbot.waitUntil(lambda: bool(calls))
    qtbot.wait(60)
    assert calls == ["begun"]
    loading.set()
    qtbot.waitUntil(lambda: len(calls) > 1)
    qtbot.wait(60)
    assert calls == ["begun", "ready"]
