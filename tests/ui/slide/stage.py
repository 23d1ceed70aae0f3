"""A viewer without a window, a slide on it, and a clock that only moves when it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from napari.components import ViewerModel

from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.ui.slide.session import SlideSession
from napari_histodiff.ui.viewport import camera_of
from tests.slide.fake_store import FakeStore

__all__ = ["Clock", "MemoryStore", "Stage", "put_block", "resize", "wait_until"]


class MemoryStore(FakeStore):
    """A slide in memory that, like one on disk, may be let go of while somebody still listens."""

    def refresh(self) -> None:
        """Nobody else writes to it."""

    def mark(self, tile: TileAddress, state: TileState) -> None:
        """Give a tile a state that it could have had from an edit."""
        self._states[tile] = state

    def pretend_an_edit(self, region: Region) -> None:
        """Have something that could be taken back."""
        self._past.append((region, {}))

    def subscribe(self, listener: Callable[[Region], None]) -> Callable[[], None]:
        stop = super().subscribe(listener)

        def stop_once() -> None:
            with suppress(ValueError):
                stop()

        return stop_once


@dataclass
class Clock:
    """Seconds; call it to read them."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stage:
    """A session on a canvas of 400 x 600 screen pixels that shows level 0 pixel for pixel."""

    store: Any
    engine: Any
    viewer: Any = field(default_factory=ViewerModel)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        resize(self.viewer, 400, 600)
        self.session = SlideSession(self.viewer, self.store, self.engine, clock=self.clock)
        self.changes = 0
        self.session.changed.connect(self._count)
        self.refreshes: list[Any] = []
        self.session.layer.events.set_data.connect(self.refreshes.append)
        self.look(1024, 1024)

    def look(self, y: float, x: float, pixels: float = 1.0) -> None:
        """Put a place of level 0 in the middle, so many of its pixels to a screen pixel."""
        camera_of(self.viewer).zoom = 1 / (self.store.spec.mpp * pixels)
        self.session.go_to(y, x)

    def pump(self, seconds: float = 0.05) -> None:
        self.clock.now += seconds
        self.session.pump()

    def rest(self) -> None:
        """Let the view rest until it is told."""
        for _ in range(6):
            self.pump()

    def pump_until(self, condition: Callable[[], bool]) -> None:
        def look() -> bool:
            self.pump()
            return condition()

        wait_until(look)

    def settle(self, workspace: Any) -> None:
        """Wait for edits that are being written, taken back or repeated."""
        self.pump_until(lambda: not workspace.doing.text)

    def _count(self) -> None:
        self.changes += 1


def resize(viewer: Any, height: int, width: int) -> None:
    """Give a viewer's canvas a size; it moved in napari 0.9."""
    if hasattr(viewer, "canvas"):
        viewer.canvas.size = (height, width)
    else:
        viewer._canvas_size = (height, width)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for another thread; a generous limit, since workers share the CPU."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def put_block(store: Any, block: Region, value: int) -> None:
    """Store tiles of one gray value as if a model had drawn them."""
    for tile in store.spec.tiles(block):
        region = store.spec.region(tile)
        store.put_generated(tile, np.full((*region.shape, 3), value, np.uint8))
