"""Files and folders that an export leaves whole, or not at all; its progress and its end."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from napari_histodiff.core.errors import AlreadyThere, HistodiffError, StorageError
from napari_histodiff.files import move_into_place

__all__ = ["ExportProgress", "OnProgress", "Steps", "staged"]

_PART: Final = re.compile(r"^\.(?P<name>.+)\.(?P<pid>\d+)\.part$")


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """How far an export is.

    Attributes
    ----------
    done, total : int
        In steps of about the same length.
    what : str
        What is being written, for people.
    """

    done: int
    total: int
    what: str


#: Told of every step; raises `core.errors.Cancelled` to end the export, which then leaves nothing.
OnProgress = Callable[[ExportProgress], None]


class Steps:
    """Counts the steps of an export.

    Parameters
    ----------
    total : int
        How many there will be.
    on_progress : callable, optional
        Told of each.
    """

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    def step(self, what: str) -> None:
        """Say that one more is done.

        Raises
        ------
        Cancelled
            When whoever asked for the export wants it no more.
        """
        self._done += 1
        if self._on_progress is not None:
            self._on_progress(ExportProgress(self._done, max(self._total, self._done), what))


#: How names end of pictures, maps and objects, the longest endings first.
_ENDINGS: Final = (
    *(".ome.tiff", ".ome.tif", ".tiff", ".tif", ".ome.zarr", ".zarr", ".png", ".npy"),
    *(".geojson.gz", ".geojson"),
)


def without_ending(path: Path) -> Path:
    """Return a path without the ending of a file, for what gives it one of its own.

    >>> str(without_ending(Path("full.ome.tif"))), str(without_ending(Path("dr. a")))
    ('full', 'dr. a')
    """
    for ending in _ENDINGS:
        if path.name.lower().endswith(ending) and len(path.name) > len(ending):
            return path.with_name(path.name[: -len(ending)])
    return path


@contextmanager
def staged(*paths: Path, overwrite: bool = False) -> Iterator[list[Path]]:
    """Yield a name beside each path to write to; all take their places when the block ends well.

    A name that was not written to stays empty, and with it its path. When the block or a move
    fails, what was there before is there again and nothing else is left. What a killed export
    left beside these paths is removed.

    Parameters
    ----------
    *paths : Path
        Files or folders; the last one is placed last.
    overwrite : bool
        Whether what is there may be replaced.

    Raises
    ------
    StorageError
        When something is there, or cannot be written.
    """
    for path in paths:
        if not overwrite and path.exists():
            raise AlreadyThere.at(path)
    parts = [path.with_name(f".{path.name}.{os.getpid()}.part") for path in paths]
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_orphans(path)
        yield parts
        written = {path: part for path, part in zip(paths, parts, strict=True) if part.exists()}
        for part in written.values():
            _sync(part)
        _place(written)
    except HistodiffError:
        raise
    except OSError as error:
        raise StorageError(
            f"expected to write {paths[-1]}, got '{error.strerror or error}'; free some space or "
            "choose another folder; nothing of it was kept"
        ) from error
    finally:
        for part in parts:
            _remove(part)


def _place(parts: dict[Path, Path]) -> None:
    """Move each written part to its path; when one cannot be moved, put back what was there.

    Raises
    ------
    OSError
        When something is open elsewhere or the folder can not be written; nothing changed then.
    """
    kept: dict[Path, Path] = {}
    placed: list[Path] = []
    try:
        for path, part in parts.items():
            if path.exists():
                backup = part.with_name(f"{part.name}.old")
                move_into_place(path, backup)
                kept[path] = backup
            move_into_place(part, path)
            placed.append(path)
    except OSError:
        for path in placed:
            _remove(path)
        for path, backup in kept.items():
            move_into_place(backup, path)
        raise
    for backup in kept.values():
        _remove(backup)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _remove_orphans(path: Path) -> None:
    """Remove what exports to this path left whose processes are gone."""
    for found in path.parent.glob(f".{path.name}.*.part"):
        match = _PART.match(found.name)
        if match and match["name"] == path.name and not psutil.pid_exists(int(match["pid"])):
            _remove(found)


def _sync(part: Path) -> None:
    """Wait until a file would survive a power cut; of a folder only its entries."""
    if part.is_dir():
        return
    with part.open("rb+") as file:
        os.fsync(file.fileno())
