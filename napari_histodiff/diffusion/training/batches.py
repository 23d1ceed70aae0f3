"""Turns random crops into training batches: jitter, hidden conditions, noise weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histodiff.core.captions import Caption
from napari_histodiff.core.maps import N_CLASSES
from napari_histodiff.core.requests import STAIN_NUMBERS
from napari_histodiff.datasets.packing import LAYERS
from napari_histodiff.diffusion.conditioning import (
    CHANNELS,
    Conditions,
    spatial_channels,
    stain_condition,
    tissue_channels,
)
from napari_histodiff.diffusion.stain import jitter_stain, stain_slots
from napari_histodiff.diffusion.training.config import Drop
from napari_histodiff.diffusion.training.crops import Crop, Sampler, random_known_mask

__all__ = ["Batch", "BatchMaker"]

_STAIN_SLOT = 1
_JITTERED = 0.7
_BLURRED = 0.3
_NO_DETAIL = 0.1  # of the stains: slides planned before there was such a number do not know it
_GRAIN, _PATCHES = 0.3, 0.4  # most noise of the coarse image, where white to black is 2


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """`images` (b, 3, s, s) in [-1, 1]; `weight` (b, 1, s, s) >= 0 of each pixel's loss."""

    images: Tensor
    conditions: Conditions
    weight: Tensor


class BatchMaker:
    """Makes batches on the CPU in float32; the same seed makes the same batches.

    Parameters
    ----------
    sampler : Sampler
    drop : Drop
    seed : int
    tissue_classes : int
        Those the network knows.
    """

    def __init__(self, sampler: Sampler, drop: Drop, seed: int, tissue_classes: int) -> None:
        self._sampler = sampler
        self._tissue_classes = tissue_classes
        self._drop = drop
        self._rng = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(seed)

    def make(self, size: int, count: int) -> Batch:
        """Return `count` crops of `size` pixels a side."""
        crops = [self._sampler.draw(size) for _ in range(count)]
        pixels = torch.from_numpy(np.stack([c.pixels for c in crops])).movedim(-1, 1)
        layers = torch.from_numpy(np.stack([c.layers for c in crops])).movedim(-1, 1)
        images = pixels.float() / 127.5 - 1
        images, factors = jitter_stain(images, self._generator, share=_JITTERED)
        spatial = torch.zeros(count, spatial_channels(self._tissue_classes), size, size)
        self._put_nuclei(spatial, layers, crops)
        self._put_tissue(spatial, layers)
        self._put_coarse(spatial, images)
        known = self._put_known(spatial, images)
        slots = self._slots([c.caption for c in crops], stain_slots(images))
        stain = self._stain(crops, factors)
        conditions = Conditions(spatial, slots, torch.tensor([c.mpp for c in crops]), stain)
        bare = conditions.without_prompt()
        hide = self._coin(count, self._drop.prompt)
        conditions = replace(
            conditions,
            spatial=torch.where(hide, bare.spatial, spatial),
            slots=torch.where(hide[:, :, 0, 0], bare.slots, slots),
        )
        valid = layers[:, LAYERS.index("valid")].float()[:, None]
        return Batch(images, conditions, valid * (1 - 0.9 * known))

    def _put_nuclei(self, spatial: Tensor, layers: Tensor, crops: list[Crop]) -> None:
        ids = torch.arange(1, N_CLASSES + 1).view(1, -1, 1, 1)
        one_hot = layers[:, LAYERS.index("class")][:, None] == ids
        edges = layers[:, LAYERS.index("edges")][:, None]
        union = layers[:, LAYERS.index("union")][:, None]
        has = torch.tensor([c.has_nuclei for c in crops]).view(-1, 1, 1, 1)
        soft = torch.tensor([c.soft for c in crops]).view(-1, 1, 1, 1)
        hidden = self._coin(len(crops), self._drop.nuclei)
        hidden |= soft & self._coin(len(crops), self._drop.soft)
        shown = (has & ~hidden).float()
        spatial[:, CHANNELS["nuclei"]] = torch.cat([one_hot.float(), edges.float()], 1) * shown
        spatial[:, CHANNELS["union"]] = union.float() * shown
        spatial[:, CHANNELS["has_nuclei"]] = shown

    def _put_tissue(self, spatial: Tensor, layers: Tensor) -> None:
        shown = ~self._coin(len(layers), self._drop.tissue)
        tissue = tissue_channels(layers[:, LAYERS.index("tissue")], self._tissue_classes)
        spatial[:, CHANNELS["tissue"]] = (tissue & shown).float()

    def _put_coarse(self, spatial: Tensor, images: Tensor) -> None:
        """The parent level upsampled, blurred and noisy at random (Ho et al., arXiv 2106.15282).

        Patches of wrong colour stand for what a drawn parent got wrong: detail is to mend it.
        """
        shown = (~self._coin(len(images), self._drop.coarse)).float()
        parent = F.avg_pool2d(images, 2)
        blurred = F.interpolate(F.avg_pool2d(parent, 2), scale_factor=2, mode="bilinear")
        parent = torch.where(self._coin(len(images), _BLURRED), blurred, parent)
        parent = parent + self._noise(parent, 1) * _GRAIN + self._noise(parent, 4) * _PATCHES
        coarse = F.interpolate(parent, scale_factor=2, mode="bilinear")
        spatial[:, CHANNELS["coarse"]] = coarse.clamp(-1, 1) * shown
        spatial[:, CHANNELS["has_coarse"]] = shown

    def _noise(self, images: Tensor, size: int) -> Tensor:
        """Noise in patches of `size` px, of an amount of 0 to 1 by image, mostly small."""
        count, channels, height, width = images.shape
        amount = torch.rand(count, 1, 1, 1, generator=self._generator).square()
        shape = (count, channels, -(-height // size), -(-width // size))
        noise = torch.randn(shape, generator=self._generator)
        if size > 1:
            noise = F.interpolate(noise, size=(height, width), mode="bilinear")
        return amount * noise

    def _put_known(self, spatial: Tensor, images: Tensor) -> Tensor:
        size, share = images.shape[-1], 1 - self._drop.known
        masks = [random_known_mask(self._rng, size, share) for _ in range(len(images))]
        known = torch.from_numpy(np.stack(masks)).float()[:, None]
        spatial[:, CHANNELS["known"]] = images * known
        spatial[:, CHANNELS["known_mask"]] = known
        return known

    def _stain(self, crops: list[Crop], factors: Tensor) -> Tensor:
        """Stain of the surroundings after the jitter, which scales density and its spread alike."""
        given = torch.tensor([c.stain is not None for c in crops])
        given &= torch.rand(len(crops), generator=self._generator) >= self._drop.stain
        vectors = torch.tensor([_eight(c.stain) for c in crops])
        vectors[torch.rand(len(crops), generator=self._generator) < _NO_DETAIL, -1] = torch.nan
        vectors[:, :3] *= factors
        vectors[:, 3:6] *= factors
        return stain_condition(vectors) * given[:, None]

    def _slots(self, captions: list[Caption], stains: Tensor) -> Tensor:
        slots = torch.tensor([c.to_slots() for c in captions])
        slots[:, _STAIN_SLOT] = stains
        keep = torch.rand(slots.shape, generator=self._generator) >= self._drop.slot
        keep &= torch.rand(len(slots), 1, generator=self._generator) >= self._drop.caption
        return slots * keep

    def _coin(self, count: int, probability: float) -> Tensor:
        """(count, 1, 1, 1) bool, True with `probability`."""
        return torch.rand(count, 1, 1, 1, generator=self._generator) < probability


def _eight(stain: tuple[float, ...] | None) -> tuple[float, ...]:
    """Return a stain's numbers, NaN for what is not known."""
    known = stain or (0.0,) * STAIN_NUMBERS[0]
    return known + (math.nan,) * (STAIN_NUMBERS[1] - len(known))
