"""Reads OME-Zarr 0.4 and 0.5 of other programs: folders, and zip files of them."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import ScanInvalid
from napari_histodiff.datasets.tiff import COARSEST_STATED
from napari_histodiff.slide.scans.brightfield import (
    Window,
    check_pixels,
    flatten,
    not_brightfield,
)
from napari_histodiff.slide.scans.pixel_size import believed
from napari_histodiff.slide.scans.source import DecodingError, Header

__all__ = ["ZarrSource"]

_UNITS: Final = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6, "": 1.0}
_RGB_NAMES: Final = ({"r", "red"}, {"g", "green"}, {"b", "blue"})
_RGB_COLOURS: Final = ("FF0000", "00FF00", "0000FF")


class ZarrSource:
    """An OME-Zarr image; see `ScanSource`.

    Parameters
    ----------
    path : path
        The folder, or a zip file of it.
    window : (low, high), optional
        Which values of 16 bits become black and white.

    Raises
    ------
    ScanInvalid
        When it is no bright-field image, incomplete, or zarr is not installed.
    """

    def __init__(self, path: Path, window: Window | None = None) -> None:
        self._path = path
        self._window = window
        self._lock = threading.Lock()
        self._is_open = True
        self._known: set[tuple[int, tuple[int, ...]]] = set()
        self._zip: frozenset[str] | None = None
        try:
            image = self._opened()
            names, scale = self._described(image)
        except ScanInvalid:
            raise
        except Exception as error:  # whatever zarr stumbles over in damaged metadata
            raise self._incomplete(str(error)) from error
        mpp, notes = believed(scale, COARSEST_STATED)
        self.shapes = tuple(self._shape(array) for array in self._arrays)
        self.header = Header(
            format=f"ome-zarr {names}",
            reader="zarr",
            mpp=mpp,
            magnification=None,
            files=self._files(),
            notes=notes,
        )

    def read(self, index: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a rectangle inside a level.

        Raises
        ------
        DecodingError
            When some of it is missing or cannot be decoded.
        """
        if not self._is_open:
            raise DecodingError("the scan was closed")
        array = self._arrays[index]
        where = {"y": slice(y, y + height), "x": slice(x, x + width)}
        place = tuple(where.get(axis, slice(None) if axis == "c" else 0) for axis in self._axes)
        try:
            self._check_chunks(index, place)
            pixels = np.asarray(array[place])
        except DecodingError:
            raise
        except Exception as error:  # codecs raise whatever they like
            raise DecodingError(str(error) or type(error).__name__) from error
        left = [axis for axis in self._axes if axis in "yxc"]
        pixels = pixels.transpose([left.index(axis) for axis in "yxc"])
        return flatten(pixels, window=self._window)

    def associated(self, name: str) -> NDArray[np.uint8]:
        """There is no other picture.

        Raises
        ------
        DecodingError
            Always.
        """
        raise DecodingError(f"no picture {name!r}")

    def profile(self) -> None:
        """There is none."""

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._store.close()

    # ---------------------------------------------------------------- opening
    def _opened(self) -> Any:
        """Return the group of the first image."""
        try:
            import zarr
        except ImportError as error:
            raise ScanInvalid(
                f"expected the package zarr, which reads {self._path}, got '{error}'; install it: "
                'pip install "napari-histodiff[openslide]"'
            ) from error
        inside = ""
        if self._path.is_file():
            self._zip, inside = _names_in(self._path)
            self._store: Any = zarr.storage.ZipStore(self._path, mode="r", read_only=True)
        else:
            self._store = zarr.storage.LocalStore(self._path, read_only=True)
        self._root = inside
        group: Any = zarr.open_group(self._store, path=inside or None, mode="r")
        if "multiscales" not in _ome(group) and "0" in group:  # as bioformats2raw lays it out
            group, self._root = group["0"], f"{inside}/0".lstrip("/")
        return group

    def _described(self, image: Any) -> tuple[str, tuple[float, float]]:
        """Find axes, levels and channels; return the version and the (y, x) um per pixel."""
        ome = _ome(image)
        if "plate" in ome or "well" in ome:
            raise not_brightfield(self._path, "a plate with wells")
        if not ome.get("multiscales"):
            raise self._incomplete("no multiscales in its metadata")
        multiscale = ome["multiscales"][0]
        axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in multiscale["axes"]]
        self._axes = [str(axis["name"]).lower() for axis in axes]
        self._names = [str(dataset["path"]) for dataset in multiscale["datasets"]]
        self._arrays = [image[name] for name in self._names]
        first = self._arrays[0]
        sizes = dict(zip(self._axes, first.shape, strict=True))
        others = {axis: size for axis, size in sizes.items() if axis not in "yxc" and size > 1}
        if others or not {"y", "x"} <= set(sizes):
            raise not_brightfield(self._path, f"axes {sizes}")
        channels = sizes.get("c", 1)
        if channels == 3 and not _names_rgb(ome.get("omero") or {}):
            raise not_brightfield(self._path, "three channels that are not red, green and blue")
        check_pixels(self._path, first.dtype, channels, self._window)
        scale = [1.0] * len(axes)
        transforms = [
            *multiscale["datasets"][0].get("coordinateTransformations", []),
            *multiscale.get("coordinateTransformations", []),
        ]
        for transform in transforms:
            if transform.get("type") == "scale":
                scale = [a * float(b) for a, b in zip(scale, transform["scale"], strict=True)]
        lengths = []
        for name in "yx":
            at = self._axes.index(name)
            unit = str(axes[at].get("unit") or "").lower()
            # A pixel of length 1 without a unit is what programs write that do not know.
            known = unit in _UNITS and (unit or scale[at] != 1.0)
            lengths.append(scale[at] * _UNITS[unit] if known else 0.0)
        version = str(ome.get("version") or multiscale.get("version") or "")
        return version, (lengths[0], lengths[1])

    def _shape(self, array: Any) -> tuple[int, int]:
        sizes = dict(zip(self._axes, array.shape, strict=True))
        return int(sizes["y"]), int(sizes["x"])

    def _files(self) -> tuple[Path, ...]:
        if self._path.is_file():
            return (self._path,)
        return tuple(sorted(file for file in self._path.rglob("*") if file.is_file()))

    # ---------------------------------------------------------------- reading
    def _check_chunks(self, index: int, place: Sequence[Any]) -> None:
        """Refuse a rectangle of which a chunk is missing: zarr would fill it.

        Raises
        ------
        DecodingError
            When the value it would be filled with is not white.
        """
        array = self._arrays[index]
        if array.metadata.fill_value == np.iinfo(array.dtype).max:
            return
        sides = array.shards or array.chunks
        spans = [
            range(part.start // side, -(-part.stop // side))
            if isinstance(part, slice) and part.start is not None
            else range(1 if isinstance(part, int) else -(-size // side))
            for part, side, size in zip(place, sides, array.shape, strict=True)
        ]
        for chunk in np.ndindex(*(len(span) for span in spans)):
            where = tuple(span[n] for span, n in zip(spans, chunk, strict=True))
            if (index, where) not in self._known:
                name = array.metadata.encode_chunk_key(where)
                if not self._exists(f"{self._names[index]}/{name}"):
                    raise DecodingError(f"no chunk {name} in {self._names[index]}")
                self._known.add((index, where))

    def _exists(self, name: str) -> bool:
        name = f"{self._root}/{name}".lstrip("/")
        return (self._path / name).is_file() if self._zip is None else name in self._zip

    def _incomplete(self, got: str) -> ScanInvalid:
        return ScanInvalid(
            f"expected a whole OME-Zarr image in {self._path}, got '{got}'; copy the folder again, "
            "with all that is in it"
        )


def _ome(group: Any) -> Mapping[str, Any]:
    attributes = dict(group.attrs)
    found = attributes.get("ome", attributes)
    return found if isinstance(found, Mapping) else {}


def _names_rgb(omero: Mapping[str, Any]) -> bool:
    """Whether three channels are red, green and blue, as far as the metadata says."""
    channels = omero.get("channels") or []
    names = [str(channel.get("label") or "").lower() for channel in channels]
    colours = [str(channel.get("color") or "").upper() for channel in channels]
    if tuple(colours) == _RGB_COLOURS or not channels:
        return True
    return len(names) == 3 and all(
        name in known for name, known in zip(names, _RGB_NAMES, strict=True)
    )


def _names_in(path: Path) -> tuple[frozenset[str], str]:
    """Return the names in a zip file, and the folder in it that holds the image."""
    with zipfile.ZipFile(path) as archive:
        names = frozenset(archive.namelist())
    marks = [name for name in names if name.rpartition("/")[2] in {"zarr.json", ".zgroup"}]
    if not marks:
        raise ScanInvalid(
            f"expected an OME-Zarr image in {path}, got a zip file without one; unpack it, and "
            "open the slide that is in it"
        )
    return names, min(marks, key=lambda name: name.count("/")).rpartition("/")[0]
