"""Noise that suits the tissue drawn of it: calm in glands, mucus and lumina, along muscle's fibres.

What is drawn follows the noise: a network that sees little of a frame at once takes from it where
clefts and streaks lie. White noise has the same of them everywhere and in all directions, so that
glands are torn and muscle is felt. Its coarse part is therefore made weaker where tissue is smooth,
and turned where it has fibres, by filters that are steered to the direction of each place (Freeman
and Adelson, "The design and use of steerable filters", TPAMI 1991).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import fft, ndimage
from torch import Tensor

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES
from napari_histodiff.diffusion.canvas import Field, Noise
from napari_histodiff.diffusion.conditioning import CHANNELS, Conditions, ConditionSource
from napari_histodiff.layout.fields import ValueNoise

__all__ = ["TissueNoise", "tissue_noise"]

#: In float64, so that the float32 that they become are those of any processor.
_Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Coarse:
    """The coarse part of a tissue's noise, of that of white noise.

    Attributes
    ----------
    strength : float
        How strong it is, away from nuclei.
    along : float
        How much more of it lies along the fibres than across them, 0 to 1.
    """

    strength: float = 1.0
    along: float = 0.0

    @property
    def terms(self) -> tuple[float, float, float]:
        """What is added of it away from nuclei and beside them, and of that of one direction."""
        level = 1 / math.sqrt(1 + self.along**2 / 2)  # as strong, whatever lies where
        return self.strength * level - 1, level - 1, self.strength * level * self.along


_OF_TISSUE: Final = MappingProxyType(
    {
        "gland": _Coarse(0.5),
        "stroma": _Coarse(along=0.4),
        "lumen": _Coarse(0.6),
        "glass": _Coarse(0.3),
        "muscle": _Coarse(0.6, 0.6),
        "blood": _Coarse(0.5),
        "mucus": _Coarse(0.2),
        "lymphoid": _Coarse(0.7),
    }
)

_BESIDE: Final = 5.0  # um around nuclei, where noise is left as uneven as they are
_FINEST: Final = 0.4  # cycles per pixel of halved noise, where half of it counts as coarse
_EDGE: Final = 16  # such pixels that are mirrored at the borders

_SEEN: Final = 1.0  # um per pixel at which nuclei still show where they point
_CELL: Final = 8  # such pixels to a place that has one direction
_NEAR: Final = 60.0  # um around nuclei that fibres go their way
_TURNS: Final = (280.0, 120.0)  # um over which fibres turn where no nuclei tell
_UNTOLD: Final = 1e-3  # how much such fibres count: as some three nuclei
_FIELDS: Final = (110, 111)
_SPINDLES: Final = CLASS_NAMES.index("connective")
_BORDERED: Final = ("gland", "lumen", "glass")
_BORDERS: Final = 0.25  # how much their borders count beside those of nuclei


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
    return TissueNoise(conditions, Field(region, kinds), names, seed)


class TissueNoise:
    """Makes of white noise that of a frame's tissue; `tissue_noise` makes one.

    Attributes
    ----------
    kinds : Field
        Tissue of each place, (1, h, w) uint8 ids, as kinds of noise. Drawn of one noise, stroma
        shows through a gland that is painted on it: the same holes, the same fibres.
    """

    def __init__(
        self, conditions: Conditions, kinds: Field, names: Sequence[str], seed: int
    ) -> None:
        self.kinds = kinds
        ids = kinds.values[0].cpu().numpy()
        mpp = float(conditions.mpp[0])
        table = np.zeros((conditions.spatial.shape[1], 3))  # more than there are classes
        table[: len(names)] = [_OF_TISSUE.get(name, _Coarse()).terms for name in names]
        apart, beside, along = np.moveaxis(table[ids[::2, ::2]], -1, 0)
        nuclei = conditions.spatial[0, CHANNELS["union"]][0, ::2, ::2].cpu().numpy()
        near = ndimage.maximum_filter(nuclei > 0, 2 * round(_BESIDE / mpp / 2) + 1)
        # What is added of the three parts of coarse noise, see `_parts`, at halved pixels.
        self._gains = np.stack([np.where(near, beside, apart), along, along])
        if along.any():
            borders = np.isin(ids, [i for i, name in enumerate(names) if name in _BORDERED])
            told = _told(conditions) + _BORDERS * torch.from_numpy(borders)
            self._gains[1:] *= _across_fibres(told, kinds.region, mpp, seed, along.shape)

    def of(self, noise: Noise) -> Field:
        """Return the noise of the region, (3, h, w) float32."""
        white = noise.read(self.kinds.region).cpu()
        shaped = torch.stack([self._shaped(plane) for plane in white])
        return Field(self.kinds.region, shaped.to(noise.device))

    def _shaped(self, white: Tensor) -> Tensor:
        height, width = white.shape
        plane = F.pad(white[None, None].double(), (0, width % 2, 0, height % 2), mode="replicate")
        change = np.zeros(self._gains.shape[1:])
        halved = 2 * F.avg_pool2d(plane, 2)[0, 0].numpy()  # of the same variance
        for gain, part in zip(self._gains, _parts(halved), strict=True):
            change += gain * part
        added = torch.from_numpy(change / 2)[None, None]
        shaped = plane + F.interpolate(added, scale_factor=2, mode="bilinear")
        return shaped[0, 0, :height, :width].float()


def _parts(noise: _Values) -> list[_Values]:
    """Return what is coarse of (h, w), and that by cosine and sine of twice the direction."""
    height, width = noise.shape
    shape = [fft.next_fast_len(side + 2 * _EDGE, real=True) for side in noise.shape]
    ends = [(_EDGE, long - _EDGE - side) for long, side in zip(shape, noise.shape, strict=True)]
    fy, fx = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :]
    squares = fy * fy + fx * fx
    coarse = 1 / (1 + (squares / _FINEST**2) ** 2)
    turned = coarse / np.maximum(squares, 1e-12)
    spectrum = fft.rfft2(np.pad(noise, ends, mode="symmetric"))
    responses = coarse, turned * (fx * fx - fy * fy), turned * 2 * fx * fy
    inside = slice(_EDGE, _EDGE + height), slice(_EDGE, _EDGE + width)
    return [fft.irfft2(spectrum * part, shape, overwrite_x=True)[inside] for part in responses]


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
