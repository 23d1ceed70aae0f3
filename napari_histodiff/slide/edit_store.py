"""An open store that can be edited: writing, undo and redo, whatever it lies on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.slide.editing.edits import edit_of_request
from napari_histodiff.slide.editing.undo import UndoSteps
from napari_histodiff.slide.growing import follow
from napari_histodiff.slide.reader import OpenStore
from napari_histodiff.slide.state import StoreState
from napari_histodiff.slide.storage.dependencies import Revisions

if TYPE_CHECKING:
    from filelock import FileLock

__all__ = ["EditStore"]


class EditStore(OpenStore):
    """An open store whose edits last: a synthetic slide, or the edits of a scan.

    Parameters
    ----------
    slide : StoreState
        What it is made of.
    lock : FileLock, optional
        Makes this the one writer; without it the store is open for reading only.
    max_undo_bytes : int
        Limit of the edits kept on disk.
    """

    def __init__(
        self,
        slide: StoreState,
        lock: FileLock | None,
        max_undo_bytes: int,
    ) -> None:
        super().__init__(slide)
        self._file_lock = lock
        self._revisions = Revisions()
        self._undo_steps = UndoSteps(slide, max_undo_bytes, self._revisions.stale)
        self._undo_steps.resume()
        if lock is not None:
            self._undo_steps.tidy()

    @property
    def revision(self) -> int:
        """A number that grows with every edit; see `put_generated`."""
        return self._revisions.now

    def write(
        self,
        request: EditRequest,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.bool_] | None = None,
    ) -> Region:
        """Put an edit into the slide: all of it or nothing, also when the process is killed.

        The tiles it touches become EDITED (STALE where they were not drawn yet and it leaves pixels
        open: the rest is drawn later and the edit stays). Coarser levels take the 2x2 means of what
        changed; finer tiles drawn from it become STALE. The nuclei of the request are stored where
        it changed pixels; none where it says nothing of nuclei. So is its tissue on a synthetic
        slide; that of a scan is kept as it was painted.

        Parameters
        ----------
        request : EditRequest
            What was drawn, its region in ARRAY coordinates; kept as provenance.
        pixels : (h, w, 3) uint8
            Of `request.drawn`; what lies beyond the slide is dropped.
        mask : (h, w) bool, optional
            Where they replace what was there; without it the request's edit mask, else everywhere.

        Returns
        -------
        Region
            Where pixels changed.

        Raises
        ------
        InvalidRequest
            When shapes do not fit, nothing of the slide changes, or the level is never drawn.
        StorageError
            When it can not be written; the slide is as it was.
        """
        with self._writing():
            edit = edit_of_request(self._slide, request, pixels, mask)
            self._undo_steps.do(edit)
        self._listeners.emit(edit.region)
        return edit.region

    def undo(self) -> Region | None:
        """Take the last edit back; return where pixels changed, None when there was none.

        Raises
        ------
        StorageError
            When nothing can be written, or the edit's file is damaged; the slide is as it was.
        """
        with self._writing():
            region = self._undo_steps.undo()
        if region is not None:
            self._listeners.emit(region)
        return region

    def redo(self) -> Region | None:
        """Do the edit that was taken back last again; return where, None when there was none.

        Raises
        ------
        StorageError
            As `undo`.
        """
        with self._writing():
            region = self._undo_steps.redo()
        if region is not None:
            self._listeners.emit(region)
        return region

    def refresh(self) -> None:
        """See what the writer has done since, when open for reading only.

        Raises
        ------
        StorageError
            When the slide can not be read any more.
        """
        if not self.read_only:
            return
        with self._lock:
            regions = follow(self._slide, self._undo_steps)
        for region in regions:
            self._listeners.emit(region)

    def close(self) -> None:
        """Let go of the slide; repeated calls do nothing."""
        with self._lock:
            self._slide.close()
            if self._file_lock is not None:
                self._file_lock.release()
                self._file_lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            if self.read_only:
                raise StorageError(
                    f"expected a slide open for writing, got {self.path} open for reading only; "
                    "close it where it is being written, then open it again"
                )
            self._slide.check_base()
            self._undo_steps.resume()
            yield
