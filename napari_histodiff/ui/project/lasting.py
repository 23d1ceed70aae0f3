"""Edits of images that another reader opened last, bound to the image's file by its contents.

They lie in the user's own folder, written as projects are, and show again whenever the same file is
worked on, whoever opens it and wherever it lies by then. The last steps can be undone and redone in
the next window too. Scans that are opened by this package keep theirs (`slide.overlays`).
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.geometry import Region, WindowGrid
from napari_histodiff.ui.project.folder import (
    FILE,
    ProjectFolder,
    SavedProject,
    Slot,
    read_project,
    same_file,
)
from napari_histodiff.ui.project.steps import PIXELS, KeptSteps
from napari_histodiff.ui.workspace.journal import MemoryJournal
from napari_histodiff.ui.workspace.targets import CanvasTarget, RawTarget

if TYPE_CHECKING:
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["LastingEdits", "lay_over"]

log = logging.getLogger(__name__)

#: Side of the squares that pixels are kept in.
_TILE: Final = 1024

#: Seconds from an edit to when it is written.
_SOON: Final = 1.0

#: The one image in a folder of edits.
_KEY: Final = "image"

#: What a description that is not ours raises.
_GARBLED: Final = (ValueError, KeyError, IndexError, TypeError)

#: Images whose edits are kept; those edited longest ago are forgotten.
_IMAGES: Final = 500


class LastingEdits:
    """Keeps edits of image layers that have a file, and brings them back.

    No Qt here; `pump` is called on a timer.

    Parameters
    ----------
    workspace : Workspace
        Whose images are kept.
    root : Path
        Where the folders of edits lie, one an image.
    clock : callable
        Seconds, never running backwards.
    """

    #: Something worth knowing.
    told = Signal(str)

    def __init__(
        self, workspace: Workspace, root: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        #: Whether images that are opened get their edits back; a project brings its own.
        self.restores = True
        self._workspace = workspace
        self._root = root
        self._clock = clock
        self._seen: WeakSet[Document] = WeakSet()
        # By the document, which stays until its edits are written though its layer was removed.
        self._dirty: dict[Document, dict[Region, None]] = {}
        self._brought: list[tuple[Document, SavedProject]] = []
        self._kept: WeakKeyDictionary[Document, ProjectFolder] = WeakKeyDictionary()
        self._written: dict[Path, tuple[ProjectFolder, dict[str, Any]]] = {}
        self._due = float("inf")
        self._grid = WindowGrid(_TILE, _TILE)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="histodiff-lasting")
        self._writing: Future[None] | None = None
        workspace.target_changed.connect(self._on_target)

    def pump(self) -> None:
        """Have written what changed; call it on a timer."""
        if self._writing is not None and self._writing.done():
            writing, self._writing = self._writing, None
            error = writing.exception()
            if error is not None:
                log.error("edits of an image could not be kept", exc_info=error)
                self.told.emit(f"Edits of this image are not kept at the moment: {error}")
        brought, self._brought = self._brought, []
        for document, saved in brought:
            try:
                _adopt(document, saved)
            except _GARBLED as error:
                log.warning("undo of %s is not kept: %s", document.target.name, error)
        if self._writing is None and self._clock() >= self._due:
            self._write()

    def close(self) -> None:
        """Write the rest and leave it to other windows; idempotent."""
        try:
            self._finish()
            for folder, description in self._written.values():
                folder.write(description, {}, owned=False)
        except HistodiffError as error:
            log.error("edits of an image could not be kept: %s", error)
        self._written.clear()
        self._executor.shutdown()

    # ---------------------------------------------------------------- plumbing
    def _on_target(self) -> None:
        for document in self._workspace.documents:
            if document in self._seen:
                continue
            self._seen.add(document)
            target = document.target
            identity = same_file(Path(target.path)) if _has_file(document) else None
            if identity is None:
                continue
            name = digest_of(identity["digest"], identity["nbytes"], *target.bounds.shape).hex()
            try:
                self._finish()  # of the same image, opened again, the last edits
                self._follow(document, self._root / name)
            except (HistodiffError, *_GARBLED) as error:
                self.told.emit(
                    f"The edits of {target.name} that were kept cannot be shown: {error}"
                )

    def _finish(self) -> None:
        """Write what is not written yet, and wait for it."""
        if self._writing is not None:
            self._writing.result()
        self._write()
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _follow(self, document: Document, path: Path) -> None:
        if (path / FILE).exists():
            saved = read_project(path)
            if saved.is_busy:
                self.told.emit(
                    f"{document.target.name} is edited in another window, which keeps its edits; "
                    "those made here end with this one."
                )
                return
            if self.restores:
                self._restore(document, saved)
            else:
                self._brought.append((document, saved))
        self._kept[document] = ProjectFolder(path)
        document.pixels_changed.connect(partial(self._mark, document))

    def _restore(self, document: Document, saved: SavedProject) -> None:
        target = document.target
        assert isinstance(target, RawTarget)
        steps = KeptSteps.read(saved.description["images"][0], saved.arrays)
        tiles = _tiles(saved)
        for tile, pixels in tiles.items():
            lay_over(target, tile.intersect(target.bounds), pixels)
        if isinstance(document.journal, MemoryJournal):
            document.journal.begin_with(steps.marks, steps.done, steps.undone)
        if tiles:
            can = "The last can be undone" if steps.done else "They cannot be undone any more"
            self.told.emit(
                f"The edits of {target.name} are shown; they are kept in {saved.path}. {can}."
            )

    def _mark(self, document: Document, region: Region) -> None:
        dirty = self._dirty.setdefault(document, {})
        for tile in self._grid.covering(region):
            dirty[tile.intersect(document.target.bounds)] = None
        self._due = min(self._due, self._clock() + _SOON)

    def _write(self) -> None:
        work = []
        for document, dirty in self._dirty.items():
            target, folder = document.target, self._kept[document]
            assert isinstance(target, RawTarget)
            steps = KeptSteps.of(document.journal)
            changed = steps.changed(_KEY, folder.slots)
            for tile in dirty:
                changed[_KEY, PIXELS, tile] = _edits(target, tile)
            description = _described(document, steps)
            self._written[folder.path] = (folder, description)
            work.append((folder, description, changed))
        self._dirty, self._due = {}, float("inf")
        if work:
            self._writing = self._executor.submit(_write_all, self._root, work)


def _tiles(saved: SavedProject) -> dict[Region, NDArray[Any]]:
    return {tile: pixels for (_, plane, tile), pixels in saved.arrays.items() if plane == PIXELS}


def _edits(target: RawTarget, tile: Region) -> NDArray[np.uint8]:
    """What is edited of a tile; what the file has itself is not kept."""
    pixels = target.read_raw(tile)
    pixels[pixels[..., 3] == 0] = 0
    return pixels


def _adopt(document: Document, saved: SavedProject) -> None:
    """Take over undo and redo where a project brought back what is kept here."""
    target, journal = document.target, document.journal
    assert isinstance(target, RawTarget)
    if not isinstance(journal, MemoryJournal) or journal.can_undo or journal.can_redo:
        return
    if all(
        np.array_equal(_edits(target, tile.intersect(target.bounds)), pixels)
        for tile, pixels in _tiles(saved).items()
    ):
        steps = KeptSteps.read(saved.description["images"][0], saved.arrays)
        journal.begin_with(steps.marks, steps.done, steps.undone)


def _has_file(document: Document) -> bool:
    target = document.target
    return (
        isinstance(target, RawTarget) and not isinstance(target, CanvasTarget) and bool(target.path)
    )


def _described(document: Document, steps: KeptSteps) -> dict[str, Any]:
    image = {"key": _KEY, "name": Path(document.target.path).name}
    return {
        "made_by": "napari-histodiff",
        "saved": time.time(),
        "images": [image | steps.described()],
    }


def _write_all(
    root: Path, work: list[tuple[ProjectFolder, dict[str, Any], dict[Slot, NDArray[Any]]]]
) -> None:
    for folder, description, changed in work:
        folder.write(description, changed)
    kept = sorted(root.glob(f"*/{FILE}"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in kept[_IMAGES:]:
        shutil.rmtree(file.parent, ignore_errors=True)


def lay_over(target: RawTarget, tile: Region, pixels: NDArray[np.uint8]) -> None:
    """Put kept pixels over an image, where their alpha says that they were edited."""
    now = target.read_raw(tile)
    edited = pixels[..., 3] > 0
    now[edited] = pixels[edited]
    target.write_raw(tile, now)
