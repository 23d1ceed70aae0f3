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

from napari_histodiff.core.folders import make_folder
from napari_histodiff.datasets.packing import Pack, load_pack
from napari_histodiff.devices import resolve_device, resolve_dtype
from napari_histodiff.diffusion.batches import Batch, BatchMaker
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder
from napari_histodiff.diffusion.checkpoints import (
    Ema,
    Stateful,
    load_checkpoint,
    refuse_checkpoint,
    save_checkpoint,
    save_pipeline,
)
from napari_histodiff.diffusion.crops import CropSampler
from napari_histodiff.diffusion.descent import descend
from napari_histodiff.diffusion.flow import MIN_T, add_noise, flow_loss
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.model_folder import bundled_model_path
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.training_config import Stage, TrainingConfig
from napari_histodiff.diffusion.training_report import TrainingReport
from napari_histodiff.diffusion.validation import Validation

__all__ = [
    "Generator",
    "Progress",
    "initial_generator",
    "silent_parameters",
    "stage_at",
    "train",
]

_log = logging.getLogger(__name__)
_GUARD_STEPS = 200
_PIPELINE = "pipeline"


class Generator(nn.Module):
    """Network and caption encoder trained as one."""

    def __init__(self, network: HistoUNet, captions: CaptionEncoder) -> None:
        super().__init__()
        self.network = network
        self.captions = captions

    def forward(
        self,
        z: Tensor,
        t: Tensor,
        spatial: Tensor,
        slots: Tensor,
        mpp: Tensor,
        stain: Tensor,
        jump_guidance: Tensor | None = None,
    ) -> Tensor:
        """Return the estimate of the clean images, (b, 3, s, s) float32."""
        return self.network(z, t, spatial, self.captions(slots), mpp, stain, jump_guidance)


@dataclass(slots=True)
class Progress:
    """How far a run is, and the best loss on the validation crops."""

    samples: int = 0
    steps: int = 0
    seconds: float = 0.0
    best: float = math.inf

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
    generator = initial_generator(config).to(device)
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = Ema(generator, config.ema)
    optimizer = torch.optim.AdamW(
        generator.parameters(), weight_decay=config.weight_decay, betas=(0.9, 0.99), fused=True
    )
    progress = Progress()
    parts: dict[str, Stateful] = {"generator": generator, "ema": ema.module, "optimizer": optimizer}
    if resume:
        progress = Progress(**load_checkpoint(output, parts))
    # Not the noise of the first steps again.
    torch.manual_seed(config.seed + progress.steps)
    make_folder(output)
    config.dump(output / "config.json")
    validation = None
    if config.validation is not None:
        validation = Validation(Path(config.validation), config.stages[-1].size)
    run = _Run(config, generator, ema, optimizer, progress, device, packed, output, validation)
    run.train()
    return run.finish()


def initial_generator(config: TrainingConfig) -> Generator:
    """Return random weights, or those of `config.init_from`, float32 on the processor."""
    if config.init_from is None:
        return Generator(HistoUNet(**config.network), CaptionEncoder())
    folder = bundled_model_path() if config.init_from == "bundled" else Path(config.init_from)
    pipeline = load_pipeline(folder, "cpu", "float32")
    # Trained by flow alone the jumps would go stale; `distillation.distil` teaches them again.
    pipeline.network.register_to_config(jumps=False)
    pipeline.network.jumps = False
    return Generator(pipeline.network, pipeline.caption_encoder).train()


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
    validation: Validation | None

    def train(self) -> None:
        sampler = CropSampler(self.packed, self.config.seed + self.progress.steps)
        maker = BatchMaker(sampler, self.config.drop, self.config.seed + self.progress.steps)
        forward: Any = self.generator
        if self.config.compile:
            forward = torch.compile(self.generator, dynamic=False)
        dtype = resolve_dtype(self.device, self.config.precision)
        size = self.config.stages[-1].size
        report = TrainingReport(
            self.output, self.packed, size=size, tensorboard=self.config.tensorboard
        )
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
                stage = stage_at(self.config.stages, share)
                batch = maker.make(stage.size, stage.batch)
                loss = self._step(forward, batch, dtype, share)
                now = time.monotonic()
                self.progress.seconds += now - clock
                clock = now
                report.add(
                    self.progress.samples,
                    loss,
                    self.config.rate_at(share, self.progress.steps),
                    stage.size,
                )
                bar.update(stage.batch)
                bar.set_postfix(loss=f"{report.mean_loss:.4f}", size=stage.size, refresh=False)
                if self.progress.steps == _GUARD_STEPS:
                    self._guard()
                if now - saved > 60 * self.config.save_every_minutes:
                    self.save(report)
                    saved = time.monotonic()
        self.save(report)

    def save(self, report: TrainingReport) -> None:
        if self.validation is not None:
            loss = self.validation.loss(self.ema.module)
            report.add_validation(loss)
            if loss < self.progress.best:
                self.progress.best = loss
                self._save_pipeline()
        self.save_checkpoint()
        report.write(self.ema.module)

    def save_checkpoint(self) -> None:
        parts: dict[str, Stateful] = {
            "generator": self.generator,
            "ema": self.ema.module,
            "optimizer": self.optimizer,
        }
        save_checkpoint(self.output, parts, self.progress)

    def finish(self) -> Path:
        if self.validation is None:
            return self._save_pipeline()
        return self.output / _PIPELINE

    def _save_pipeline(self) -> Path:
        return save_pipeline(
            self.output / _PIPELINE,
            self.ema.module,
            self.packed,
            name=self.config.name,
            version=self.config.version,
        )

    def _step(self, forward: Any, batch: Batch, dtype: torch.dtype, share: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate_at(share, self.progress.steps)
        images, weight = batch.images.to(self.device), batch.weight.to(self.device)
        conditions = batch.conditions.to(self.device, torch.float32)
        t = torch.randn(len(images), device=self.device).sigmoid().clamp_min(MIN_T)
        eps = torch.randn_like(images)
        z = add_noise(images, eps, t)
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            x0 = forward(
                z, t, conditions.spatial, conditions.slots, conditions.mpp, conditions.stain
            )
        loss = flow_loss(x0.float(), images, t, weight)
        clip, steps = self.config.clip, self.progress.steps
        value = descend(loss, self.generator, self.optimizer, clip=clip, step=steps)
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


def stage_at(stages: tuple[Stage, ...], share: float) -> Stage:
    """Return the stage a run is in when `share` of it is done."""
    return next((stage for stage in stages if share < stage.until), stages[-1])
