"""The note below the main button says where nuclei that nobody painted come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.engine import EngineState, EngineStateChanged
from napari_histodiff.core.requests import EditKind
from napari_histodiff.ui.workspace.targets import CanvasTarget
from tests.ui.suggesting import GLAND, Studio


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A frame on pixels, with an edit mask in one half."""
    studio = Studio(tmp_path)
    document = studio.document
    document.write(document.region, np.full((*document.region.shape, 3), 200, np.uint8))
    mask = np.zeros(document.region.shape, np.bool_)
    mask[16:112, 64:112] = True
    document.edit_mask.put(mask)
    return studio


def note(studio: Studio) -> str:
    studio.controller.refresh_plan()
    said = studio.controller.plan.note
    assert "No nuclei painted where pixels change: " in said
    return said.rpartition("change: ")[2]


def drawn_nuclei(studio: Studio) -> bool:
    """Whether the request that Generate makes has any nucleus."""
    studio.controller.generate()
    studio.wait()
    (request,) = studio.engine.submitted
    assert request.kind is EditKind.INPAINT
    return request.class_map is not None and bool(request.class_map.any())


def test_an_edit_without_paint_is_left_to_the_model(studio: Studio) -> None:
    assert note(studio) == "the model places them"
    assert not drawn_nuclei(studio)


def test_nuclei_are_suggested_where_tissue_is_painted(studio: Studio) -> None:
    studio.document.paint_tissue(np.full(studio.document.region.shape, GLAND, np.uint8))
    assert note(studio) == "they are suggested"
    assert drawn_nuclei(studio)


def test_nuclei_elsewhere_in_the_frame_count_for_the_suggestion(studio: Studio) -> None:
    square = np.zeros(studio.document.region.shape, np.int32)
    square[4:14, 4:14] = 1
    studio.document.paint_nuclei(2 * square, square)
    assert note(studio) == "they are suggested, unless yours lie near"


def test_with_suggestions_off_the_model_places_them(studio: Studio) -> None:
    studio.document.paint_tissue(np.full(studio.document.region.shape, GLAND, np.uint8))
    studio.controller.set(suggest=False)
    assert note(studio) == "the model places them"
    assert not drawn_nuclei(studio)


def test_on_a_slide_its_own_are_suggested_or_drawn(studio, monkeypatch) -> None:
    shape = studio.document.region.shape
    square = np.zeros(shape, np.int32)
    square[40:60, 70:90] = 1
    own = (2 * square.astype(np.uint8), square, np.full(shape, GLAND, np.uint8))
    monkeypatch.setattr(CanvasTarget, "has_own_maps", True)
    monkeypatch.setattr(CanvasTarget, "own_maps", lambda target, region: own)
    studio.controller.set(suggest=False)
    assert note(studio) == "the slide's own are drawn"
    studio.controller.set(suggest=True)
    assert note(studio) == "they are suggested"
    assert drawn_nuclei(studio)
    np.testing.assert_array_equal(studio.document.nuclei.maps()[0], own[0])


def test_the_time_is_told_from_when_what_is_in_work_is_drawn(studio: Studio) -> None:
    engine, controller = studio.engine, studio.controller
    for state in (EngineState.BUSY, EngineState.READY):  # with a tile of a slide, say
        engine.emit(EngineStateChanged(state, controller.status.info))
        controller.pump()
        controller.refresh_plan()
        is_told = "once what is in work is drawn" in controller.plan.note
        assert is_told == (state is EngineState.BUSY)
