from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.engine import JobFinished, JobProgress
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.engine.inline import InlineEngine
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.feed import TileFeed
from napari_histodiff.slide.streaming.planning import needs, wanted
from napari_histodiff.slide.streaming.status import FeedChanged, TilesDrawn
from tests.fakes import FAKE_INFO, FakeFactory
from tests.slide.fake_store import FakeLayout, FakeStore, PlaneFactory, small_recipe
from tests.slide.streaming.feed_bench import CORNER, FAR, Bench, benches, on_disk, stays, until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from benches(tmp_path)


def levels(bench: Bench) -> list[int]:
    return [job.request.region.level for job in bench.engine.jobs]


# ---- the promises ----


def test_bytes_depend_on_no_order_of_visits_cancels_or_evictions(tmp_path: Path) -> None:
    target = Region(0, 512, 512, 1280, 1536)  # 30 tiles, the right ones glass
    slides = []
    for seed in range(5):
        with on_disk(tmp_path / str(seed), 1500) as store:
            slides.append(visited(seed, store, target))
    for other in slides[1:]:
        for tile, pixels in slides[0].items():
            np.testing.assert_array_equal(other[tile], pixels, str(tile))
    assert len([tile for tile in slides[0] if tile.level == 0]) == 30


def visited(seed: int, store: SlideStore, target: Region) -> dict[TileAddress, NDArray[np.uint8]]:
    """Draw the target after wandering about; return the pixels of all tiles it needs."""
    chance = random.Random(seed)
    wanders = [
        Region(level, chance.randrange(1800) >> level, chance.randrange(1800) >> level, 300, 400)
        for level in chance.choices((0, 1, 2), k=8)
    ]
    views = [
        Region(0, target.y, target.x + x, target.height, 512) for x in range(0, target.width, 512)
    ]
    chance.shuffle(views)
    with InlineEngine(PlaneFactory()) as engine, TileFeed(store, engine, ahead=seed % 2) as feed:
        for view in wanders if seed else ():
            speed = chance.choice((0.0, 0.0, 900.0, -9000.0))
            feed.look_at(view, (speed / 3, speed))
            begun = feed.status.drawn
            if speed == 0 and chance.random() < 0.7:  # otherwise it is left at once
                until(lambda begun=begun: feed.status.drawn > begun or feed.status.queued == 0)
            if chance.random() < 0.4:
                store.evict(chance.randrange(2**22))
        for view in views:
            feed.look_at(view)
            until(lambda view=view: not needs(store, wanted(store, view)))
        feed.look_at(target)
        until(lambda: not needs(store, wanted(store, target)))
        tiles = set(needs(FakeStore(), wanted(store, target)))
        assert not feed.status.failed
    return {tile: store.read(store.spec.region(tile)) for tile in tiles}


def test_on_the_real_layout_zooming_out_gives_back_what_was_drawn_from(tmp_path: Path) -> None:
    view = Region(0, 1024, 1024, 256, 256)
    store = SlideStore.create(tmp_path / "slide.ome.zarr", small_recipe(seed=3))
    with store, InlineEngine(FakeFactory()) as engine, TileFeed(store, engine, ahead=0) as feed:
        feed.look_at(view)
        until(lambda: not needs(store, wanted(store, view)))
        for level in (0, 1):
            fine = store.read(Region(level, 1024 >> level, 1024 >> level, 256, 256))
            coarse = store.read(Region(level + 1, 512 >> level, 512 >> level, 128, 128))
            means = fine.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
            assert np.abs(means - coarse).max() <= 1
        classes, instances = store.layout.nuclei(view)
        np.testing.assert_array_equal(store.labels(view), 7 * instances + classes)


def test_reading_starts_no_job(bench: Bench) -> None:
    for level in range(bench.store.spec.levels):
        bench.store.read(bench.store.spec.bounds(level))
    stays(lambda: bench.engine.submitted == bench.engine.starts == 0)


# ---- order ----


def test_what_is_looked_at_is_drawn_coarse_before_fine(bench: Bench) -> None:
    bench.feed.look_at(CORNER)
    bench.jobs(1)
    assert levels(bench) == [2]
    assert bench.status.in_flight == (Region(2, 0, 0, 256, 256),)
    assert bench.status.view_level == 1
    assert bench.status.queued == 1
    bench.engine.finish()
    until(lambda: levels(bench) == [1])
    bench.draw(CORNER)
    assert bench.status.drawn == 2
    assert bench.store.state(1)[0, 0] == TileState.GENERATED
    assert [event.region for event in bench.of(TilesDrawn)] == [Region(2, 0, 0, 256, 256), CORNER]
    until(lambda: bench.of(FeedChanged)[-1].status.drawn == 2)


def test_two_jobs_are_in_the_engine_at_most(bench: Bench) -> None:
    for region in bench.store.spec.bounds(2), bench.store.spec.bounds(1):
        bench.feed.render(region)
    bench.jobs(1)  # all four coarse tiles at once
    bench.engine.finish()
    bench.jobs(2)
    stays(lambda: len(bench.engine.jobs) == 2)
    assert levels(bench) == [1, 1]
    bench.draw(bench.store.spec.bounds(1))
    assert (bench.store.state(1) == TileState.GENERATED).all()
    assert (bench.store.state(0) == TileState.EMPTY).all()
    assert bench.status.drawn == 20


def test_tiles_stand_behind_what_somebody_asks_for(bench: Bench) -> None:
    bench.feed.look_at(CORNER)
    bench.jobs(1)
    assert all(job.behind for job in bench.engine.jobs)


def test_the_ring_is_drawn_when_the_view_is_complete() -> None:
    bench = Bench(ahead=1)
    with bench.feed:
        bench.feed.look_at(CORNER)
        bench.draw(CORNER.pad(256))
        assert (bench.store.state(1) == TileState.EMPTY).sum() == 12


def test_glass_is_stored_without_the_engine(tmp_path: Path) -> None:
    store = on_disk(tmp_path, -(10**6))
    bench = Bench(store)
    with store, bench.feed:
        bench.feed.look_at(Region(0, 0, 0, 256, 256))
        bench.draw(Region(0, 0, 0, 256, 256))
        assert bench.engine.submitted == 0
        place = Region(0, 0, 0, 256, 256)
        parent = bench.store.layout.colours(Region(2, 0, 0, 64, 64))
        np.testing.assert_array_equal(bench.store.read(place), parent.repeat(4, 0).repeat(4, 1))


def test_level_zero_keeps_its_nuclei(bench: Bench) -> None:
    view = Region(0, 1792, 256, 256, 256)
    bench.feed.look_at(view)
    bench.draw(view)
    labels = bench.store.labels(view)
    classes, instances = bench.store.layout.nuclei(view)
    np.testing.assert_array_equal(labels, 7 * instances + classes)
    assert labels.any()


def test_what_was_the_finest_level_keeps_its_nuclei_when_a_finer_one_is_there(
    tmp_path: Path,
) -> None:
    info = replace(FAKE_INFO, mpp=(0.125, 2.5))
    with SlideStore.create(tmp_path / "slide.ome.zarr", small_recipe(seed=3)) as store:
        store.refine(info)
        view = Region(1, 1024, 1024, 256, 256)
        with InlineEngine(FakeFactory()) as engine, TileFeed(store, engine, ahead=0) as feed:
            feed.look_at(view)
            until(lambda: not needs(store, wanted(store, view)))
        stored = store.read(view)
        classes, instances = store.layout.nuclei(view)
        np.testing.assert_array_equal(store.labels(view), 7 * instances + classes)
        fine = Region(0, 2048, 2048, 256, 256)
        with InlineEngine(FakeFactory()) as engine, TileFeed(store, engine, ahead=0) as feed:
            feed.look_at(fine)
            until(lambda: not needs(store, wanted(store, fine)))
        classes, instances = store.layout.nuclei(fine)
        np.testing.assert_array_equal(store.labels(fine), 7 * instances + classes)
        assert store.labels(fine).any()
        np.testing.assert_array_equal(store.read(view), stored)


def test_a_slide_that_ends_within_a_tile_is_drawn_to_its_end(tmp_path: Path) -> None:
    store = on_disk(tmp_path, 10**6, 1100, 900)
    bench = Bench(store, ahead=0)
    with store, bench.feed:
        bench.feed.render(bench.store.spec.bounds(0))
        bench.draw(bench.store.spec.bounds(0))
        for level in (0, 1, 2):
            assert (store.state(level) == TileState.GENERATED).all()
        assert store.state(0).shape == (5, 4)


# ---- changing one's mind ----


def test_jobs_that_left_the_view_are_cancelled_and_shared_ones_kept(bench: Bench) -> None:
    bench.feed.render(bench.store.spec.bounds(2))
    bench.draw(bench.store.spec.bounds(2))
    bench.feed.look_at(CORNER)
    bench.jobs(1)
    (job,) = bench.engine.jobs
    bench.feed.look_at(CORNER.translate(128, 128))  # still in view
    bench.jobs(2)
    assert bench.engine.cancelled == []
    bench.feed.look_at(FAR)
    until(lambda: job in bench.engine.cancelled)
    until(lambda: [j.request.target for j in bench.engine.jobs] == [FAR])
    assert bench.store.state(1)[0, 0] == TileState.EMPTY
    bench.feed.look_at(None)
    until(lambda: not bench.engine.jobs)
    until(lambda: bench.status.view_level is None)
    bench.feed.look_at(CORNER)
    bench.draw(CORNER)


def test_a_job_that_is_nearly_through_is_finished_and_kept(bench: Bench) -> None:
    bench.feed.render(bench.store.spec.bounds(2))
    bench.draw(bench.store.spec.bounds(2))
    bench.feed.look_at(CORNER)
    bench.jobs(1)
    (job,) = bench.engine.jobs
    bench.engine.emit(JobProgress(job.id, 12, 13))
    bench.feed.look_at(FAR, (0.0, 900.0))
    bench.jobs(2)
    assert bench.engine.cancelled == []
    bench.engine.finish(job)
    until(lambda: bench.store.state(1)[0, 0] == TileState.GENERATED)
    bench.draw(FAR)


def test_a_view_that_moves_is_drawn_where_it_is_going() -> None:
    store = FakeStore(small_recipe(2048, 16_384), layout=FakeLayout(10**6))
    bench = Bench(store, ahead=0)
    with bench.feed:
        bench.feed.look_at(Region(0, 0, 0, 500, 600), (0.0, 6000.0))
        bench.jobs(2)
        first = bench.engine.jobs[0].request.target
        assert first.level == 2
        assert first.x > 600 // 4
        assert all(job.request.target.level == 2 for job in bench.engine.jobs)
        bench.feed.look_at(Region(0, 0, 0, 500, 600))  # it stopped short
        until(lambda: bench.engine.jobs and bench.engine.jobs[0].request.target.x == 0)


def test_requests_that_take_longer_than_the_engine_set_the_pace() -> None:
    seconds = itertools.count(step=3)
    bench = Bench(ahead=0, clock=lambda: float(next(seconds)))
    with bench.feed:
        bench.feed.look_at(CORNER)
        bench.draw(CORNER)
        assert bench.feed._queue.pace > 2  # although these jobs took no time


def test_a_render_goes_on_when_nothing_is_looked_at(bench: Bench) -> None:
    bench.feed.render(FAR)
    bench.jobs(1)
    bench.feed.look_at(None)
    stays(lambda: len(bench.engine.jobs) == 1)
    bench.draw(FAR)
    assert bench.store.state(1)[3, 3] == TileState.GENERATED


def test_pixels_that_came_although_cancelled_are_kept(bench: Bench) -> None:
    bench.feed.look_at(Region(2, 0, 0, 256, 256))
    bench.jobs(1)
    (job,) = bench.engine.jobs
    bench.engine.cancel = lambda _: None
    bench.feed.look_at(None)
    stays(lambda: len(bench.status.in_flight) == 1)
    bench.engine.finish(job)
    until(lambda: bench.store.state(2)[0, 0] == TileState.GENERATED)


def test_pause_begins_nothing_and_resume_goes_on(bench: Bench) -> None:
    bench.feed.pause()
    bench.feed.look_at(CORNER)
    until(lambda: bench.status.paused and bench.status.queued == 2)
    stays(lambda: not bench.engine.jobs)
    assert bench.status.seconds_left is None
    bench.feed.resume()
    bench.draw(CORNER)
    assert not bench.status.paused
    assert bench.status.seconds_left == 0


def test_jobs_of_others_are_left_alone(bench: Bench) -> None:
    bench.feed.look_at(CORNER)
    bench.jobs(1)
    bench.engine.emit(JobFinished("another", np.zeros((1, 256, 256, 3), np.uint8), 0.0))
    bench.draw(CORNER)
    assert bench.status.drawn == 2


def test_an_edit_under_way_makes_the_job_start_again(bench: Bench) -> None:
    bench.feed.render(bench.store.spec.bounds(2))
    bench.draw(bench.store.spec.bounds(2))
    bench.feed.look_at(CORNER)
    bench.jobs(1)
    (first,) = bench.engine.jobs
    edited = Region(2, 0, 0, 64, 64)
    request = EditRequest(kind="generate", region=edited)
    bench.store.write(request, np.full((64, 64, 3), 7, np.uint8))
    bench.engine.finish(first)
    until(lambda: bench.engine.submitted == 3)
    (second,) = bench.engine.jobs
    assert bench.store.state(1)[0, 0] == TileState.EMPTY
    assert (second.request.coarse[50, 50] == 7).all()
    bench.draw(CORNER)


def test_an_edit_between_check_and_storing_makes_the_tile_again(bench: Bench) -> None:
    bench.feed.render(bench.store.spec.bounds(2))
    bench.draw(bench.store.spec.bounds(2))
    put = bench.store.put_generated

    def edit_then_put(*tile: Any, **more: Any) -> bool:
        bench.store.put_generated = put
        request = EditRequest(kind="generate", region=Region(2, 0, 0, 64, 64))
        bench.store.write(request, np.full((64, 64, 3), 7, np.uint8))
        return put(*tile, **more)

    bench.feed.look_at(CORNER)
    bench.jobs(1)
    bench.store.put_generated = edit_then_put
    bench.engine.finish()
    until(lambda: bench.engine.submitted == 3)
    (again,) = bench.engine.jobs
    assert (again.request.coarse[50, 50] == 7).all()
    assert bench.store.state(1)[0, 0] == TileState.EMPTY
    bench.draw(CORNER)


def test_a_new_sketch_makes_the_job_start_again(bench: Bench) -> None:
    bench.feed.look_at(Region(2, 0, 0, 256, 256))
    bench.jobs(1)
    bench.store.set_sketch(Sketch(np.ones((4, 4), np.uint8), pixel=512))
    bench.engine.finish()
    until(lambda: bench.engine.submitted == 2)
    assert (bench.engine.jobs[0].request.tissue_map[:, -1] == 4).all()
    assert bench.store.state(2)[0, 0] == TileState.EMPTY


def test_a_slide_that_grew_is_drawn_at_its_new_place() -> None:
    bench = Bench(ahead=0)
    bench.feed.look_at(Region(2, 256, 256, 256, 256))
    bench.jobs(1)
    (first,) = bench.engine.jobs
    bench.store.recipe = bench.store.recipe.grown(top=1024, left=1024)
    bench.store.put_generated(TileAddress(2, 0, 0), np.zeros((256, 256, 3), np.uint8))
    until(lambda: first in bench.engine.cancelled)
    until(lambda: len(bench.engine.jobs) == 1)
    (second,) = bench.engine.jobs
    assert second.request.target == first.request.target  # the same place on the plane
    bench.draw(Region(2, 512, 512, 256, 256))
    assert bench.store.state(2)[2, 2] == TileState.GENERATED
    bench.feed.close()
