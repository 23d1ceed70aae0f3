"""Noise that suits the tissue drawn of it: calm in glands, mucus and lumina, along muscle's fibres.

What is drawn follows the noise: a network that sees little of a frame at once takes from it where
clefts and streaks lie. White noise has the same of them everywhere and in all directions, so that
glands are torn and muscle is felt. Its coarse part is therefore made weaker where tissue is smooth,
and turned where it has fibres, by filters that are steered to the direction of each place (Freeman
and Adelson, "The design and use of steerable filters", TPAMI 1991). Its mean, too, says something:
it is what is left of a picture that is nearly noise, and a network takes from it how dark a place
is. Where a tissue's colour differs from that of the tissue around it, the mean leans that way.

A frame's fibres follow from its paint. On the plane, where tiles of before agree with those to
come, the layout tells them with the request of a tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import fft, ndimage
from torch import Tensor

from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.geometry import Region, WindowGrid
from napari_histodiff.core.maps import CLASS_NAMES, FIBRE_TURNS, N_CLASSES
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.diffusion.canvas import Field, Noise, Readable
from napari_histodiff.diffusion.conditioning import (
    CHANNELS,
    Conditions,
    ConditionSource,
    RequestConditions,
    smoothed,
)
from napari_histodiff.diffusion.windows import union
from napari_histodiff.layout.fields import ValueNoise

__all__ = [
    "NOISE_REACH",
    "PlaneNoise",
    "TissueNoise",
    "WhiteNoise",
    "noise_reach",
    "suited_noise",
    "tissue_noise",
]

#: Of frames in float64, so that the float32 that they become are those of any processor.
_Values = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class _Coarse:
    """The coarse part of a tissue's noise, of that of white noise.

    Attributes
    ----------
    strength : float
        How strong it is, away from nuclei.
    along : float
        How much more of it lies along the fibres than across them, 0 to 1.
    crowded : bool
        Whether it is as weak beside nuclei, as where they lie side by side.
    mean : (float, float, float)
        Mean of its red, green and blue, in standard deviations of white noise.
    """

    strength: float = 1.0
    along: float = 0.0
    crowded: bool = False
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def terms(self) -> tuple[float, float, float]:
        """What is added of it away from nuclei and beside them, and of that of one direction."""
        level = 1 / math.sqrt(1 + self.along**2 / 2)  # as strong, whatever lies where
        beside = self.strength if self.crowded else 1.0
        return self.strength * level - 1, beside * level - 1, self.strength * level * self.along


_OF_TISSUE: Final = MappingProxyType(
    {
        "gland": _Coarse(0.5, mean=(-0.008, -0.010, -0.006)),
        "stroma": _Coarse(along=0.4),
        "lumen": _Coarse(0.6, mean=(0.022, 0.038, 0.019)),
        "glass": _Coarse(0.3),
        "muscle": _Coarse(0.6, 0.6),
        "blood": _Coarse(0.5),
        "mucus": _Coarse(0.2),
        "lymphoid": _Coarse(0.45, crowded=True),
    }
)

_BESIDE: Final = 5.0  # um around nuclei, where noise is mostly left as uneven as they are
_FARTHEST: Final = 4  # such a pixel on the plane: maps of tiles reach farther by it
_FINEST: Final = 0.4  # cycles per pixel of halved noise, where half of it counts as coarse
_EDGE: Final = 16  # such pixels that are mirrored at the borders, or read around blocks
_BLOCKS: Final = WindowGrid(48, 48)  # such pixels of the plane that are filtered together

_SEEN: Final = 1.0  # um per pixel at which nuclei still show where they point
_CELL: Final = 8  # such pixels to a place that has one direction
_NEAR: Final = 60.0  # um around nuclei that fibres go their way
_TURNS: Final = (280.0, 120.0)  # um over which fibres turn where no nuclei tell
_UNTOLD: Final = 1e-3  # how much such fibres count: as some three nuclei
_FIELDS: Final = (110, 111)
_SPINDLES: Final = CLASS_NAMES.index("connective")
_BORDERED: Final = ("gland", "lumen", "glass")
_BORDERS: Final = 0.25  # how much their borders count beside those of nuclei

#: How many pixels of the plane around it the noise of a place depends on: beside nuclei, and those
#: that pixels of halved noise lie between.
NOISE_REACH: Final = 2 * _FARTHEST + 4

_ANGLES: Final = 2 * math.pi / FIBRE_TURNS * np.arange(FIBRE_TURNS)
#: Cosine and sine of twice the angle across the fibres, by `EditRequest.fibres`.
_ACROSS: Final = np.stack([np.r_[0, -np.cos(_ANGLES)], np.r_[0, -np.sin(_ANGLES)]], axis=-1)


def suited_noise(
    conditions: Conditions | RequestConditions,
    source: ConditionSource,
    region: Region,
    seed: int,
    *,
    plane: bool,
) -> WhiteNoise:
    """Return what makes the noise of a drawing of white noise.

    Parameters
    ----------
    conditions : Conditions or RequestConditions
        Of the drawing; of a part of the plane, those of a request may have fibres.
    source : ConditionSource
        What windows read of them.
    region : Region
        All that is read of the noise of a frame.
    seed : int
        See `tissue_noise`.
    plane : bool
        Whether a part of the endless plane is drawn.
    """
    if not plane:
        return tissue_noise(source, region, conditions.tissue_names, seed) or WhiteNoise(source)
    if isinstance(conditions, RequestConditions) and noise_reach(conditions.request):
        return PlaneNoise(conditions)
    return WhiteNoise(source)


def noise_reach(request: EditRequest | None) -> int:
    """Return how many pixels around it the noise of a place depends on the paint of a request."""
    if request is None or request.fibres is None or request.tissue_map is None:
        return 0
    return NOISE_REACH


def tissue_noise(
    source: ConditionSource, region: Region, names: Sequence[str], seed: int
) -> TissueNoise | None:
    """Return what makes the noise of a frame's tissue; None where no tissue is painted.

    Parameters
    ----------
    source : ConditionSource
        Of the frame; painted nuclei tell where fibres go.
    region : Region
        All that is read of the noise.
    names : sequence of str
        What the tissue classes are, "unspecified" first.
    seed : int
        Where fibres go that no nuclei tell of.
    """
    conditions = source.at(region)
    tissue = conditions.spatial[0, CHANNELS["tissue"]]
    ids = torch.arange(1, len(tissue) + 1, dtype=tissue.dtype, device=tissue.device)
    kinds = (ids @ tissue.flatten(1)).view(1, *region.shape).to(torch.uint8)
    if not bool(kinds.any()):
        return None
    return TissueNoise(source, Field(region, kinds), names, seed)


class WhiteNoise:
    """Leaves noise as it is: that of frames without tissue, and of slides without fibres.

    Attributes
    ----------
    kinds : Field, optional
        Which of its fields the noise of each place is taken from, (1, h, w) uint8.
    """

    kinds: Field | None = None

    def __init__(self, source: ConditionSource) -> None:
        self._source = source

    def of(self, noise: Noise) -> Readable:
        """Return the noise to start from, (3, h, w) float32 where it is read."""
        return noise

    def digest(self, region: Region) -> bytes:
        """Return a digest of the conditions of a place and of what makes its noise."""
        return self._source.digest(region)


class TissueNoise(WhiteNoise):
    """Makes of white noise that of a frame's tissue; `tissue_noise` makes one.

    Its kinds are the tissues. Drawn of one noise, stroma shows through a gland that is painted on
    it: the same holes, the same fibres.
    """

    def __init__(
        self, source: ConditionSource, kinds: Field, names: Sequence[str], seed: int
    ) -> None:
        super().__init__(source)
        self.kinds, self._region = kinds, kinds.region
        conditions = source.at(kinds.region)
        ids = kinds.values[0].cpu().numpy()
        mpp = float(conditions.mpp[0])
        nuclei = conditions.spatial[0, CHANNELS["union"]][0, ::2, ::2].cpu().numpy()
        self._gains = _gains(ids[::2, ::2], nuclei > 0, names, _radius(mpp))
        self._means = _means(ids[::2, ::2], names)
        if self._gains[1:].any():
            borders = np.isin(ids, [i for i, name in enumerate(names) if name in _BORDERED])
            told = _told(conditions) + _BORDERS * torch.from_numpy(borders)
            shape = self._gains.shape[1:]
            self._gains[1:] *= _across_fibres(told, kinds.region, mpp, seed, shape)

    def of(self, noise: Noise) -> Field:
        """Return the noise of the region, (3, h, w) float32."""
        white = noise.read(self._region).cpu()
        height, width = (
            fft.next_fast_len(side + 2 * _EDGE, real=True) for side in self._gains.shape[1:]
        )
        responses = _responses(height, width, np.float64)
        shaped = [
            self._shaped(plane, mean, (height, width), responses)
            for plane, mean in zip(white, self._means, strict=True)
        ]
        return Field(self._region, torch.stack(shaped).to(noise.device))

    def _shaped(
        self, white: Tensor, mean: _Values, long: tuple[int, int], responses: Sequence[_Values]
    ) -> Tensor:
        height, width = white.shape
        plane = F.pad(white[None, None].double(), (0, width % 2, 0, height % 2), mode="replicate")
        change = 2 * mean  # of halved noise
        halved = 2 * F.avg_pool2d(plane, 2)[0, 0].numpy()  # of the same variance
        ends = [(_EDGE, all_ - _EDGE - side) for all_, side in zip(long, halved.shape, strict=True)]
        parts = _parts(np.pad(halved, ends, mode="symmetric"), responses, halved.shape)
        for gain, part in zip(self._gains, parts, strict=True):
            change += gain * part
        added = torch.from_numpy(change / 2)[None, None]
        shaped = plane + F.interpolate(added, scale_factor=2, mode="bilinear")
        return shaped[0, 0, :height, :width].float()


class PlaneNoise(WhiteNoise):
    """Makes of white noise that of a part of the endless plane, along the fibres of its request.

    That of a place depends on the place, and on what is painted within `noise_reach` of it, not on
    what else is read: filters work on blocks of the plane, and nothing is mirrored.

    Parameters
    ----------
    conditions : RequestConditions
        Of a request with tissue and fibres.
    """

    def __init__(self, conditions: RequestConditions) -> None:
        super().__init__(conditions)
        self._conditions, self._request = conditions, conditions.request
        self._radius = min(_radius(self._request.mpp), _FARTHEST)

    def of(self, noise: Noise) -> Readable:
        """Return the noise of the plane."""
        return _PlaneField(self, noise)

    def digest(self, region: Region) -> bytes:
        """Return a digest of the conditions within reach of a place, and of its fibres."""
        around = region.pad(noise_reach(self._request))
        return digest_of(super().digest(around), self._fibres(around), self._request.tinted)

    def changes(self, region: Region) -> tuple[_Values, _Values]:
        """Return what is added of each of the `_parts`, and the mean of each colour.

        Both at halved pixels of an even region, (3, h, w).
        """
        radius = self._radius
        wide = region.pad(2 * radius)
        tissue, nuclei = self._conditions.tissue(wide), self._conditions.union(wide)
        assert tissue is not None
        nuclei = np.zeros(wide.shape, np.bool_) if nuclei is None else nuclei
        ids, names = tissue[::2, ::2], self._conditions.tissue_names
        inner = np.s_[..., radius : ids.shape[0] - radius, radius : ids.shape[1] - radius]
        gains = _gains(ids, nuclei[::2, ::2], names, radius)[inner].copy()
        gains[1:] *= np.moveaxis(_ACROSS[self._fibres(region)[::2, ::2]], -1, 0)
        means = _means(ids[inner], names) if self._request.tinted else np.zeros_like(gains)
        return gains.astype(np.float32), means.astype(np.float32)

    def _fibres(self, region: Region) -> NDArray[np.uint8]:
        fibres = self._request.fibres
        assert fibres is not None
        return fibres[region.relative_to(self._request.region).slices]


@dataclass(frozen=True, slots=True)
class _PlaneField:
    """The noise of the plane, made where it is read."""

    plane: PlaneNoise
    noise: Noise

    def read(self, region: Region) -> Tensor:
        wide = region.snap(2).pad(2)
        gains, means = self.plane.changes(wide)
        if not gains.any() and not means.any():
            return self.noise.read(region)
        halved = wide.shrunk(2)
        blocks = list(_BLOCKS.covering(halved))
        around = union(blocks).pad(_EDGE)
        place = around.enlarged(2)
        pixels = self.noise.read(place).cpu()
        coarser = 2 * F.avg_pool2d(pixels, 2).numpy()  # of the same variance
        change = 2 * means  # of halved noise
        responses = _responses(*blocks[0].pad(_EDGE).shape, np.float32)
        for block in blocks:
            part = block.intersect(halved)
            source, target = part.relative_to(block).slices, part.relative_to(halved).slices
            noise = coarser[:, *block.pad(_EDGE).relative_to(around).slices]
            parts = _parts(noise, responses, block.shape)
            for gain, values in zip(gains, parts, strict=True):
                change[:, *target] += gain[target] * values[:, *source]
        # Not by torch's interpolation, whose last bits may depend on where a region begins.
        added = smoothed(torch.from_numpy(change.repeat(2, 1).repeat(2, 2) / 2))
        suited = Field(place, pixels).read(region) + Field(wide, added).read(region)
        return suited.to(self.noise.device)


def _radius(mpp: float) -> int:
    """Return how many halved pixels around nuclei noise is left as it is."""
    return round(_BESIDE / mpp / 2)


def _gains(
    ids: NDArray[np.uint8], nuclei: NDArray[np.bool_], names: Sequence[str], radius: int
) -> _Values:
    """Return what is added of the three `_parts`, by tissue and nuclei, (3, h, w)."""
    apart, beside, along = _by_tissue(ids, names, attrgetter("terms"))
    near = ndimage.maximum_filter(nuclei, 2 * radius + 1)
    return np.stack([np.where(near, beside, apart), along, along])


def _means(ids: NDArray[np.uint8], names: Sequence[str]) -> _Values:
    """Return the mean of the noise of each tissue, (3, h, w)."""
    return _by_tissue(ids, names, attrgetter("mean"))


def _by_tissue(
    ids: NDArray[np.uint8], names: Sequence[str], told: Callable[[_Coarse], tuple[float, ...]]
) -> _Values:
    """Return three numbers that are told of each tissue, where it lies, (3, h, w)."""
    table = np.zeros((256, 3))
    table[: len(names)] = [told(_OF_TISSUE.get(name, _Coarse())) for name in names]
    return np.moveaxis(table[ids], -1, 0)


def _parts(noise: _Values, responses: Sequence[_Values], inner: tuple[int, ...]) -> list[_Values]:
    """Return what is coarse of noise, and that by cosine and sine of twice the direction.

    Of (..., h, w), each of the inner rectangle that begins `_EDGE` behind the corner.
    """
    spectrum, shape = fft.rfft2(noise), noise.shape[-2:]
    inside = (..., *(slice(_EDGE, _EDGE + side) for side in inner))
    return [fft.irfft2(spectrum * response, shape)[inside] for response in responses]


def _responses(height: int, width: int, dtype: type[np.floating[Any]]) -> list[_Values]:
    """Return the filters of the three `_parts`, by frequency."""
    fy, fx = fft.fftfreq(height)[:, None], fft.rfftfreq(width)[None, :]
    squares = fy * fy + fx * fx
    coarse = 1 / (1 + (squares / _FINEST**2) ** 2)
    turned = coarse / np.maximum(squares, 1e-12)
    found = coarse, turned * (fx * fx - fy * fy), turned * 2 * fx * fy
    return [response.astype(dtype) for response in found]


def _told(conditions: Conditions) -> Tensor:
    """Return the nuclei that may be drawn out along fibres, (1, 1, h, w)."""
    start = CHANNELS["nuclei"].start
    nuclei = conditions.spatial[:, start : start + N_CLASSES].cpu()
    classless = conditions.spatial[:, CHANNELS["union"]].cpu() - nuclei.amax(1, keepdim=True)
    return nuclei[:, _SPINDLES : _SPINDLES + 1] + classless.clamp_min(0)


def _across_fibres(
    told: Tensor, region: Region, mpp: float, seed: int, shape: tuple[int, ...]
) -> _Values:
    """Return cosine and sine of twice the angle across the fibres, (2, *shape).

    Fibres lie along what is told by its borders near by, elsewhere by the seed.
    """
    step = max(1, round(_SEEN / mpp))
    small = F.avg_pool2d(told, step, ceil_mode=True, count_include_pad=False)[0, 0]
    seen = ndimage.uniform_filter(small.double().numpy(), 3, mode="nearest")
    gy, gx = np.gradient(np.pad(seen, 1, mode="edge"))
    slopes = torch.from_numpy(np.stack([gx * gx - gy * gy, 2 * gx * gy]))[None, :, 1:-1, 1:-1]
    slopes = F.avg_pool2d(slopes, _CELL, ceil_mode=True, count_include_pad=False)[0]
    cell = step * _CELL
    sigma = _NEAR / (cell * mpp)
    near = ndimage.gaussian_filter(slopes.numpy(), (0, sigma, sigma), mode="nearest")
    ys, xs = (
        start + cell // 2 + cell * np.arange(count)
        for start, count in zip((region.y, region.x), near.shape[1:], strict=True)
    )
    sides = tuple(max(2, round(side / mpp)) for side in _TURNS)
    fields = [ValueNoise(seed, channel, sides, (1.0, 0.5)) for channel in _FIELDS]
    swing = np.stack([field.at(ys[:, None], xs[None, :]) for field in fields])
    across = F.normalize(torch.from_numpy(near + _UNTOLD * swing), dim=0)
    found: _Values = F.interpolate(across[None], shape, mode="bilinear")[0].numpy()
    return found
