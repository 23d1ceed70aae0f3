"""The kept edits of a slide, one file each."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from napari_histodiff.core.errors import StorageError
from napari_histodiff.slide.edit_file import Edit
from napari_histodiff.slide.files import remove_file, write_file

__all__ = ["Shelf"]


class Shelf:
    """A folder of edits by number.

    Parameters
    ----------
    folder : Path
        Made when the first edit is put there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, number: int, edit: Edit) -> None:
        """Write an edit so that it survives a power cut.

        Raises
        ------
        StorageError
            When the disk is full; nothing is left of it then.
        """
        write_file(self._path(number), edit.to_bytes(), sync=True)

    def get(self, number: int) -> Edit:
        """Read an edit.

        Raises
        ------
        StorageError
            When its file is missing or damaged.
        """
        path = self._path(number)
        try:
            return Edit.from_bytes(path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise StorageError(
                f"expected the whole edit in {path}, got {error}; "
                "it can not be undone or redone; restore the file from a backup"
            ) from error

    def size(self, number: int) -> int:
        """Return the bytes of an edit's file, 0 where there is none."""
        try:
            return self._path(number).stat().st_size
        except OSError:
            return 0

    def keep_only(self, numbers: Collection[int]) -> None:
        """Remove the files of all other edits, as far as that is possible now."""
        with suppress(OSError, StorageError):
            for path in self._folder.iterdir():
                if path.name not in {self._path(number).name for number in numbers}:
                    remove_file(path)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.edit"
