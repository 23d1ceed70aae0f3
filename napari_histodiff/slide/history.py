"""Edits as steps that a crash does or leaves, and that can be undone and redone.

A step is worked out, its edit and its new files are written aside, and then one record commits it.
What is left, moving the files into place, goes on when the slide is opened if it was cut off.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.change import Change
from napari_histodiff.slide.cones import Cone
from napari_histodiff.slide.edit_file import Edit
from napari_histodiff.slide.ledger import DO, REDO, UNDO
from napari_histodiff.slide.parts import SlideParts
from napari_histodiff.slide.staging import Stage
from napari_histodiff.slide.steps import cone_of, plan_step

__all__ = ["MAX_UNDO_BYTES", "Steps"]

#: Files of edits beyond this are dropped, the oldest first; the newest is always kept.
MAX_UNDO_BYTES: Final = 2 * 2**30


class Steps:
    """Does, undoes and redoes edits of an open slide; the caller holds its lock.

    Parameters
    ----------
    slide : SlideParts
        The slide.
    max_undo_bytes : int
        How much of the history to keep.
    on_stale : callable
        Told what may have changed, before it does.
    """

    def __init__(
        self, slide: SlideParts, max_undo_bytes: int, on_stale: Callable[[Cone], None]
    ) -> None:
        self._slide = slide
        self._max_undo_bytes = max_undo_bytes
        self._on_stale = on_stale
        self._folder = slide.path / "histodiff" / "step"

    def do(self, edit: Edit) -> None:
        """Carry out a new edit; what could be redone no longer can.

        Raises
        ------
        StorageError
            When it can not be written; the slide is as it was.
        """
        ledger = self._slide.ledger
        number = ledger.history.last + 1
        change = plan_step(self._slide, edit, DO)
        self._slide.shelf.put(number, edit)
        try:
            self._carry_out(number, DO, edit, change)
        except StorageError:
            self._slide.shelf.keep_only(ledger.history.kept)
            raise
        self._drop_oldest()

    def undo(self) -> Region | None:
        """Take back the last edit; return where, None when there is none.

        Raises
        ------
        StorageError
            When its file is damaged or nothing can be written; the slide is as it was.
        """
        done = self._slide.ledger.history.done
        return self._again(done[-1], UNDO) if done else None

    def redo(self) -> Region | None:
        """Do the edit that was undone last again; return where, None when there is none.

        Raises
        ------
        StorageError
            As `undo`.
        """
        undone = self._slide.ledger.history.undone
        return self._again(undone[-1], REDO) if undone else None

    def resume(self) -> None:
        """Finish the step that was cut off after it was committed, where there is one.

        A slide open for reading only shows what it will be.

        Raises
        ------
        StorageError
            When it can not be finished now.
        """
        slide = self._slide
        if slide.ledger.history.pending is None:
            return
        try:
            stage = Stage.read(slide.path, self._folder)
        except StorageError:
            if slide.writable:
                raise
            return  # the writer is about to be done with it
        if slide.writable:
            self._finish(stage, stage.contents())
        else:
            slide.disk.overlay(stage.contents())
            slide.table.apply(stage.entries)
        slide.set_recipe(slide.recipe)

    def tidy(self) -> None:
        """Remove what no step needs any more."""
        if self._slide.ledger.history.pending is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._slide.shelf.keep_only(self._slide.ledger.history.kept)

    def _again(self, number: int, direction: int) -> Region:
        edit = self._edit(number)
        change = plan_step(self._slide, edit, direction)
        self._carry_out(number, direction, edit, change)
        return edit.region

    def _edit(self, number: int) -> Edit:
        return self._slide.shelf.get(number).moved_to(self._slide.frame)

    def _carry_out(self, number: int, direction: int, edit: Edit, change: Change) -> None:
        slide = self._slide
        files = change.files()
        stage = Stage.write(slide.path, self._folder, files, change.entries(), sync=True)
        try:
            slide.ledger.commit(number, direction)
        except StorageError:
            stage.discard()
            raise
        self._on_stale(cone_of(slide, edit))
        self._finish(stage, files)
        if change.others:
            slide.set_recipe(slide.recipe)

    def _finish(self, stage: Stage, files: Mapping[str, bytes | None]) -> None:
        """Put the files of a committed step in place; when that fails, go on as if they were."""
        slide = self._slide
        try:
            stage.place(sync=True)
            slide.ledger.applied(stage.entries)
        except StorageError:
            slide.disk.overlay(files)
            slide.table.apply(stage.entries)
        else:
            slide.disk.overlay({})
            stage.discard()

    def _drop_oldest(self) -> None:
        slide = self._slide
        history = slide.ledger.history
        with suppress(StorageError):
            while len(history.done) > 1 and self._kept_bytes() > self._max_undo_bytes:
                slide.ledger.drop(history.done[0])
        slide.shelf.keep_only(history.kept)

    def _kept_bytes(self) -> int:
        return sum(map(self._slide.shelf.size, self._slide.ledger.history.kept))
