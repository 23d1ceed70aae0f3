"""One error family; every message reads "expected X, got Y; do Z"."""

from __future__ import annotations

from pathlib import Path
from typing import Self

__all__ = [
    "AlreadyThere",
    "Cancelled",
    "DeviceUnavailable",
    "EngineUnavailable",
    "HistodiffError",
    "HubUnavailable",
    "InvalidImage",
    "InvalidMap",
    "InvalidRequest",
    "LicenceNotAccepted",
    "ModelInvalid",
    "ModelNotFound",
    "OutOfMemory",
    "ScanInvalid",
    "StorageError",
    "TrainingError",
    "WorkerDied",
    "make_folder",
]


class HistodiffError(Exception):
    """Base of every error this package raises on purpose."""


class InvalidRequest(HistodiffError, ValueError):
    """An edit request that cannot be carried out; raised before any work starts."""


class InvalidImage(InvalidRequest):
    """An image that cannot be read unambiguously as (h, w, 3) uint8 RGB."""


class InvalidMap(InvalidRequest):
    """A class, instance, tissue map or edit mask with wrong shape, dtype or ids."""


class ScanInvalid(HistodiffError, ValueError):
    """A file that is no slide of bright-field colours, or not one this package reads."""


class ModelNotFound(HistodiffError, FileNotFoundError):
    """The model folder, or a file the model needs, is missing."""


class ModelInvalid(HistodiffError, ValueError):
    """The model folder is truncated, holds pickles only, or is of a newer version."""


class HubUnavailable(HistodiffError, ConnectionError):
    """The Hugging Face Hub gave no answer, or does not let this user in."""


class LicenceNotAccepted(HistodiffError, PermissionError):
    """A model of the hub whose licence the user did not accept; nothing was downloaded."""


class DeviceUnavailable(HistodiffError, RuntimeError):
    """The device asked for is not on this machine."""


class OutOfMemory(HistodiffError, MemoryError):
    """The device ran out of memory even after the batch was halved."""

    def __new__(cls, *args: object) -> Self:
        """Make one; tblib, which dask installs, would call MemoryError's, which refuses."""
        return Exception.__new__(cls, *args)


class EngineUnavailable(HistodiffError, RuntimeError):
    """The engine is closed, or could not be started."""


class WorkerDied(EngineUnavailable):
    """The worker process ended while a job ran."""


class StorageError(HistodiffError, OSError):
    """Nothing could be written: no space left, or no permission."""


class AlreadyThere(StorageError):
    """Nothing was written, because a file or folder of that name exists.

    Attributes
    ----------
    path : Path
        What is there; only of errors that `at` made.
    """

    path: Path

    @classmethod
    def at(cls, path: Path, way_out: str | None = "overwrite=True") -> Self:
        """Make one that says how to replace what is there, if it can be, in words of who asks."""
        other = "" if way_out is None else f", or give {way_out}"
        error = cls(
            f"expected a new file or folder, got {path}, which exists; choose another name{other}"
        )
        error.path = path
        return error


class TrainingError(HistodiffError, RuntimeError):
    """Training cannot go on: bad data, a diverged loss, or parameters that do not learn."""


class Cancelled(HistodiffError):
    """Raised inside a running job when its user asked it to stop; never shown as a failure."""


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
