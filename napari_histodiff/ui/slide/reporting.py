"""What is said of an open slide at one moment."""

from __future__ import annotations

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.status import FeedStatus
from napari_histodiff.ui.slide.status import SlideStatus, magnification_of
from napari_histodiff.ui.slide.target import READ_ONLY
from napari_histodiff.ui.slide.view import tile_counts

__all__ = ["status_of"]


def status_of(store: SlideStore, feed: FeedStatus, view: Region | None) -> SlideStatus:
    """Return what is drawn, in work and wrong.

    Parameters
    ----------
    store : SlideStore
        The slide.
    feed : FeedStatus
        What draws it.
    view : Region or None
        What is in view, in pixels of the level shown; None when nothing is.
    """
    counts = tile_counts(store)
    level = store.spec.levels - 1 if view is None else view.level
    mpp = store.spec.mpp * (1 << level)
    failure = next(iter(feed.failed.values()), "")
    return SlideStatus(
        level=level,
        mpp=mpp,
        magnification=magnification_of(mpp),
        queued=feed.queued,
        in_flight=sum(region.snap(TILE).area // TILE**2 for region in feed.in_flight),
        failed=len(feed.failed),
        rate=feed.rate,
        seconds_left=feed.seconds_left,
        paused=feed.paused,
        generated=counts[TileState.GENERATED],
        edited=counts[TileState.EDITED],
        stale=counts[TileState.STALE],
        read_only=store.read_only,
        message=READ_ONLY if store.read_only else feed.message or failure,
    )
