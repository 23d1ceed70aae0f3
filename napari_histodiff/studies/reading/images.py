"""Folders of real and drawn images, as a reader study takes them: equal in size and encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.studies.image_files import image_files, require_one_scale
from napari_histodiff.studies.reading.trials import Card

__all__ = ["FoundImages", "SourceImage", "collect_images", "encoded", "square"]

_LEAST: Final = 64


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image file: where it is, what dealing knows of it, its sides and its scale if stated."""

    path: Path
    card: Card
    shape: tuple[int, int]
    mpp: float | None
    digest: str


@dataclass(frozen=True, slots=True)
class FoundImages:
    """Images of both sides, the side of the square they all have, and what was left out, why."""

    images: tuple[SourceImage, ...]
    size: int
    notes: tuple[str, ...]


def collect_images(
    real: Sequence[Path], synthetic: Sequence[Path], size: int | None = None
) -> FoundImages:
    """Read every image under the folders of both sides.

    The first subfolder names the organ and the second the class: `real/colon/tumour/1.png`.

    Parameters
    ----------
    real, synthetic : sequence of Path
        Folders, searched with their subfolders.
    size : int, optional
        Side of the square to show, in pixels; by default the shortest side of all images.

    Raises
    ------
    InvalidRequest
        When a folder is missing or holds no image, images lie on both sides, or the sides were
        scanned at different scales.
    InvalidImage
        When a file cannot be read, or is smaller than the square.
    """
    images: dict[str, SourceImage] = {}
    notes = []
    for is_synthetic, folders in ((False, real), (True, synthetic)):
        for path, folder in _files(folders):
            image = _read(path, folder, is_synthetic)
            twin = images.get(image.digest)
            if twin is None:
                images[image.digest] = image
            elif twin.card.synthetic is is_synthetic:
                notes.append(f"{path} shows the same as {twin.path} and is left out")
            else:
                raise InvalidRequest(
                    f"expected images that are either real or synthetic, got the same one as "
                    f"{twin.path} and {path}; take it out of one folder"
                )
    found = list(images.values())
    require_one_scale(
        *([i.mpp for i in found if i.card.synthetic is side] for side in (False, True))
    )
    return FoundImages(tuple(found), _common_size(found, size, notes), tuple(notes))


def square(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the (size, size, 3) square in the middle of an image that is at least as large."""
    y, x = ((side - size) // 2 for side in pixels.shape[:2])
    return pixels[y : y + size, x : x + size]


def encoded(pixels: NDArray[np.uint8], quality: int) -> tuple[str, bytes]:
    """Return media type and bytes of a picture: JPEG, or PNG for quality 0; without metadata."""
    buffer = BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if quality == 0:
        picture.save(buffer, "PNG")
        return "image/png", buffer.getvalue()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    return "image/jpeg", buffer.getvalue()


def _files(folders: Sequence[Path]) -> list[tuple[Path, Path]]:
    return [(path, folder) for folder in folders for path in image_files(folder)]


def _read(path: Path, folder: Path, synthetic: bool) -> SourceImage:
    picture = read_picture(path)
    pixels = picture.rgb()
    parts = path.relative_to(folder).parent.parts
    organ, group = (*parts, "", "")[:2]
    card = Card(synthetic, organ, group, _stain(pixels))
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    return SourceImage(path, card, (pixels.shape[0], pixels.shape[1]), picture.mpp, digest)


def _stain(pixels: NDArray[np.uint8]) -> tuple[float, float, float]:
    from skimage.color import rgb2hed

    small = pixels[:: max(1, len(pixels) // 256), :: max(1, pixels.shape[1] // 256)]
    h, e, d = rgb2hed(small).reshape(-1, 3).mean(0)
    return float(h), float(e), float(d)


def _common_size(images: Sequence[SourceImage], size: int | None, notes: list[str]) -> int:
    smallest = min(images, key=lambda image: min(image.shape))
    least = min(smallest.shape)
    if least < (size or _LEAST):
        raise InvalidImage(
            f"expected images of at least {size or _LEAST} px, got {smallest.shape[0]} x "
            f"{smallest.shape[1]} in {smallest.path}; take it out or show a smaller square"
        )
    if len({image.shape for image in images}) > 1:
        longest = max(max(image.shape) for image in images)
        notes.append(
            f"images are {least} to {longest} px large; of each the middle {size or least} px "
            "are shown"
        )
    return size or least
