"""Files that are there whole or not at all, and new contents of several moved into place at once.

They are written aside first. Moving needs no more space, and can be gone on with after a crash:
what is still aside is moved.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import StorageError, make_folder
from napari_histodiff.files import move_into_place, sync_file, sync_folder, write_whole
from napari_histodiff.slide.storage.tile_table import ENTRY

__all__ = [
    "Transaction",
    "remove_file",
    "storage_error",
    "sync_all",
    "write_aside",
    "write_file",
]

_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Transaction:
    """A folder of files that are to replace those of a slide.

    Attributes
    ----------
    root : Path
        The slide.
    folder : Path
        Where they lie aside, on the same disk.
    names : dict
        Name within `folder` by path relative to the slide; None = the file is to be removed.
    entries : (n,) ENTRY
        What will be known of the tiles then.
    """

    root: Path
    folder: Path
    names: dict[str, str | None]
    entries: NDArray[Any]

    @classmethod
    def write(
        cls,
        root: Path,
        folder: Path,
        files: Mapping[str, bytes | None],
        entries: NDArray[Any],
        *,
        sync: bool,
    ) -> Transaction:
        """Write files aside; those of an earlier transaction in the folder are dropped.

        Parameters
        ----------
        root, folder, entries
            See the class.
        files : mapping
            New contents by path relative to `root`; None = to be removed.
        sync : bool
            Make all of it survive a power cut, with what `read` needs.

        Raises
        ------
        StorageError
            When the disk is full; nothing is left of them then.
        """
        numbered = enumerate(files.items())
        names = {key: None if data is None else str(number) for number, (key, data) in numbered}
        transaction = cls(root, folder, names, entries)
        transaction.discard()
        try:
            make_folder(folder)
            for key, name in names.items():
                data = files[key]
                if name is not None and data is not None:
                    write_aside(folder / name, data)
                    make_folder((root / key).parent)
            if sync:
                manifest = {"names": names, "entries": entries.tolist()}
                write_aside(folder / _MANIFEST, json.dumps(manifest).encode())
                sync_all(folder.iterdir(), [folder])
        except StorageError:
            transaction.discard()
            raise
        return transaction

    @classmethod
    def read(cls, root: Path, folder: Path) -> Transaction:
        """Return what was written with `sync`, as far as it is still aside.

        Raises
        ------
        StorageError
            When it is gone or damaged.
        """
        try:
            manifest = json.loads((folder / _MANIFEST).read_bytes())
            entries = np.array([tuple(line) for line in manifest["entries"]], ENTRY)
            return cls(root, folder, dict(manifest["names"]), entries)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"expected the files of the last edit in {folder}, got '{error}'; "
                "restore this folder from a backup"
            ) from error

    def contents(self) -> dict[str, bytes | None]:
        """Return the new contents of files that are not in place yet; None = to be removed."""
        found: dict[str, bytes | None] = {}
        for key, name in self.names.items():
            try:
                found[key] = None if name is None else (self.folder / name).read_bytes()
            except FileNotFoundError:
                continue
        return found

    def place(self, *, sync: bool, removing: bool = True) -> None:
        """Move what is still aside into place.

        Parameters
        ----------
        sync : bool
            Make it survive a power cut.
        removing : bool
            Whether to remove the files that are to be removed as well.

        Raises
        ------
        StorageError
            When a file can not be replaced; those before it were.
        """
        for key, name in self.names.items():
            path = self.root / key
            try:
                if name is None:
                    if removing:
                        path.unlink(missing_ok=True)
                elif (self.folder / name).exists():
                    move_into_place(self.folder / name, path)
            except OSError as error:
                raise storage_error(path, error) from error
        if sync:
            folders = {(self.root / key).parent for key in self.names}
            sync_all([], [folder for folder in folders if folder.is_dir()])

    def discard(self) -> None:
        """Drop what is aside."""
        shutil.rmtree(self.folder, ignore_errors=True)


_SYNCING: Final = 16


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the error to raise when `path` could not be written."""
    return StorageError(
        f"expected to write {path.name} into {path.parent}, got '{error.strerror or error}'; "
        "free some space or check the folder's permissions, then try again"
    )


def write_file(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write a file by way of a temporary one, so that readers see the old or the new one whole.

    Parameters
    ----------
    path : Path
        Replaced when it exists; its folder is made when missing.
    data : bytes
        The contents.
    sync : bool
        Return only when it would survive a power cut.

    Raises
    ------
    StorageError
        When the disk is full or the folder can not be written; `path` is then as it was.
    """
    try:
        write_whole(path, data, sync=sync)
    except OSError as error:
        raise storage_error(path, error) from error


def write_aside(path: Path, data: bytes) -> None:
    """Write a new file to be moved into place later.

    Raises
    ------
    StorageError
        When the disk is full; nothing is left of it then.
    """
    try:
        with path.open("wb") as file:
            file.write(data)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def remove_file(path: Path) -> None:
    """Remove a file where there is one.

    Raises
    ------
    StorageError
        When it can not be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error


def sync_all(files: Iterable[Path], folders: Iterable[Path] = ()) -> None:
    """Make written files, and new names in folders, survive a power cut.

    Raises
    ------
    StorageError
        When the disk can not take them.
    """
    # At the same time: a disk takes many such orders in hardly more time than one.
    with ThreadPoolExecutor(_SYNCING) as pool:
        work = [(path, pool.submit(sync_file, path)) for path in files]
        work += [(path, pool.submit(sync_folder, path)) for path in folders]
        for path, done in work:
            try:
                done.result()
            except OSError as error:
                raise storage_error(path, error) from error
