"""The edits of this window and of earlier ones: listed at once, read and written in threads."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from psygnal import Signal

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.ui.generation.history import History, HistoryEntry, thumbnail
from napari_histodiff.ui.history.archive import Archive, Facts, Kept
from napari_histodiff.ui.workspace.pending import PendingStep, StepReader

__all__ = ["Past"]

log = logging.getLogger(__name__)


class Past:
    """What the history shows. No Qt here; `deliver` is called on a timer.

    Parameters
    ----------
    history : History
        The edits of this session that are in memory.
    archive : Archive
        Where all are kept.
    """

    changed = Signal()
    #: Why an edit could not be kept; said once.
    troubled = Signal(str)

    def __init__(self, history: History, archive: Archive) -> None:
        self.archive = archive
        self._history = history
        self._kept: list[Kept] = []
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="histodiff-history")
        self._listing: Future[list[Kept]] | None = self._executor.submit(archive.all)
        self._writing: list[Future[Any]] = []
        self._reader = StepReader()
        self._is_told = False

    @property
    def entries(self) -> tuple[Kept, ...]:
        """What is kept, newest first."""
        return tuple(self._kept)

    def found(self, words: str) -> tuple[Kept, ...]:
        """Return those with all these words in caption, kind or name of the image."""
        return tuple(kept for kept in self._kept if kept.matches(words))

    def add(self, entry: HistoryEntry) -> None:
        """Put a finished edit in front, and keep it in a moment."""
        self._kept.insert(0, Kept(Facts.of(entry), thumbnail(entry.images[0])))
        self._writing.append(self._executor.submit(self.archive.write, entry))
        self.changed.emit()

    def star(self, kept: Kept, *, favourite: bool) -> None:
        """Make an edit a favourite, which stays whatever the budget, or none."""
        starred = self.archive.star(kept, favourite=favourite)
        self._kept = [starred if one.facts.id == kept.facts.id else one for one in self._kept]
        self.changed.emit()

    def remove(self, kept: Kept) -> None:
        """Delete an edit."""
        self._executor.submit(self.archive.remove, kept)  # after it was written
        self._kept = [one for one in self._kept if one.facts.id != kept.facts.id]
        self.changed.emit()

    def take_in(self, archive: Archive) -> None:
        """Add the edits of another archive, of a project, in a moment."""
        ours = self.archive

        def copy() -> list[Kept]:
            archive.copy_to(ours, archive.ids())
            return ours.all()

        self._listing = self._executor.submit(copy)

    def open(self, kept: Kept, done: Any) -> PendingStep | None:
        """Read an edit whole and call `done` with it; at once when it is in memory.

        Raises
        ------
        InvalidRequest
            When another one is being read.
        """
        for entry in self._history.entries:
            if entry.id == kept.facts.id:
                done(entry)
                return None
        return self._reader.begin(lambda: self.archive.read(kept), lambda entry: done(entry))

    def deliver(self) -> None:
        """Take in what was read, and say what could not be written; call it on a timer."""
        self._reader.deliver()
        if self._listing is not None and self._listing.done():
            listing, self._listing = self._listing, None
            self._take(listing)
        for future in [one for one in self._writing if one.done()]:
            self._writing.remove(future)
            error = future.exception()
            if error is not None and not self._is_told:
                self._is_told = True
                log.error("an edit could not be kept", exc_info=error)
                self.troubled.emit(
                    str(error)
                    if isinstance(error, HistodiffError)
                    else "The edit could not be kept; it is in the history of this session only."
                )

    def close(self) -> None:
        """Keep what is not yet; idempotent."""
        self._executor.shutdown(wait=True)

    def _take(self, listing: Future[list[Kept]]) -> None:
        if listing.exception() is not None:
            log.error("the history could not be read", exc_info=listing.exception())
            return
        known = {kept.facts.id: kept for kept in self._kept}
        known.update({kept.facts.id: kept for kept in listing.result()})
        self._kept = sorted(known.values(), key=lambda kept: kept.facts.id, reverse=True)
        self.changed.emit()
