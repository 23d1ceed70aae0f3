"""Loss on held-out crops, always the same ones, so that values of one run compare."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import nn

from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.diffusion.batches import BatchMaker
from napari_histodiff.diffusion.crops import CropSampler
from napari_histodiff.diffusion.flow import add_noise, flow_loss
from napari_histodiff.diffusion.training_config import Drop

__all__ = ["Validation"]

_BATCHES: Final = 6
_BATCH: Final = 8
_SHOWN: Final = Drop(prompt=0, nuclei=0, tissue=0, caption=0, slot=0, known=1, coarse=1, stain=0)


class Validation:
    """Crops of a validation file with their noise.

    Parameters
    ----------
    packed : Path
        Packed file of images that are not trained on.
    size : int
        Pixels a side of the crops.

    Raises
    ------
    TrainingError
        When the file cannot be used.
    """

    def __init__(self, packed: Path, size: int) -> None:
        maker = BatchMaker(CropSampler(load_pack(packed), seed=0, scales={1: 1.0}), _SHOWN, seed=0)
        self._batches = [maker.make(size, _BATCH) for _ in range(_BATCHES)]

    @torch.no_grad()
    def loss(self, generator: nn.Module) -> float:
        """Return the mean flow loss over evenly spread times, in float32."""
        device = next(generator.parameters()).device
        noise = torch.Generator().manual_seed(0)
        total = 0.0
        t = (torch.arange(_BATCH) + 0.5) / _BATCH
        for batch in self._batches:
            eps = torch.randn(batch.images.shape, generator=noise)
            c = batch.conditions.to(device, torch.float32)
            z = add_noise(batch.images, eps, t).to(device)
            x0 = generator(z, t.to(device), c.spatial, c.slots, c.mpp, c.stain)
            total += float(flow_loss(x0.cpu(), batch.images, t, batch.weight))
        return total / len(self._batches)
