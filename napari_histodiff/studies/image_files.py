"""Folders of anybody's images: which files they are, and whether two sides can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.datasets.files import slides_among

__all__ = ["image_files", "require_one_scale"]

_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".npy"})

_SAME_SCALE: Final = 0.1  # relative difference of micrometres per pixel that nobody sees


def image_files(folder: Path) -> list[Path]:
    """Return the image files in a folder and its subfolders, by name.

    Raises
    ------
    InvalidRequest
        When there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"expected a folder of images at {folder}, got none; check it")
    inside = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES]
    if not inside:
        if slides := slides_among(folder.rglob("*")):
            raise InvalidRequest(
                f"expected images in {folder}, got slides ({slides}); cut them into PNG tiles"
            )
        raise InvalidRequest(
            f"expected images in {folder}, got none; PNG, JPEG, TIFF and .npy are read"
        )
    return inside


def require_one_scale(real: Iterable[float | None], synthetic: Iterable[float | None]) -> None:
    """Refuse sides whose files state different scales: the magnification would tell them.

    Parameters
    ----------
    real, synthetic : iterable of float, optional
        Micrometres per pixel, where a file states them.

    Raises
    ------
    InvalidRequest
        When the medians differ by more than a tenth.
    """
    sides = [[mpp for mpp in side if mpp is not None] for side in (real, synthetic)]
    if not all(sides):
        return
    ours, theirs = (float(np.median(side)) for side in sides)
    if abs(ours - theirs) > _SAME_SCALE * ours:
        raise InvalidRequest(
            f"expected both sides at one scale, got {ours:g} um per pixel of real and {theirs:g} "
            "of synthetic images, which anybody would see; bring them to one scale"
        )
