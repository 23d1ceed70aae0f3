"""Folders that results go into."""

from __future__ import annotations

from pathlib import Path

from napari_histodiff.core.errors import StorageError

__all__ = ["make_folder"]


def make_folder(folder: Path) -> None:
    """Make a folder before work starts, so that no result is lost for want of a place.

    Raises
    ------
    StorageError
        When it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"expected to write into {folder}, got '{error.strerror or error}'; "
            "choose another folder"
        ) from error
