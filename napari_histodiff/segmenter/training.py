"""Trains a judge from a packed file; saves every few minutes, so that an early stop is usable."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from napari_histodiff.datasets.packing import Pack, class_counts, load_pack
from napari_histodiff.devices import resolve_device, resolve_dtype
from napari_histodiff.optimization import AveragedWeights, cosine_rate, optimizer_step
from napari_histodiff.segmenter.crops import SegmenterCrops, augment
from napari_histodiff.segmenter.folder import JudgeInfo, first_card, write_judge
from napari_histodiff.segmenter.losses import (
    MAPS,
    TrainingTarget,
    held_out,
    judge_loss,
    make_target,
)
from napari_histodiff.segmenter.network import JudgeNetwork

__all__ = ["class_weights", "train_judge"]

_log = logging.getLogger(__name__)

_CONFIG: Final[dict[str, Any]] = {
    "widths": (48, 80, 128, 192),
    "encoder_blocks": (1, 1, 1, 1),
    "decoder_blocks": (2, 1, 1, 0),
}
_SIZE: Final = 128
_BATCH: Final = 8
_LEARNING_RATE: Final = 1.5e-3
_WARM_STEPS: Final = 200
_WEIGHT_DECAY: Final = 0.02
_LOWEST_RATE: Final = 0.01  # of the peak
_CLIP: Final = 1.0
_EMA: Final = 0.998
_SAVE_SECONDS: Final = 300
_CHECK_BATCHES: Final = 6
_MPP: Final = (0.4, 0.63)
_LICENCE: Final = "CC BY-NC-SA 4.0, research use"


def train_judge(
    pack: Path,
    output: Path,
    *,
    hours: float,
    samples: int,
    seed: int = 0,
    device: str = "auto",
    compiled: bool = True,
) -> Path:
    """Train a judge until `hours` or `samples` are spent, and return its folder.

    Parameters
    ----------
    pack : Path
        File of `datasets.packing.pack`; items without nuclei are left out, and those of
        `targets.held_out` only checked.
    output : Path
        Folder of the judge: config.json, judge.safetensors, judge_info.json, README.md.
    hours, samples : float, int
        Whichever is spent first ends the training; the learning rate follows.
    seed : int
        Of the first weights, the crops and their looks.
    device : str
        See `devices.resolve_device`.
    compiled : bool
        Whether torch compiles the network: a minute at first, then faster.

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
    packed = load_pack(pack)
    names = held_out(packed.items)
    torch.manual_seed(seed)
    network = JudgeNetwork(**_CONFIG).to(place)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    targets, checks, kept = _targets(packed, names)
    run = _TrainingRun(
        network=network,
        sampler=SegmenterCrops(targets, _SIZE, seed),
        checks=SegmenterCrops(checks, _SIZE, seed).batch(_CHECK_BATCHES * _BATCH)
        if checks
        else None,
        class_weights=class_weights(targets).to(place),
        looks=torch.Generator().manual_seed(seed),
        output=output,
        info=JudgeInfo(output.name, _LICENCE, _MPP, class_counts(kept), tuple(sorted(names))),
        seconds=3600 * hours,
        samples=samples,
    )
    run.train(torch.compile(network, dynamic=False) if compiled else network)
    return output


@dataclass(slots=True)
class _TrainingRun:
    network: JudgeNetwork
    sampler: SegmenterCrops
    checks: tuple[Tensor, Tensor] | None
    class_weights: Tensor
    looks: torch.Generator
    output: Path
    info: JudgeInfo
    seconds: float
    samples: int
    done: int = 0
    steps: int = 0
    started: float = field(default_factory=time.monotonic)

    def train(self, forward: Any) -> None:
        dtype = resolve_dtype(self.class_weights.device, "auto")
        average = AveragedWeights(self.network, _EMA)
        optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=_WEIGHT_DECAY)
        saved = time.monotonic()
        with tqdm(total=self.samples, unit="crop", mininterval=5) as bar:
            while (share := self._share()) < 1:
                rate = cosine_rate(
                    _LEARNING_RATE, share, self.steps, warmup=_WARM_STEPS, floor=_LOWEST_RATE
                )
                loss = self._step(forward, optimizer, rate, dtype)
                average.update(self.network, self.steps)
                bar.update(_BATCH)
                bar.set_postfix(loss=f"{loss:.3f}", share=f"{share:.2f}", refresh=False)
                if time.monotonic() - saved > _SAVE_SECONDS:
                    self._save(average.module)
                    saved = time.monotonic()
        self._save(average.module)

    def _step(
        self,
        forward: Any,
        optimizer: torch.optim.Optimizer,
        rate: float,
        dtype: torch.dtype,
    ) -> float:
        place = self.class_weights.device
        images, maps = self.sampler.batch(_BATCH)
        images = augment(images, self.looks).to(place, memory_format=torch.channels_last)
        with torch.autocast(place.type, dtype, enabled=dtype != torch.float32):
            outputs = forward(images)
        loss = judge_loss(outputs, maps.to(place), self.class_weights)
        value = optimizer_step(
            loss, self.network, optimizer, clip=_CLIP, rate=rate, step=self.steps
        )
        optimizer.zero_grad()
        self.done += _BATCH
        self.steps += 1
        return value

    def _share(self) -> float:
        spent = (time.monotonic() - self.started) / self.seconds
        return min(1.0, max(spent, self.done / self.samples))

    def _save(self, average: JudgeNetwork) -> None:
        if self.checks is not None:
            _log.info("held-out loss %.4f after %d crops", self._check(average), self.done)
        card = first_card(self.info, self.done)
        write_judge(self.output, average, _CONFIG, self.info, card)

    @torch.no_grad()
    def _check(self, average: JudgeNetwork) -> float:
        assert self.checks is not None
        place = self.class_weights.device
        losses = [
            judge_loss(average(images.to(place)), maps.to(place), self.class_weights)
            for images, maps in zip(*(part.split(_BATCH) for part in self.checks), strict=True)
        ]
        return float(torch.stack(losses).mean())


def _targets(
    packed: Pack, names: set[str]
) -> tuple[list[TrainingTarget], list[TrainingTarget], Pack]:
    """Return the targets to learn from, those to check on, and the pack of the former."""
    learn: list[int] = []
    check: list[TrainingTarget] = []
    for i, item in enumerate(packed.items):
        if f"{item.source}/{item.name}" in names:
            check.append(make_target(packed, i))
        elif item.annotated:
            learn.append(i)
    kept = Pack(
        [packed.items[i] for i in learn],
        [packed.pixels[i] for i in learn],
        [packed.layers[i] for i in learn],
        [packed.instances[i] for i in learn],
    )
    return [make_target(packed, i) for i in learn], check, kept


def class_weights(targets: list[TrainingTarget]) -> Tensor:
    """Return the weight of each class code: rarer is heavier, unknown is nothing."""
    counts = np.zeros(8)
    for target in targets:
        codes = target.maps[..., MAPS.index("class")][target.maps[..., MAPS.index("valid")] > 0]
        counts += np.bincount(codes.ravel(), minlength=8)
    known = counts[1:7]
    weights = np.ones(8)
    weights[1:7] = np.clip((known.mean() / np.maximum(known, 1)) ** 0.4, 0.6, 4)
    weights[0] = 0
    return torch.from_numpy(weights).float()
