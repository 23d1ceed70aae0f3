"""The card of a model, and the question how one of other makers takes paint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from qtpy.QtWidgets import QInputDialog, QLabel

from napari_histodiff.core.foreign.convention import preset, read_convention
from napari_histodiff.ui.models.dialogs import ask_masks, card_html, show_card
from tests.fakes import FAKE_INFO

FOREIGN = replace(
    FAKE_INFO,
    kind="StableDiffusionControlNetPipeline",
    licence="openrail <b>",
    captions="text",
    paint=("tissue",),
    nbytes=5 * 2**30,
    steps=70,
    guidance_scale=7.5,
)


def test_a_card_says_what_a_model_is() -> None:
    text = card_html(FOREIGN)
    for words in (
        "StableDiffusionControlNetPipeline",
        "openrail &lt;b&gt;",
        "5.00 GiB",
        "Nuclei it was told of</b>&nbsp;&nbsp;</td><td>none",
        "gland, stroma, lumen, glass",
        "free text",
        "70 steps at guidance 7.5",
    ):
        assert words in text
    assert "epithelial 10" in card_html(FAKE_INFO)
    assert "Size" not in card_html(FAKE_INFO)


def test_the_card_is_a_window_that_stays(qtbot) -> None:
    dialog = show_card(None, FOREIGN)
    qtbot.addWidget(dialog)
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert "openrail" in dialog.findChildren(QLabel)[0].text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    index = {"_class_name": "StableDiffusionControlNetPipeline"}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    return tmp_path


def test_how_paint_is_taken_is_asked_once_and_kept(folder, monkeypatch) -> None:
    asked: list[tuple[str, ...]] = []

    def answer(parent, title, text, items, *rest):
        asked.append(tuple(items))
        return "bcss-tissue", True

    monkeypatch.setattr(QInputDialog, "getItem", answer)
    assert ask_masks(None, folder)
    assert read_convention(folder) == preset("bcss-tissue")
    assert ask_masks(None, folder)
    assert len(asked) == 1


def test_who_does_not_say_goes_on_with_the_model_they_had(folder, monkeypatch) -> None:
    monkeypatch.setattr(QInputDialog, "getItem", lambda *a: ("bcss-tissue", False))
    assert not ask_masks(None, folder)
    assert read_convention(folder) is None


@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "HistoDiffusionPipeline", "Other"])
def test_models_without_a_control_image_ask_nothing(folder, monkeypatch, name) -> None:
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
    monkeypatch.setattr(QInputDialog, "getItem", lambda *a: pytest.fail("asked"))
    assert ask_masks(None, folder)
