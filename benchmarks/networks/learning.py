"""Trains generators side by side: the same crops and noise, so they can be compared at any step."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from napari_histodiff.devices import resolve_device, resolve_dtype
from napari_histodiff.diffusion.flow import MIN_T, add_noise, flow_loss
from napari_histodiff.diffusion.training.batches import Batch, BatchMaker
from napari_histodiff.diffusion.training.config import Stage, TrainingConfig
from napari_histodiff.diffusion.training.generator import Generator
from napari_histodiff.optimization import AveragedWeights, optimizer_step

__all__ = ["Learner", "budget", "learn_together"]

_log = logging.getLogger(__name__)
_SIZE: Final = 64
_BATCH: Final = 24
_WARMING: Final = 8  # steps left out of the speed


def budget(crops: int, seed: int, **changes: Any) -> TrainingConfig:
    """Return the package's own settings, cut down to `crops` crops of 64 px.

    Not compiled: at so few crops that costs a processor more time than it saves.
    """
    settings: dict[str, Any] = {
        "warmup": 50,
        "seed": seed,
        "stages": (Stage(_SIZE, _BATCH, 1.0),),
        "compile": False,
    }
    return TrainingConfig(data="", output="", samples=crops, **settings | changes)


class Learner:
    """A generator in training, as in `diffusion.training.flow_matching`.

    Attributes
    ----------
    ema : AveragedWeights
        Holds the averaged weights.
    losses : list of float
        Of each step.
    """

    def __init__(self, generator: Generator, config: TrainingConfig) -> None:
        self._generator = generator.train()
        self._generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._config = config
        self._dtype = resolve_dtype(resolve_device("cpu"), config.precision)
        self._optimizer = torch.optim.AdamW(
            generator.parameters(), weight_decay=config.weight_decay, betas=(0.9, 0.99), fused=True
        )
        self._forward: Any = generator
        if config.compile:
            self._forward = torch.compile(generator, dynamic=False)
        self._seconds: list[float] = []
        self.ema = AveragedWeights(generator, config.ema)
        self.losses: list[float] = []

    def step(self, batch: Batch, t: Tensor, eps: Tensor) -> None:
        """Take one step.

        Raises
        ------
        TrainingError
            When the loss is no longer finite.
        """
        start = time.process_time()
        done, config, c = len(self.losses), self._config, batch.conditions
        rate = config.rate_at(min(1.0, done * len(t) / config.samples), done)
        z = add_noise(batch.images, eps, t)
        with torch.autocast("cpu", self._dtype, enabled=self._dtype != torch.float32):
            x0 = self._forward(z, t, c.spatial, c.slots, c.mpp, c.stain)
        loss = flow_loss(x0.float(), batch.images, t, batch.weight)
        value = optimizer_step(
            loss, self._generator, self._optimizer, clip=config.clip, rate=rate, step=done
        )
        self.ema.update(self._generator, done)
        self._optimizer.zero_grad()
        self.losses.append(value)
        self._seconds.append(time.process_time() - start)

    @property
    def crops_per_second(self) -> float:
        """Crops per second of the processor, the making of batches left out."""
        seconds = sorted(self._seconds[_WARMING:] or self._seconds)
        return _BATCH / seconds[len(seconds) // 2]


def learn_together(
    learners: Mapping[str, Learner],
    makers: Mapping[str, BatchMaker],
    config: TrainingConfig,
    *,
    every: int,
    on_checkpoint: Callable[[int], None],
) -> None:
    """Train all for `config.samples` crops, the noise the same for each.

    Parameters
    ----------
    learners : dict of str to Learner
    makers : dict of str to BatchMaker
        Of each learner; learners that share a maker share its batches.
    config : TrainingConfig
    every : int
        Steps between calls of `on_checkpoint`, which receives the crops each has seen.
    """
    stage, noise = config.stages[-1], torch.Generator().manual_seed(config.seed)
    steps = -(-config.samples // stage.batch)
    for step in range(1, steps + 1):
        shared = {id(m): m.make(stage.size, stage.batch) for m in set(makers.values())}
        t = torch.randn(stage.batch, generator=noise).sigmoid().clamp_min(MIN_T)
        eps = torch.randn((stage.batch, 3, stage.size, stage.size), generator=noise)
        for name, learner in learners.items():
            learner.step(shared[id(makers[name])], t, eps)
        if step % 10 == 0:
            recent = {name: sum(x.losses[-10:]) / 10 for name, x in learners.items()}
            text = ", ".join(f"{name} {value:.4f}" for name, value in recent.items())
            _log.info("step %d of %d: %s", step, steps, text)
        if step % every == 0 or step == steps:
            on_checkpoint(step * stage.batch)
