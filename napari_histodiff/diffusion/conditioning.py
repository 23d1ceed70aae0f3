"""What the network is told about a place: the stack of spatial channels, and the scalars."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.maps import N_CLASSES, TISSUE_NAMES, nuclei_mask, nuclei_union
from napari_histodiff.core.requests import STAIN_NUMBERS, EditRequest

__all__ = [
    "CHANNELS",
    "SPATIAL_CHANNELS",
    "STAIN_FEATURES",
    "Conditions",
    "conditions_from_request",
    "from_pixels",
    "stack_spatial",
    "stain_condition",
    "to_pixels",
]

_N_TISSUE: Final = len(TISSUE_NAMES) - 1  # id 0, "unspecified", is all channels zero

#: Where each condition lies among the spatial channels.
CHANNELS: Final[dict[str, slice]] = {
    "known": slice(0, 3),
    "known_mask": slice(3, 4),
    "coarse": slice(4, 7),
    "has_coarse": slice(7, 8),
    "nuclei": slice(8, 8 + N_CLASSES + 1),
    "union": slice(15, 16),
    "has_nuclei": slice(16, 17),
    "tissue": slice(17, 17 + _N_TISSUE),
}
SPATIAL_CHANNELS: Final = CHANNELS["tissue"].stop

#: Numbers a stain is described by; see `stain.stain_vector`.
STAIN_FEATURES: Final = STAIN_NUMBERS

# Mean and spread of each over the training images, so that the network sees numbers of order one.
_STAIN_MEAN: Final = torch.tensor([0.37, 0.75, 0.35, 0.24, 0.34, 0.16, -0.95])
_STAIN_SPREAD: Final = torch.tensor([0.20, 0.33, 0.19, 0.11, 0.14, 0.08, 0.30])


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """A batch of conditions.

    Attributes
    ----------
    spatial : (b, SPATIAL_CHANNELS, h, w) float
        Channels as in `CHANNELS`: known RGB x known mask and coarse RGB in [-1, 1], the rest 0/1.
    slots : (b, n_slots) int64
        Caption slots, 0 = unspecified.
    mpp : (b,) float
        Micrometres per pixel.
    stain : (b, STAIN_FEATURES + 1) float
        Standardised stain numbers, and 1; all 0 where the stain is left to the model.
    """

    spatial: Tensor
    slots: Tensor
    mpp: Tensor
    stain: Tensor

    def crop(self, y: int, x: int, height: int, width: int) -> Conditions:
        """Return the window at (y, x), in pixels of `spatial`."""
        return replace(self, spatial=self.spatial[..., y : y + height, x : x + width])

    def without_prompt(self) -> Conditions:
        """Return what guidance compares with: no nuclei, tissue or caption; the rest stays."""
        spatial = self.spatial.clone()
        for name in ("nuclei", "union", "has_nuclei", "tissue"):
            spatial[:, CHANNELS[name]] = 0
        return replace(self, spatial=spatial, slots=torch.zeros_like(self.slots))

    def cat(self, other: Conditions) -> Conditions:
        """Return both batches as one."""
        return Conditions(
            torch.cat([self.spatial, other.spatial]),
            torch.cat([self.slots, other.slots]),
            torch.cat([self.mpp, other.mpp]),
            torch.cat([self.stain, other.stain]),
        )

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Conditions:
        """Return a copy on `device`; slots stay integers."""
        return Conditions(
            self.spatial.to(device, dtype),
            self.slots.to(device),
            self.mpp.to(device, dtype),
            self.stain.to(device, dtype),
        )


def from_pixels(image: NDArray[np.uint8]) -> Tensor:
    """(..., h, w, 3) uint8 to (..., 3, h, w) float32 in [-1, 1]."""
    tensor = torch.from_numpy(np.array(image, copy=True)).movedim(-1, -3)
    return tensor.float() / 127.5 - 1


def to_pixels(x: Tensor) -> NDArray[np.uint8]:
    """(..., 3, h, w) float in [-1, 1] to (..., h, w, 3) uint8, rounded half to even, clipped."""
    levels = ((x.detach().float() + 1) * 127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).movedim(-3, -1).contiguous().cpu().numpy()


def stack_spatial(
    shape: tuple[int, int],
    *,
    nuclei: NDArray[np.uint8] | None = None,
    union: NDArray[np.bool_] | None = None,
    tissue_map: NDArray[np.uint8] | None = None,
    known: NDArray[np.uint8] | None = None,
    known_mask: NDArray[np.bool_] | None = None,
    coarse: NDArray[np.uint8] | None = None,
) -> Tensor:
    """Return (1, SPATIAL_CHANNELS, h, w) float32; what is None is marked absent."""
    out = torch.zeros(1, SPATIAL_CHANNELS, *shape)
    if nuclei is not None and union is not None:
        out[0, CHANNELS["nuclei"]] = torch.from_numpy(nuclei.astype(np.float32))
        out[0, CHANNELS["union"]] = torch.from_numpy(union.astype(np.float32))
        out[0, CHANNELS["has_nuclei"]] = 1
    if tissue_map is not None:
        ids = np.arange(1, _N_TISSUE + 1, dtype=np.uint8)[:, None, None]
        out[0, CHANNELS["tissue"]] = torch.from_numpy((tissue_map == ids).astype(np.float32))
    if known is not None and known_mask is not None:
        mask = torch.from_numpy(known_mask.astype(np.float32))
        out[0, CHANNELS["known"]] = from_pixels(known) * mask
        out[0, CHANNELS["known_mask"]] = mask
    if coarse is not None:
        out[0, CHANNELS["coarse"]] = from_pixels(coarse)
        out[0, CHANNELS["has_coarse"]] = 1
    return out


def stain_condition(vectors: Tensor | None) -> Tensor:
    """Return (b, STAIN_FEATURES + 1) for (b, STAIN_FEATURES) stain vectors; None: one not given."""
    if vectors is None:
        return torch.zeros(1, STAIN_FEATURES + 1)
    standard = ((vectors - _STAIN_MEAN) / _STAIN_SPREAD).clamp(-4, 4)
    return torch.cat([standard, torch.ones(len(standard), 1)], 1)


def conditions_from_request(request: EditRequest) -> Conditions:
    """Return the conditions of a request, b = 1, float32 on the CPU, at the frame's shape."""
    nuclei = union = None
    if request.class_map is not None:
        nuclei = nuclei_mask(request.class_map, request.instance_map)
        union = nuclei_union(request.class_map, request.instance_map)
    known_mask = None
    if request.image is not None and request.edit_mask is not None:
        known_mask = ~request.edit_mask
    spatial = stack_spatial(
        request.shape,
        nuclei=nuclei,
        union=union,
        tissue_map=request.tissue_map,
        known=request.image,
        known_mask=known_mask,
        coarse=request.coarse,
    )
    slots = parse_caption(request.caption).caption.to_slots()
    stain = stain_condition(None if request.stain is None else torch.tensor([request.stain]))
    return Conditions(spatial, torch.tensor([slots]), torch.tensor([request.mpp]), stain)
