"""Edits whose model saw more than the frame come back where the frame was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.generation.history import HistoryEntry
from napari_histodiff.ui.generation.second import same_for
from napari_histodiff.ui.history.archive import Archive
from tests.fakes import FAKE_INFO
from tests.ui.suggesting import Studio, finish, shown

FRAME = Region(0, 64, 64, 128, 128)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An inpaint in the middle of an image, with tissue, a nucleus and context; drawn."""
    studio = Studio(tmp_path)
    studio.workspace.new_canvas(256, 256)
    document = studio.document
    whole = Region(0, 0, 0, 256, 256)
    document.write(whole, np.full((256, 256, 3), 99, np.uint8))
    document.set_frame(FRAME)
    studio.paint_gland()
    nucleus = np.zeros((2, *FRAME.shape), np.int32)
    nucleus[:, 10:20, 60:70] = 3
    document.paint_nuclei(nucleus[0].astype(np.uint8), nucleus[1])
    mask = np.zeros(FRAME.shape, bool)
    mask[:40, 50:90] = True
    document.edit_mask.put(mask)
    studio.controller.set(context=16.0, suggest=False)
    studio.controller.refresh_plan()
    studio.controller.generate()
    studio.wait()
    finish(studio)
    assert studio.engine.submitted[-1].region.contains(FRAME)
    assert studio.engine.submitted[-1].region != FRAME
    return studio


def kept(entry: HistoryEntry, folder: Path) -> HistoryEntry:
    archive = Archive(folder / "kept")
    archive.write(entry)
    return archive.read(archive.all()[0])


@pytest.mark.parametrize("later", [False, True])
def test_it_is_restored_with_frame_paint_and_mask(
    studio: Studio, tmp_path: Path, later: bool
) -> None:
    document = studio.document
    paint, mask = shown(studio), document.edit_mask.mask
    (entry,) = studio.controller.history.entries
    studio.controller.staged.discard()
    document.clear()
    document.set_frame(Region(0, 0, 0, 64, 64))
    studio.controller.restore(kept(entry, tmp_path) if later else entry)
    assert studio.notices == []
    assert document.region == FRAME
    for before, now in zip(paint, shown(studio), strict=True):
        assert before.any()
        np.testing.assert_array_equal(now, before)
    np.testing.assert_array_equal(document.edit_mask.mask, mask)
    staging = studio.controller.staged.now
    assert (staging.region, staging.frame) == (entry.request.region, FRAME)


def test_one_kept_before_frames_were_known_comes_back_as_the_model_saw_it(studio: Studio) -> None:
    (entry,) = studio.controller.history.entries
    small = entry.tissue[32:, :]  # of the frame alone
    studio.controller.restore(replace(entry, frame=None, tissue=small))
    assert studio.notices == []
    assert studio.document.region == entry.request.region
    np.testing.assert_array_equal(shown(studio)[1], entry.request.tissue_map)


def test_another_model_draws_it_as_well(studio: Studio) -> None:
    (entry,) = studio.controller.history.entries
    for one in (entry, replace(entry, tissue=entry.tissue[32:, :])):
        request = same_for(one, FAKE_INFO, FAKE_INFO)
        np.testing.assert_array_equal(request.tissue_map, entry.request.tissue_map)


def test_its_frame_moves_with_it(studio: Studio) -> None:
    (entry,) = studio.controller.history.entries
    seen = entry.request.region
    there = entry.at(replace(seen.translate(8, 16), level=1))
    assert there.place == replace(FRAME.translate(8, 16), level=1)
