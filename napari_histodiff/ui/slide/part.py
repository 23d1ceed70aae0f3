"""Everything the dock needs for slides: making, opening, showing and closing one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtWidgets import QDialog, QWidget

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import Engine
from napari_histodiff.core.errors import HistodiffError, InvalidRequest, make_folder
from napari_histodiff.slide.overlays.attaching import is_edits
from napari_histodiff.slide.scans.opening import is_synthetic
from napari_histodiff.slide.scans.remembered import RememberedScans
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.ui.background import glance, in_background, waiting
from napari_histodiff.ui.slide.files.forms import export_form, import_annotations_form
from napari_histodiff.ui.slide.files.job import FileJob
from napari_histodiff.ui.slide.new_slide import NewSlide
from napari_histodiff.ui.slide.new_slide_dialog import NewSlideDialog
from napari_histodiff.ui.slide.placeholders import first_look
from napari_histodiff.ui.slide.questions import (
    ask_draw_all,
    ask_growth,
    ask_redraw,
    ask_space,
)
from napari_histodiff.ui.slide.recent import RecentMenu, SlidePlaces, ask_slide
from napari_histodiff.ui.slide.scans.shown import ShownScans
from napari_histodiff.ui.slide.session import SlideSession
from napari_histodiff.ui.slide.sketch_box import SketchHand
from napari_histodiff.ui.slide.slide_box import SlideBox
from napari_histodiff.ui.slide.status import cost_of
from napari_histodiff.ui.slide.zooming import KeptView, finer_refusal
from napari_histodiff.ui.starting.preferences import preferences
from napari_histodiff.ui.text import bytes_text
from napari_histodiff.ui.viewport import show_scale_bar, show_whole
from napari_histodiff.ui.widgets.dialogs import FormDialog
from napari_histodiff.ui.widgets.notices import show_info, show_trouble, show_warning

if TYPE_CHECKING:
    from magicgui.widgets import FunctionGui

    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["SlidePart"]

#: Seconds between two looks at what the session says.
_SHOW: Final = 0.25

#: Seconds between two looks at how much the slide takes on the disk.
_WEIGH: Final = 5.0


class SlidePart:
    """The one slide that is open, its section of the dock, and the questions around it.

    Parameters
    ----------
    viewer : napari Viewer
        Where the slide is shown.
    workspace, controller
        Of the dock.
    parent : QWidget
        What dialogs stand on.
    places : SlidePlaces, optional
        Another place to remember where slides are.
    remembered : RememberedScans, optional
        Another place to remember what was asked about scans.
    """

    def __init__(
        self,
        viewer: Any,
        workspace: Workspace,
        controller: Controller,
        parent: QWidget,
        *,
        places: SlidePlaces | None = None,
        remembered: RememberedScans | None = None,
    ) -> None:
        self.box = SlideBox()
        self.places = places or SlidePlaces()
        self.session: SlideSession | None = None
        self.scans = ShownScans(
            viewer, workspace, controller, parent, remembered or RememberedScans()
        )
        self._jobs: list[FileJob] = []
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._parent = parent
        self._engine_in_use: Engine | None = None
        self.hand = SketchHand(viewer, self.box.sketch, workspace.paint)
        self._changed, self._is_busy, self._is_over = True, False, False
        self._show_due = self._weigh_due = 0.0
        self.recent = RecentMenu(parent, self.places, self.open_slide)
        self._connect()
        self.box.hide()

    # ------------------------------------------------------------------ slides
    def new_slide(self) -> None:
        """Ask what the new slide shall be, make it and open it."""
        dialog = NewSlideDialog(
            self._parent, self.places, self._controller.status.info, self._controller.settings
        )
        follow = self._controller.status_changed.connect(lambda s: dialog.set_info(s.info))
        try:
            accepted = dialog.exec() == QDialog.DialogCode.Accepted
            new = dialog.new_slide() if accepted else None
        finally:
            self._controller.status_changed.disconnect(follow)
            dialog.deleteLater()
        if new is not None:
            self.make(new)

    def make(self, new: NewSlide) -> None:
        """Make a slide and open it; what keeps it from being made is told in the window."""
        self._open(lambda: _created(new))

    def open_slide(self, path: str | Path | None = None) -> None:
        """Open a slide of this package, or a scan; without a path, ask which.

        A slide that is open already, or that is damaged, busy or of a newer version, is told.
        """
        chosen = ask_slide(self._parent, self.places) if path is None else Path(path)
        if chosen is None:
            return
        if self.session is not None and _same(Path(self.session.store.path), chosen):
            show_info(f"{chosen.name} is open already.")
            return
        if is_synthetic(chosen) and not is_edits(chosen):
            self._open(lambda: _opened(chosen))
        else:
            self._show_scan(chosen)

    def ask_export(self) -> None:
        """Ask what to write of the slide that is worked on, and where; it is written meanwhile."""
        note = "A file that is there is never replaced. Nothing is drawn by it."
        self._ask("Export", export_form(self._viewer), note)

    def ask_annotations(self) -> None:
        """Ask for a file of annotations and paint it on the scan that is worked on."""
        note = "Coordinates in pixels of full resolution. Undo takes all of it back."
        self._ask("Paint annotations", import_annotations_form(self._viewer), note)

    def _ask(self, title: str, form: FunctionGui[FileJob], note: str) -> None:
        if FormDialog(self._parent, title, form, note).exec() == QDialog.DialogCode.Accepted:
            try:
                job = form()
            except HistodiffError as error:
                show_warning(str(error))
                return
            self._jobs.append(job)
            job.ended.connect(lambda *_: self._jobs.remove(job))

    def close_slide(self) -> None:
        """Close the slide and take its layers away; what was drawn stays on the disk."""
        session = self.session
        if session is None:
            return
        self._is_busy = True
        try:
            self._workspace.leave(session.layer, glance)
            session.close(glance)
        finally:
            self._is_busy = False

    def close(self) -> None:
        """Close the slide when the dock is gone, its widgets perhaps with it; idempotent."""
        for job in self._jobs:
            job.cancel()
        self.scans.close()
        session, self.session, self._is_over = self.session, None, True
        if session is not None:
            session.closed.disconnect(self._closed)
            session.close()

    def pump(self) -> None:
        """Let the session work, and show what it says four times a second; call it on a timer."""
        self.scans.pump()
        session = self.session
        if session is None or self._is_busy:
            return
        if self._controller.engine is not self._engine_in_use:
            self._engine_in_use = self._controller.engine
            session.use_engine(self._engine_in_use)
        session.pump()
        if self.session is session and session.target.mpp > 1.5 * session.store.spec.mpp:
            # Somebody else gave it a finer level.
            self._attempt(lambda s: self._renew(s, lambda: _opened(s.store.path)))
        if self.session is session and self._changed and time.monotonic() >= self._show_due:
            self._show(session)

    # ----------------------------------------------------------------- actions
    def toggle_pause(self) -> None:
        """Hold the drawing of tiles, or go on with it."""
        self._attempt(lambda s: s.resume() if s.status.paused else s.pause())

    def toggle_coverage(self) -> None:
        """Show or hide on the map what is drawn."""
        self.box.toggle_coverage()

    def draw_view(self) -> None:
        """Draw all that is in view, down to the finest level."""
        self._attempt(lambda s: s.render_view())

    def draw_frame(self) -> None:
        """Draw all in the frame, down to the finest level."""

        def draw(session: SlideSession) -> None:
            target = self._workspace.target
            if target is not session.layer:
                got = "none" if target is None else f"it on {target.name}"
                raise InvalidRequest(
                    f"expected the frame on the slide, got {got}; select {session.layer.name} in "
                    "the layer list and press Use image"
                )
            frame = self._workspace.document.region
            session.render_frame(session.store.spec.at_level(frame, 0))

        self._attempt(draw)

    def draw_all(self) -> None:
        """Say what drawing the whole slide takes, and start it if that is wanted."""
        if self.session is None:
            self._attempt(lambda s: s.render_all())
            return
        status, cost = self.session.status, cost_of(self.session.store.recipe)
        drawn = status.generated + status.edited
        if ask_draw_all(self._parent, cost, drawn=drawn, rate=status.rate):
            self._attempt(lambda s: s.render_all())

    def stop_drawing(self) -> None:
        """Forget what waits to be drawn."""
        self._attempt(lambda s: s.stop_rendering())

    def retry(self) -> None:
        """Draw again what could not be drawn."""
        self._attempt(lambda s: s.retry())

    def tell_why(self) -> None:
        """Say why places could not be drawn."""
        if self.session is not None:
            show_warning(self.session.status.message or "Nothing more is known about it.")

    def grow(self, top: int, left: int, bottom: int, right: int) -> None:
        """Add rows and columns of level 0 to the slide, when the user confirms it.

        They are empty until they are looked at. Variants that wait go on waiting, at their place.
        """
        staged, session = self._controller.staged.now, self.session
        by = max(top, left, bottom, right)
        if session is not None and not ask_growth(self._parent, by * session.store.spec.mpp):
            return
        self._attempt(lambda s: s.grow(top=top, left=left, bottom=bottom, right=right))
        self._show_slide()
        if staged is not None and self._controller.staged.now is None:
            self._controller.staged.put(staged.shifted(top, left))

    def refine(self) -> None:
        """Give the slide a finer level, and have the frame, or else the view, drawn at it."""
        self._attempt(self._refine)

    def edit_sketch(self) -> None:
        """Lay the sketch open for painting."""
        self._attempt(lambda s: self.hand.follow(s.edit_sketch()))

    def apply_sketch(self) -> None:
        """Lay the slide out after the painted sketch; asks first when that touches edits."""

        def apply(session: SlideSession) -> None:
            edited = session.apply_sketch()
            if edited and ask_redraw(self._parent, edited):
                session.apply_sketch(overwrite=True)

        self._attempt(apply)

    def cancel_sketch(self) -> None:
        """Take the sketch away and leave the slide as it is."""
        self._attempt(lambda s: s.close_sketch())

    def free_space(self) -> None:
        """Ask how much may stay on the disk and drop tiles that can be drawn again."""
        session = self.session
        if session is None:
            return
        keep = ask_space(self._parent, session.store.nbytes)
        if keep is not None:
            self._attempt(lambda s: _tell_freed(in_background(lambda: s.store.evict(keep))))
            self._weigh_due = 0.0
            self._touch()

    # ---------------------------------------------------------------- plumbing
    def _connect(self) -> None:
        box = self.box
        box.grow_requested.connect(self.grow)
        box.map.went.connect(lambda y, x: self._attempt(lambda s: s.go_to(y, x)))
        self._controller.status_changed.connect(self._touch)  # the model tells how far it zooms

    def _open(self, open_store: Callable[[], SlideStore]) -> None:
        try:
            store = in_background(lambda: _looked_at(open_store()))
            with waiting():
                self.close_slide()
                glance()
                self._start(store)
        except HistodiffError as error:
            show_trouble(error)

    def _show_scan(self, path: Path) -> None:
        try:
            shown = (self.scans.show_edits if is_edits(path) else self.scans.show)(path)
            if shown is not None:
                self.places.add(shown)
        except HistodiffError as error:
            show_trouble(error)

    def _refine(self, session: SlideSession) -> None:
        info = self._controller.status.info
        refusal = finer_refusal(session.store, info)
        if info is None or refusal:
            show_warning(refusal)
            return
        session.finish_edits()
        self._renew(session, lambda: _refined(session.store.path, info))

    def _renew(self, session: SlideSession, open_store: Callable[[], SlideStore]) -> None:
        """Show the slide in a new layer, at the same place."""
        kept = KeptView.of(session, self._viewer, self._workspace)
        with waiting():
            self.close_slide()
            self._start(open_store(), kept)
        if self.session is not None:
            kept.restore(self.session, self._viewer, self._workspace)
            self._show(self.session)

    def _start(self, store: SlideStore, kept: KeptView | None = None) -> None:
        if self._is_over:  # the dock was closed meanwhile
            store.close()
            return
        engine = self._controller.engine
        try:
            session = SlideSession(self._viewer, store, engine, between=glance)
        except Exception:
            store.close()
            raise
        if self._is_over:
            session.close()
            return
        if kept is not None:
            kept.place(session.layer)
        self.session, self._engine_in_use = session, engine
        # Its layers come and go one by one: it looks at the view when all are there.
        self._is_busy = True
        try:
            self._show_layers(session)
        finally:
            self._is_busy = False
        self.places.add(Path(store.path))
        self._show_slide()
        self.box.show()

    def _show_layers(self, session: SlideSession) -> None:
        session.changed.connect(self._touch)
        session.noticed.connect(show_warning)
        session.closed.connect(self._closed)
        glance()
        show_whole(self._viewer, session.layer)
        show_scale_bar(self._viewer)
        glance()
        self._workspace.use_layer(session.layer, glance)
        glance()
        session.prepare_marks(glance)
        glance()

    def _closed(self) -> None:
        """The session is over, for whatever reason: its layer may have been removed."""
        self.session = self._engine_in_use = None
        self.box.hide()
        self.box.map.set_session(None)

    def _show_slide(self) -> None:
        session = self.session
        if session is not None:
            self.box.set_slide(
                str(session.store.path),
                multiple=session.growth_step,
                coarsest=session.store.recipe.coarsest,
            )
            self.box.map.set_session(session)
            self._weigh_due = 0.0
            self._show(session)

    def _touch(self, *_: object) -> None:
        self._changed = True

    def _show(self, session: SlideSession) -> None:
        now = time.monotonic()
        self._changed, self._show_due = False, now + _SHOW
        self.box.set_status(session.status)
        self.box.set_place(session.view_box(), session.store.spec.mpp)
        self.box.map.refresh()
        refusal = finer_refusal(session.store, self._controller.status.info)
        self.box.set_finer(session.store.spec.mpp, refusal)
        if now >= self._weigh_due:
            self._weigh_due = now + _WEIGH
            self.box.set_disk(session.store.nbytes)

    def _attempt(self, action: Callable[[SlideSession], object]) -> None:
        if self.session is None:
            show_warning("Make or open a slide first.")
            return
        try:
            action(self.session)
        except HistodiffError as error:
            show_trouble(error)


def _cache_bytes() -> int:
    """Return how much of a slide's tiles is kept for panning, in the window's own process."""
    return preferences().cache_mb * 2**20


def _created(new: NewSlide) -> SlideStore:
    make_folder(new.path.parent)
    return SlideStore.create(new.path, new.recipe, new.sketch, cache_bytes=_cache_bytes())


def _looked_at(store: SlideStore) -> SlideStore:
    first_look(store)
    return store


def _refined(path: Path, info: BackendInfo) -> SlideStore:
    """Open a slide with one more level; without it, and say why, when it can not be added."""
    store = _opened(path)
    try:
        store.refine(info)
    except HistodiffError as error:
        store.close()
        show_trouble(error)
        return _opened(path)
    return store


def _opened(path: Path) -> SlideStore:
    return SlideStore.open(path, cache_bytes=_cache_bytes())


def _same(first: Path, second: Path) -> bool:
    return first.absolute() == second.expanduser().absolute()


def _tell_freed(count: int) -> None:
    show_info(f"{bytes_text(count)} freed." if count else "There is nothing to drop.")
