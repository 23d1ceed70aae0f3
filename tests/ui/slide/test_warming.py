from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from qtpy.QtCore import QObject

from napari_histodiff.layout.nucleus_templates import bank_of
from napari_histodiff.layout.slide import SlideLayout
from napari_histodiff.ui.slide import warming
from tests.slide.fake_store import small_recipe


@pytest.fixture
def cold():
    bank_of.cache_clear()
    warming.warm_up.cache_clear()
    yield
    warming.warm_up.cache_clear()


def test_a_layout_finds_its_outlines_ready(cold):
    thread = warming.warm_up()
    assert warming.warm_up() is thread
    thread.join()
    made = bank_of.cache_info().misses
    SlideLayout(replace(small_recipe(), mpp=0.5))
    assert bank_of.cache_info().misses == made
    assert "pandas" in sys.modules


def test_what_cannot_be_prepared_is_logged_and_hurts_nobody(cold, monkeypatch, caplog):
    def broken(mpp):
        raise ImportError("expected a library, got none; install it")

    monkeypatch.setattr(warming, "bank_of", broken)
    warming.warm_up().join()
    assert "install it" in caplog.text


def test_it_waits_until_the_window_is_up_and_not_for_one_that_is_gone(qtbot, monkeypatch):
    calls = []
    monkeypatch.setattr(warming, "_DELAY", 20)
    monkeypatch.setattr(warming, "warm_up", lambda: calls.append(1))
    parent, gone = QObject(), QObject()
    warming.warm_up_later(gone)
    warming.warm_up_later(parent)
    assert calls == []
    del gone
    qtbot.waitUntil(lambda: bool(calls))
    qtbot.wait(60)
    assert calls == [1]
