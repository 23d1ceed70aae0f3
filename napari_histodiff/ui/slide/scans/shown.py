"""The scans that one viewer shows, and what is done with the one that is worked on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QDialog, QWidget

from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.slide.overlays.attaching import scan_beside
from napari_histodiff.slide.overlays.places import open_overlay
from napari_histodiff.ui.background import glance, in_background, waiting
from napari_histodiff.ui.slide.questions import ask_place
from napari_histodiff.ui.slide.scans.alone import EditsAlone, ask_scan
from napari_histodiff.ui.slide.scans.asking import open_asking
from napari_histodiff.ui.slide.scans.room import room_form
from napari_histodiff.ui.slide.scans.view import ScanView
from napari_histodiff.ui.viewport import show_scale_bar, show_whole
from napari_histodiff.ui.widgets.dialogs import FormDialog
from napari_histodiff.ui.widgets.notices import show_info, show_warning
from napari_histodiff.ui.workspace.pending import PendingStep

if TYPE_CHECKING:
    from napari_histodiff.slide.scans.padded import Margins
    from napari_histodiff.slide.scans.remembered import RememberedScans
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["ShownScans"]


class ShownScans:
    """Opens scans in a viewer and keeps them until their layers are removed.

    Parameters
    ----------
    viewer : napari Viewer
        Where they are shown.
    workspace, controller
        Of the dock.
    parent : QWidget
        What dialogs stand on.
    remembered : RememberedScans
        What was asked about scans.
    """

    def __init__(
        self,
        viewer: Any,
        workspace: Workspace,
        controller: Controller,
        parent: QWidget,
        remembered: RememberedScans,
    ) -> None:
        self._views: list[ScanView] = []
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._parent = parent
        self._remembered = remembered
        self._is_over = False

    def show(self, path: Path, edits: Path | None = None) -> Path | None:
        """Open a scan and work on it; return it, or None where it is not shown.

        Parameters
        ----------
        path : Path
            The scan.
        edits : Path, optional
            The folder of its edits; they are looked for without it.

        Raises
        ------
        HistodiffError
            When it cannot be opened, or the edits are those of another scan.
        """
        self._is_over = False
        with waiting():
            scan = open_asking(path, self._parent, self._remembered)
            if scan is None:
                return None
            try:
                if edits is not None:  # refused here when they are of another scan, and remembered
                    open_overlay(scan, edits, read_only=True).close()
            except HistodiffError:
                scan.close()
                raise
            ask = partial(ask_place, self._parent)
            view = ScanView(self._viewer, scan, ask, edits=edits, between=glance)
            if self._is_over:  # the dock was closed meanwhile
                view.close()
                return None
        self._views.append(view)
        view.noticed.connect(show_warning, thread="main")
        view.target.told.connect(show_info)
        view.closed.connect(lambda: self._views.remove(view))
        with waiting():
            glance()
            show_whole(self._viewer, view.layer)
            show_scale_bar(self._viewer)
            glance()
            if self._is_over:
                return None
            self._workspace.use_layer(view.layer, glance)
            glance()
        if self._workspace.target is not view.layer:
            return None
        document = self._workspace.document
        view.target.paint_changed.connect(lambda _: _show_kept(document))
        return path

    def show_edits(self, edits: Path) -> Path | None:
        """Open the scan that edits are of, with them; asks for it where it is not beside them.

        Returns
        -------
        Path or None
            The scan; None where it is not shown.

        Raises
        ------
        HistodiffError
            When it cannot be opened, or the edits are those of another scan, or damaged.
        """
        found: Path | bool = scan_beside(edits) or ask_scan(self._parent, edits)
        if found is True:
            EditsAlone(self._viewer, edits)
            self._viewer.reset_view()
        return self.show(found, edits) if isinstance(found, Path) else None

    def pump(self) -> None:
        """Show what was made meanwhile; call it on a timer."""
        for view in self._views:
            view.pump()

    def close(self) -> None:
        """Close all of them."""
        self._is_over = True
        for view in tuple(self._views):
            view.close()

    def ask_room(self) -> None:
        """Ask how far the canvas of the scan that is worked on shall go beyond its border."""
        note = "Empty until you draw there. What is edited and painted stays, and so does Undo."
        form = room_form(self._viewer)
        if FormDialog(self._parent, "Make room", form, note).exec() == QDialog.DialogCode.Accepted:
            try:
                with waiting():
                    form()
            except HistodiffError as error:
                show_warning(str(error))

    def make_room(self, more: Margins) -> None:
        """Let the canvas of the scan that is worked on go farther beyond its border.

        All its edits are written anew, in a thread that the window waits for and lives meanwhile.

        Raises
        ------
        InvalidRequest
            When no scan is worked on, or the margins are none.
        StorageError
            When it cannot be written.
        """
        layer = self._workspace.target
        view = next((view for view in self._views if view.layer is layer), None)
        if view is None:
            raise InvalidRequest(
                "expected a scan to make room around, got none; open one, or grow a synthetic "
                "slide in its section of the dock"
            )
        staged, step = self._controller.staged.now, PendingStep()
        self._workspace.doing.follow("Making room: all edits are written anew…", step)
        try:
            view.enlarge(more, in_background)
        finally:
            step.end()
        if staged is not None and self._controller.staged.now is None:
            self._controller.staged.put(staged.shifted(more.top, more.left))


def _show_kept(document: Document) -> None:
    """Show the paint that a scan keeps now: annotations of the whole of it came or went."""
    is_open = bool(document.layers)
    document.close()
    document.resting.forget()
    if is_open:
        document.open()
        document.painting_changed.emit()
