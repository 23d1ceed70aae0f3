"""Runs the lessons of `jumping` and `scoring`, and some of the flow: one file serves both ways."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.devices import resolve_device
from napari_histodiff.diffusion.batches import Batch
from napari_histodiff.diffusion.checkpoints import refuse_checkpoint
from napari_histodiff.diffusion.conditioning import CHANNELS, Conditions
from napari_histodiff.diffusion.flow import MIN_T, add_noise, flow_loss
from napari_histodiff.diffusion.jumping import (
    Jumps,
    Teacher,
    ends,
    jump_loss,
    jump_targets,
    landing,
    make_jumps,
    paste_known,
)
from napari_histodiff.diffusion.run import Run
from napari_histodiff.diffusion.scoring import FeatureScore, Reader, Trio
from napari_histodiff.diffusion.texture import StatisticsScore, texture_score
from napari_histodiff.diffusion.training import initial_generator
from napari_histodiff.diffusion.training_config import TrainingConfig
from napari_histodiff.diffusion.training_report import TrainingReport

__all__ = ["as_stored", "distil"]

#: Shares of the crops that go on training the flow and that teach jumps; the others are drawn
#: twice from noise alone, in two jumps, and scored against real tissue.
_FLOW_SHARE: Final = 1 / 6
_JUMP_SHARE: Final = 1 / 3

#: Weights beside the loss of the jumps.
_FLOW_WEIGHT: Final = 0.5
_TEXTURE_WEIGHT: Final = 0.25
_STATISTICS_WEIGHT: Final = 0.25
_FEATURE_WEIGHT: Final = 0.25

_SHEET_GUIDANCE: Final = 2.0


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
    if not resume:
        refuse_checkpoint(Path(config.output))
    packed = load_pack(Path(config.data))
    torch.manual_seed(config.seed)
    device = resolve_device(config.device)
    generator = initial_generator(config).to(device)
    teaching = replace(config, init_from=config.teacher or config.init_from)
    teacher = initial_generator(teaching).to(device)
    generator.network.register_to_config(jumps=True)
    generator.network.jumps = True
    run = Run(config, packed, generator, device, resume=resume)
    course = _JumpCourse(
        run,
        Teacher(teacher, run.dtype, compiled=config.compile),
        Reader(teacher, run.dtype, compiled=config.compile),
    )
    run.train(course.loss, course.save)
    return run.save_pipeline()


class _JumpCourse:
    """What is learnt at each step."""

    def __init__(self, run: Run, teacher: Teacher, reader: Reader) -> None:
        self._run = run
        self._teacher = teacher
        self._features = FeatureScore(reader)
        self._statistics = StatisticsScore()
        self._averaged = run.compiled(run.ema.module)

    def save(self, report: TrainingReport) -> None:
        self._run.save_checkpoint()
        report.write(self._run.ema.module, jump_guidance=_SHEET_GUIDANCE)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of the jumps with flow and scores, and without."""
        run, count = self._run, len(batch.images)
        n = round(_FLOW_SHARE * count)
        m = n + round(_JUMP_SHARE * count)
        flow, jumping, drawing = (
            _rows(batch, rows) for rows in (slice(n), slice(n, m), slice(m, None))
        )
        jumps = make_jumps(jumping.images)
        target = jump_targets(
            self._teacher, partial(self._pasted, jumping, jumps.guidance), jumps, jumping
        )
        t = torch.randn(n, device=run.device).sigmoid().clamp_min(MIN_T)
        z = add_noise(flow.images, torch.randn_like(flow.images), t)
        pairs = Batch(
            drawing.images.repeat(2, 1, 1, 1),
            drawing.conditions.cat(drawing.conditions),
            drawing.weight.repeat(2, 1, 1, 1),
        )
        start = Jumps(
            torch.randn_like(pairs.images), *torch.ones(2, len(pairs.images), device=run.device)
        )
        x0 = run.estimate(
            run.forward,
            torch.cat([z, jumps.z, start.z]),
            torch.cat([t, jumps.t, start.t]),
            batch.conditions.cat(drawing.conditions),
            torch.cat([torch.zeros_like(t), jumps.guidance, start.guidance]),
        )
        flowed, jumped, begun = x0.split([n, m - n, len(start.z)])
        landed = landing(jumps.z, paste_known(jumped, jumping), jumps.t, ends(jumps.t))
        loss = jump_loss(landed, target, jumps)
        total = loss + _FLOW_WEIGHT * flow_loss(flowed, flow.images, t, flow.weight)
        return total + self._score(self._finish(begun, start, pairs), drawing), loss

    def _finish(self, begun: Tensor, start: Jumps, batch: Batch) -> Tensor:
        """Return the images that the second jump ends at, known pixels pasted."""
        end = ends(start.t)
        z = landing(start.z, paste_known(begun.clamp(-1, 1), batch), start.t, end)
        run = self._run
        x0 = run.estimate(run.forward, z, end, batch.conditions, start.guidance)
        return as_stored(paste_known(x0, batch))

    def _score(self, drawn: Tensor, real: Batch) -> Tensor:
        """Return the weighted scores of pairs of drawn images, first halves first."""
        first, second = drawn.chunk(2)
        images = Trio(first, second, real.images)
        texture = texture_score(images, real.conditions.spatial[:, CHANNELS["union"]]).mean()
        features = self._features(images, real.conditions).mean()
        statistics = self._statistics(images).mean()
        return (
            _TEXTURE_WEIGHT * texture + _STATISTICS_WEIGHT * statistics + _FEATURE_WEIGHT * features
        )

    def _pasted(self, batch: Batch, guidance: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """The averaged student's estimate, with known pixels pasted."""
        x0 = self._run.estimate(self._averaged, z, t, batch.conditions, guidance)
        return paste_known(x0.clamp(-1, 1), batch)


def as_stored(images: Tensor) -> Tensor:
    """Round to 8 bits, with the gradient of leaving it.

    Scans are smooth: what they have of the finest detail is mostly this rounding, and a network
    that draws as much of it gets it twice.
    """
    stored = ((images.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
    return images + (stored - images).detach()


def _rows(batch: Batch, rows: slice) -> Batch:
    c = batch.conditions
    conditions = Conditions(c.spatial[rows], c.slots[rows], c.mpp[rows], c.stain[rows])
    return Batch(batch.images[rows], conditions, batch.weight[rows])
