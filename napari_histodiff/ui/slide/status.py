"""What the window says about a slide at one moment, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.slide.reader import SlideReader
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.streaming.status import FeedStatus
from napari_histodiff.ui.slide.target import READ_ONLY
from napari_histodiff.ui.slide.watcher import tile_counts
from napari_histodiff.ui.text import duration_text

__all__ = [
    "SlideCost",
    "SlideStatus",
    "cost_of",
    "level_text",
    "magnification_of",
    "place_text",
    "queue_text",
    "size_text",
    "speed_text",
    "status_of",
    "time_text",
]

# A 40x objective gives 0.25 micrometres per pixel, a 20x objective 0.5.
_MICROMETRES_AT_1X: Final = 10.0


@dataclass(frozen=True, slots=True)
class SlideStatus:
    """How far a slide is drawn and what is asked for.

    Attributes
    ----------
    level : int
        Pyramid level shown, 0 = finest.
    mpp : float
        Micrometres per pixel of that level.
    queued, in_flight, failed : int
        Tiles that wait, are being drawn, and could not be drawn.
    rate : float
        Tiles per second lately; 0 when unknown.
    seconds_left : float or None
        Until the queue is empty; None when unknown.
    paused : bool
        Whether drawing is held.
    generated, edited, stale : int
        Tiles of the levels that the model draws, by state.
    read_only : bool
        Whether the slide can only be looked at.
    message : str
        What the user should know now; empty when nothing.
    """

    level: int = 0
    mpp: float = 0.5
    queued: int = 0
    in_flight: int = 0
    failed: int = 0
    rate: float = 0.0
    seconds_left: float | None = None
    paused: bool = False
    generated: int = 0
    edited: int = 0
    stale: int = 0
    read_only: bool = False
    message: str = ""


def magnification_of(mpp: float) -> float:
    """Return the objective, 20 for "20x", that gives so many micrometres per pixel."""
    return _MICROMETRES_AT_1X / mpp


def status_of(slide: SlideReader, feed: FeedStatus, view: Region | None) -> SlideStatus:
    """Return what is drawn, in work and wrong.

    Parameters
    ----------
    slide : SlideReader
        The slide.
    feed : FeedStatus
        What draws it.
    view : Region or None
        What is in view, in pixels of the level shown; None when nothing is.
    """
    counts = tile_counts(slide)
    level = slide.spec.levels - 1 if view is None else view.level
    mpp = slide.spec.mpp * (1 << level)
    failure = next(iter(feed.failed.values()), "")
    return SlideStatus(
        level=level,
        mpp=mpp,
        queued=feed.queued,
        in_flight=sum(region.snap(TILE).area // TILE**2 for region in feed.in_flight),
        failed=len(feed.failed),
        rate=feed.rate,
        seconds_left=feed.seconds_left,
        paused=feed.paused,
        generated=counts[TileState.GENERATED],
        edited=counts[TileState.EDITED],
        stale=counts[TileState.STALE],
        read_only=slide.read_only,
        message=READ_ONLY if slide.read_only else feed.message or failure,
    )


#: Bytes of a stored pixel when nothing can be compressed.
_PIXEL_BYTES = 3


@dataclass(frozen=True, slots=True)
class SlideCost:
    """What a slide would take if all of it were drawn: tiles by the model, bytes at the most."""

    tiles: int
    largest: int

    def seconds(self, rate: float) -> float | None:
        """Return how long drawing all tiles takes at `rate` tiles per second; None if unknown."""
        return self.tiles / rate if rate > 0 else None


def cost_of(recipe: SlideRecipe) -> SlideCost:
    """Return what drawing every tile of a slide costs."""
    spec = recipe.spec
    tiles = 0
    largest = 0
    for level in range(spec.levels):
        bounds = spec.bounds(level)
        largest += bounds.area * _PIXEL_BYTES
        if level <= recipe.coarsest:
            tiles += -(-bounds.height // spec.tile) * -(-bounds.width // spec.tile)
    return SlideCost(tiles, largest)


def size_text(height: int, width: int, mpp: float) -> str:
    """Return width and height of a slide in one unit: "32.8 × 32.8 mm"."""
    wide, high = width * mpp / 1000, height * mpp / 1000
    digits = 1 if max(wide, high) >= 9.995 else 2
    return f"{wide:.{digits}f} × {high:.{digits}f} mm"


def level_text(status: SlideStatus) -> str:
    """Return the level in view: "Level 1 · 1.00 µm/px"."""
    mpp = f"{status.mpp:.2f}" if status.mpp < 10 else f"{status.mpp:.0f}"
    return f"Level {status.level} · {mpp} µm/px"


def place_text(view: Region, mpp: float) -> str:
    """Return where the middle of the view is, from the slide's left and top, in mm."""
    x, y = (view.x + view.width / 2) * mpp / 1000, (view.y + view.height / 2) * mpp / 1000
    return f"x {x:.2f}, y {y:.2f} mm"


def queue_text(status: SlideStatus) -> str:
    """Return what is asked for and not drawn yet; empty when nothing is."""
    if not status.queued and not status.in_flight:
        return ""
    return f"{status.queued:,} waiting, {status.in_flight:,} in work"


def speed_text(status: SlideStatus) -> str:
    """Return how fast it goes; empty when unknown."""
    return f"{status.rate:.1f} tiles/s" if status.rate > 0 else ""


def time_text(status: SlideStatus) -> str:
    """Return how long the queue will take; empty when unknown or there is none."""
    if status.seconds_left is None or not status.queued + status.in_flight:
        return ""
    return f"about {duration_text(max(1.0, status.seconds_left))} left"
