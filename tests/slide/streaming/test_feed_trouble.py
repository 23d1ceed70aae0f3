from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.errors import (
    EngineUnavailable,
    HistodiffError,
    InvalidRequest,
    StorageError,
    WorkerDied,
)
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.engine.inline import InlineEngine
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.feed import TileFeed
from napari_histodiff.slide.streaming.status import RateMeter, TilesDrawn, TilesFailed
from tests.fakes import FAKE_INFO
from tests.slide.fake_store import FakeLayout, FakeStore, PlaneFactory
from tests.slide.streaming.fake_engine import ManualEngine
from tests.slide.streaming.feed_bench import CORNER, Bench, benches, on_disk, stays, until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from benches(tmp_path)


def test_failed_tiles_are_kept_with_their_reason_until_retry(bench: Bench) -> None:
    view = bench.store.spec.bounds(2)
    bench.feed.look_at(view)
    bench.jobs(1)
    bench.engine.fail(HistodiffError("the moon is full"))
    until(lambda: len(bench.status.failed) == 4)
    assert set(bench.status.failed.values()) == {"the moon is full"}
    (event,) = bench.of(TilesFailed)
    assert set(event.tiles) == set(bench.status.failed)
    stays(lambda: not bench.engine.jobs)
    bench.feed.retry()
    bench.draw(view)
    until(lambda: not bench.status.failed)


def test_a_failing_model_ends_in_failures_and_no_loop() -> None:
    store = FakeStore(layout=FakeLayout(10**6))
    factory = PlaneFactory(fault="value", fault_at=1, always=True)
    with InlineEngine(factory) as engine, TileFeed(store, engine) as feed:
        feed.look_at(store.spec.bounds(2))
        until(lambda: len(feed.status.failed) == 4)
        assert "the moon is full" in next(iter(feed.status.failed.values()))


def test_a_dead_engine_pauses_the_feed_until_it_is_ready(bench: Bench) -> None:
    bench.feed.look_at(CORNER)
    bench.jobs(1)
    bench.engine.become(EngineState.DEAD, "expected memory, got none; buy some")
    bench.engine.fail(HistodiffError("the model did not load"))
    until(lambda: not bench.status.in_flight)
    assert bench.status.message == "expected memory, got none; buy some"
    assert not bench.status.failed
    stays(lambda: not bench.engine.jobs)
    bench.engine.become(EngineState.READY)
    bench.draw(CORNER)
    assert bench.status.message == ""


def test_an_engine_that_was_dead_before_is_told() -> None:
    engine = ManualEngine()
    engine.state = EngineState.DEAD
    bench = Bench(engine=engine)
    with bench.feed:
        bench.feed.look_at(CORNER)
        until(lambda: "start it again" in bench.status.message)
        stays(lambda: not engine.jobs and not engine.starts)


def test_a_block_that_kills_the_worker_twice_fails(bench: Bench) -> None:
    view = Region(2, 0, 0, 256, 256)
    bench.feed.look_at(view)
    for _ in range(2):
        bench.jobs(1)
        bench.engine.fail(WorkerDied("the worker died"))
    until(lambda: list(bench.status.failed.values()) == ["the worker died"])
    stays(lambda: not bench.engine.jobs)


def test_the_engine_is_started_only_when_there_is_something_to_draw() -> None:
    bench = Bench(engine=ManualEngine(info=None))
    with bench.feed:
        bench.feed.look_at(None)
        stays(lambda: not bench.engine.starts)
        bench.feed.look_at(CORNER)
        until(lambda: bench.engine.starts)
        assert not bench.engine.jobs
        bench.engine.become(EngineState.READY, info=FAKE_INFO)
        bench.draw(CORNER)


def test_a_closed_engine_is_told(bench: Bench) -> None:
    bench.engine.close()
    bench.feed.look_at(CORNER)
    until(lambda: "closed" in bench.status.message)

    def closed(*_: object, **__: object) -> None:
        raise EngineUnavailable("expected an open engine, got a closed one; make a new engine")

    for name in ("start", "submit"):
        engine = ManualEngine(info=FAKE_INFO if name == "submit" else None)
        setattr(engine, name, closed)
        other = Bench(engine=engine)
        with other.feed:
            other.feed.look_at(CORNER)
            until(lambda other=other: "make a new engine" in other.status.message)


def test_another_model_draws_nothing(bench: Bench) -> None:
    bench.engine.info = replace(FAKE_INFO, revision="other")
    bench.feed.look_at(CORNER)
    until(lambda: "choose that model" in bench.status.message)
    assert not bench.engine.jobs
    bench.engine.become(EngineState.READY, info=FAKE_INFO)
    bench.jobs(1)
    bench.engine.become(EngineState.READY, info=replace(FAKE_INFO, revision="other"))
    bench.engine.finish()
    until(lambda: not bench.status.in_flight)
    assert (bench.store.state(2) == TileState.EMPTY).all()
    bench.engine.become(EngineState.READY, info=FAKE_INFO)
    bench.draw(CORNER)


def test_a_slide_that_is_read_only_is_never_drawn(tmp_path: Path) -> None:
    on_disk(tmp_path).close()
    store = SlideStore.open(tmp_path / "slide.ome.zarr", read_only=True)
    bench = Bench(store)
    with store, bench.feed:
        bench.feed.look_at(CORNER)
        until(lambda: "reading only" in bench.status.message)
        assert bench.engine.submitted == bench.engine.starts == 0


def test_a_full_disk_pauses_and_resume_tries_again(bench: Bench) -> None:
    put = bench.store.put_generated

    def full(*_: object, **__: object) -> None:
        raise StorageError("expected space, got none; free some")

    bench.store.put_generated = full
    bench.feed.look_at(CORNER)
    bench.jobs(1)
    bench.engine.finish()
    until(lambda: bench.status.message == "expected space, got none; free some")
    assert bench.status.paused
    assert bench.status.drawn == 0
    bench.store.put_generated = put
    bench.feed.resume()
    bench.draw(CORNER)
    assert bench.status.message == ""


def test_a_parent_that_can_not_be_read_fails_what_comes_from_it(bench: Bench) -> None:
    bench.feed.render(bench.store.spec.bounds(2))
    bench.draw(bench.store.spec.bounds(2))
    base = bench.store.base

    def damaged(_: Region) -> None:
        raise StorageError("expected whole pixels, got a damaged tile; restore it")

    bench.store.base = damaged
    bench.feed.look_at(CORNER)
    until(lambda: "damaged tile" in bench.status.failed.get(TileAddress(1, 0, 0), ""))
    assert not bench.status.paused
    bench.store.base = base
    bench.feed.retry()
    bench.draw(CORNER)


def test_what_nobody_foresaw_is_told_and_the_feed_lives_on(bench: Bench) -> None:
    state = bench.store.state

    def broken(_: int) -> None:
        raise RuntimeError("no such thing")

    bench.store.state = broken
    bench.feed.look_at(CORNER)
    until(lambda: "no such thing" in bench.status.message)
    assert bench.status.paused
    bench.store.state = state
    bench.feed.resume()
    bench.draw(CORNER)


def test_a_listener_that_fails_harms_nobody(bench: Bench) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("deaf")

    stop = bench.feed.subscribe(fail)
    bench.feed.look_at(CORNER)
    bench.draw(CORNER)
    stop()
    stop()
    assert bench.of(TilesDrawn)


def test_levels_the_slide_has_not_are_refused_at_once(bench: Bench) -> None:
    with pytest.raises(InvalidRequest, match="choose one of those"):
        bench.feed.look_at(Region(9, 0, 0, 10, 10))
    with pytest.raises(InvalidRequest, match="choose one of those"):
        bench.feed.render(Region(9, 0, 0, 10, 10))


def test_closing_cancels_and_leaves_nothing_behind() -> None:
    bench = Bench()
    bench.feed.look_at(CORNER)
    bench.jobs(1)
    (job,) = bench.engine.jobs
    bench.feed.close()
    bench.feed.close()
    assert bench.engine.cancelled == [job]
    assert bench.store.listeners == 0
    assert "histodiff-feed" not in {thread.name for thread in threading.enumerate()}


def test_a_listener_may_close_the_feed() -> None:
    bench = Bench()
    bench.feed.subscribe(lambda _: bench.feed.close())
    bench.feed.look_at(CORNER)
    until(lambda: bench.store.listeners == 0)
    bench.feed.close()


# ---- figures ----


def test_rate_and_time_left_follow_the_clock() -> None:
    now = [0.0]
    bench = Bench(clock=lambda: now[0], ahead=0)
    with bench.feed:
        bench.feed.look_at(bench.store.spec.bounds(1))
        bench.jobs(1)
        assert bench.status.rate == 0
        assert bench.status.seconds_left is None
        now[0] = 2.0
        bench.engine.finish()
        bench.jobs(2)
        assert bench.status.rate == 2.0
        assert bench.status.seconds_left == 16 / 2.0
        now[0] = 60.0
        assert bench.status.rate == 0


def test_a_meter_counts_ten_seconds_of_work() -> None:
    now = [100.0]
    meter = RateMeter(lambda: now[0])
    assert meter.per_second() == 0
    now[0] = 150.0
    meter.start()
    meter.add(4)
    now[0] = 154.0
    assert meter.per_second() == 1.0
    now[0] = 159.0
    meter.start()
    meter.add(6)
    assert meter.per_second() == 10 / 9
    now[0] = 165.0
    assert meter.per_second() == 0.6
