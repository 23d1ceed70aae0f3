"""Projects in the window: the questions around saving and opening, and the offer to go on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.ui.history.archive import Archive
from napari_histodiff.ui.project.capture import Capture
from napari_histodiff.ui.project.folder import SavedProject, read_project
from napari_histodiff.ui.project.keeper import Keeper
from napari_histodiff.ui.project.lasting import LastingEdits
from napari_histodiff.ui.project.opening import Opening
from napari_histodiff.ui.widgets.notices import show_info, show_warning

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.history.past import Past
    from napari_histodiff.ui.slide.part import SlidePart
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["ProjectPart"]


class ProjectPart:
    """The project of one dock.

    Parameters
    ----------
    parent : QWidget
        What dialogs stand on.
    viewer : napari Viewer
        Where images are shown.
    workspace, controller, past, slide
        Of the dock.
    sessions : Path
        Where sessions lie that nobody saved.
    """

    #: There is a session to go on with, a `SavedProject`, or none any more.
    offered = Signal(object)

    def __init__(
        self,
        parent: QWidget,
        viewer: Any,
        workspace: Workspace,
        controller: Controller,
        past: Past,
        slide: SlidePart,
        sessions: Path,
    ) -> None:
        self._parent = parent
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._past = past
        self._slide = slide
        self.capture = Capture(viewer, workspace, controller)
        self.keeper = Keeper(self.capture, past, sessions)
        self.keeper.told.connect(lambda said: show_warning(said) if said else None)
        self.lasting = LastingEdits(workspace, sessions.with_name("images"))
        self.lasting.told.connect(show_info)
        self._offer: SavedProject | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="histodiff-opening")
        self._looking: Future[SavedProject | None] | None = self._executor.submit(self.keeper.offer)
        self._reading: Future[SavedProject] | None = None

    def pump(self) -> None:
        """Keep what changed, and take in what was read; call it on a timer."""
        self.keeper.pump()
        self.lasting.pump()
        if self._looking is not None and self._looking.done():
            looking, self._looking = self._looking, None
            if looking.exception() is None and looking.result() is not None:
                self._offer = looking.result()
                self.offered.emit(self._offer)
        if self._reading is not None and self._reading.done():
            reading, self._reading = self._reading, None
            try:
                self._take(reading.result())
            except HistodiffError as error:
                show_warning(str(error))

    def ask_save(self) -> None:
        """Ask for a new folder and keep everything there from now on."""
        start = self._controller.settings.export_folder or str(Path.home())
        name, _ = QFileDialog.getSaveFileName(
            self._parent, "Save project: name of a new folder", f"{start}/project"
        )
        if name:
            self.save(Path(name))

    def save(self, path: Path) -> None:
        """Keep everything in a new folder from now on."""
        left_out = [
            document.target.name
            for document in self._workspace.documents
            if document not in self.capture.documents
        ]
        try:
            self.keeper.save_as(path)
        except HistodiffError as error:
            show_warning(str(error))
            return
        show_info(f"Saved as {path}. What you do from now on is kept there.")
        if left_out:
            show_warning(
                f"{', '.join(left_out)} came from no file and is too large to keep; save it as a "
                "file, open that and use it instead."
            )

    def ask_open(self) -> None:
        """Ask for the folder of a project and open it."""
        start = self._controller.settings.export_folder or str(Path.home())
        folder = QFileDialog.getExistingDirectory(self._parent, "Folder of a project", start)
        if folder:
            self.open(Path(folder))

    def resume(self) -> None:
        """Go on with the session that ended last."""
        if self._offer is None:
            show_warning("There is no earlier session to go on with.")
            return
        self.open(self._offer.path)

    def open(self, path: Path) -> None:
        """Read a project in a thread, and bring it back when that is done."""
        if self._reading is None:
            self._reading = self._executor.submit(read_project, path)

    def close(self) -> None:
        """Keep the rest; idempotent."""
        self.keeper.close()
        self.lasting.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _take(self, project: SavedProject) -> None:
        if project.is_busy:
            show_warning(f"{project.path.name} is open in another window; close it there first.")
            return
        self.keeper.finish()
        self._leave_images()
        self.keeper.go_on(project)
        opening = Opening(
            self._viewer,
            self._workspace,
            self._controller,
            self._slide.open_slide,
            self._locate,
            self.keeper.opened,
        )
        self.lasting.restores = False
        try:
            problems = opening.open(project)
        finally:
            self.lasting.restores = True
        self._offer = None
        self.offered.emit(None)
        if problems:
            show_warning("Not everything could be brought back. " + " ".join(problems))
        self._restage(project)

    def _leave_images(self) -> None:
        """Take the images away that are worked on; they were kept just now."""
        self._slide.close_slide()
        for document in self._workspace.documents:
            if document.target.layer in self._viewer.layers:
                self._viewer.layers.remove(document.target.layer)

    def _restage(self, project: SavedProject) -> None:
        staged = project.description.get("staged")
        if not staged:
            return
        for archive in (self._past.archive, Archive(project.path / "history")):
            kept = archive.find(staged[0])
            if kept is not None:
                self._controller.stage(archive.read(kept), staged[1])
                return

    def _locate(self, path: Path) -> Path | None:
        box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Open project")
        box.setText(f"{path.name} is not where it was: {path.parent}")
        box.setInformativeText("Its edits and paint are in the project. Where is it now?")
        locate = box.addButton("Locate…", QMessageBox.ButtonRole.AcceptRole)
        box.addButton("Go on without it", QMessageBox.ButtonRole.RejectRole)
        box.exec()
        if box.clickedButton() is not locate:
            return None
        if path.suffix == ".zarr":
            found = QFileDialog.getExistingDirectory(self._parent, f"Where is {path.name}?")
        else:
            found, _ = QFileDialog.getOpenFileName(self._parent, f"Where is {path.name}?")
        return Path(found) if found else None
