"""What the network is told about a place: the stack of spatial channels, and the scalars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import N_CLASSES, TISSUE_NAMES, nuclei_mask, nuclei_union
from napari_histodiff.core.requests import STAIN_NUMBERS, EditRequest
from napari_histodiff.layout.tissues.kinds import cell_by_cell

__all__ = [
    "CHANNELS",
    "STAIN_FEATURES",
    "ConditionSource",
    "Conditions",
    "PlacedConditions",
    "RequestConditions",
    "conditions_from_request",
    "from_pixels",
    "smoothed",
    "spatial_channels",
    "stack_spatial",
    "stain_condition",
    "tissue_channels",
    "to_pixels",
]

#: Where each condition lies among the spatial channels. Tissue comes last, one channel for each
#: class the network knows; "unspecified" is all of them zero.
CHANNELS: Final[dict[str, slice]] = {
    "known": slice(0, 3),
    "known_mask": slice(3, 4),
    "coarse": slice(4, 7),
    "has_coarse": slice(7, 8),
    "nuclei": slice(8, 8 + N_CLASSES + 1),
    "union": slice(15, 16),
    "has_nuclei": slice(16, 17),
    "tissue": slice(17, None),
}

#: Numbers of `Conditions.stain`; a network is told the first of them, as many as it knows.
STAIN_FEATURES: Final = STAIN_NUMBERS[1] + 1

_TWO_VALUED: Final = frozenset({"nuclei", "union", "known_mask"})

# Mean and spread of each over the training images, so that the network sees numbers of order one.
_STAIN_MEAN: Final = torch.tensor([0.37, 0.75, 0.35, 0.24, 0.34, 0.16, -0.95, 0.55])
_STAIN_SPREAD: Final = torch.tensor([0.20, 0.33, 0.19, 0.11, 0.14, 0.08, 0.30, 0.30])


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """A batch of conditions.

    Attributes
    ----------
    spatial : (b, spatial_channels(tissue_classes), h, w) float
        Channels as in `CHANNELS`: known RGB x known mask and coarse RGB in [-1, 1], the rest 0/1.
    slots : (b, n_slots) int64
        Caption slots, 0 = unspecified.
    mpp : (b,) float
        Micrometres per pixel.
    stain : (b, STAIN_FEATURES) float
        Standardised stain numbers, 1 behind the seventh; all 0 where the stain is left to the
        model, the last where nothing says how fine the detail is.
    region_slots : (b, k, n_slots) int64, optional
        Slots of further captions, each of a part of the place.
    shares : (b, k, h, w) float, optional
        Which pixels they hold for, 0 or 1; where none does, `slots` do.
    means : (b, 3, h, w) float, optional
        What blocks of pixels have to have as their mean, in [-1, 1], the same all over a block.
    block : int
        Side of these blocks, which lie on multiples of it.
    """

    spatial: Tensor
    slots: Tensor
    mpp: Tensor
    stain: Tensor
    region_slots: Tensor | None = None
    shares: Tensor | None = None
    means: Tensor | None = None
    block: int = 2

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.spatial.shape[-2:]
        return height, width

    @property
    def captions(self) -> int:
        """How many captions there are."""
        return 1 + (0 if self.region_slots is None else self.region_slots.shape[1])

    @property
    def request(self) -> None:
        """They were made from none."""

    @property
    def tissue_names(self) -> Sequence[str]:
        """What the tissue classes are: those of this package."""
        return TISSUE_NAMES

    def crop(self, y: int, x: int, height: int, width: int) -> Conditions:
        """Return the window at (y, x), in pixels of `spatial`."""
        part = (..., slice(y, y + height), slice(x, x + width))
        shares, means = (None if a is None else a[part] for a in (self.shares, self.means))
        return replace(self, spatial=self.spatial[part], shares=shares, means=means)

    def without_prompt(self) -> Conditions:
        """Return what guidance compares with: no nuclei, tissue or caption; the rest stays."""
        spatial = self.spatial.clone()
        for name in ("nuclei", "union", "has_nuclei", "tissue"):
            spatial[:, CHANNELS[name]] = 0
        slots = torch.zeros_like(self.slots)
        return replace(self, spatial=spatial, slots=slots, region_slots=None, shares=None)

    def by_caption(self) -> list[tuple[Conditions, Tensor]]:
        """Return the conditions with each caption that holds somewhere, and its shares.

        The shares, (b, 1, h, w), are 1 together at each pixel.
        """
        whole = replace(self, region_slots=None, shares=None)
        if self.region_slots is None or self.shares is None:
            return [(whole, torch.ones_like(self.spatial[:, :1]))]
        rest = 1 - self.shares.sum(1, keepdim=True)
        found = [(whole, rest)]
        for number in range(self.shares.shape[1]):
            share = self.shares[:, number : number + 1]
            found.append((replace(whole, slots=self.region_slots[:, number]), share))
        return [(conditions, share) for conditions, share in found if bool(share.any())]

    def cat(self, *others: Conditions) -> Conditions:
        """Return all batches as one; without others, this one itself."""
        if not others:
            return self
        batches = (self, *others)
        return Conditions(
            torch.cat([batch.spatial for batch in batches]),
            torch.cat([batch.slots for batch in batches]),
            torch.cat([batch.mpp for batch in batches]),
            torch.cat([batch.stain for batch in batches]),
            _all([batch.region_slots for batch in batches]),
            _all([batch.shares for batch in batches]),
            _all([batch.means for batch in batches]),
            self.block,
        )

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Conditions:
        """Return a copy on `device`; slots stay integers."""
        return Conditions(
            self.spatial.to(device, dtype),
            self.slots.to(device),
            self.mpp.to(device, dtype),
            self.stain.to(device, dtype),
            None if self.region_slots is None else self.region_slots.to(device),
            None if self.shares is None else self.shares.to(device, dtype),
            None if self.means is None else self.means.to(device, dtype),
            self.block,
        )


def _all(values: Sequence[Tensor | None]) -> Tensor | None:
    """Return one batch: windows of one request all have captions of regions, or none."""
    given = [value for value in values if value is not None]
    return torch.cat(given) if len(given) == len(values) else None


def spatial_channels(tissue_classes: int) -> int:
    """Return the number of spatial channels of a network that knows so many tissue classes."""
    start: int = CHANNELS["tissue"].start
    return start + tissue_classes


def tissue_channels(tissue_map: Tensor, tissue_classes: int) -> Tensor:
    """Return (b, tissue_classes, h, w) bool of (b, h, w) ids; other ids are unspecified."""
    ids = torch.arange(1, tissue_classes + 1, dtype=torch.uint8, device=tissue_map.device)
    return tissue_map[:, None] == ids.view(1, -1, 1, 1)


def from_pixels(image: NDArray[np.uint8]) -> Tensor:
    """(..., h, w, 3) uint8 to (..., 3, h, w) float32 in [-1, 1]."""
    tensor = torch.from_numpy(np.array(image, np.float32)).movedim(-1, -3)
    return tensor.div_(127.5).sub_(1)


def to_pixels(x: Tensor) -> NDArray[np.uint8]:
    """(..., 3, h, w) float in [-1, 1] to (..., h, w, 3) uint8, rounded half to even, clipped."""
    levels = (x.detach().float() + 1).mul_(127.5).round_().clamp_(0, 255)
    return levels.to(torch.uint8).movedim(-3, -1).contiguous().cpu().numpy()


def stack_spatial(
    shape: tuple[int, int],
    tissue_classes: int,
    *,
    nuclei: NDArray[np.uint8] | None = None,
    union: NDArray[np.bool_] | None = None,
    tissue_map: NDArray[np.uint8] | None = None,
    known: NDArray[np.uint8] | None = None,
    known_mask: NDArray[np.bool_] | None = None,
    coarse: NDArray[np.uint8] | None = None,
) -> Tensor:
    """Return the spatial channels, b = 1, float32; what is None is marked absent."""
    # NumPy's zeros: the system hands out channels that nothing is written to when they are read.
    out = torch.from_numpy(np.zeros((1, spatial_channels(tissue_classes), *shape), np.float32))
    if nuclei is not None and union is not None:
        out[0, CHANNELS["nuclei"]] = torch.from_numpy(nuclei)
        out[0, CHANNELS["union"]] = torch.from_numpy(union)
        out[0, CHANNELS["has_nuclei"]] = 1
    if tissue_map is not None:
        painted = torch.from_numpy(np.array(tissue_map, copy=True))[None]
        out[:, CHANNELS["tissue"]] = tissue_channels(painted, tissue_classes)
    if known is not None and known_mask is not None:
        mask = torch.from_numpy(known_mask.astype(np.float32))
        out[0, CHANNELS["known"]] = from_pixels(known) * mask
        out[0, CHANNELS["known_mask"]] = mask
    if coarse is not None:
        out[0, CHANNELS["coarse"]] = smoothed(from_pixels(coarse))
        out[0, CHANNELS["has_coarse"]] = 1
    return out


def smoothed(coarse: Tensor) -> Tensor:
    """Turn pixels repeated twice, (..., h, w), into pixels interpolated between, as in training.

    (1, 2, 1) / 4 along each axis does to repeated pixels what bilinear interpolation does to the
    parent level, wherever the rectangle begins.
    """
    for axis in (-2, -1):
        last = coarse.shape[axis] - 1
        ends = coarse.narrow(axis, 0, 1), coarse.narrow(axis, last, 1)
        padded = torch.cat([ends[0], coarse, ends[1]], axis)
        both = padded.narrow(axis, 0, last + 1) + padded.narrow(axis, 2, last + 1)
        coarse = coarse / 2 + both / 4
    return coarse


def stain_condition(vectors: Tensor | None) -> Tensor:
    """Return (b, STAIN_FEATURES) for (b, 7 or 8) stain vectors; None: one not given.

    An eighth number that is missing or NaN is not known.
    """
    if vectors is None:
        return torch.zeros(1, STAIN_FEATURES)
    count = vectors.shape[1]
    standard = (vectors - _STAIN_MEAN[:count]) / _STAIN_SPREAD[:count]
    standard = standard.clamp(-4, 4).nan_to_num(0)
    detail = torch.zeros(len(standard), STAIN_NUMBERS[1] - count)
    told = torch.ones(len(standard), 1)
    return torch.cat(
        [standard[:, : STAIN_NUMBERS[0]], told, standard[:, STAIN_NUMBERS[0] :], detail], 1
    )


def conditions_from_request(request: EditRequest, tissue_classes: int) -> Conditions:
    """Return the conditions of a request, b = 1, float32 on the CPU, at the frame's shape.

    The network knows the first `tissue_classes` of `TISSUE_NAMES`.
    """
    names = TISSUE_NAMES[: tissue_classes + 1]
    return RequestConditions(request, tissue_classes, names).at(request.region)


class ConditionSource(Protocol):
    """Conditions of the windows of a drawing."""

    def at(self, region: Region) -> Conditions:
        """Return the conditions of a window, b = 1."""

    def digest(self, region: Region) -> bytes:
        """Return a digest of all that `at` returns."""


class RequestConditions:
    """The conditions of any part of a request's region, made from its maps when they are asked for.

    They depend on what the maps hold in that part alone, not on the region around it.

    Parameters
    ----------
    request : EditRequest
    tissue_classes : int
        Those the network knows.
    tissue_names : sequence of str
        Their names, "unspecified" first; by them captions of single tissues find theirs, and fat
        is told cell by cell, see `kinds.cell_by_cell`.
    """

    def __init__(
        self,
        request: EditRequest,
        tissue_classes: int,
        tissue_names: Sequence[str] = TISSUE_NAMES,
    ) -> None:
        self._request = request
        self._tissue_classes = tissue_classes
        self.tissue_names = tissue_names
        self._slots = parse_caption(request.caption).caption.to_slots()
        self._regions = [
            (tissue_names.index(name), parse_caption(caption).caption.to_slots())
            for name, caption in request.region_captions
            if name in tissue_names
        ]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the region."""
        return self._request.shape

    @property
    def request(self) -> EditRequest:
        """What they were made from."""
        return self._request

    @property
    def captions(self) -> int:
        """How many captions there are."""
        return 1 + (0 if self._request.tissue_map is None else len(self._regions))

    def at(self, region: Region) -> Conditions:
        """Return the conditions of a part of the region, b = 1, float32 on the CPU."""
        stain, goal = self._request.stain, self._goal(region)
        return Conditions(
            stack_spatial(region.shape, self._tissue_classes, **self._maps(region)),
            torch.tensor([self._slots]),
            torch.tensor([self._request.mpp]),
            stain_condition(None if stain is None else torch.tensor([stain])),
            *self._captions(region),
            None if goal is None else from_pixels(goal)[None],
            2**self._request.coarse_levels,
        )

    def digest(self, region: Region) -> bytes:
        """Return a digest of the conditions of a part of the region."""
        request = self._request
        goal = self._goal(region)
        maps = [
            # By bits where there are only two values: that hashes eight times as fast.
            np.packbits(value) if name in _TWO_VALUED and value is not None else value
            for name, value in self._maps(region).items()
        ]
        # Where there are none, digests are what they were before there could be any.
        regions = [slots for _, slots in self._regions]
        told = (self._slots, request.mpp, request.stain, region.shape, *maps, *regions)
        if goal is None:
            return digest_of(*told)
        # One level up its pixels are among the maps.
        return digest_of(*told, request.coarse_levels, goal if request.coarse_levels > 1 else None)

    def _captions(self, region: Region) -> tuple[Tensor | None, Tensor | None]:
        """Return the slots of the captions of single tissues, and where each of them holds."""
        tissue = self._request.tissue_map
        if not self._regions or tissue is None:
            return None, None
        inside = tissue[region.relative_to(self._request.region).slices]
        shares = np.stack([inside == number for number, _ in self._regions])
        slots = torch.tensor([[slots for _, slots in self._regions]])
        return slots, torch.from_numpy(shares.astype(np.float32))[None]

    def _maps(self, region: Region) -> dict[str, Any]:
        request = self._request
        inside = region.relative_to(request.region).slices
        maps: dict[str, Any] = {"nuclei": None, "union": None, "known": None, "known_mask": None}
        if request.class_map is not None:
            ids = None if request.instance_map is None else request.instance_map[inside]
            maps["nuclei"] = nuclei_mask(request.class_map[inside], ids)
            maps["union"] = self.union(region)
        if request.image is not None and request.edit_mask is not None:
            known = ~request.edit_mask[inside]
            if known.any():
                maps["known"] = np.where(known[..., None], request.image[inside], 0)
                maps["known_mask"] = known
        told = request.coarse_levels == 1  # else the network knows no such image
        maps["coarse"] = request.coarse[inside] if told and request.coarse is not None else None
        maps["tissue_map"] = self.tissue(region)
        return maps

    def _goal(self, region: Region) -> NDArray[np.uint8] | None:
        """Return what blocks have to have as their mean; slides of before leave it to the end."""
        request = self._request
        if request.coarse is None or (request.target is not None and request.fibres is None):
            return None
        return request.coarse[region.relative_to(request.region).slices]

    def union(self, region: Region) -> NDArray[np.bool_] | None:
        """Return where the nuclei of a part of the region lie, (h, w) bool."""
        request, inside = self._request, region.relative_to(self._request.region).slices
        if request.class_map is None:
            return None
        ids = None if request.instance_map is None else request.instance_map[inside]
        return nuclei_union(request.class_map[inside], ids)

    def tissue(self, region: Region) -> NDArray[np.uint8] | None:
        """Return the tissue that is told of a part of the region, (h, w) uint8."""
        painted = self._request.tissue_map
        if painted is None:
            return None
        inside = painted[region.relative_to(self._request.region).slices]
        return cell_by_cell(inside, region, self._request.mpp, self.tissue_names)


@dataclass(frozen=True, slots=True)
class PlacedConditions:
    """Conditions of a rectangle, b = 1, and where it lies."""

    region: Region
    conditions: Conditions

    def at(self, region: Region) -> Conditions:
        """Return the view of a part of the rectangle."""
        part = region.relative_to(self.region)
        return self.conditions.crop(part.y, part.x, part.height, part.width)

    def digest(self, region: Region) -> bytes:
        """Return a digest of the conditions of a part of the rectangle."""
        part = self.at(region)
        values = [part.spatial, part.slots, part.mpp, part.stain]
        more = (part.region_slots, part.shares, part.means)
        values += [value for value in more if value is not None]
        return digest_of(*(value.cpu().numpy() for value in values))
