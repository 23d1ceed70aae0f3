"""What every reader of a slide does, whatever it keeps its tiles in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import box_down, repeat_up
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.slide.reader import SlideReader
from napari_histodiff.slide.storage.tile_table import TileState
from tests.slide import slides
from tests.slide.slides import PlainLayout

#: Two levels are drawn, two follow from them.
RECIPE = slides.recipe(height=3000, width=2600, coarsest=1)

#: Stores a tile's pixels, and sees to it that the reader knows.
Draw = Callable[[TileAddress, NDArray[np.uint8]], None]


class SlideReaderContract(ABC):
    """A reader of `RECIPE` with the colours of `PlainLayout`."""

    reader: SlideReader
    draw: Draw

    @abstractmethod
    def make(self, folder: Path, recipe: SlideRecipe) -> tuple[SlideReader, Draw]:
        """Return a reader of a new slide, and what draws on it."""

    @pytest.fixture(autouse=True)
    def _made(self, tmp_path: Path) -> None:
        self.reader, self.draw = self.make(tmp_path, RECIPE)

    def put(self, *tiles: TileAddress) -> dict[TileAddress, NDArray[np.uint8]]:
        drawn = {}
        for tile in tiles:
            shape = self.reader.spec.region(tile).shape
            drawn[tile] = slides.pixels(shape, hash((tile.level, tile.row, tile.col)) % 2**32)
            self.draw(tile, drawn[tile])
        return drawn

    def colours(self, region: Region) -> NDArray[np.uint8]:
        return PlainLayout(RECIPE, None).colours(region)

    def test_it_is_a_reader_of_its_recipe(self) -> None:
        assert isinstance(self.reader, SlideReader)
        assert self.reader.recipe == RECIPE
        assert self.reader.spec == RECIPE.spec
        assert self.reader.spec.levels == RECIPE.coarsest + 3

    def test_a_new_slide_shows_the_layout_on_it_and_beyond(self) -> None:
        for level in range(self.reader.spec.levels):
            bounds = self.reader.spec.bounds(level)
            corner = Region(level, bounds.bottom - 30, bounds.right - 40, 70, 60)
            for region in (Region(level, -20, -30, 90, 80), corner, Region(level, 5, 5, 0, 7)):
                found = self.reader.read(region)
                assert (found.shape, found.dtype) == ((*region.shape, 3), np.uint8)
                np.testing.assert_array_equal(found, self.colours(region))

    def test_a_new_slide_is_empty_at_every_level(self) -> None:
        for level in range(self.reader.spec.levels):
            states = self.reader.state(level)
            height, width = self.reader.spec.bounds(level).shape
            assert states.shape == (-(-height // TILE), -(-width // TILE))
            assert states.dtype == np.uint8
            assert not states.any()

    def test_drawn_pixels_come_back_and_states_follow(self) -> None:
        tiles = (TileAddress(1, 0, 0), TileAddress(0, 1, 1), TileAddress(1, 5, 5))
        for tile, pixels in self.put(*tiles).items():
            np.testing.assert_array_equal(self.reader.read(self.reader.spec.region(tile)), pixels)
        for level in range(2):
            places = [(t.row, t.col) for t in tiles if t.level == level]
            states = self.reader.state(level)
            assert {tuple(place) for place in np.argwhere(states)} == set(places)
            assert all(states[place] == TileState.GENERATED for place in places)

    def test_undrawn_levels_show_the_nearest_coarser_one_enlarged(self) -> None:
        (pixels,) = self.put(TileAddress(1, 1, 2)).values()
        under = Region(0, 2 * TILE + 31, 4 * TILE + 77, 200, 150)
        large = repeat_up(pixels, 2)[31:231, 77:227]
        np.testing.assert_array_equal(self.reader.read(under), large)

    def test_levels_that_are_never_drawn_are_exact_means_and_as_settled_as_what_is_under(
        self,
    ) -> None:
        spec = self.reader.spec
        tiles = list(spec.tiles(spec.bounds(1)))
        self.put(*tiles[:-1])
        assert self.reader.state(3)[-1, -1] == TileState.EMPTY
        self.put(tiles[-1])
        for level in (2, 3):
            below = self.reader.read(spec.bounds(level - 1))
            np.testing.assert_array_equal(self.reader.read(spec.bounds(level)), box_down(below))
            assert (self.reader.state(level) == TileState.GENERATED).all()

    def test_any_region_is_a_part_of_the_whole(self) -> None:
        self.put(TileAddress(1, 0, 1), TileAddress(0, 0, 3), TileAddress(0, 1, 2))
        rng = np.random.default_rng(5)
        for level in range(self.reader.spec.levels):
            around = self.reader.spec.bounds(level).pad(40)
            whole = self.reader.read(around)
            for _ in range(4):
                height, width = (int(n) for n in rng.integers(1, 350, 2))
                y, x = (int(n) for n in rng.integers(-40, 200, 2))
                part = Region(level, y, x, height, width).intersect(around)
                np.testing.assert_array_equal(
                    self.reader.read(part), whole[part.relative_to(around).slices]
                )

    def test_reading_draws_nothing_and_hands_out_copies(self) -> None:
        self.put(TileAddress(1, 0, 0))
        region = Region(0, 0, 0, 600, 600)
        first = self.reader.read(region)
        kept = first.copy()
        first[:] = 0
        self.reader.state(1)[:] = TileState.EDITED
        np.testing.assert_array_equal(self.reader.read(region), kept)
        assert int((self.reader.state(1) == TileState.GENERATED).sum()) == 1
        assert not self.reader.state(0).any()

    def test_a_level_that_the_slide_has_not_is_refused(self) -> None:
        for level in (-1, self.reader.spec.levels):
            with pytest.raises(InvalidRequest, match="expected a level from 0 to 3"):
                self.reader.state(level)
            with pytest.raises(InvalidRequest, match="expected a level from 0 to 3"):
                self.reader.read(Region(level, 0, 0, 5, 5))

    def test_who_listens_hears_of_changes_until_stopped(self) -> None:
        heard: list[Region] = []
        stop = self.reader.subscribe(heard.append)
        tile = TileAddress(1, 2, 3)
        self.put(tile)
        assert self.reader.spec.region(tile) in heard
        stop()
        stop()
        count = len(heard)
        self.put(TileAddress(1, 2, 4))
        assert len(heard) == count

    def test_threads_read_what_one_would(self) -> None:
        self.put(TileAddress(1, 0, 0), TileAddress(0, 1, 1))
        regions = [Region(k % 2, 40 * k, 60 * k, 300, 280) for k in range(12)]
        alone = [self.reader.read(region) for region in regions]
        with ThreadPoolExecutor(4) as pool:
            for one, other in zip(alone, pool.map(self.reader.read, regions), strict=True):
                np.testing.assert_array_equal(one, other)
