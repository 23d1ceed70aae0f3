"""Runs the lessons of `jumping`, and some of the flow beside them, so one file serves both ways."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from tqdm import tqdm

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.folders import make_folder
from napari_histodiff.datasets.packing import Pack, load_pack
from napari_histodiff.devices import resolve_device, resolve_dtype
from napari_histodiff.diffusion.batches import Batch, BatchMaker
from napari_histodiff.diffusion.checkpoints import (
    Ema,
    Stateful,
    load_checkpoint,
    refuse_checkpoint,
    save_checkpoint,
    save_pipeline,
)
from napari_histodiff.diffusion.conditioning import Conditions
from napari_histodiff.diffusion.crops import CropSampler
from napari_histodiff.diffusion.descent import descend
from napari_histodiff.diffusion.flow import MIN_T, add_noise, flow_loss
from napari_histodiff.diffusion.jumping import (
    Teacher,
    ends,
    jump_loss,
    jump_targets,
    landing,
    make_jumps,
    paste_known,
)
from napari_histodiff.diffusion.training import (
    Generator,
    Progress,
    initial_generator,
    stage_at,
)
from napari_histodiff.diffusion.training_config import TrainingConfig
from napari_histodiff.diffusion.training_report import TrainingReport

__all__ = ["distil"]

#: Share of the crops that go on training the flow, and its weight beside the jumps.
_FLOW_SHARE: Final = 0.25
_FLOW_WEIGHT: Final = 0.1


def distil(config: TrainingConfig, *, resume: bool = False) -> Path:
    """Teach the model `config.init_from` to jump and return the folder of the saved pipeline.

    Raises
    ------
    TrainingError
        When no model to start from is named, the loss is no longer finite, or the output folder
        holds another run and `resume` is not given.
    StorageError
        When a checkpoint or the model cannot be written.
    """
    if config.init_from is None:
        raise TrainingError(
            'expected a model to teach, got none; set "init_from" to a model folder or "bundled"'
        )
    output = Path(config.output)
    if not resume:
        refuse_checkpoint(output)
    packed = load_pack(Path(config.data))
    torch.manual_seed(config.seed)
    device = resolve_device(config.device)
    generator = initial_generator(config).to(device)
    generator.network.register_to_config(jumps=True)
    generator.network.jumps = True
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = _Run(config, packed, generator, device)
    if resume:
        run.resume()
    make_folder(output)
    config.dump(output / "config.json")
    run.train()
    return save_pipeline(
        output / "pipeline", run.ema.module, packed, name=config.name, version=config.version
    )


class _Run:
    def __init__(
        self, config: TrainingConfig, packed: Pack, generator: Generator, device: torch.device
    ) -> None:
        self.config, self.packed, self.generator = config, packed, generator
        self.output, self.device = Path(config.output), device
        self.dtype = resolve_dtype(device, config.precision)
        self.teacher = Teacher(generator, self.dtype, compiled=config.compile)
        self.ema = Ema(generator, config.ema)
        self.optimizer = torch.optim.AdamW(
            generator.parameters(), weight_decay=config.weight_decay, betas=(0.9, 0.99), fused=True
        )
        self.progress = Progress()
        self.forward: Any = generator
        self.averaged: Any = self.ema.module
        if config.compile:
            self.forward = torch.compile(generator, dynamic=False)
            self.averaged = torch.compile(self.ema.module, dynamic=False)

    def parts(self) -> dict[str, Stateful]:
        return {
            "generator": self.generator,
            "ema": self.ema.module,
            "optimizer": self.optimizer,
        }

    def resume(self) -> None:
        self.progress = Progress(**load_checkpoint(self.output, self.parts()))
        torch.manual_seed(self.config.seed + self.progress.steps)

    def train(self) -> None:
        seed = self.config.seed + self.progress.steps
        maker = BatchMaker(CropSampler(self.packed, seed), self.config.drop, seed)
        size = self.config.stages[-1].size
        report = TrainingReport(
            self.output, self.packed, size=size, tensorboard=self.config.tensorboard
        )
        try:
            self._loop(maker, report)
        except KeyboardInterrupt:
            self.save_checkpoint()
            report.write_losses()
            raise
        finally:
            report.close()

    def _loop(self, maker: BatchMaker, report: TrainingReport) -> None:
        saved = clock = time.monotonic()
        with tqdm(total=self.config.samples, initial=self.progress.samples, unit="crop") as bar:
            while (share := self.progress.share(self.config)) < 1:
                stage = stage_at(self.config.stages, share)
                loss = self.step(self._to_device(maker.make(stage.size, stage.batch)), share)
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
                if now - saved > 60 * self.config.save_every_minutes:
                    self.save(report)
                    saved = time.monotonic()
        self.save(report)

    def save(self, report: TrainingReport) -> None:
        self.save_checkpoint()
        report.write(self.ema.module, jump_guidance=2.0)

    def save_checkpoint(self) -> None:
        save_checkpoint(self.output, self.parts(), self.progress)

    def step(self, batch: Batch, share: float) -> float:
        """Learn from one batch; return the loss of the jumps."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate_at(share, self.progress.steps)
        n = round(_FLOW_SHARE * len(batch.images))
        flow, jumping = _rows(batch, slice(n)), _rows(batch, slice(n, None))
        jumps = make_jumps(jumping.images)

        def student(z: Tensor, t: Tensor) -> Tensor:
            x0 = self._estimate(self.averaged, z, t, jumping.conditions, jumps.guidance)
            return paste_known(x0.clamp(-1, 1), jumping)

        target = jump_targets(self.teacher, student, jumps, jumping)
        t = torch.randn(n, device=self.device).sigmoid().clamp_min(MIN_T)
        z = add_noise(flow.images, torch.randn_like(flow.images), t)
        x0 = self._estimate(
            self.forward,
            torch.cat([z, jumps.z]),
            torch.cat([t, jumps.t]),
            batch.conditions,
            torch.cat([torch.zeros_like(t), jumps.guidance]),
        )
        landed = landing(jumps.z, paste_known(x0[n:], jumping), jumps.t, ends(jumps.t))
        loss = jump_loss(landed, target, jumps)
        total = loss + _FLOW_WEIGHT * flow_loss(x0[:n], flow.images, t, flow.weight)
        clip, steps = self.config.clip, self.progress.steps
        descend(total, self.generator, self.optimizer, clip=clip, step=steps)
        self.optimizer.zero_grad()
        self.ema.update(self.generator, self.progress.steps)
        self.progress.steps += 1
        self.progress.samples += len(batch.images)
        return float(loss.detach())

    def _estimate(self, forward: Any, z: Tensor, t: Tensor, c: Conditions, jump: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            x0: Tensor = forward(z, t, c.spatial, c.slots, c.mpp, c.stain, jump)
        return x0.float()

    def _to_device(self, batch: Batch) -> Batch:
        conditions = batch.conditions.to(self.device, torch.float32)
        return Batch(batch.images.to(self.device), conditions, batch.weight.to(self.device))


def _rows(batch: Batch, rows: slice) -> Batch:
    c = batch.conditions
    conditions = Conditions(c.spatial[rows], c.slots[rows], c.mpp[rows], c.stain[rows])
    return Batch(batch.images[rows], conditions, batch.weight[rows])
