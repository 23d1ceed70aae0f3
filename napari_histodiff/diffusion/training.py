"""Trains the network and the caption encoder; resumes where it stopped."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import Pack, load_pack
from napari_histodiff.devices import resolve_device, resolve_dtype
from napari_histodiff.diffusion.batches import Batch, BatchMaker
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder
from napari_histodiff.diffusion.checkpoints import (
    Ema,
    load_checkpoint,
    refuse_checkpoint,
    save_checkpoint,
    save_pipeline,
)
from napari_histodiff.diffusion.crops import CropSampler
from napari_histodiff.diffusion.flow import MIN_T, add_noise, expand
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.training_config import Stage, TrainingConfig
from napari_histodiff.diffusion.training_report import TrainingReport

__all__ = ["Generator", "flow_loss", "silent_parameters", "train"]

_log = logging.getLogger(__name__)
_LEAST_T = 0.05  # the velocity weight 1/t^2 is held below this, as in JiT (arXiv 2511.13720)
_GUARD_STEPS = 200


class Generator(nn.Module):
    """Network and caption encoder trained as one."""

    def __init__(self, network: HistoUNet, captions: CaptionEncoder) -> None:
        super().__init__()
        self.network = network
        self.captions = captions

    def forward(self, z: Tensor, t: Tensor, spatial: Tensor, slots: Tensor, mpp: Tensor) -> Tensor:
        """Return the estimate of the clean images, (b, 3, s, s) float32."""
        embedding = self.captions(slots)
        return self.network(z, t, spatial, embedding, mpp)


@dataclass(slots=True)
class Progress:
    """How far a run is."""

    samples: int = 0
    steps: int = 0
    seconds: float = 0.0

    def share(self, config: TrainingConfig) -> float:
        """Return the done share of the run, by crops or by hours, whichever is further."""
        return min(1.0, max(self.samples / config.samples, self.seconds / 3600 / config.hours))


def train(config: TrainingConfig, *, resume: bool = False) -> Path:
    """Run a training to its end and return the folder of the saved pipeline.

    A KeyboardInterrupt goes through after a checkpoint is written. Parameters that get no gradient
    are named in a warning.

    Raises
    ------
    TrainingError
        When the data cannot be used, the loss is no longer finite, or the output folder holds
        another run and `resume` is not given.
    DeviceUnavailable
        When the device is not on this machine.
    StorageError
        When a checkpoint or the model cannot be written.
    """
    output = Path(config.output)
    if not resume:
        refuse_checkpoint(output)
    device = resolve_device(config.device)
    packed = load_pack(Path(config.data))
    torch.manual_seed(config.seed)
    generator = Generator(HistoUNet(**config.network), CaptionEncoder()).to(device)
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = Ema(generator, config.ema)
    optimizer = torch.optim.AdamW(
        generator.parameters(), weight_decay=config.weight_decay, betas=(0.9, 0.99), fused=True
    )
    progress = Progress()
    if resume:
        progress = Progress(**load_checkpoint(output, generator, ema, optimizer))
    # Not the noise of the first steps again.
    torch.manual_seed(config.seed + progress.steps)
    output.mkdir(parents=True, exist_ok=True)
    config.dump(output / "config.json")
    run = _Run(config, generator, ema, optimizer, progress, device, packed, output)
    run.train()
    return run.finish()


@dataclass(slots=True)
class _Run:
    config: TrainingConfig
    generator: Generator
    ema: Ema
    optimizer: torch.optim.Optimizer
    progress: Progress
    device: torch.device
    packed: Pack
    output: Path

    def train(self) -> None:
        sampler = CropSampler(self.packed, self.config.seed + self.progress.steps)
        maker = BatchMaker(sampler, self.config.drop, self.config.seed + self.progress.steps)
        forward: Any = self.generator
        if self.config.compile:
            forward = torch.compile(self.generator, dynamic=False)
        dtype = resolve_dtype(self.device, self.config.precision)
        report = TrainingReport(self.output, self.packed, tensorboard=self.config.tensorboard)
        try:
            self._loop(forward, maker, dtype, report)
        except KeyboardInterrupt:
            self.save_checkpoint()
            report.write_losses()
            raise
        finally:
            report.close()

    def _loop(
        self, forward: Any, maker: BatchMaker, dtype: torch.dtype, report: TrainingReport
    ) -> None:
        saved = clock = time.monotonic()
        with tqdm(total=self.config.samples, initial=self.progress.samples, unit="crop") as bar:
            while (share := self.progress.share(self.config)) < 1:
                stage = _stage(self.config.stages, share)
                batch = maker.make(stage.size, stage.batch)
                loss = self._step(forward, batch, dtype, share)
                now = time.monotonic()
                self.progress.seconds += now - clock
                clock = now
                report.add(self.progress.samples, loss, self.learning_rate(share), stage.size)
                bar.update(stage.batch)
                bar.set_postfix(loss=f"{report.mean_loss:.4f}", size=stage.size)
                if self.progress.steps == _GUARD_STEPS:
                    self._guard()
                if now - saved > 60 * self.config.save_every_minutes:
                    self.save(report)
                    saved = time.monotonic()
        self.save(report)

    def learning_rate(self, share: float) -> float:
        """Linear warm-up, then half a cosine to 2 % of the peak."""
        warm = min(1.0, (self.progress.steps + 1) / self.config.warmup)
        return self.config.learning_rate * warm * (0.51 + 0.49 * math.cos(math.pi * share))

    def save(self, report: TrainingReport) -> None:
        self.save_checkpoint()
        report.write(self.ema.module)

    def save_checkpoint(self) -> None:
        save_checkpoint(self.output, self.generator, self.ema, self.optimizer, self.progress)

    def finish(self) -> Path:
        folder = self.output / "pipeline"
        return save_pipeline(folder, self.ema.module, self.packed, name=self.config.name)

    def _step(self, forward: Any, batch: Batch, dtype: torch.dtype, share: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(share)
        images, weight = batch.images.to(self.device), batch.weight.to(self.device)
        conditions = batch.conditions.to(self.device, torch.float32)
        t = torch.randn(len(images), device=self.device).sigmoid().clamp_min(MIN_T)
        eps = torch.randn_like(images)
        z = add_noise(images, eps, t)
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            x0 = forward(z, t, conditions.spatial, conditions.slots, conditions.mpp)
        loss = flow_loss(x0.float(), images, t, weight)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.generator.parameters(), self.config.clip)
        value = float(loss.detach())
        if not math.isfinite(value) or not bool(torch.isfinite(norm)):
            raise TrainingError(
                f"expected a finite loss, got {value} at step {self.progress.steps}; resume from "
                "the last checkpoint with a lower learning rate"
            )
        self.optimizer.step()
        self.ema.update(self.generator, self.progress.steps)
        self.progress.steps += 1
        self.progress.samples += len(images)
        if self.progress.steps != _GUARD_STEPS:
            self.optimizer.zero_grad()
        return value

    def _guard(self) -> None:
        silent = silent_parameters(self.generator)
        self.optimizer.zero_grad()
        if silent:
            _log.warning(
                "expected a gradient for every parameter, got none for %d: %s; check the "
                "precision and that every condition occurs in the data",
                len(silent),
                ", ".join(silent),
            )


def flow_loss(x0: Tensor, target: Tensor, t: Tensor, weight: Tensor) -> Tensor:
    """Return the mean squared velocity error of an x-prediction, weighted by pixel."""
    error = (x0 - target) / expand(t).clamp_min(_LEAST_T)
    return (weight * error.square()).sum() / (3 * weight.sum()).clamp_min(1)


def silent_parameters(module: nn.Module) -> list[str]:
    """Return the names of trainable parameters whose gradient is missing or zero everywhere.

    A network can look trained while whole layers never learn, for example when float16 gradients
    underflow.
    """
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.any()))
    ]


def _stage(stages: tuple[Stage, ...], share: float) -> Stage:
    return next((stage for stage in stages if share < stage.until), stages[-1])
