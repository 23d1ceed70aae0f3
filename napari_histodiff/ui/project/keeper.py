"""Keeps what is worked on without being asked: copies on the window's thread, writes in another."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.ui.history.archive import Archive
from napari_histodiff.ui.project.capture import Capture
from napari_histodiff.ui.project.folder import (
    FILE,
    ProjectFolder,
    SavedProject,
    Slot,
    read_project,
)

if TYPE_CHECKING:
    from napari_histodiff.ui.history.past import Past
    from napari_histodiff.ui.workspace.document import Document

__all__ = ["Keeper"]

log = logging.getLogger(__name__)

#: Seconds from a change to when it is copied, and between two writes.
_SOON: Final = 3.0
_REST: Final = 10.0

#: Bytes copied at a time, a few milliseconds of the window's thread.
_STEP: Final = 8 * 2**20

#: Sessions without a project that are kept; older ones leave.
_SESSIONS: Final = 5

#: The history inside a project.
_HISTORY: Final = "history"


class Keeper:
    """Writes the session into a folder of its own, or into the project that was saved or opened.

    No Qt here; `pump` is called on a timer.

    Parameters
    ----------
    capture : Capture
        What is kept.
    past : Past
        The history; a project takes the edits of its images along.
    sessions : Path
        Where sessions lie that nobody saved as a project.
    clock : callable
        Seconds, never running backwards.
    """

    #: Something is kept again, or not any more: why not, empty when all is well.
    told = Signal(str)

    def __init__(
        self,
        capture: Capture,
        past: Past,
        sessions: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.capture = capture
        #: The project that was saved or opened; None for a session without one.
        self.project: Path | None = None
        self._past = past
        self._sessions = sessions
        self._clock = clock
        self._folder = ProjectFolder(sessions / f"{time.time_ns():020d}-{os.getpid()}")
        self._taken: dict[Slot, NDArray[Any]] = {}
        self._due: float | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="histodiff-project")
        self._writing: Future[None] | None = None
        self._is_closed = False
        self._is_troubled = False

    def offer(self) -> SavedProject | None:
        """Return the newest session that ended, or was ended; None when there is none.

        It may take a moment: call it in a thread.
        """
        for path in self._ended():
            try:
                found = read_project(path, arrays=False)
            except HistodiffError:
                continue
            if found.description["images"] and not found.is_busy:
                return found
        return None

    def pump(self) -> None:
        """Copy a little of what changed, and have it written when all was; call it on a timer."""
        if self._writing is not None and self._writing.done():
            writing, self._writing = self._writing, None
            self._tell(writing.exception())
            self._due = self._clock() + _REST
        if not self.capture.is_due or self._writing is not None or self._is_closed:
            return
        now = self._clock()
        if self._due is None:
            self._due = now + _SOON
        if now >= self._due and self.capture.take(self._taken, _STEP):
            self._due = None
            self._writing = self._begin()

    def save_as(self, path: Path) -> None:
        """Keep everything in a folder of that name from now on, at once and as it goes on.

        Raises
        ------
        InvalidRequest
            When there is nothing to keep.
        StorageError
            When the folder cannot be written, or holds another project.
        """
        if not self.capture.documents:
            raise InvalidRequest(
                "expected an image to keep, got none; make a canvas or open a slide first"
            )
        if path.exists() and any(path.iterdir()) and path != self._folder.path:
            raise InvalidRequest(
                f"expected a new folder, got {path}, which holds something; choose another name"
            )
        self.finish()
        old = self._folder.path
        self._folder.move(path)
        self.project = path
        self.capture.is_due = True
        self.finish()
        if old.parent == self._sessions:
            shutil.rmtree(old, ignore_errors=True)

    def go_on(self, project: SavedProject) -> None:
        """Keep everything where a project is that was opened; what was here before is kept too.

        Its images stay in it as they are until each is said to be `opened`.
        """
        self.finish(owned=False)
        self._taken = {}
        self._folder = ProjectFolder(project.path)
        self.capture.absent = {image["key"]: image for image in project.description["images"]}
        self.capture.absent_edits = list(project.description.get("queue", ()))
        self.project = None if project.path.parent == self._sessions else project.path
        if (project.path / _HISTORY).is_dir():
            self._past.take_in(Archive(project.path / _HISTORY))

    def opened(self, image: dict[str, Any], document: Document) -> None:
        """Take over an image of the project; `image` is how the project describes it."""
        del self.capture.absent[image["key"]]
        if any(image["shift"]):
            self._folder.forget(image["key"])
        elif document.target.key == image["key"]:
            self.capture.restored(document)
        else:
            self.capture.moved(document)

    def finish(self, *, owned: bool = True) -> None:
        """Write what is not written yet, and wait for it.

        Raises
        ------
        StorageError
            When it cannot be written.
        """
        if self._writing is not None:
            self._writing.result()
            self._writing = None
        if self.capture.is_due or (not owned and (self._folder.path / FILE).exists()):
            while not self.capture.take(self._taken, 2**62):
                pass
            self._begin(owned=owned).result()
        self._due = None

    def close(self) -> None:
        """Write the rest and let go of the folder; idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self.finish(owned=False)
        except HistodiffError as error:
            log.error("the session could not be kept: %s", error)
        self._executor.shutdown()
        for path in self._ended()[_SESSIONS:]:
            shutil.rmtree(path, ignore_errors=True)

    # ---------------------------------------------------------------- plumbing
    def _begin(self, *, owned: bool = True) -> Future[None]:
        taken = self._taken | self.capture.steps(self._folder.slots)
        self._taken = {}
        description = self.capture.describe()
        keys = {image["key"] for image in description["images"]}
        edits = [kept.facts.id for kept in self._past.entries if kept.facts.image in keys]
        # A session's edits are in the user's own history anyway.
        history = self._folder.path / _HISTORY if self.project else None
        folder, archive = self._folder, self._past.archive

        def write() -> None:
            if not keys and not (folder.path / FILE).exists():
                return  # nothing was begun
            folder.write(description, taken, owned=owned)
            if history is not None:
                archive.copy_to(Archive(history), edits)

        def attempt() -> None:
            try:
                write()
            except BaseException:
                # Nothing of it was taken over; it is written with what changes next.
                self._taken = {**taken, **self._taken}
                self.capture.is_due = True
                raise

        return self._executor.submit(attempt)

    def _tell(self, error: BaseException | None) -> None:
        if error is not None:
            log.error("the session could not be kept", exc_info=error)
        if (error is not None) != self._is_troubled:
            self._is_troubled = error is not None
            self.told.emit("" if error is None else f"Your work is not kept at the moment: {error}")

    def _ended(self) -> list[Path]:
        """Return the sessions besides this one, newest first."""
        found = [path.parent for path in self._sessions.glob(f"*/{FILE}")]
        others = [path for path in found if path != self._folder.path]
        return sorted(others, key=lambda path: (path / FILE).stat().st_mtime, reverse=True)
