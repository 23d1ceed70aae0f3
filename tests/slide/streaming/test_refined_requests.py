"""A place is asked for in the same words after finer levels were added, at the level it has now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.core.stain_bank import StainEntry
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.streaming.planning import full_region
from napari_histodiff.slide.streaming.tile_requests import block_request, glass_labels, keeps_labels
from tests.slide.fake_store import FakeStore
from tests.slide.slides import MODEL, recipe


def _tissue() -> SlideRecipe:
    return recipe(1024, 1024, 1, caption="colon", seed=5, origin=(-256, 512))


#: A model whose stains lose contrast at coarser levels.
_STAINED = replace(
    MODEL,
    stains=tuple(
        StainEntry("colon", None, mpp, (0.4, 0.7, 0.4, 0.2 / mpp, 0.3 / mpp, 0.2 / mpp, -1.0))
        for mpp in (0.25, 0.5, 1.0)
    ),
)


def store_of(slide: SlideRecipe, down_to: int) -> FakeStore:
    """A slide whose levels above one are drawn, each tile in its own pixels."""
    store = FakeStore(slide, layout=SlideLayout(slide))
    for level in range(slide.coarsest, down_to, -1):
        for tile in store.spec.tiles(store.spec.bounds(level)):
            shape = store.spec.region(tile).shape
            colours = np.random.default_rng(tile.row * 9 + tile.col)
            store.put_generated(tile, colours.integers(0, 256, (*shape, 3), np.uint8))
    return store


def requests_of(store: FakeStore, level: int) -> Iterator[EditRequest | None]:
    for tile in store.spec.tiles(store.spec.bounds(level)):
        yield block_request(store, full_region(tile))


@pytest.mark.parametrize("level", [1, 0])
def test_a_block_is_asked_for_in_the_same_words(level: int) -> None:
    finer = _tissue().finer(_STAINED)
    before = list(requests_of(store_of(_tissue(), level), level))
    after = list(requests_of(store_of(finer, level + 1), level + 1))
    told = [[None if one is None else one.to_dict() for one in some] for some in (before, after)]
    assert told[0] == told[1]
    assert any(before)


def test_what_is_finer_than_the_slide_began_with_has_noise_of_its_own() -> None:
    finer = _tissue().finer(_STAINED)
    new = next(filter(None, requests_of(store_of(finer, 0), 0)))
    assert new.region.level == new.drawn.level == -1
    assert new.mpp == 0.25
    assert new.stain == finer.stains[0] != finer.stains[1]


def test_nuclei_are_stored_from_the_first_level_down() -> None:
    plain, finer = _tissue(), _tissue().finer(_STAINED)
    assert [keeps_labels(plain, level) for level in (0, 1)] == [True, False]
    assert [keeps_labels(finer, level) for level in (0, 1, 2)] == [True, True, False]
    store = store_of(finer, 2)
    assert glass_labels(store, Region(1, 0, 0, 256, 256)) is not None
    assert glass_labels(store, Region(2, 0, 0, 256, 256)) is None


@pytest.mark.parametrize("painted", [False, True])
def test_the_layout_of_every_level_stays(painted: bool) -> None:
    before = _tissue()
    classes = np.array([[1, 2, 0], [3, 4, 1]], np.uint8)
    sketch = Sketch(classes, 200, (-100, 600)) if painted else None
    doubled = Sketch(classes, 400, (-200, 1200)) if painted else None
    plain, refined = SlideLayout(before, sketch), SlideLayout(before.finer(_STAINED), doubled)
    for level in (0, 1, 2):
        region = Region(level, -40, 512 >> level, 150, 170)
        same_place = replace(region, level=level + 1)
        np.testing.assert_array_equal(plain.tissue(region), refined.tissue(same_place))
        np.testing.assert_array_equal(plain.glass(region), refined.glass(same_place))
        np.testing.assert_array_equal(plain.colours(region), refined.colours(same_place))
        for one, other in zip(plain.nuclei(region), refined.nuclei(same_place), strict=True):
            np.testing.assert_array_equal(one, other)
