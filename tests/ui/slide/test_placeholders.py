from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.reader import SlideReader
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.slide.placeholders import Placeholders, ShownSlide
from napari_histodiff.ui.workspace.pending import StepWorker
from tests.slide.fake_store import FakeLayout, small_recipe
from tests.ui.slide.stage import wait_until


class WatchedLayout(FakeLayout):
    """Remembers which threads asked for colours."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()
        self.asked: list[Region] = []

    def colours(self, region):
        self.threads.add(threading.current_thread().name)
        self.asked.append(region)
        return super().colours(region)


class Bench:
    """A slide of five levels, of which the model draws three, some tiles drawn."""

    def __init__(self, folder) -> None:
        self.layout = WatchedLayout()
        self.store = SlideStore.create(
            folder / "slide.ome.zarr",
            small_recipe(6000, 8192),
            layout=lambda recipe, sketch: self.layout,
        )
        self.told: list[Region] = []
        self.placeholders = Placeholders(self.store, self.told.append)
        self.worker = StepWorker()
        self.shown = ShownSlide(self.store, self.placeholders, self.worker)
        self.top = self.store.read(self.store.spec.bounds(4))
        self.placeholders.use_top(self.top)

    def put(self, tile: TileAddress) -> None:
        shape = self.store.spec.region(tile).shape
        rng = np.random.default_rng((tile.level, tile.row, tile.col))
        pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        self.store.put_generated(tile, pixels)

    def want(self, view: Region, *, stays: bool, asked: bool = False) -> None:
        """Ask, unless that was done, and wait until everything asked for is there."""
        if not asked:
            self.placeholders.want(view, stays=stays)
        wait_until(lambda: not self.placeholders._wishes)
        last = [n for n in range(view.level, 4) if stays or n == view.level + 3]
        tiles = [
            tile
            for level in last
            if level - view.level in (0, 1, 3)
            for tile in self.store.spec.tiles(self.store.spec.at_level(view, level))
        ]
        wait_until(
            lambda: all(self.placeholders._cache.get((t.level, t.row, t.col)) is not None
                        for t in tiles)
        )  # fmt: skip

    def close(self) -> None:
        self.placeholders.close()
        self.store.close()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("drawn"))
    for row, col in ((0, 0), (0, 1), (2, 3), (5, 7)):
        bench.put(TileAddress(2, row, col))
    bench.put(TileAddress(1, 4, 6))
    bench.put(TileAddress(0, 9, 13))
    yield bench
    bench.close()


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@st.composite
def regions(draw):
    level = draw(st.integers(0, 4))
    height, width = -(-6000 >> level), 8192 >> level
    y = draw(st.integers(0, height - 1))
    x = draw(st.integers(0, width - 1))
    down = draw(st.integers(1, min(700, height - y)))
    return Region(level, y, x, down, draw(st.integers(1, min(700, width - x))))


def shows_drawn(store, region):
    """Which pixels of a region lie under a drawn tile."""
    levels = range(min(region.level, 2), 3)
    y = np.arange(region.y, region.bottom)[:, None] << region.level
    x = np.arange(region.x, region.right)[None, :] << region.level
    found = np.zeros(region.shape, bool)
    for level in levels:
        found |= store.state(level)[y >> (level + 8), x >> (level + 8)] > 0
    return found


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(region=regions())
def test_what_is_drawn_is_exact_and_the_rest_is_never_waited_for(drawn, region):
    before = len(drawn.layout.asked)
    shown = drawn.shown.read(region)
    if region.level < 4:
        assert len(drawn.layout.asked) == before
    exact = drawn.store.read(region)
    where = shows_drawn(drawn.store, region)
    np.testing.assert_array_equal(shown[where], exact[where])
    assert shown.shape == exact.shape
    assert shown.dtype == np.uint8


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_where_no_model_will_draw_the_colours_become_exact(bench, level):
    view = Region(level, 300 >> level, 500 >> level, 300, 400)
    bench.want(view, stays=True)
    np.testing.assert_array_equal(bench.shown.read(view), bench.store.read(view))
    assert bench.told


@pytest.mark.parametrize("over", [TileAddress(0, 1, 3), TileAddress(2, 0, 0)])
def test_where_all_in_view_is_drawn_nothing_is_worked_out(bench, over):
    bench.put(over)
    bench.layout.asked.clear()
    bench.placeholders.want(Region(0, 300, 800, 200, 200), stays=True)
    wait_until(lambda: not bench.placeholders._wishes)
    bench.want(Region(0, 4200, 4200, 100, 100), stays=False)  # when the thread is done with that
    assert [region.level for region in bench.layout.asked] == [3]


def test_where_an_edit_is_undone_in_view_the_colours_below_are_worked_out(bench):
    view = Region(0, 300, 800, 200, 200)
    edit = EditRequest(kind=EditKind.GENERATE, region=view)
    bench.store.write(edit, np.zeros((*view.shape, 3), np.uint8), np.ones(view.shape, bool))
    bench.placeholders.want(view, stays=True)
    wait_until(lambda: not bench.placeholders._wishes)
    bench.store.undo()
    bench.want(view, stays=True, asked=True)
    np.testing.assert_array_equal(bench.shown.read(view), bench.store.read(view))


def test_while_an_edit_is_written_states_are_those_from_before(bench):
    assert isinstance(bench.shown, SlideReader)
    written, goes_on = threading.Event(), threading.Event()

    def write():
        bench.put(TileAddress(2, 0, 0))
        written.set()
        goes_on.wait(30)

    before = bench.shown.state(2)
    bench.worker.submit(write)
    assert written.wait(30)
    assert bench.store.state(2)[0, 0] == TileState.GENERATED
    assert (bench.shown.state(2) == before).all()
    bench.shown.state(2)[:] = TileState.EDITED
    assert (bench.shown.state(2) == before).all()
    goes_on.set()
    wait_until(lambda: bench.worker.has_news)
    bench.worker.deliver()
    assert bench.shown.state(2)[0, 0] == TileState.GENERATED
    np.testing.assert_array_equal(bench.shown.state(4), bench.store.state(4))


def test_elsewhere_they_are_eight_times_as_coarse(bench):
    view = Region(0, 4000, 4000, 512, 512)
    blurred = bench.shown.read(view)
    np.testing.assert_array_equal(blurred, bench.top[250:282, 250:282].repeat(16, 0).repeat(16, 1))
    bench.want(view, stays=False)
    colours = bench.layout.colours(Region(3, 500, 500, 64, 64))
    np.testing.assert_array_equal(bench.shown.read(view), colours.repeat(8, 0).repeat(8, 1))
    assert {region.level for region in bench.told} == {3}


def test_only_the_thread_works_them_out(bench):
    bench.layout.threads.clear()
    view = Region(0, 4000, 4000, 512, 512)
    bench.shown.read(view)
    assert not bench.layout.threads
    bench.want(view, stays=True)
    bench.shown.read(view)
    assert bench.layout.threads == {"histodiff-layout"}


def test_the_coarsest_level_is_rough_at_once_and_exact_soon(bench):
    gate = threading.Event()
    read = bench.store.read

    def slow(region):
        if threading.current_thread().name == "histodiff-layout":
            gate.wait(60)
        return read(region)

    bench.store.read = slow
    bench.put(TileAddress(2, 0, 1))
    heard: list[Region] = []
    stop = bench.shown.subscribe(heard.append)
    bounds = bench.store.spec.bounds(4)
    rough = bench.shown.read(bounds)
    where = shows_drawn(bench.store, bounds)
    expected = bench.layout.colours(Region(7, 0, 0, 47, 64)).repeat(8, 0).repeat(8, 1)[:375]
    np.testing.assert_array_equal(rough[~where], expected[~where])
    assert heard == []
    gate.set()
    exact = bench.store.read(bounds)
    np.testing.assert_array_equal(rough[where], exact[where])
    wait_until(lambda: bounds in heard and bounds in bench.told)
    np.testing.assert_array_equal(bench.shown.read(bounds), exact)
    stop()
    bench.put(TileAddress(2, 0, 0))
    assert heard == [bounds]


def test_a_new_layout_makes_the_coarsest_level_rough_again(bench):
    bounds = bench.store.spec.bounds(4)
    bench.shown.read(bounds)
    wait_until(lambda: bounds in bench.told)
    del bench.told[:]
    bench.layout = WatchedLayout()
    bench.layout.glass_from = 0
    bench.store.grow(0, 0, 0, 1024)
    bounds = bench.store.spec.bounds(bench.store.spec.levels - 1)
    bench.shown.read(bounds)
    wait_until(lambda: bounds in bench.told)
    np.testing.assert_array_equal(bench.shown.read(bounds), bench.store.read(bounds))


def test_a_new_view_goes_before_the_old_one(bench):
    gate = threading.Event()
    colours = bench.layout.colours

    def slow(region):
        gate.wait(60)
        return colours(region)

    bench.layout.colours = slow
    bench.placeholders.want(Region(0, 0, 0, 2000, 2000), stays=True)
    bench.placeholders.want(Region(0, 5000, 7000, 200, 200), stays=False)
    gate.set()
    wait_until(lambda: any(region.x > 0 or region.y > 0 for region in bench.told))
    wait_until(lambda: not bench.placeholders._wishes)
    assert len(bench.told) <= 2


def test_another_layout_empties_what_is_kept(bench):
    view = Region(3, 0, 0, 256, 256)
    bench.want(view, stays=True)
    before = bench.shown.read(view)
    bench.layout = WatchedLayout()
    bench.layout.glass_from = 0
    bench.store.grow(0, 0, 0, 1024)
    bench.shown.read(view)
    bench.want(view, stays=True)
    after = bench.shown.read(view)
    assert (after != before).any()
    np.testing.assert_array_equal(after, bench.store.read(view))


def test_a_layout_that_fails_leaves_the_window_alive(bench, caplog):
    def broken(region):
        raise ValueError("the moon is full")

    colours, bench.layout.colours = bench.layout.colours, broken
    view = Region(3, 0, 0, 256, 256)
    bench.placeholders.want(view, stays=True)
    wait_until(lambda: "moon" in caplog.text)
    bench.shown.read(view)
    bench.layout.colours = colours
    bench.want(view, stays=True)
    np.testing.assert_array_equal(bench.shown.read(view), bench.store.read(view))


def test_closing_ends_the_thread(bench):
    def layouts() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "histodiff-layout"}

    bench.placeholders.want(Region(0, 0, 0, 2000, 2000), stays=True)
    running = layouts()
    bench.placeholders.close()
    bench.placeholders.close()
    assert running - layouts()
