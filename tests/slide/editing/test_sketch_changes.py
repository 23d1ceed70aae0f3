from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.editing.edits import changed_boxes
from tests.slide.slides import recipe

WHOLE = Region(0, 0, 0, 1600, 1500)


def sketches() -> st.SearchStrategy[Sketch]:
    classes = hnp.arrays(np.uint8, (5, 6), elements=st.integers(0, 4))
    origin = st.sampled_from([0, 64, -128, 30])
    return st.builds(Sketch, classes, st.sampled_from([64, 100]), st.tuples(origin, origin))


@settings(max_examples=30, deadline=None)
@given(st.none() | sketches(), st.none() | sketches())
def test_sketches_are_alike_outside_the_boxes(one: Sketch | None, other: Sketch | None) -> None:
    def classes(sketch: Sketch | None) -> np.ndarray:
        if sketch is None:
            return np.zeros((200, 188), np.uint8)
        ys, xs = np.meshgrid(np.arange(0, 1600, 8), np.arange(0, 1500, 8), indexing="ij")
        return sketch.at(ys, xs)

    differs = classes(one) != classes(other)
    boxes = changed_boxes(one, other, 0, WHOLE)
    for box in boxes:
        assert WHOLE.contains(box)
        differs[-(-box.y // 8) : -(-box.bottom // 8), -(-box.x // 8) : -(-box.right // 8)] = False
    assert not differs.any()


def test_one_changed_pixel_changes_the_layout_only_near_it() -> None:
    slide = recipe(4096, 4096)
    before = np.random.default_rng(0).integers(0, 5, (16, 16), np.uint8)
    after = before.copy()
    after[4, 5] = (after[4, 5] + 1) % 5
    layouts = [SlideLayout(slide, Sketch(classes, 64)) for classes in (before, after)]
    reach = max(layout.sketch_reach for layout in layouts)
    sketches = [layout.sketch for layout in layouts]
    (box,) = changed_boxes(*sketches, reach, Region(0, 0, 0, 4096, 4096))
    assert box == Region(0, 256, 320, 64, 64).pad(reach).intersect(Region(0, 0, 0, 4096, 4096))
    everywhere = Region(2, 0, 0, 1024, 1024)
    one, other = (layout.colours(everywhere).astype(np.int16) for layout in layouts)
    differs = (one != other).any(axis=-1)
    assert differs.any()
    differs[box.y // 4 : -(-box.bottom // 4), box.x // 4 : -(-box.right // 4)] = False
    assert not differs.any()


def test_a_sketch_like_the_last_one_changes_nothing() -> None:
    classes = np.full((3, 3), 2, np.uint8)
    assert changed_boxes(Sketch(classes, 50), Sketch(classes, 50), 99, WHOLE) == []
    assert changed_boxes(None, None, 99, WHOLE) == []
