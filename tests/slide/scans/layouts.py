"""Slides as scanners and other programs write them, of pixels that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import box_down

__all__ = ["JPEG_2000", "MPP", "pyramid_of", "tissue", "write_pyramid", "write_svs"]

#: How Aperio's scanners compress with JPEG 2000, but without loss.
JPEG_2000: Final[dict[str, Any]] = {
    "compression": 33005,
    "compressionargs": {"reversible": True, "codecformat": "j2k"},
}

#: Micrometres per pixel that the files state.
MPP: Final = 0.25


def tissue(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth pink and violet with fine grain, of which every place differs, (h, w, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 32 + 2, width // 32 + 2))
    smooth = np.kron(coarse, np.ones((32, 32)))[:height, :width]
    grain = rng.integers(-6, 7, (height, width, 1))
    pink, violet = np.array([236, 180, 208]), np.array([120, 70, 150])
    return np.clip(pink + smooth[..., None] * (violet - pink) + grain, 0, 255).astype(np.uint8)


def pyramid_of(pixels: NDArray[np.uint8], levels: int) -> list[NDArray[np.uint8]]:
    """Each level the box mean of the one below."""
    found = [pixels]
    for _ in range(levels - 1):
        found.append(box_down(found[-1]))
    return found


def write_pyramid(
    path: Path,
    levels: list[NDArray[np.uint8]],
    *,
    mpp: float | None = MPP,
    bigtiff: bool = False,
    **options: Any,
) -> Path:
    """Write the tiles of several levels one after the other, as most programs do."""
    options = {"tile": (256, 256), "compression": "deflate", "photometric": "rgb"} | options
    path.parent.mkdir(exist_ok=True)
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tif:
        for number, pixels in enumerate(levels):
            if mpp is not None:
                per_cm = 1e4 / (mpp * 2**number)
                options |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
            tif.write(pixels, subfiletype=int(number > 0), metadata=None, **options)
    return path


def write_svs(
    path: Path,
    levels: list[NDArray[np.uint8]],
    properties: str = "AppMag = 40|MPP = 0.2500",
    **options: Any,
) -> Path:
    """Write levels, thumbnail, label and macro as Aperio's scanners do, but without loss."""
    options = {"compression": "deflate", "photometric": "rgb"} | options
    height, width = levels[0].shape[:2]
    head = f"Aperio Image Library v12.0.15\r\n{width}x{height} (256x256) JPEG/RGB Q=70|{properties}"
    small = {"rowsperstrip": 16, "photometric": "rgb", "metadata": None}
    path.parent.mkdir(exist_ok=True)
    with tifffile.TiffWriter(path) as tif:
        for number, pixels in enumerate(levels):
            tif.write(
                pixels,
                tile=(256, 256),
                description=head,
                metadata=None,
                **options,
            )
            if number == 0:
                tif.write(levels[-1][::4, ::4], description=head, **small)
        for number, name in ((1, "label"), (9, "macro")):
            text = f"Aperio Image Library v12.0.15\r\n{name} 60x40"
            picture = np.full((40, 60, 3), 50 * number % 256, np.uint8)
            tif.write(picture, subfiletype=number, description=text, **small)
    return path
