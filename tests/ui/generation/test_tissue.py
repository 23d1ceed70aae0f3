"""Painted tissue on its way into requests, plans, captions and the history."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.engine import EngineState, EngineStateChanged
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.requests import EditKind
from napari_histodiff.ui.generation.plan import tissue_remark
from tests.fakes import FAKE_INFO
from tests.ui.doubles import Desk

STROMA, MUSCLE, MUCUS = (TISSUE_NAMES.index(name) for name in ("stroma", "muscle", "mucus"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.ready()
    return desk


def tissue_of(desk: Desk) -> np.ndarray:
    return desk.workspace.document.frame.tissue_map


def test_the_request_has_what_is_painted_in_the_model_s_schema(desk: Desk) -> None:
    tissue_of(desk)[:9], tissue_of(desk)[9:20] = STROMA, MUSCLE
    desk.controller.generate()
    expected = np.where(tissue_of(desk) == STROMA, STROMA, 0)
    np.testing.assert_array_equal(desk.engine.submitted[0].tissue_map, expected)
    assert desk.engine.submitted[0].class_map is None
    desk.finish()
    names = ("unspecified", "muscle", "stroma")
    info = replace(FAKE_INFO, tissue_names=names)
    desk.emit(EngineStateChanged(EngineState.READY, info, 2**30))
    desk.controller.generate()
    np.testing.assert_array_equal(np.unique(desk.engine.submitted[1].tissue_map), [0, 1, 2])
    assert (desk.engine.submitted[1].tissue_map[9:20] == 1).all()


def test_nothing_is_told_where_the_model_knows_none_of_it(desk: Desk) -> None:
    tissue_of(desk)[:9] = MUSCLE
    desk.controller.generate()
    assert desk.engine.submitted[0].tissue_map is None


@pytest.mark.parametrize("kind", [EditKind.INPAINT, EditKind.OUTPAINT])
def test_tissue_counts_only_where_pixels_change(desk: Desk, kind: EditKind) -> None:
    frame = desk.workspace.document.frame
    frame.kind, frame.has_pixels = kind, True
    frame.edit_mask[:, 32:] = True
    tissue_of(desk)[:, :32] = STROMA
    desk.controller.generate()
    assert desk.engine.submitted[0].tissue_map is None


def test_the_plan_says_what_the_model_does_not_know(desk: Desk) -> None:
    tissue_of(desk)[:9], tissue_of(desk)[9:20], tissue_of(desk)[20:25] = STROMA, MUSCLE, MUCUS
    shares: list[dict[str, float]] = []
    desk.controller.tissue_changed.connect(shares.append)
    desk.controller.refresh_plan()
    desk.controller.refresh_plan()
    assert shares == [{"stroma": 9 / 48, "muscle": 11 / 48, "mucus": 5 / 48}]
    note = desk.controller.plan.note
    assert "does not know muscle and mucus, and is not told of it" in note
    assert "stroma" not in note
    assert tissue_remark("muscle", None) == tissue_remark("stroma", FAKE_INFO) == ""


def test_the_plan_remarks_on_nuclei_where_none_are_expected(desk: Desk, monkeypatch) -> None:
    summary = replace(desk.workspace.document.summary(), astray={"lumen": 2, "glass": 1})
    monkeypatch.setattr(desk.workspace.document, "summary", lambda: summary)
    desk.controller.refresh_plan()
    assert "none are expected, and drawn: 2 nuclei in lumen and 1 nucleus in glass" in (
        desk.controller.plan.note
    )


def test_a_restored_entry_has_its_tissue_back_known_to_the_model_or_not(desk: Desk) -> None:
    tissue_of(desk)[:9], tissue_of(desk)[9:20] = STROMA, MUSCLE
    painted = tissue_of(desk)
    desk.controller.generate()
    desk.finish()
    desk.workspace.document.frame.tissue_map = np.zeros_like(painted)
    desk.controller.restore(desk.controller.history.entries[0])
    np.testing.assert_array_equal(desk.workspace.document.painted[-1][3], painted)
    desk.controller.staged.discard()
    desk.controller.generate()
    desk.finish()
    desk.controller.restore(desk.controller.history.entries[0])
    assert not desk.workspace.document.painted[-1][3].any()


def test_save_writes_the_tissue_with_its_names(desk: Desk, tmp_path: Path) -> None:
    tissue_of(desk)[:9] = STROMA
    desk.controller.generate()
    desk.finish()
    desk.save(tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*_tissue.png"))) == 1
    told = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert told["model"]["tissue_names"] == list(FAKE_INFO.tissue_names)


def test_the_caption_from_paint_names_tissue(desk: Desk) -> None:
    tissue_of(desk)[:9], tissue_of(desk)[9:20] = STROMA, MUSCLE
    desk.controller.caption_from_paint()
    assert desk.controller.settings.caption == "stroma, smooth muscle"
    desk.workspace.document.frame.class_map[4:9, 4:9] = 4
    desk.controller.caption_from_paint()
    caption = desk.controller.settings.caption
    assert "high plasma cells" in caption
    assert caption.endswith("stroma, smooth muscle")
