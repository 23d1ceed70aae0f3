from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histodiff.core.engine import Job
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import MAX_SIDE, TILE
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.streaming.planning import (
    block_tiles,
    centre_of,
    distance,
    full_region,
    needs,
    visible,
    wanted,
)
from napari_histodiff.slide.streaming.queue import ATTEMPTS, FeedQueue, Flight, StateSnapshot
from tests.recording import edit_request
from tests.slide.fake_store import small_recipe


class States:
    """A slide of states that are set by hand."""

    def __init__(self, height: int = 2048, width: int = 2048) -> None:
        self.recipe = small_recipe(height, width)
        self.spec = self.recipe.spec
        self.states: dict[int, np.ndarray] = {}
        for level in range(self.recipe.coarsest + 1):
            bounds = self.spec.bounds(level).snap(TILE)
            shape = (bounds.height // TILE, bounds.width // TILE)
            self.states[level] = np.zeros(shape, np.uint8)

    def state(self, level: int) -> np.ndarray:
        return self.states[level].copy()

    def draw(self, block: Region) -> None:
        for tile in block_tiles(block):
            self.states[tile.level][tile.row, tile.col] = TileState.GENERATED


def flight(block: Region) -> Flight:
    return Flight(block, Job("", edit_request()), small_recipe(), 0, 0.0)


def views() -> st.SearchStrategy[Region]:
    place = st.integers(-300, 2500)
    level = st.integers(0, 2)
    return st.builds(Region, level, place, place, st.integers(1, 700), st.integers(1, 700)).map(
        lambda r: Region(r.level, r.y >> r.level, r.x >> r.level, r.height, r.width)
    )


@settings(max_examples=40)
@given(
    st.integers(600, 2048),
    st.none() | views(),
    st.lists(views(), max_size=2),
    st.integers(0, 1),
    st.randoms(use_true_random=False),
)
def test_everything_is_drawn_once_and_never_before_what_it_comes_from(
    side: int, view: Region | None, regions: list[Region], ahead: int, chance
) -> None:
    slide = States(side, 2048)
    queue = FeedQueue(ahead, view, list(regions))
    flying: dict[str, Region] = {}
    broken: set[TileAddress] = set()
    for number in range(400):
        block = queue.next_block(StateSnapshot(slide)) if len(flying) < 2 else None
        if block is None and not flying:
            break
        if block is not None:
            tiles = block_tiles(block)
            busy = {tile for other in flying.values() for tile in block_tiles(other)}
            assert not busy.intersection(tiles)
            assert not broken.intersection(tiles)
            assert needs(slide, tiles) == tiles
            flying[str(number)] = block
            queue.flights[str(number)] = flight(block)
        if block is None or chance.random() < 0.5:
            job = chance.choice(list(flying))
            block = flying.pop(job)
            del queue.flights[job]
            if chance.random() < 0.1:
                broken.update(queue.fail(block, "broken"))
            else:
                slide.draw(block)
                queue.complete(block)
    else:
        raise AssertionError("it never ends")
    asked = [] if view is None else wanted(slide, view, ahead)
    for region in regions:
        level = min(region.level, slide.recipe.coarsest)
        asked += slide.spec.tiles(slide.spec.at_level(region, level))
    # What is missing hangs on something that failed.
    for tile in needs(slide, asked):
        assert broken.intersection(needs(slide, [tile]))
    queue.tidy(StateSnapshot(slide))
    assert set(queue.failed) == broken
    if not broken:
        assert queue.regions == []
        assert queue.waiting(StateSnapshot(slide)) == 0


@given(views())
def test_the_first_block_is_the_nearest_of_the_coarsest_level(view: Region) -> None:
    slide = States()
    tiles = wanted(slide, view)
    block = FeedQueue(0, view).next_block(StateSnapshot(slide))
    if not tiles:
        assert block is None
        return
    assert block is not None
    assert block.level == slide.recipe.coarsest
    lacking = [tile for tile in needs(slide, tiles) if tile.level == block.level]
    centre = centre_of(view)
    nearest = min(distance(full_region(tile), centre) for tile in lacking)
    assert nearest in [distance(full_region(tile), centre) for tile in block_tiles(block)]


@given(views(), views())
def test_only_what_nobody_needs_is_obsolete(view: Region, other: Region) -> None:
    slide = States()
    queue = FeedQueue(1, view)
    needed = set(needs(slide, wanted(slide, view, 1)))
    every = [*needs(slide, wanted(slide, other, 1))]
    queue.flights = {str(n): flight(full_region(tile)) for n, tile in enumerate(every)}
    gone = set(queue.obsolete(StateSnapshot(slide)))
    assert gone == {str(n) for n, tile in enumerate(every) if tile not in needed}
    queue.regions = [slide.spec.bounds(0)]
    urgent = set(queue.obsolete(StateSnapshot(slide)))
    assert urgent in (set(), gone)


def test_the_view_comes_before_its_ring_and_both_before_what_is_rendered() -> None:
    slide = States()
    for level in (1, 2):
        slide.draw(slide.spec.bounds(level).snap(TILE))
    view = Region(0, 512, 512, 512, 512)
    queue = FeedQueue(1, view, [Region(0, 1792, 1792, 256, 256)])
    order = []
    while (block := queue.next_block(StateSnapshot(slide))) is not None:
        order.append(block)
        slide.draw(block)
    inner, outer = set(visible(slide.spec, view)), set(visible(slide.spec, view, 1))
    kinds = [
        0 if set(block_tiles(block)) <= inner else 1 if set(block_tiles(block)) <= outer else 2
        for block in order
    ]
    assert kinds == sorted(kinds)
    assert set(kinds) == {0, 1, 2}


def test_a_render_gives_way_to_the_view_but_not_to_what_is_only_looked_at() -> None:
    slide = States()
    slide.draw(slide.spec.bounds(2))
    queue = FeedQueue(0, None, [Region(1, 768, 768, 256, 256)])
    block = queue.next_block(StateSnapshot(slide))
    assert block == Region(1, 768, 768, 256, 256)
    queue.flights["render"] = flight(block)
    assert queue.obsolete(StateSnapshot(slide)) == []
    queue.view = Region(2, 0, 0, 512, 512)  # all there
    assert queue.obsolete(StateSnapshot(slide)) == []
    queue.view = Region(1, 0, 0, 256, 256)
    assert queue.obsolete(StateSnapshot(slide)) == ["render"]


def test_tiles_behind_a_failed_one_wait_and_hold_up_nothing_else() -> None:
    slide = States()
    queue = FeedQueue(0, slide.spec.bounds(1))
    queue.fail(Region(2, 0, 0, 256, 256), "broken")
    drawn = set()
    while (block := queue.next_block(StateSnapshot(slide))) is not None:
        slide.draw(block)
        drawn.update(block_tiles(block))
    assert {(tile.row, tile.col) for tile in drawn if tile.level == 2} == {(0, 1), (1, 0), (1, 1)}
    # With a margin of 16 px the tiles next to the failed quarter hang on it as well.
    level1 = {(tile.row, tile.col) for tile in drawn if tile.level == 1}
    assert level1 == {(r, c) for r in range(4) for c in range(4) if r > 2 or c > 2}
    left = 16 - len(level1)
    assert queue.waiting(StateSnapshot(slide)) == left
    queue.retry()
    assert queue.waiting(StateSnapshot(slide)) == left + 1
    assert queue.next_block(StateSnapshot(slide)) == Region(2, 0, 0, 256, 256)


def test_waiting_counts_each_tile_once() -> None:
    slide = States()
    queue = FeedQueue(1, slide.spec.bounds(1))
    assert queue.waiting(StateSnapshot(slide)) == 4 + 16
    queue.regions = [slide.spec.bounds(1), slide.spec.bounds(0)]
    assert queue.waiting(StateSnapshot(slide)) == 4 + 16 + 64
    queue.flights["a"] = flight(Region(2, 0, 0, 512, 256))
    assert queue.waiting(StateSnapshot(slide)) == 2 + 16 + 64


def test_a_block_that_keeps_coming_to_nothing_fails() -> None:
    queue = FeedQueue()
    block = Region(0, 0, 0, 256, 256)
    for _ in range(ATTEMPTS - 1):
        assert queue.may_retry(block)
    assert not queue.may_retry(block)
    queue.complete(block)
    assert queue.may_retry(block)


def test_the_middle_of_a_view_is_sharp_before_its_corners() -> None:
    slide = States()
    view = Region(0, 0, 0, 2048, 2048)
    queue = FeedQueue(0, view)
    levels = []
    while (block := queue.next_block(StateSnapshot(slide))) is not None:
        levels.append(block.level)
        slide.draw(block)
    assert levels[0] == 2
    assert 2 not in levels[1:]
    assert levels.index(0) < len(levels) - 1 - levels[::-1].index(1)


def test_a_view_that_moves_finds_its_tissue_drawn() -> None:
    slide = States(8192, 65_536)
    seconds, speed = 1.0, 900.0
    queue = FeedQueue(1, motion=(0.0, speed), pace=seconds)

    def view_at(time: float) -> Region:
        return Region(0, 3000, round(1000 + speed * time), 700, 900)

    for second in range(30):
        queue.view = view_at(second)
        block = queue.next_block(StateSnapshot(slide))
        assert block is not None
        assert block.level == slide.recipe.coarsest
        seen = slide.spec.at_level(view_at(second + seconds), block.level)
        assert block.right > seen.x  # it did not come too late
        slide.draw(block)
        if second > 2:  # from then on there is tissue all over the view
            assert slide.states[2][_tiles(seen)].all()


def _tiles(part: Region) -> tuple[slice, slice]:
    whole = part.snap(TILE)
    return (
        slice(whole.y // TILE, whole.bottom // TILE),
        slice(whole.x // TILE, whole.right // TILE),
    )


def test_a_slow_view_gets_its_detail_on_the_way() -> None:
    slide = States()
    view = Region(0, 600, 600, 500, 500)
    queue = FeedQueue(0, view, motion=(0.0, 50.0), pace=0.5)
    while (block := queue.next_block(StateSnapshot(slide))) is not None:
        slide.draw(block)
    assert not needs(slide, visible(slide.spec, view))
    queue = FeedQueue(0, view.translate(0, 300), motion=(0.0, 5000.0), pace=0.5)
    while (block := queue.next_block(StateSnapshot(slide))) is not None:
        assert block.level == slide.recipe.coarsest
        slide.draw(block)


def test_what_is_nearly_through_is_finished_and_the_rest_is_not() -> None:
    slide = States()
    slide.draw(slide.spec.bounds(2))
    far = Region(1, 768, 768, 256, 256)
    queue = FeedQueue(0, Region(1, 0, 0, 256, 256), flights={"left": flight(far)})
    assert queue.obsolete(StateSnapshot(slide)) == ["left"]
    queue.shares["left"] = 0.6
    assert queue.obsolete(StateSnapshot(slide)) == ["left"]
    queue.motion = (100.0, 0.0)  # it came by, and was not left for another place
    assert queue.obsolete(StateSnapshot(slide)) == []
    queue.shares["left"] = 0.4
    assert queue.obsolete(StateSnapshot(slide)) == ["left"]
    queue.shares["left"], queue.motion = 0.8, (0.0, 0.0)
    assert queue.obsolete(StateSnapshot(slide)) == []


def test_what_the_view_is_heading_for_is_not_cancelled() -> None:
    slide = States(8192, 65_536)
    queue = FeedQueue(1, Region(0, 3000, 1000, 700, 900), motion=(0.0, 2500.0))
    block = queue.next_block(StateSnapshot(slide))
    assert block is not None
    queue.flights["ahead"] = flight(block)
    assert queue.obsolete(StateSnapshot(slide)) == []
    queue.motion = (0.0, -2500.0)
    assert queue.obsolete(StateSnapshot(slide)) == ["ahead"]


def test_the_pace_follows_the_engine() -> None:
    queue = FeedQueue()
    for _ in range(10):
        queue.record_duration(0.25)
    assert 0.25 < queue.pace < 0.26
    assert queue.moved(1024, 0).pace == queue.pace


def test_a_queue_moves_with_the_slide() -> None:
    queue = FeedQueue(1, Region(1, 10, 20, 30, 40), [Region(0, 1, 2, 3, 4)])
    queue.fail(Region(0, 0, 0, 256, 256), "broken")
    moved = queue.moved(1024, 2048)
    assert moved.view == Region(1, 522, 1044, 30, 40)
    assert moved.regions == [Region(0, 1025, 2050, 3, 4)]
    assert moved.failed == {}
    assert FeedQueue().moved(1, 1).view is None


def test_a_queue_wants_the_same_places_of_a_finer_slide() -> None:
    queue = FeedQueue(1, Region(1, 10, 20, 30, 40), [Region(0, 1, 2, 3, 4)])
    finer = queue.moved(2048, 4096, 1)
    assert finer.view == Region(2, 522, 1044, 30, 40)
    assert finer.regions == [Region(1, 1025, 2050, 3, 4)]


def test_rendering_a_whole_giant_slide_starts_at_its_coarsest_level() -> None:
    slide = States(MAX_SIDE, MAX_SIDE)
    queue = FeedQueue(1, None, [slide.spec.bounds(0)])
    block = queue.next_block(StateSnapshot(slide))
    assert block is not None
    assert block.level == slide.recipe.coarsest
    total = sum(states.size for states in slide.states.values())
    assert queue.waiting(StateSnapshot(slide)) == total
