"""An export leaves all of its files, or none and what was there before."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from napari_histodiff.core.errors import Cancelled, StorageError
from napari_histodiff.slide.exporting.targets import ExportProgress, Steps, staged


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_appear_together_at_the_end(tmp_path: Path) -> None:
    one, two = tmp_path / "sub" / "one.txt", tmp_path / "sub" / "two"
    with staged(one, two) as (first, second):
        first.write_text("1")
        second.mkdir()
        (second / "inner").write_text("2")
        assert not one.exists()
    assert names(tmp_path / "sub") == ["one.txt", "two"]
    assert (two / "inner").read_text() == "2"


@pytest.mark.parametrize("error", [Cancelled("stop"), ValueError("bug"), KeyboardInterrupt()])
def test_nothing_is_left_of_an_export_that_ends_early(tmp_path: Path, error: BaseException) -> None:
    def end_early() -> None:
        with staged(tmp_path / "a", tmp_path / "b") as (a, b):
            a.write_text("half")
            b.mkdir()
            raise error

    with pytest.raises(type(error)):
        end_early()
    assert names(tmp_path) == []


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    path.write_text("old")

    def fill_the_disk() -> None:
        with staged(path, overwrite=True) as (part,):
            part.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match=r"image.tif, got 'No space left on device'; free some"):
        fill_the_disk()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["image.tif"]


def test_what_is_there_is_replaced_only_when_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "slide"
    path.mkdir()
    (path / "old").touch()
    refusal = r"expected a new file or folder, got .*slide"
    with pytest.raises(StorageError, match=refusal), staged(path):
        raise AssertionError
    with staged(path, overwrite=True) as (part,):
        part.mkdir()
        (part / "new").touch()
    assert names(path) == ["new"]


def test_when_one_file_cannot_be_placed_the_others_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("old")
    b.write_text("old")
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target) == b and str(source).endswith(".part"):
            raise PermissionError(errno.EACCES, "in use")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)

    def write_both() -> None:
        with staged(a, b, overwrite=True) as parts:
            for part in parts:
                part.write_text("new")

    with pytest.raises(StorageError, match="in use"):
        write_both()
    assert (a.read_text(), b.read_text()) == ("old", "old")
    assert names(tmp_path) == ["a", "b"]


def test_what_a_killed_export_left_goes_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / ".a.999999999.part").write_text("orphan")
    (tmp_path / f".a.{os.getppid()}.part").write_text("of a process that lives")
    (tmp_path / ".other.999999999.part").write_text("of another file")
    with staged(tmp_path / "a") as (part,):
        part.touch()
    kept = {f".a.{os.getppid()}.part", ".other.999999999.part", "a"}
    assert set(names(tmp_path)) == kept


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refusal = "choose another folder"
    with pytest.raises(StorageError, match=refusal), staged(tmp_path / "file" / "a.tif"):
        raise AssertionError


def test_steps_are_counted_and_never_pass_their_total() -> None:
    told: list[ExportProgress] = []
    steps = Steps(1, told.append)
    steps.step("a")
    steps.step("b")
    assert [(one.done, one.total, one.what) for one in told] == [(1, 1, "a"), (2, 2, "b")]
