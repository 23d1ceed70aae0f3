"""What a slide is in the end depends on its edits and its place alone, however it came about."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import TILE
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import (
    MODEL,
    PlainLayout,
    draw,
    draw_all,
    make,
    missing,
    pixels,
    reopen,
    request,
    tissue,
)

Step = tuple[Any, ...]

#: Does an edit to a slide, wherever that lies on the plane.
Edit = Callable[[SlideStore], object]


def steps() -> st.SearchStrategy[list[Step]]:
    place, side = st.integers(-40, 600), st.integers(1, 150)
    edit = st.tuples(
        st.just("edit"), st.integers(0, 2), place, place, side, side, st.integers(0, 99)
    )
    sketch = st.tuples(st.just("sketch"), st.integers(0, 4), st.integers(0, 3), st.integers(0, 3))
    draws = st.tuples(st.just("draw"), st.integers(1, 8), st.integers(0, 99))
    grow = st.tuples(st.just("grow"), st.sampled_from(["top", "left", "bottom", "right"]))
    plain = st.sampled_from(["undo", "redo", "evict", "reopen", "refine"]).map(lambda name: (name,))
    return st.lists(edit | edit | edit | draws | draws | plain | sketch | grow, max_size=14)


class Run:
    """A slide, and the edits that are on it."""

    def __init__(self, slide: SlideStore) -> None:
        self.slide = slide
        self.done: list[Edit] = []
        self.undone: list[Edit] = []

    def take(self, step: Step) -> None:
        getattr(self, step[0])(*step[1:])

    def draw(self, count: int, key: int) -> None:
        rng = np.random.default_rng(key)
        for _ in range(count):
            tiles = missing(self.slide)
            ready = [tile for tile in tiles if tile.level == tiles[0].level]
            if ready:
                draw(self.slide, ready[rng.integers(len(ready))])

    def edit(self, level: int, y: int, x: int, height: int, width: int, key: int) -> None:
        recipe = self.slide.recipe
        level = min(level, recipe.coarsest)
        region = Region(level, y >> level, x >> level, height, width)
        mask = np.random.default_rng(key).random(region.shape) < 0.7
        mask[0, 0] = True
        inside = region.intersect(self.slide.spec.bounds(level))
        if inside.is_empty:
            return
        part = inside.relative_to(region).slices
        mask, colours = mask[part], pixels(region.shape, key)[part]
        told = tissue(region.shape, key)[part]
        if not mask.any():
            return
        on_plane = inside.translate(*(side >> level for side in recipe.origin))

        def put(slide: SlideStore) -> None:
            now = level + slide.recipe.refined - recipe.refined
            here = on_plane.translate(*(-(side >> now) for side in slide.recipe.origin))
            drawn_as = request(replace(here, level=now), tissue_map=told)
            slide.write(drawn_as, colours, mask)

        self._do(put)

    def sketch(self, tissue: int, row: int, col: int) -> None:
        classes = np.zeros((4, 4), np.uint8)
        classes[row, col] = tissue
        self._do(lambda slide: slide.set_sketch(Sketch(classes, 64 << slide.recipe.refined)))

    def undo(self) -> None:
        assert (self.slide.undo() is not None) == bool(self.done)
        if self.done:
            self.undone.append(self.done.pop())

    def redo(self) -> None:
        assert (self.slide.redo() is not None) == bool(self.undone)
        if self.undone:
            self.done.append(self.undone.pop())

    def grow(self, side: str) -> None:
        self.slide.grow(**{side: TILE << self.slide.recipe.coarsest})

    def refine(self) -> None:
        # Once is enough: each time has four times the tiles to draw.
        if not self.slide.recipe.refined:
            self.slide.refine(MODEL)

    def evict(self) -> None:
        self.slide.evict(self.slide.nbytes // 2)

    def reopen(self) -> None:
        self.slide = reopen(self.slide)

    def _do(self, edit: Edit) -> None:
        edit(self.slide)
        self.done.append(edit)
        self.undone.clear()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps(), st.integers(0, 2))
def test_a_slide_is_a_function_of_its_edits(taken: list[Step], coarsest: int) -> None:
    compare(taken, coarsest)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps(), st.integers(0, 2))
def test_a_slide_is_a_function_of_its_edits_at_length(taken: list[Step], coarsest: int) -> None:
    compare(taken, coarsest)


def compare(taken: list[Step], coarsest: int) -> None:
    """Compare a slide after some steps with one that only ever saw the edits that lasted."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        run = Run(make(Path(one), coarsest=coarsest))
        for step in taken:
            run.take(step)
        slide = run.slide
        draw_all(slide)
        plain = SlideStore.create(Path(other) / "plain", slide.recipe, layout=PlainLayout)
        for edit in run.done:
            draw_all(plain)
            edit(plain)
        draw_all(plain)
        for level in range(slide.spec.levels):
            bounds = slide.spec.bounds(level)
            np.testing.assert_array_equal(slide.state(level), plain.state(level))
            np.testing.assert_array_equal(slide.read(bounds), plain.read(bounds))
            if level <= slide.recipe.coarsest:
                np.testing.assert_array_equal(slide.base(bounds), plain.base(bounds))
                np.testing.assert_array_equal(slide.tissue(bounds), plain.tissue(bounds))
        slide.close()
        plain.close()
