"""Full disks, killed processes and other writers: nothing is lost or half done."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_histodiff import files
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.storage import transactions
from napari_histodiff.slide.storage.ledger import Ledger
from napari_histodiff.slide.store import SlideStore
from tests.slide.crashing import kill_and_compare
from tests.slide.slides import (
    MODEL,
    PlainLayout,
    draw,
    draw_all,
    drawn,
    edit,
    everything,
    make,
    missing,
    pixels,
    recipe,
    reopen,
    same,
)

PLACE = Region(0, 240, 200, 60, 90)


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[SlideStore]:
    with make(tmp_path) as slide:
        draw_all(slide)
        edit(slide, PLACE)
        yield slide


class FullDisk:
    """Lets a number of writing calls pass and refuses all that follow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
        self.left = allowed
        self._patch = monkeypatch
        write, path_open = os.write, Path.open
        test = self

        def limited_write(handle: int, data: Any) -> int:
            test.spend()
            return write(handle, data)

        def limited_open(path: Path, mode: str = "r", *more: Any, **settings: Any) -> Any:
            file = path_open(path, mode, *more, **settings)
            if mode == "wb":
                return _Limited(file, test)
            return file

        monkeypatch.setattr(os, "write", limited_write)
        monkeypatch.setattr(Path, "open", limited_open)

    def spend(self) -> None:
        if self.left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= 1

    def lift(self) -> None:
        self._patch.undo()


class _Limited(io.BufferedIOBase):
    """A file whose writes cost a call of the disk; a refused one leaves half its bytes."""

    def __init__(self, file: Any, disk: FullDisk) -> None:
        self._file = file
        self._disk = disk

    def write(self, data: Any) -> int:
        try:
            self._disk.spend()
        except OSError:
            self._file.write(data[: len(data) // 2])
            raise
        return int(self._file.write(data))

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def fileno(self) -> int:
        return int(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def sketch(slide: SlideStore) -> None:
    slide.set_sketch(Sketch(np.full((2, 2), 3, np.uint8), 90))


STEPS = {
    "put": lambda slide: draw(slide, TileAddress(0, 2, 2)),
    "edit": lambda slide: edit(slide, Region(1, 30, 30, 200, 200), 7),
    "undo": lambda slide: slide.undo(),
    "sketch": sketch,
    "grow": lambda slide: slide.grow(top=1024),
    "refine": lambda slide: slide.refine(MODEL),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_full_disk_changes_nothing(
    slide: SlideStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    slide.evict(0)
    for tile in missing(slide)[:-1]:
        draw(slide, tile)
    before = everything(slide)
    history = slide.can_undo, slide.can_redo
    refused, done = 0, False
    while not done:
        disk = FullDisk(monkeypatch, refused)
        try:
            STEPS[name](slide)
            done = True
        except StorageError:
            refused += 1
        disk.lift()
        if not done:
            slide = reopen(slide)
            # Growing goes on when the slide is opened, once it has begun.
            done = slide.recipe != recipe()
        if not done:
            assert same(everything(slide), before)
            assert (slide.can_undo, slide.can_redo) == history
    assert refused > 1
    after = everything(slide)
    assert not same(after, before)
    with reopen(slide) as again:
        assert same(everything(again), after)
        assert again.verify().damaged == again.verify().missing == ()


def test_a_full_disk_after_the_commit_loses_nothing(
    slide: SlideStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("expected room, got none; free some space")

    monkeypatch.setattr(Ledger, "applied", full)
    edit(slide, Region(1, 30, 30, 50, 50), 7)
    after = everything(slide)
    region = Region(1, 30, 30, 50, 50)
    np.testing.assert_array_equal(slide.read(region), pixels(region.shape, 7))
    monkeypatch.undo()
    slide.undo()
    slide.redo()
    assert same(everything(slide), after)


def test_a_new_slide_on_a_full_disk_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch, 9)
    with pytest.raises(StorageError, match="No space left"):
        make(tmp_path)
    disk.lift()
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------- crashes


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_at(
    slide: SlideStore, monkeypatch: pytest.MonkeyPatch, moves: int, take: Callable[[], object]
) -> bool:
    """Take a step in a process that is killed after so many files were moved into place."""
    left = [moves]
    move = files.move_into_place

    def limited(source: Path, target: Path) -> None:
        if source.parent == target.parent:  # one whole file, not a step of a transaction
            move(source, target)
            return
        if not left[0]:
            raise Killed
        left[0] -= 1
        move(source, target)

    monkeypatch.setattr(transactions, "move_into_place", limited)
    try:
        take()
    except Killed:
        return True
    finally:
        monkeypatch.undo()
        slide._file_lock.release()
    return False


def test_a_journal_torn_at_any_byte_of_an_edit_opens(
    slide: SlideStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(slide)
    journal = next((slide.path / "histodiff").glob("journal-*.log"))
    start = journal.stat().st_size
    assert killed_at(slide, monkeypatch, 0, lambda: edit(slide, Region(1, 20, 20, 30, 30), 3))
    whole = journal.read_bytes()
    for length in range(start, len(whole)):
        journal.write_bytes(whole[:length])
        with SlideStore.open(slide.path, read_only=True, layout=PlainLayout) as again:
            assert same(everything(again), before)
    journal.write_bytes(whole)
    with SlideStore.open(slide.path, read_only=True, layout=PlainLayout) as reader:
        seen = everything(reader)
        assert not same(seen, before)
        np.testing.assert_array_equal(reader.read(Region(1, 20, 20, 30, 30)), pixels((30, 30), 3))
    with SlideStore.open(slide.path, read_only=False, layout=PlainLayout) as again:
        assert same(everything(again), seen)
        again.undo()
        draw_all(again)
        assert same(everything(again), before)


@pytest.mark.parametrize("name", ["edit", "undo", "sketch"])
def test_a_step_cut_off_between_any_two_files_is_finished(
    slide: SlideStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    slide.close()
    shutil.copytree(slide.path, tmp_path / "twin")
    with SlideStore.open(tmp_path / "twin", layout=PlainLayout) as twin:
        STEPS[name](twin)
        expected = everything(twin)
    killed, moves = True, 0
    while killed:
        again = tmp_path / str(moves)
        shutil.copytree(slide.path, again)
        store = SlideStore.open(again, layout=PlainLayout)
        killed = killed_at(store, monkeypatch, moves, partial(STEPS[name], store))
        with SlideStore.open(again, read_only=False, layout=PlainLayout) as store:
            assert same(everything(store), expected)
            assert store.verify().damaged == store.verify().missing == ()
        shutil.rmtree(again)
        moves += 1
    assert moves > 1


def test_a_process_killed_at_any_moment_loses_no_committed_step(tmp_path: Path) -> None:
    tallies = list(kill_and_compare(tmp_path / "slides", kills=5, seed=3))
    assert len(tallies) == 5
    assert tallies[-1].wrong == []


# --------------------------------------------------------------------------- two at once


def test_only_one_writes_and_a_reader_follows(slide: SlideStore) -> None:
    with pytest.raises(StorageError, match="open elsewhere"):
        SlideStore.open(slide.path, read_only=False, layout=PlainLayout)
    with SlideStore.open(slide.path, layout=PlainLayout) as reader:
        assert reader.read_only
        told: list[Region] = []
        reader.subscribe(told.append)
        for forbidden in (reader.undo, lambda: reader.evict(0), lambda: edit(reader, PLACE)):
            with pytest.raises(StorageError, match="reading only"):
                forbidden()
        edit(slide, Region(1, 9, 9, 40, 40), 5)
        reader.refresh()
        assert same(everything(reader), everything(slide))
        assert told
        for tile in missing(slide):
            slide.put_generated(tile, drawn(slide, tile))
        slide.undo()
        reader.refresh()
        assert same(everything(reader), everything(slide))
        slide.set_sketch(Sketch(np.full((2, 2), 3, np.uint8), 90))
        slide.grow(left=1024)
        reader.refresh()
        assert reader.recipe == slide.recipe
        assert reader.sketch is not None
        assert same(everything(reader), everything(slide))
        path = slide.path
        slide.close()
    with SlideStore.open(path, read_only=False, layout=PlainLayout) as writer:
        assert not writer.read_only


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind")
def test_a_folder_that_can_not_be_written_opens_for_reading(slide: SlideStore) -> None:
    slide.close()
    (slide.path / "histodiff").chmod(0o555)
    (slide.path / "histodiff" / "lock").chmod(0o444)
    try:
        with SlideStore.open(slide.path, layout=PlainLayout) as again:
            assert again.read_only
        with pytest.raises(StorageError, match="copy it to where you may write"):
            SlideStore.open(slide.path, read_only=False, layout=PlainLayout)
    finally:
        (slide.path / "histodiff").chmod(0o755)
