"""What a request says of any part of its canvas: the control image, known and coarse pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.foreign.convention import Convention
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.conditioning import from_pixels
from napari_histodiff.inpainting.fills import filled

__all__ = ["Place"]

_MAPS = (
    "class_map",
    "instance_map",
    "tissue_map",
    "image",
    "edit_mask",
    "coarse",
    "strength_map",
)


class Place:
    """The maps and pixels of a request, mirrored beyond its frame where windows reach further.

    What it returns of a part depends on that part alone.

    Parameters
    ----------
    request : EditRequest
    convention : Convention
        How the model takes paint.
    canvas : Region
        Holds the request's region and all windows, in pixels.
    """

    def __init__(self, request: EditRequest, convention: Convention, canvas: Region) -> None:
        self._convention = convention
        self._canvas = canvas
        self._maps: dict[str, NDArray[Any]] = {}
        for name in _MAPS:
            value = getattr(request, name)
            if name == "image" and value is not None and request.edit_mask is not None:
                value = filled(value, request.edit_mask, request.fill)
            if value is not None and not (name == "coarse" and request.kind is not EditKind.ZOOM):
                self._maps[name] = _mirrored(value, request.region, canvas)
        if "image" not in self._maps:
            self._maps.pop("edit_mask", None)
        self._fill = request.kind is not EditKind.INPAINT

    @property
    def has_image(self) -> bool:
        """Whether pixels are known."""
        return "edit_mask" in self._maps

    def part(self, region: Region) -> dict[str, NDArray[Any]]:
        """Return the maps of a part, by name."""
        inside = region.relative_to(self._canvas).slices
        return {name: value[inside] for name, value in self._maps.items()}

    def control(self, region: Region) -> Tensor | None:
        """Return the control image of a part, (planes, h, w) in [0, 1]; None: nothing painted."""
        maps = self.part(region)
        image = self._convention.control(
            region.shape,
            maps.get("class_map"),
            maps.get("instance_map"),
            maps.get("tissue_map"),
        )
        return None if image is None else torch.from_numpy(image)

    def free(self, region: Region) -> Tensor:
        """Return where pixels may change in a part, (1, h, w) float of 0 and 1."""
        if not self.has_image:
            return torch.ones(1, *region.shape)
        mask = self.part(region)["edit_mask"]
        return torch.from_numpy(mask.astype(np.float32))[None]

    def strengths(self, region: Region) -> Tensor | None:
        """Return how strongly each pixel of a part is drawn anew, (1, h, w); None: all alike."""
        found = self.part(region).get("strength_map")
        return None if found is None else torch.from_numpy(found.copy())[None]

    def image(self, region: Region) -> Tensor:
        """Return the pixels of a part, (3, h, w) in [-1, 1].

        Where nothing is known and nothing drawn before, they are of the mean colour of what is.
        """
        maps = self.part(region)
        image, mask = maps["image"], maps["edit_mask"]
        if self._fill and mask.any() and not mask.all():
            image = np.where(mask[..., None], image[~mask].mean(0).round(), image)
        return from_pixels(image)

    def without_edit(self, region: Region) -> Tensor:
        """Return the pixels of a part, gray where they may change; all gray without an image."""
        if not self.has_image:
            return torch.zeros(3, *region.shape)
        maps = self.part(region)
        return from_pixels(maps["image"]) * (1 - self.free(region))

    def coarse(self, region: Region) -> Tensor:
        """Return the pixels of a part as they are one level up, (3, h, w) in [-1, 1]."""
        return from_pixels(self.part(region)["coarse"])

    def digest(self, region: Region) -> bytes:
        """Return a digest of all of a part."""
        return digest_of(region.shape, *self.part(region).values(), *self._maps)


def _mirrored(value: NDArray[Any], frame: Region, canvas: Region) -> NDArray[Any]:
    if frame == canvas:
        return value
    inner = frame.relative_to(canvas)
    widths = [
        (inner.y, canvas.height - inner.y - inner.height),
        (inner.x, canvas.width - inner.x - inner.width),
        *[(0, 0)] * (value.ndim - 2),
    ]
    return np.pad(value, widths, mode="symmetric")
