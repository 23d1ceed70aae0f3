"""What is not painted is suggested before it is drawn, in a thread."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.engine import JobCancelled
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.generation import suggestions
from napari_histodiff.ui.generation.variation import Series, Variation, Varied
from napari_histodiff.ui.workspace import snapshot
from tests.ui.suggesting import GLAND, Studio, finish, shown


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def test_three_strokes_of_tissue_are_enough(studio: Studio) -> None:
    tissue = studio.paint_gland()
    studio.controller.generate()
    assert not studio.engine.submitted
    studio.wait()
    (request,) = studio.engine.submitted
    assert (request.tissue_map[tissue > 0] == GLAND).all()
    assert request.tissue_map.all()
    assert request.class_map[tissue > 0].any()
    # What is drawn is what the layers show.
    classes, _ = studio.document.nuclei.maps()
    np.testing.assert_array_equal(classes, request.class_map)
    np.testing.assert_array_equal(studio.document.tissue.tissue, request.tissue_map)
    studio.document.tissue.layer.undo()
    np.testing.assert_array_equal(studio.document.tissue.tissue, tissue)


def test_what_is_drawn_was_chosen_when_the_button_was_pressed(studio: Studio) -> None:
    studio.paint_gland()
    studio.controller.set(guidance_scale=1.5)
    studio.controller.generate()
    studio.controller.set(guidance_scale=4.0, caption="lung")
    studio.wait()
    (request,) = studio.engine.submitted
    assert (request.guidance_scale, request.caption) == (1.5, "colon, gland")


def test_pressing_generate_copies_and_leaves_the_rest_to_the_thread(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    told_apart = snapshot.nuclei_maps
    monkeypatch.setattr(
        snapshot,
        "nuclei_maps",
        lambda labels: threads.append(threading.current_thread()) or told_apart(labels),
    )
    studio.paint_gland()
    run(studio)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def run(studio: Studio) -> np.ndarray:
    """Generate, wait until the engine has the request, and cancel it there."""
    studio.controller.generate()
    studio.wait()
    studio.engine.emit(JobCancelled(str(len(studio.engine.submitted))))
    studio.controller.pump()
    return studio.engine.submitted[-1].tissue_map


def test_each_run_suggests_something_else_until_somebody_touches_it(studio: Studio) -> None:
    studio.paint_gland()
    first = run(studio)
    np.testing.assert_array_equal(run(studio), first)
    studio.controller.set(seed=5)
    second = run(studio)
    assert (second != first).any()
    edited = second.copy()
    edited[:20, :20] = TISSUE_NAMES.index("glass")
    studio.document.paint_tissue(edited)
    studio.controller.set(seed=6)
    np.testing.assert_array_equal(run(studio), edited)


def test_what_was_asked_for_is_drawn_as_it_is_shown(studio: Studio) -> None:
    studio.paint_gland()
    studio.controller.suggest()
    studio.wait()
    shown = studio.document.tissue.tissue.copy()
    assert shown.all()
    studio.controller.set(seed=9)
    np.testing.assert_array_equal(run(studio), shown)
    # Asking again brings another one; what somebody painted stays.
    studio.controller.suggest()
    studio.wait()
    assert (studio.document.tissue.tissue != shown).any()
    assert (studio.document.tissue.tissue[30:90, 30:100] == GLAND).all()


def test_the_switch_off_leaves_the_paint_as_it_is(studio: Studio) -> None:
    tissue = studio.paint_gland()
    studio.controller.set(suggest=False)
    studio.controller.generate()
    (request,) = studio.engine.submitted
    np.testing.assert_array_equal(request.tissue_map, tissue)
    assert request.class_map is None


def test_paint_of_a_large_frame_is_looked_at_in_the_thread_with_the_switch_off(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "_AT_ONCE", 128 * 128 - 1)
    tissue = studio.paint_gland()
    studio.controller.set(suggest=False)
    studio.controller.generate()
    assert studio.workspace.doing.text == "Looking at the paint…"
    assert not studio.engine.submitted
    studio.controller.set(caption="lung")
    studio.document.clear()  # what is drawn is what was there when the button was pressed
    studio.wait()
    (request,) = studio.engine.submitted
    assert request.caption == "colon, gland"
    np.testing.assert_array_equal(request.tissue_map, tissue)
    assert not studio.notices


def test_a_frame_that_moves_while_its_paint_is_looked_at_is_not_drawn(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "_AT_ONCE", 0)
    studio.controller.set(suggest=False)
    studio.controller.generate()
    studio.document.set_frame(Region(0, 0, 0, 64, 64))
    studio.wait()
    assert not studio.engine.submitted
    (notice,) = studio.notices
    assert "nothing is drawn" in notice


def test_cancelling_leaves_the_paint_and_draws_nothing(studio: Studio) -> None:
    tissue = studio.paint_gland()
    studio.controller.generate()
    assert studio.workspace.doing.text
    studio.controller.cancel()
    studio.wait()
    assert not studio.engine.submitted
    assert not studio.notices
    np.testing.assert_array_equal(studio.document.tissue.tissue, tissue)


def test_paint_that_changes_meanwhile_is_not_overwritten(studio: Studio) -> None:
    studio.paint_gland()
    studio.controller.generate()
    painted = np.full(studio.document.region.shape, GLAND, np.uint8)
    studio.document.paint_tissue(painted)
    studio.wait()
    assert not studio.engine.submitted
    assert "nothing was suggested" in studio.notices[-1]
    np.testing.assert_array_equal(studio.document.tissue.tissue, painted)


def test_each_variant_has_its_own_structure_and_the_paint_follows_the_view(studio) -> None:
    tissue = studio.paint_gland()
    studio.controller.set(variants=3)
    studio.controller.generate()
    studio.wait()
    (request,) = studio.engine.submitted
    assert request.variants == 3
    parts = request.apart
    assert len({part.tissue_map.tobytes() for part in parts}) == 3
    assert all((part.tissue_map[tissue > 0] == GLAND).all() for part in parts)
    finish(studio)
    staged = studio.controller.staged
    for number in (0, 1, 2, 0):
        assert staged.now.index == number
        classes, now = shown(studio)
        np.testing.assert_array_equal(classes, parts[number].class_map)
        np.testing.assert_array_equal(now, parts[number].tissue_map)
        staged.step(1)
    # What is applied is the variant in view, and is drawn again alone.
    assert staged.now.request.first_variant == staged.now.index == 1
    np.testing.assert_array_equal(staged.now.request.tissue_map, parts[1].tissue_map)
    # Nobody touched it: another run suggests anew.
    studio.controller.set(seed=5)
    studio.controller.generate()
    studio.wait()
    assert (studio.engine.submitted[-1].tissue_map != parts[1].tissue_map).any()


def test_paint_that_somebody_changed_does_not_follow_the_view(studio) -> None:
    studio.paint_gland()
    studio.controller.set(variants=2)
    studio.controller.generate()
    studio.wait()
    finish(studio)
    edited = studio.document.tissue.tissue.copy()
    edited[:20, :20] = TISSUE_NAMES.index("glass")
    studio.document.paint_tissue(edited)
    studio.controller.staged.step(1)
    np.testing.assert_array_equal(studio.document.tissue.tissue, edited)


def test_structure_alone_varies_with_the_same_noise(studio) -> None:
    studio.paint_gland()
    found: list[Series] = []
    studio.controller.series_drawn.connect(found.append)
    studio.controller.vary(Variation(Varied.STRUCTURE, count=3))
    studio.wait()
    asked = studio.engine.submitted
    for count in (1, 2, 3):  # one at a time is in the engine
        assert len(asked) == count
        finish(studio)
    assert [(r.seed, r.first_variant, r.variants) for r in asked] == [(4, 0, 1)] * 3
    assert len({r.tissue_map.tobytes() for r in asked}) == 3
    (series,) = found
    assert series.labels == ("Structure 1", "Structure 2", "Structure 3")
    assert [entry.request for entry in series.entries] == asked
    assert studio.controller.staged.now.entry is series.entries[0]
    studio.controller.stage(series.entries[2], 0)
    np.testing.assert_array_equal(shown(studio)[1], asked[2].tissue_map)


def test_a_frame_painted_whole_has_no_structure_to_vary(studio) -> None:
    studio.controller.set(suggest=False)
    studio.paint_gland()
    studio.controller.vary(Variation(Varied.STRUCTURE, count=3))
    assert not studio.engine.submitted
    assert "no structure to vary" in studio.notices[-1]
