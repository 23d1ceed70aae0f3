from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.core.geometry import PyramidSpec, Region, TileAddress
from napari_histodiff.ui.slide.tile_overlay import OVERLAY_NAME, TileOverlay

if TYPE_CHECKING:
    from napari.layers import Image

SPEC = PyramidSpec(4096, 4096, 256, 3, 0.5)
VIEW = Region(0, 600, 700, 500, 900)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def marks(viewer):
    slide = viewer.add_image(
        [np.zeros((4096 >> n, 4096 >> n, 3), np.uint8) for n in range(3)],
        multiscale=True,
        rgb=True,
        scale=(0.5, 0.5),
    )
    return TileOverlay(viewer, slide)


def extent_of(layer: Image) -> tuple[float, ...]:
    """Top, left, bottom and right of what it covers, in pixels of level 0."""
    half = np.asarray(layer.scale) / 2
    first = np.asarray(layer.translate) - half
    last = first + np.asarray(layer.scale) * layer.data.shape[:2]
    return tuple(float(n) / 0.5 + 0.5 for n in (*first, *last))


def test_the_picture_reaches_as_far_as_its_marks(viewer, marks):
    block = Region(0, 768, 1024, 512, 256)
    marks.show(SPEC, VIEW, [block], [])
    assert extent_of(marks.layer) == (768, 1024, 768 + 512, 1024 + 256)
    assert (marks.layer.data[..., 3] > 0).all()
    marks.show(SPEC, VIEW, [block], [TileAddress(0, 2, 2)])
    assert extent_of(marks.layer) == (512, 512, 768 + 512, 1024 + 256)
    assert marks.layer.data[0, 0, 3] > 200
    assert marks.layer.data[-1, 0, 3] == 0
    assert list(viewer.layers)[1] is marks.layer


def test_without_a_mark_in_view_there_is_but_a_pixel(viewer, marks):
    marks.show(SPEC, VIEW, [Region(0, 3072, 3072, 512, 512)], [])
    assert OVERLAY_NAME not in viewer.layers
    block = Region(1, 256, 256, 256, 256)
    marks.show(SPEC, VIEW, [block], [])
    shown = marks.layer.data.shape
    marks.show(SPEC, VIEW, [], [])
    assert marks.layer.data.shape == (1, 1, 4)
    assert not marks.layer.data.any()
    marks.show(SPEC, VIEW, [block], [])
    assert marks.layer.data.shape == shown
    assert marks.layer.data.any()


def test_the_layer_can_be_made_ahead_of_its_marks(viewer, marks):
    marks.prepare(VIEW)
    marks.prepare(VIEW)
    assert list(viewer.layers)[1:] == [marks.layer]
    assert not marks.layer.data.any()
    block = Region(0, 768, 1024, 512, 256)
    marks.show(SPEC, VIEW, [block], [])
    assert extent_of(marks.layer) == (768, 1024, 768 + 512, 1024 + 256)
    assert not marks.layer.editable
    viewer.layers.remove(marks.layer)
    marks.show(SPEC, VIEW, [], [])
    marks.prepare(VIEW)
    assert OVERLAY_NAME not in viewer.layers


def test_the_window_lives_while_the_layer_is_made(make_napari_viewer):
    viewer = make_napari_viewer()
    slide = viewer.add_image(np.zeros((4096, 4096, 3), np.uint8), rgb=True)
    seen = []
    marks = TileOverlay(viewer, slide)
    marks.prepare(VIEW, lambda: seen.append(len(viewer.layers)))
    assert seen == [1]
    assert list(viewer.layers) == [slide, marks.layer]


def test_a_mark_that_stays_is_changed_in_place(marks):
    block = Region(0, 768, 1024, 512, 256)
    marks.show(SPEC, VIEW, [block], [])
    before = marks.layer.data
    marks.show(SPEC, VIEW.translate(10, 10), [block], [])
    marks.show(SPEC, VIEW, [], [TileAddress(0, row, 4) for row in (3, 4)])
    assert marks.layer.data is before
    assert (before[..., 3] > 200).any()


def test_a_layer_the_user_removed_stays_away(viewer, marks):
    marks.show(SPEC, VIEW, [Region(0, 768, 1024, 512, 256)], [])
    viewer.layers.remove(marks.layer)
    marks.show(SPEC, VIEW, [Region(0, 768, 768, 512, 256)], [])
    marks.show(SPEC, VIEW, [], [])
    assert OVERLAY_NAME not in viewer.layers
