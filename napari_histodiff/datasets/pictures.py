"""Reads picture files as what they show: the one reader of command line, training and sketches.

A file's numbers mean what its tags say: a palette, WhiteIsZero, YCbCr and CIELab, channels in
planes of their own, the side it is held up by, and how long a pixel is. What can be read in two
ways is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tifffile import TiffFileError

from napari_histodiff.core.errors import InvalidImage, InvalidMap, InvalidRequest
from napari_histodiff.core.maps import as_rgb
from napari_histodiff.core.steering.strengths import as_strength_map
from napari_histodiff.datasets.tiff import plausible, read_tiff, same_scale

__all__ = ["Picture", "read_picture", "same_scale"]

_T = TypeVar("_T")

_LOSSY: Final = frozenset({"JPEG", "MPO", "JPEG2000", "WEBP", "AVIF"})
_MICROMETRES_PER_INCH: Final = 25_400
_KEPT: Final = frozenset({"1", "L", "LA", "RGB", "RGBA", "I", "F"})
_CONVERTED: Final = {"La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB"}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture, upright.

    `shown`: (h, w) or (h, w, channels) as a viewer shows it, palette and colour space resolved.
    `stored`: the numbers of the file, of a palette the indices. `mpp`: micrometres per pixel, where
    the file states a length that a microscope could have. `lossy`: the encoding that changed
    numbers, or "". `white_is_zero`: the stored numbers count from white.
    """

    path: Path
    shown: NDArray[Any]
    stored: NDArray[Any]
    mpp: float | None = None
    lossy: str = ""
    white_is_zero: bool = False

    def checked(self, check: Callable[[NDArray[Any]], _T], array: NDArray[Any]) -> _T:
        """Return `check(array)`; its refusal names the file."""
        try:
            return check(array)
        except InvalidRequest as error:
            raise type(error)(f"{error} (in {self.path})") from error

    def rgb(self) -> NDArray[np.uint8]:
        """Return what a picture shows as (h, w, 3) uint8 RGB.

        Raises
        ------
        InvalidImage
            When there is not one way to (see `core.maps.as_rgb`).
        """
        return self.checked(as_rgb, self.shown)

    def ids(self) -> NDArray[Any]:
        """Return the ids of a class, instance, tissue or label map; of a palette its indices.

        Raises
        ------
        InvalidMap
            When the encoding changed the numbers, or they can be read in two ways.
        """
        if self.lossy:
            raise InvalidMap(
                f"expected a map in a lossless format, got {self.lossy} in {self.path}, which "
                "changes ids; save the map as PNG, TIFF or .npy from where it was made"
            )
        if self.white_is_zero:
            raise InvalidMap(
                f"expected a map whose ids count from black, got WhiteIsZero in {self.path}; save "
                "it as PNG or as a BlackIsZero TIFF"
            )
        ids = self.stored
        if ids.ndim == 2 and self.shown.ndim == 3:
            gray = self.shown[..., 0]
            if (self.shown[..., :3] == gray[..., None]).all() and not np.array_equal(gray, ids):
                raise InvalidMap(
                    f"expected one way to read the ids, got a palette of grays in {self.path} that "
                    "differ from their indices; save the map without a palette"
                )
        return ids.astype(np.uint8) if ids.dtype == np.bool_ else ids

    def edit_mask(self) -> NDArray[np.bool_]:
        """Return an edit mask, (h, w) bool: True where a picture of two values is not black.

        Raises
        ------
        InvalidMap
            When it shows more values than two, or two of which none is black, or was saved lossily.
        """
        shown = self.shown
        if self.lossy:
            raise _no_mask(self, f"{self.lossy}, which blurs its rim")
        if shown.dtype.kind not in "biu":
            raise InvalidMap(
                f"expected an edit mask of whole numbers, got {shown.dtype} in {self.path}; "
                "save it as 0 and 255"
            )
        if shown.ndim == 3 and shown.shape[2] in (2, 4):
            if not (shown[..., -1] == np.iinfo(shown.dtype).max).all():
                raise _no_mask(self, "transparent pixels")
            shown = shown[..., :-1]
        if shown.ndim not in (2, 3) or (shown.ndim == 3 and shown.shape[2] not in (1, 3)):
            raise _no_mask(self, f"shape {shown.shape}")
        planes = shown.reshape(*shown.shape[:2], -1)
        marked: NDArray[np.bool_] = np.asarray(planes.any(-1))
        inside = planes[marked]
        if not len(inside):
            return marked
        if (inside != inside[0]).any():
            raise _no_mask(self, _values(planes))
        full = True if shown.dtype == np.bool_ else np.iinfo(shown.dtype).max
        if marked.all() and not ((inside[0] == 1).all() or (inside[0] == full).all()):
            raise _no_mask(self, f"one value, {inside[0].tolist()}, everywhere")
        return marked

    def strengths(self) -> NDArray[np.float32]:
        """Return a gray picture as shares, (h, w) float32: black is 0, white is 1.

        Floats are taken as they are.

        Raises
        ------
        InvalidMap
            When it was saved lossily, shows colours or transparent pixels, or floats beyond 0-1.
        """
        shown = self.shown
        if shown.ndim == 3 and shown.shape[2] == 3 and (shown[..., 1:] == shown[..., :1]).all():
            shown = shown[..., 0]
        if self.lossy or shown.ndim != 2 or shown.dtype.kind not in "buf":
            got = f"{self.lossy}, which blurs its rim" if self.lossy else f"shape {shown.shape}"
            raise InvalidMap(
                f"expected strengths as a gray picture, got {got} in {self.path}; save it as gray "
                "PNG, black where nothing may change and white where all may"
            )
        if shown.dtype.kind == "u":
            shown = shown.astype(np.float32) / np.iinfo(shown.dtype).max
        return self.checked(as_strength_map, shown)


def read_picture(path: str | Path, *, max_side: int | None = None) -> Picture:
    """Read PNG, TIFF, JPEG, another picture Pillow knows, or a plain `.npy` array.

    Parameters
    ----------
    path : path
    max_side : int, optional
        Longest side; a larger picture is refused before it is decoded.

    Raises
    ------
    InvalidImage
        When the file is missing, damaged, too large, holds several pictures or CMYK, or is a
        pickled `.npy`.
    """
    path = Path(path)

    def check_size(height: int, width: int) -> None:
        if max_side is not None and max(height, width) > max_side:
            raise InvalidImage(
                f"expected a picture of at most {max_side} pixels a side, got {height} x {width} "
                f"in {path}; reduce it without blending colours (nearest pixel)"
            )

    try:
        if path.suffix.lower() == ".npy":
            array = np.asarray(np.load(path, allow_pickle=False))
            check_size(*(*array.shape, 0, 0)[:2])
            return Picture(path, array, array)
        try:
            found = read_tiff(path, check_size)
        except TiffFileError:
            return _by_pillow(path, check_size)
    except InvalidImage:
        raise
    except FileNotFoundError as error:
        raise InvalidImage(f"expected a file {path}, got none; choose one that is there") from error
    except Exception as error:  # decoders raise whatever they like at a damaged file
        raise InvalidImage(
            f"expected an image or a plain .npy array in {path}, got something else ({error}); "
            "save it as PNG, TIFF or an unpickled .npy"
        ) from error
    return Picture(path, *found)


def _no_mask(picture: Picture, got: str) -> InvalidMap:
    return InvalidMap(
        f"expected an edit mask of two values, black where pixels stay and one other where they "
        f"may change, got {got} in {picture.path}; save it as black and white PNG without smooth "
        "edges or transparency, for example mask > 127"
    )


def _values(planes: NDArray[Any]) -> str:
    values = np.unique(planes.reshape(-1, planes.shape[-1]), axis=0)
    first = ", ".join(str(v[0] if len(v) == 1 else tuple(v)) for v in values[:4].tolist())
    return f"{len(values)} values ({first}{' ...' if len(values) > 4 else ''})"


def _by_pillow(path: Path, check_size: Callable[[int, int], None]) -> Picture:
    with Image.open(path) as image:
        check_size(image.height, image.width)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # of a camera's MPO the first is the picture
            raise InvalidImage(
                f"expected one picture in {path}, got {frames} frames; save one of them"
            )
        lossy = (image.format or "") if image.format in _LOSSY else ""
        if lossy == "WEBP" and _is_lossless_webp(path):
            lossy = ""
        mpp = _scale(image.info.get("dpi"))
        upright = ImageOps.exif_transpose(image)
        return Picture(path, _shown(upright, path), np.asarray(upright), mpp, lossy)


def _shown(image: Image.Image, path: Path) -> NDArray[Any]:
    mode = image.mode
    if mode in {"P", "PA", "L", "RGB"} and image.has_transparency_data:
        image = image.convert("LA" if mode == "L" else "RGBA")
    elif mode == "P":
        image = image.convert("RGB")
    elif mode in _CONVERTED:
        image = image.convert(_CONVERTED[mode])
    elif mode not in _KEPT and not mode.startswith("I;16"):
        raise InvalidImage(f"expected RGB or gray in {path}, got {mode}; convert it to RGB")
    array = np.asarray(image)
    return array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array


def _scale(dpi: Any) -> float | None:
    try:
        x, y = (_MICROMETRES_PER_INCH / float(along) for along in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return plausible(x, y)


def _is_lossless_webp(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16)[12:] == b"VP8L"
