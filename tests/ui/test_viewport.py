from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.ui.viewport import camera_of, show_whole, to_data, to_world, view_of
from tests.ui.slide.stage import resize


@pytest.mark.parametrize(
    ("unit", "scale"), [("um", 0.5), ("mm", 0.0005), ("nm", 500.0), ("pixel", 0.5)]
)
@pytest.mark.parametrize("other", ["um", "nm", "mm", None])
def test_the_view_is_in_pixels_whatever_units_the_layers_have(unit, scale, other) -> None:
    viewer = ViewerModel()
    resize(viewer, 100, 200)
    layer = viewer.add_image(
        np.zeros((400, 400, 3), np.uint8), scale=(scale, scale), units=(unit, unit)
    )
    if other is not None:
        viewer.add_labels(np.zeros((8, 8), int), units=(other, other))
    middle = to_world(viewer, layer, (150.0, 250.0))
    np.testing.assert_allclose(to_data(viewer, layer, middle), (150, 250), atol=1e-6)
    camera = camera_of(viewer)
    camera.center = tuple(middle)
    pixel = to_world(viewer, layer, (1.0, 1.0)) - to_world(viewer, layer, (0.0, 0.0))
    camera.zoom = 1 / pixel[0]
    view = view_of(viewer, layer)
    assert view is not None
    np.testing.assert_allclose(view, [(100.5, 150.5), (200.5, 350.5)], atol=1e-6)


@pytest.mark.parametrize("others", [False, True])
def test_an_image_is_shown_whole_whatever_lies_beside_it(others: bool) -> None:
    viewer = ViewerModel()
    resize(viewer, 200, 400)
    if others:
        viewer.add_image(np.zeros((4000, 4000, 3), np.uint8))
    layer = viewer.add_image(np.zeros((100, 100, 3), np.uint8), scale=(0.5, 0.5))
    show_whole(viewer, layer)
    view = view_of(viewer, layer)
    assert view is not None
    np.testing.assert_allclose(view.mean(axis=0), 50)
    np.testing.assert_allclose(view[1] - view[0], (100 / 0.95, 200 / 0.95))
