"""Trains the network that finds glands, on outlines that people drew and on tissue without any."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.crop_windows import image_odds, orient, window_around
from napari_histodiff.datasets.packing import LAYERS, Pack, load_pack
from napari_histodiff.devices import resolve_device, resolve_dtype
from napari_histodiff.optimization import cosine_rate, optimizer_step
from napari_histodiff.segmenter.crops import augment
from napari_histodiff.segmenter.network import GlandNetwork
from napari_histodiff.segmenter.tissue import GlandInfo, write_gland_network

__all__ = ["GlandCrops", "gland_loss", "train_gland"]

_TISSUE: Final = LAYERS.index("tissue")
_GLAND: Final = [TISSUE_NAMES.index(name) for name in ("gland", "lumen", "mucus")]
_OUTLINED: Final = frozenset({"glas"})  # sets in which people outlined every gland
_WITHOUT: Final = frozenset({"spleen", "skin", "liver", "brain"})  # organs without glands
_MIX: Final = {"outlined": 0.78, "without": 0.22}
_ZOOM: Final = (0.7, 2.3)  # um/px of the crops
_SIZE: Final = 96
_BATCH: Final = 16
_LEARNING_RATE: Final = 2e-3
_WARM_STEPS: Final = 30
_WEIGHT_DECAY: Final = 0.01
_LOWEST_RATE: Final = 0.01  # of the peak
_CLIP: Final = 1.0
_DICE_WEIGHT: Final = 0.5
_LICENCE: Final = "CC BY-NC-SA 4.0, research use"


class GlandCrops:
    """Endless random crops at many scales with where glands are.

    Raises
    ------
    TrainingError
        When the pack holds no image with outlined glands.
    """

    def __init__(self, packed: Pack, size: int, seed: int) -> None:
        self._size = size
        self._rng = np.random.default_rng(seed)
        self.kinds = [_kind(item.source, item.organ) for item in packed.items]
        chosen = [i for i, kind in enumerate(self.kinds) if kind]
        self.kinds = [self.kinds[i] for i in chosen]
        if "outlined" not in self.kinds:
            raise TrainingError(
                f"expected outlined glands of {', '.join(sorted(_OUTLINED))}, got none; "
                "pack the training set of that name"
            )
        self._pixels = [packed.pixels[i] for i in chosen]
        self._glands = [
            np.isin(packed.layers[i][..., _TISSUE], _GLAND if kind == "outlined" else [])
            for i, kind in zip(chosen, self.kinds, strict=True)
        ]
        self._mpps = [packed.items[i].mpp for i in chosen]
        self._odds = image_odds([g.size for g in self._glands], self.kinds, _MIX, other=0)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Return pixels (count, 3, size, size) in 0..1, glands (count, 1, size, size) of 0 or 1."""
        crops = [self._crop() for _ in range(count)]
        return torch.cat([crop[0] for crop in crops]), torch.cat([crop[1] for crop in crops])

    def _crop(self) -> tuple[Tensor, Tensor]:
        rng = self._rng
        i = int(rng.choice(len(self._odds), p=self._odds))
        shape = self._glands[i].shape
        mpp = float(np.exp(rng.uniform(*np.log(_ZOOM))))
        side = min(round(self._size * mpp / self._mpps[i]), *shape)
        window = window_around(rng.integers(shape), side, shape)
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        pixels = torch.from_numpy(orient(self._pixels[i][window], turns, flip))
        glands = torch.from_numpy(orient(self._glands[i][window].astype(np.uint8), turns, flip))
        target = (self._size, self._size)
        images = pixels.permute(2, 0, 1)[None].float() / 255
        return (
            F.interpolate(images, target, mode="bilinear", antialias=True),
            F.interpolate(glands[None, None].float(), target, mode="area").round(),
        )


def _kind(source: str, organ: str | None) -> str:
    if source in _OUTLINED:
        return "outlined"
    return "without" if organ in _WITHOUT else ""


def gland_loss(logits: Tensor, glands: Tensor) -> Tensor:
    """Return cross-entropy and soft Dice of a batch, a scalar; both are (b, 1, h, w)."""
    found = logits.sigmoid()
    dice = 1 - (2 * (found * glands).sum() + 1) / (found.sum() + glands.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, glands) + _DICE_WEIGHT * dice


def train_gland(
    pack: Path,
    output: Path,
    *,
    hours: float,
    samples: int,
    seed: int = 0,
    device: str = "auto",
    compiled: bool = True,
) -> Path:
    """Train a gland network until `hours` or `samples` are spent, and return its folder.

    Parameters
    ----------
    pack : Path
        File of `datasets.packing.pack` that holds GlaS, and at best organs without glands.
    output : Path
        Folder of the network: config.json, gland.safetensors, gland_info.json, README.md.
    hours, samples, seed, device, compiled
        As of `training.train_judge`.

    Raises
    ------
    TrainingError
        When the pack cannot be used or the loss is no longer finite.
    DeviceUnavailable
        When the device is not on this machine.
    StorageError
        When the folder cannot be written.
    """
    place = resolve_device(device)
    crops = GlandCrops(load_pack(pack), _SIZE, seed)
    torch.manual_seed(seed)
    network = GlandNetwork().to(place)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=_WEIGHT_DECAY)
    looks = torch.Generator().manual_seed(seed)
    dtype = resolve_dtype(place, "auto")
    forward: Any = torch.compile(network, dynamic=False) if compiled else network
    started, steps = time.monotonic(), 0
    with tqdm(total=samples, unit="crop", mininterval=5) as bar:
        while True:
            share = max((time.monotonic() - started) / (3600 * hours), steps * _BATCH / samples)
            if share >= 1:
                break
            images, glands = crops.batch(_BATCH)
            images = augment(images, looks).to(place, memory_format=torch.channels_last)
            with torch.autocast(place.type, dtype, enabled=dtype != torch.float32):
                logits = forward(images)
            loss = gland_loss(logits, glands.to(place))
            rate = cosine_rate(_LEARNING_RATE, share, steps, warmup=_WARM_STEPS, floor=_LOWEST_RATE)
            value = optimizer_step(loss, network, optimizer, clip=_CLIP, rate=rate, step=steps)
            optimizer.zero_grad()
            steps += 1
            bar.update(_BATCH)
            bar.set_postfix(loss=f"{value:.3f}", refresh=False)
    images_by_kind = {
        "with outlined glands": crops.kinds.count("outlined"),
        "without glands": crops.kinds.count("without"),
    }
    info = GlandInfo(output.name, _LICENCE, images_by_kind)
    return write_gland_network(output, network, info, steps * _BATCH)
