from __future__ import annotations

import sys
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import QObject

from napari_histodiff.layout.nucleus_templates import templates_of
from napari_histodiff.layout.slide import SlideLayout
from napari_histodiff.ui import preload
from napari_histodiff.ui.viewport import scale_bar_of, show_scale_bar
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


@pytest.mark.own_window
def test_the_letters_of_the_scale_bar_are_made_one_by_one(
    cold, qtbot, monkeypatch, make_napari_viewer
):
    monkeypatch.setattr(preload, "_DELAY", 20)
    monkeypatch.setattr(preload, "_LOOK", 10)
    monkeypatch.setattr(preload, "_PAUSE", 1)
    viewer = make_napari_viewer()
    info = viewer.window._qt_viewer.canvas._font_info
    font = info.font_manager.get_font(info.face)
    assert not font._glyphs
    parent = QObject()
    preload.preload_later(parent, viewer)
    qtbot.waitUntil(lambda: len(font._glyphs) == len(set(preload._LETTERS)), timeout=30_000)
    preload.preload().join()


@pytest.mark.own_window
def test_the_scale_bar_is_drawn_unseen_in_a_window_that_rests(qtbot, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    bar, canvas = scale_bar_of(viewer), viewer.window._qt_viewer.canvas
    shown = []
    for part in preload._scale_bar_unseen(viewer):
        assert (bar.visible, bar.opacity) == (True, 0)
        drawn = canvas._viewer_overlay_to_visual[bar][0]
        parts = drawn.box, drawn.node.line, drawn.node.text
        shown.append([part.visible for part in parts])
        if part is drawn.node.text:
            qtbot.waitUntil(partial(is_drawn, part))
    assert shown == [[True, False, False], [True, True, False], [True, True, True]]
    assert (bar.visible, bar.opacity) == (False, 1)
    show_scale_bar(viewer)
    assert canvas._viewer_overlay_to_visual[bar] == [drawn]


def is_drawn(text) -> bool:
    """Whether letters were drawn, which makes their corners."""
    return text._vertices is not None


def test_a_scale_bar_that_is_left_half_drawn_is_whole_when_it_is_shown(make_napari_viewer):
    viewer = make_napari_viewer()
    bar, steps = scale_bar_of(viewer), preload._scale_bar_unseen(viewer)
    next(steps)
    text = viewer.window._qt_viewer.canvas._viewer_overlay_to_visual[bar][0].node.text
    assert not text.visible
    steps.close()  # as when the dock goes
    assert text.visible
    assert (bar.visible, bar.opacity) == (False, 1)


def test_a_scale_bar_that_an_image_needs_meanwhile_stays(make_napari_viewer):
    viewer = make_napari_viewer()
    steps = preload._scale_bar_unseen(viewer)
    next(steps)
    viewer.add_image(np.zeros((8, 8)))
    show_scale_bar(viewer)
    list(steps)
    bar = scale_bar_of(viewer)
    assert (bar.visible, bar.opacity) == (True, 1)
    bar.visible = False
    assert list(preload._scale_bar_unseen(viewer)) == []  # the image would be drawn again
    assert not bar.visible


def test_letters_of_another_napari_are_left_to_it():
    assert list(preload._letters_of(None)) == []


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
    preload.preload_later(gone, None, lambda: calls.append("wrong"))
    preload.preload_later(parent, None, lambda: calls.append("ready"))
    assert calls == []
    del gone
    qtbot.waitUntil(lambda: bool(calls))
    qtbot.wait(60)
    assert calls == ["begun"]
    loading.set()
    qtbot.waitUntil(lambda: len(calls) > 1)
    qtbot.wait(60)
    assert calls == ["begun", "ready"]
