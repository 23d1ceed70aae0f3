"""A feed on a slide whose jobs end when a test says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.feed import TileFeed
from napari_histodiff.slide.streaming.planning import needs
from napari_histodiff.slide.streaming.status import FeedStatus
from tests.slide.fake_store import FakeLayout, FakeStore, small_recipe
from tests.slide.streaming.fake_engine import ManualEngine

__all__ = ["CORNER", "FAR", "Bench", "benches", "on_disk", "stays", "until"]

CORNER = Region(1, 0, 0, 256, 256)
FAR = Region(1, 768, 768, 256, 256)


def until(reached: Callable[[], object], patience: float = 60.0) -> None:
    """Wait until `reached` holds."""
    end = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < end, "not reached"
        time.sleep(0.002)


def stays(holds: Callable[[], object], seconds: float = 0.05) -> None:
    """Check that nothing changes for a moment."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert holds()
        time.sleep(0.002)


def on_disk(folder: Path, glass_from: int = 10**6, *sides: int) -> SlideStore:
    """A slide of tissue, with glass right of a column; a sketch makes it glass further left."""

    def layout(recipe: SlideRecipe, sketch: Sketch | None) -> FakeLayout:
        return FakeLayout(glass_from if sketch is None else sketch.pixel)

    return SlideStore.create(folder / "slide.ome.zarr", small_recipe(*sides), layout=layout)


class Bench:
    """A feed on a slide with an engine that is worked by hand."""

    def __init__(self, store: Any = None, engine: Any = None, **settings: Any) -> None:
        self.store = store or FakeStore(layout=FakeLayout(10**6))
        self.engine = engine or ManualEngine()
        self.feed = TileFeed(self.store, self.engine, **settings)
        self.events: list[Any] = []
        self.feed.subscribe(self.events.append)

    @property
    def status(self) -> FeedStatus:
        return self.feed.status

    def jobs(self, count: int) -> None:
        """Wait for so many jobs in the engine."""
        until(lambda: len(self.engine.jobs) == count and len(self.status.in_flight) == count)

    def draw(self, region: Region) -> None:
        """Finish jobs until all of a region is drawn and nothing is left to do."""

        def finished() -> bool:
            while self.engine.jobs:
                self.engine.finish()
            tiles = self.store.spec.tiles(region)
            status = self.status
            return not (needs(self.store, tiles) or status.queued or status.in_flight)

        until(finished)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def benches(folder: Path) -> Iterator[Bench]:
    """A bench on a new slide on disk, closed after use."""
    with on_disk(folder) as store:
        made = Bench(store, ahead=0)
        yield made
        made.feed.close()
