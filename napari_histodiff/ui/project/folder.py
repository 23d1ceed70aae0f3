"""The files of a project: one description, and arrays named after what they hold.

What a description names is there before it and stays until the next one is in place: a process that
is killed at any moment leaves the project as it was written last.
"""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.json_data import read_json_object
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.files import write_whole

__all__ = ["FILE", "ProjectFolder", "SavedProject", "Slot", "read_project", "same_file"]

#: The description in the folder of a project.
FILE: Final = "project.json"

_VERSION: Final = 1
_ARRAYS: Final = "arrays"
_SUFFIX: Final = ".npy.z"

#: Bytes at the start, in the middle and at the end of a file that tell it from others.
_SAMPLE: Final = 2**16

#: Key of an image, name of a plane, and a place on it.
Slot = tuple[str, str, Region]


@dataclass(frozen=True, slots=True, eq=False)
class SavedProject:
    """A project as it was written.

    Attributes
    ----------
    path : Path
        Its folder.
    description : dict
        Everything but the arrays.
    arrays : dict
        By image, plane and place.
    """

    path: Path
    description: dict[str, Any]
    arrays: dict[Slot, NDArray[Any]]

    @property
    def title(self) -> str:
        """What it holds and when it was kept, for people."""
        names = [image["name"] for image in self.description["images"]]
        when = datetime.fromtimestamp(self.description["saved"]).strftime("%d %b, %H:%M")
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"{names[0] if names else 'nothing'}{more}, {when}"

    @property
    def is_busy(self) -> bool:
        """Whether another process that lives has it open."""
        owner = self.description.get("owner")
        return isinstance(owner, dict) and owner != _me() and _lives(owner)


def read_project(path: Path, *, arrays: bool = True) -> SavedProject:
    """Read a project, with its arrays or without.

    Raises
    ------
    StorageError
        When there is none, it is of a newer version, or files are gone or damaged.
    """
    try:
        description = read_json_object(path / FILE)
        if description.get("histodiff_project") != _VERSION:
            raise StorageError(
                f"expected a project of version {_VERSION} in {path}, got "
                f"{description.get('histodiff_project')}; open it with the release that wrote it"
            )
        slots = _slots(description)
        found = {slot: _read(path, name) for slot, name in slots.items()} if arrays else {}
    except (OSError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise StorageError(
            f"expected a project in {path}, got '{error}'; choose a folder that was saved as one"
        ) from error
    return SavedProject(path, description, found)


class ProjectFolder:
    """Writes a project again and again, each time only what changed; not from two threads.

    Parameters
    ----------
    path : Path
        Made at the first write; when a project is there, it is gone on with.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: dict[Slot, str] = {}
        if (path / FILE).exists():
            self._names = _slots(read_project(path, arrays=False).description)

    @property
    def slots(self) -> frozenset[Slot]:
        """What arrays it holds."""
        return frozenset(self._names)

    def write(
        self,
        description: Mapping[str, Any],
        changed: Mapping[Slot, NDArray[Any]],
        *,
        owned: bool = True,
    ) -> None:
        """Write a description and the arrays that changed; those of images it lacks are dropped.

        Parameters
        ----------
        description : mapping
            With a list "images" of mappings that have a "key"; it may hold requests of edits.
        changed : mapping
            New arrays; where all are zero, none is kept.
        owned : bool
            Whether this process goes on working on it.

        Raises
        ------
        StorageError
            When it cannot be written; what was written before is as it was.
        """
        names = dict(self._names)
        keys = {image["key"] for image in description["images"]}
        try:
            for slot, array in changed.items():
                names.pop(slot, None)
                if array.any():
                    names[slot] = self._write(array)
            names = {slot: name for slot, name in names.items() if slot[0] in keys}
            images = [
                dict(image, tiles=_tiles(names, image["key"])) for image in description["images"]
            ]
            whole = {
                **description,
                "histodiff_project": _VERSION,
                "images": images,
                "owner": _me() if owned else None,
            }
            write_whole(self.path / FILE, json.dumps(whole, default=EditRequest.to_dict).encode())
        except OSError as error:
            raise StorageError(
                f"expected to write the project in {self.path}, got '{error.strerror or error}'; "
                "free some space or save it in another folder"
            ) from error
        self._names = names
        self._drop_all_but(set(names.values()))

    def move(self, path: Path) -> None:
        """Go on in another folder, with all arrays; the old one stays.

        Raises
        ------
        StorageError
            When it cannot be written.
        """
        try:
            for name in set(self._names.values()):
                target = path / _ARRAYS / f"{name}{_SUFFIX}"
                if not target.exists():
                    source = self.path / _ARRAYS / f"{name}{_SUFFIX}"
                    write_whole(target, source.read_bytes())
        except OSError as error:
            raise StorageError(
                f"expected to write the project in {path}, got '{error.strerror or error}'; choose "
                "another folder"
            ) from error
        self.path = path

    def forget(self, key: str) -> None:
        """Drop the arrays of an image at the next write; they are given anew."""
        self._names = {slot: name for slot, name in self._names.items() if slot[0] != key}

    def _write(self, array: NDArray[Any]) -> str:
        name = digest_of(array).hex()
        path = self.path / _ARRAYS / f"{name}{_SUFFIX}"
        if not path.exists():
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            write_whole(path, zlib.compress(data.getvalue(), 1))
        return name

    def _drop_all_but(self, names: Collection[str]) -> None:
        for path in (self.path / _ARRAYS).glob("*"):
            if path.name.removesuffix(_SUFFIX) not in names:
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def same_file(path: Path) -> dict[str, Any] | None:
    """Return what tells a file from others by size and sampled content; None for a folder."""
    if not path.is_file():
        return None
    size = path.stat().st_size
    parts = []
    with path.open("rb") as file:
        for start in (0, max(0, size // 2), max(0, size - _SAMPLE)):
            file.seek(start)
            parts.append(file.read(_SAMPLE))
    return {"nbytes": size, "digest": digest_of(*parts).hex()}


def _slots(description: Mapping[str, Any]) -> dict[Slot, str]:
    return {
        (image["key"], plane, Region(*place)): name
        for image in description["images"]
        for plane, tiles in image["tiles"].items()
        for *place, name in tiles
    }


def _tiles(names: Mapping[Slot, str], key: str) -> dict[str, list[list[Any]]]:
    tiles: dict[str, list[list[Any]]] = {}
    for (image, plane, r), name in names.items():
        if image == key:
            place = [r.level, r.y, r.x, r.height, r.width, name]
            tiles.setdefault(plane, []).append(place)
    return tiles


def _read(path: Path, name: str) -> NDArray[Any]:
    data = zlib.decompress((path / _ARRAYS / f"{name}{_SUFFIX}").read_bytes())
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array


def _me() -> dict[str, Any]:
    return {"pid": os.getpid(), "started": psutil.Process().create_time()}


def _lives(owner: Mapping[str, Any]) -> bool:
    try:
        return bool(psutil.Process(owner["pid"]).create_time() == owner["started"])
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False
