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

HOME = Region(0, 0, 0, 128, 128)
AWAY = Region(0, 48, 32, 64, 64)


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
    assert not studio.document.nuclei.labels.any()


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


def ask(studio: Studio) -> np.ndarray:
    studio.controller.suggest()
    studio.wait()
    return studio.document.tissue.tissue.copy()


def test_asking_again_with_a_fixed_seed_brings_its_next_structure(studio: Studio) -> None:
    tissue = studio.paint_gland()
    first, second, third = (ask(studio) for _ in range(3))
    assert len({one.tobytes() for one in (first, second, third)}) == 3
    assert studio.controller.settings.seed == 4
    assert not studio.notices
    # The same ones come again: they are those of the variants.
    studio.document.clear()
    studio.document.paint_tissue(tissue)
    np.testing.assert_array_equal(ask(studio), first)
    studio.document.clear()
    studio.document.paint_tissue(tissue)
    studio.controller.set(variants=2)
    studio.controller.generate()
    studio.wait()
    one, two = studio.engine.submitted[-1].apart
    np.testing.assert_array_equal(one.tissue_map, first)
    np.testing.assert_array_equal(two.tissue_map, second)
    np.testing.assert_array_equal(ask(studio), second)


def test_asking_again_after_an_edit_keeps_that_and_brings_another_structure(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[int] = []
    seed_of = suggestions.structure_seed
    monkeypatch.setattr(
        suggestions, "structure_seed", lambda seed, n: numbers.append(n) or seed_of(seed, n)
    )
    studio.paint_gland()
    edited = ask(studio)
    edited[:20, :20] = TISSUE_NAMES.index("glass")
    studio.document.paint_tissue(edited)
    again = ask(studio)
    assert (again[:20, :20] == TISSUE_NAMES.index("glass")).all()
    assert (again != edited).any()
    assert numbers == [0, 1]


def test_where_nothing_is_open_asking_says_so(studio: Studio) -> None:
    painted = np.full(studio.document.region.shape, TISSUE_NAMES.index("glass"), np.uint8)
    studio.document.paint_tissue(painted)
    np.testing.assert_array_equal(ask(studio), painted)
    (notice,) = studio.notices
    assert "painted whole" in notice
    studio.controller.generate()  # which says nothing of it
    studio.wait()
    assert len(studio.notices) == 1


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


def test_a_frame_that_moves_while_its_paint_is_looked_at_is_drawn_as_it_was(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "_AT_ONCE", 0)
    tissue = studio.paint_gland()
    studio.controller.set(suggest=False)
    studio.controller.generate()
    studio.document.set_frame(AWAY)
    studio.wait()
    (request,) = studio.engine.submitted
    assert request.region == HOME
    np.testing.assert_array_equal(request.tissue_map, tissue)
    assert not studio.notices


def test_cancelling_leaves_the_paint_and_draws_nothing(studio: Studio) -> None:
    tissue = studio.paint_gland()
    studio.controller.generate()
    assert studio.workspace.doing.text
    studio.controller.cancel()
    studio.wait()
    assert not studio.engine.submitted
    assert not studio.notices
    np.testing.assert_array_equal(studio.document.tissue.tissue, tissue)


def test_paint_that_changes_meanwhile_stays_and_the_edit_is_drawn_as_it_was(studio) -> None:
    tissue = studio.paint_gland()
    studio.controller.set(variants=2)
    studio.controller.generate()
    painted = np.full(studio.document.region.shape, GLAND, np.uint8)
    studio.document.paint_tissue(painted)
    studio.wait()
    (request,) = studio.engine.submitted
    assert (request.tissue_map[tissue > 0] == GLAND).all()
    assert (request.tissue_map[tissue == 0] != GLAND).any()
    (notice,) = studio.notices
    assert "left alone" in notice
    finish(studio)
    studio.controller.staged.step(1)
    np.testing.assert_array_equal(studio.document.tissue.tissue, painted)
    assert not studio.document.nuclei.labels.any()


def test_a_suggestion_that_was_only_asked_for_is_left_where_the_paint_changed(studio) -> None:
    studio.paint_gland()
    studio.controller.suggest()
    painted = np.full(studio.document.region.shape, GLAND, np.uint8)
    studio.document.paint_tissue(painted)
    studio.wait()
    (notice,) = studio.notices
    assert "nothing was suggested" in notice
    np.testing.assert_array_equal(studio.document.tissue.tissue, painted)
    assert not studio.document.nuclei.labels.any()


@pytest.mark.parametrize("asked", [False, True])
def test_the_frame_may_move_while_something_is_suggested(studio: Studio, asked: bool) -> None:
    tissue = studio.paint_gland()
    title = studio.controller.plan.title
    studio.controller.suggest() if asked else studio.controller.generate()
    studio.document.set_frame(AWAY)
    studio.wait()
    assert not studio.notices
    studio.document.set_frame(HOME)
    classes, now = shown(studio)
    assert (now[tissue > 0] == GLAND).all()
    assert now.all()
    assert classes.any()
    studio.controller.set(seed=9, suggest=not asked)
    if asked:
        studio.controller.generate()
    else:
        (edit,) = studio.controller.drawing.queue.edits
        assert (edit.title, edit.place.frame) == (title.partition(" (")[0], HOME)
    (request,) = studio.engine.submitted
    assert request.region == HOME
    np.testing.assert_array_equal(request.tissue_map, now)
    np.testing.assert_array_equal(request.class_map, classes)


def test_what_is_suggested_for_an_image_is_drawn_on_it_while_another_is_in_hand(studio) -> None:
    studio.paint_gland()
    first = studio.document
    studio.controller.generate()
    studio.workspace.new_canvas(64, 64)
    studio.wait()
    assert not studio.document.tissue.tissue.any()
    (edit,) = studio.controller.drawing.queue.edits
    assert edit.place.key == first.target.key
    finish(studio)
    assert studio.controller.staged.now is None
    studio.workspace.use_layer(first.target.layer)
    np.testing.assert_array_equal(shown(studio)[1], edit.request.tissue_map)


def test_nothing_is_drawn_of_an_image_that_is_closed_meanwhile(studio: Studio) -> None:
    studio.paint_gland()
    studio.controller.generate()
    studio.viewer.layers.remove(studio.workspace.target)
    assert not studio.workspace.doing.text
    studio.wait()
    (notice,) = studio.notices
    assert "closed" in notice
    assert not studio.engine.submitted


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
