"""One slide in one viewer: its layer, what draws it, and what is said about it. No Qt here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.engine import Engine
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.lazy_levels import LazyLevel, pyramid
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.feed import TileFeed
from napari_histodiff.ui.slide.placeholders import Placeholders, ShownSlide
from napari_histodiff.ui.slide.sketching import SketchEditor
from napari_histodiff.ui.slide.status import SlideStatus, status_of
from napari_histodiff.ui.slide.target import SlideTarget
from napari_histodiff.ui.slide.tile_overlay import TileOverlay
from napari_histodiff.ui.slide.watcher import ViewWatcher, coverage_of
from napari_histodiff.ui.viewport import camera_of, to_world
from napari_histodiff.ui.workspace.pending import StepWorker
from napari_histodiff.ui.workspace.targets import register_target
from napari_histodiff.ui.workspace.transforms import insert_above, take_away

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["SlideSession"]

#: Seconds between two redraws of the layer, two reports and two thumbnails, and between two looks
#: at what another program wrote to a slide that can only be looked at here.
_REDRAW: Final = 0.1
_REPORT: Final = 0.25
_THUMBNAIL: Final = 2.0
_FOLLOW: Final = 1.0

#: Seconds that closing a slide waits for an edit that is being written.
_PATIENCE: Final = 30.0


class SlideSession:
    """Shows a slide, has what is looked at drawn, and lets it be edited.

    Adding the layer asks nothing of the engine; only `pump`, which a timer calls every 50 to 100
    ms on the thread of the viewer, looks at the view. The session closes the store, not the engine.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layer is added.
    store : SlideStore
        The slide; belongs to the session from now on.
    engine : Engine
        What draws.
    name : str
        Of the layer; that of the slide's folder when empty.
    clock : callable
        Seconds, never running backwards.
    between : callable, optional
        Called amid adding the layer, which takes napari a while.
    """

    #: Status, coverage or view are other ones; at most four times a second.
    changed = Signal()
    #: A message for the user.
    noticed = Signal(str)
    #: The session is over: its layer is gone and the slide is free for others.
    closed = Signal()

    def __init__(
        self,
        viewer: Any,
        store: SlideStore,
        engine: Engine,
        *,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        between: Callable[[], object] | None = None,
    ) -> None:
        self.store = store
        self._viewer = viewer
        self._engine = engine
        self._clock = clock
        self._dirty: deque[Region] = deque()
        self._unshown = False
        self._unreported: Region | None = None
        self._noticed = ""
        self._reported: Region | None = None
        self._redraw_due = self._report_due = self._thumbnail_due = float("-inf")
        self._follow_due = float("-inf") if store.read_only else float("inf")
        self._is_open = True
        self._worker = StepWorker()
        self._worker.carried_out.connect(self._show_changes)  # before anyone hears of it
        self._placeholders = Placeholders(store, self._dirty.append)
        self._shown = ShownSlide(store, self._placeholders, self._worker)
        try:
            self.layer = Image(
                self._levels(),
                multiscale=True,
                rgb=True,
                name=name or store.path.name.removesuffix(".ome.zarr"),
                scale=(store.spec.mpp, store.spec.mpp),
                units=("um", "um"),
            )
        except StorageError:  # napari reads the coarsest level at once
            self._placeholders.close()
            raise
        self._overlay = TileOverlay(viewer, self.layer)
        self.target = SlideTarget(
            self.layer,
            store,
            self.render_frame,
            self._is_paused,
            self._worker,
            self.travel,
            lambda: self._overlay.layer,
        )
        register_target(self.target)
        self._watcher = ViewWatcher(viewer, self.layer)
        self._sketch = SketchEditor(viewer, self.layer, store)
        self._feed = TileFeed(store, engine)
        self._unsubscribe = store.subscribe(self._dirty.append)
        insert_above(viewer, self.layer, [], between)
        viewer.layers.events.removed.connect(self._on_removed)
        self.status = self._status_now()

    # -------------------------------------------------------------------- look
    def overview(self) -> NDArray[np.uint8]:
        """Return the coarsest level, (h, w, 3) uint8; from memory, so it may be asked for often."""
        return np.array(self.layer.data[-1], copy=True)

    def coverage(self) -> NDArray[np.uint8]:
        """Return what is drawn where, (h, w) uint8 of `TileState`, at most 256 a side."""
        return coverage_of(self._shown)

    def view_box(self) -> Region:
        """Return what the canvas covers, in pixels of level 0, clipped to the slide."""
        return self._watcher.box(self.store.spec)

    def go_to(self, y: float, x: float) -> None:
        """Bring a place, in pixels of level 0, to the middle of the canvas."""
        camera = camera_of(self._viewer)
        camera.center = tuple(to_world(self._viewer, self.layer, (y - 0.5, x - 0.5)))

    def prepare_marks(self, between: Callable[[], object]) -> None:
        """Make the layer that marks tiles before one is drawn; `between` as in the constructor."""
        if self._is_open and not self.store.read_only:
            self._overlay.prepare(self.store.spec.bounds(0), between)
            if not self._is_open:  # it was closed meanwhile
                self._overlay.close()

    # -------------------------------------------------------------------- draw
    def pause(self) -> None:
        """Begin no further tile."""
        self._feed.pause()

    def resume(self) -> None:
        """Go on drawing."""
        self._feed.resume()

    def retry(self) -> None:
        """Try again what could not be drawn."""
        self._feed.retry()

    def render_view(self) -> None:
        """Have all that is in view drawn, down to the finest level."""
        self.render_frame(self.view_box())

    def render_frame(self, region: Region) -> None:
        """Have a rectangle drawn, down to its level; parts beyond the slide are left out."""
        inside = region.intersect(self.store.spec.bounds(region.level))
        if not inside.is_empty:
            self._feed.render(inside)

    def render_all(self) -> None:
        """Have the whole slide drawn, down to the finest level."""
        self.render_frame(self.store.spec.bounds(0))

    def stop_rendering(self) -> None:
        """Forget what was asked to be drawn beyond what is in view."""
        self._restart_feed()

    def use_engine(self, engine: Engine) -> None:
        """Draw with another engine from now on; one of another model draws nothing here."""
        self._engine = engine
        self._restart_feed()

    # -------------------------------------------------------------------- edit
    def edit_sketch(self) -> Labels:
        """Lay the tissue sketch open for painting and return its layer."""
        return self._sketch.open()

    def apply_sketch(self, overwrite: bool = False) -> int:
        """Lay the slide out as the sketch says; what it changes is drawn anew where it is seen.

        Parameters
        ----------
        overwrite : bool
            Go on though edited tiles lie where the sketch changes.

        Returns
        -------
        int
            0 when the sketch was applied. Otherwise nothing was done, because so many edited tiles
            lie where it changes the slide.

        Raises
        ------
        InvalidRequest
            When no sketch is open or it holds a number that is no tissue.
        StorageError
            When it cannot be stored.
        """
        self.finish_edits()
        edited = self._sketch.edited()
        if edited and not overwrite:
            return len(edited)
        regions = self._sketch.apply()
        self._sketch.close()
        self._dirty.extend(regions)
        return 0

    def close_sketch(self) -> None:
        """Take the sketch away without applying it."""
        self._sketch.close()

    def finish_edits(self) -> None:
        """Wait for edits on their way: before the slide becomes another one under them.

        Raises
        ------
        StorageError
            When that takes longer than half a minute.
        """
        if not self._worker.finish(_PATIENCE):
            raise StorageError(
                "expected the last edit to be written by now, got a disk that is busy; wait until "
                "the line above Undo says no more that it is being written"
            )

    def grow(self, top: int = 0, left: int = 0, bottom: int = 0, right: int = 0) -> None:
        """Add rows and columns of level 0 to the slide; what is on the canvas stays where it is.

        Parameters
        ----------
        top, left, bottom, right : int
            Multiples of `growth_step`.

        Raises
        ------
        InvalidRequest
            When one is no such multiple, or the slide would be too large.
        StorageError
            When the slide cannot be written.
        """
        self.finish_edits()
        self.store.grow(top, left, bottom, right)
        self._reframe(top, left)

    def travel(self, *, back: bool) -> bool:
        """Take the last growth back, or repeat the one taken back, where that is the next step.

        Returns
        -------
        bool
            Whether it was; otherwise nothing was done.

        Raises
        ------
        StorageError
            When the slide cannot be written.
        """
        self.finish_edits()
        store = self.store
        y, x = store.recipe.origin
        if not (store.undo_growth() if back else store.redo_growth()):
            return False
        now = store.recipe.origin
        self._reframe(y - now[0], x - now[1])
        return True

    def _reframe(self, down: int, right: int) -> None:
        """Show the slide at its new size; its first pixel moved so far up and left."""
        self._placeholders.want(None, stays=False)
        self._sketch.close()
        self._overlay.forget()
        self._watcher.forget()
        self._dirty.clear()
        layer, levels = self.layer, self._levels()
        shift = np.asarray(layer.scale) * (down, right)
        # Data first: napari shows the coarsest level until it draws, and takes these corners of it.
        layer.corner_pixels = np.array([(0, 0), np.subtract(levels[-1].shape[:2], 1)])
        layer.data = levels
        layer.translate = np.asarray(layer.translate) - shift
        self.target.forget_asked()
        self.target.moved.emit(down, right)
        self._report()

    @property
    def growth_step(self) -> int:
        """A slide grows by multiples of so many pixels of level 0."""
        return TILE << self.store.recipe.coarsest

    # -------------------------------------------------------------------- live
    def pump(self) -> None:
        """Look at the view, show what was drawn and tell what changed; call it on a timer."""
        if not self._is_open:
            return
        now, spec = self._clock(), self.store.spec
        if self._watcher.poll(spec, now):
            view = self._watcher.told
            self._feed.look_at(view, self._watcher.motion)
            self._placeholders.want(view, stays=view is not None and self._stays(view.level))
        if now >= self._follow_due:
            self._follow_due = now + _FOLLOW
            self._follow_writer()
        self._worker.deliver()
        self._show_changes(self._redraw_due)
        if now >= self._report_due:
            self._report_due = now + _REPORT
            self._report()

    def close(self, between: Callable[[], object] | None = None) -> None:
        """Stop drawing, take the layers away and close the slide; idempotent.

        Layers go in one go, or one by one with `between` called after each.
        """
        if not self._is_open:
            return
        self._is_open = False
        self._worker.finish(_PATIENCE)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._unsubscribe()
        self._feed.close()
        self._placeholders.close()
        take_away(self._viewer, (self._sketch.layer, self._overlay.layer, self.layer), between)
        self._worker.close(self.store.close)
        self.closed.emit()

    # ---------------------------------------------------------------- internal
    def _levels(self) -> list[LazyLevel]:
        levels = pyramid(self._shown)
        self._placeholders.use_top(levels[-1])
        return levels

    def _stays(self, level: int) -> bool:
        """Whether the layout's colours of a level are all there will be to see."""
        return level > self.store.recipe.coarsest or self.store.read_only or self._is_paused()

    def _is_paused(self) -> bool:
        return self._feed.status.paused

    def _restart_feed(self) -> None:
        paused = self._is_paused()
        self._feed.close()
        self._feed = TileFeed(self.store, self._engine)
        if paused:
            self._feed.pause()
        self.target.forget_asked()
        self._watcher.forget()

    def _follow_writer(self) -> None:
        try:
            self.store.refresh()
        except StorageError as error:  # the slide was moved or deleted
            self._follow_due = float("inf")
            self.noticed.emit(str(error))

    def _note(self, region: Region) -> None:
        spec, view = self.store.spec, self._watcher.told
        finest = spec.at_level(region, 0)
        self._unreported = finest if self._unreported is None else finest.union(self._unreported)
        if view is not None:
            self._unshown |= not spec.at_level(region, view.level).intersect(view).is_empty

    def _show_changes(self, due: float = float("-inf")) -> None:
        now = self._clock()
        while self._dirty:
            self._note(self._dirty.popleft())
        if self._unshown and self._is_open and now >= due:
            self._unshown = False
            self._redraw_due = now + _REDRAW
            self._redraw(now)

    def _redraw(self, now: float) -> None:
        thumbnail = now >= self._thumbnail_due
        if thumbnail:
            self._thumbnail_due = now + _THUMBNAIL
        self.layer.refresh(extent=False, highlight=False, thumbnail=thumbnail)

    def _report(self) -> None:
        feed, view = self._feed.status, self._watcher.told
        self._overlay.prepare(None if self.store.read_only else view)
        self._overlay.show(self.store.spec, view, feed.in_flight, feed.failed)
        before, self.status = (self.status, self._reported), self._status_now()
        drawn, self._unreported = self._unreported, None
        if self.status.message and self.status.message != self._noticed:
            self.noticed.emit(self.status.message)
        self._noticed = self.status.message
        if drawn is not None:
            self.target.changed.emit(drawn)
        self._reported = self.view_box()
        if drawn is not None or (self.status, self._reported) != before:
            self.changed.emit()

    def _status_now(self) -> SlideStatus:
        return status_of(self._shown, self._feed.status, self._watcher.told)

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.close()
