"""Runs the lessons of `jumping`, and some of the flow beside them, so one file serves both ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.devices import resolve_device
from napari_histodiff.diffusion.batches import Batch
from napari_histodiff.diffusion.checkpoints import refuse_checkpoint, save_pipeline
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
from napari_histodiff.diffusion.texture import texture_distance
from napari_histodiff.diffusion.training import initial_generator
from napari_histodiff.diffusion.training_config import TrainingConfig
from napari_histodiff.diffusion.training_report import TrainingReport

__all__ = ["distil"]

#: Share of the crops that go on training the flow, and its weight beside the jumps.
_FLOW_SHARE: Final = 0.25
_FLOW_WEIGHT: Final = 0.5

#: Weight of the comparison with real tissue by texture, for crops drawn from noise alone in two
#: jumps. More of it buys the right statistics with grain where there should be structure.
_TEXTURE_WEIGHT: Final = 0.15

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
    course = _JumpCourse(run, Teacher(teacher, run.dtype, compiled=config.compile))
    run.train(course.loss, course.save)
    return save_pipeline(
        run.output / "pipeline", run.ema.module, packed, name=config.name, version=config.version
    )


class _JumpCourse:
    """What is learnt at each step."""

    def __init__(self, run: Run, teacher: Teacher) -> None:
        self._run = run
        self._teacher = teacher
        self._averaged = run.compiled(run.ema.module)

    def save(self, report: TrainingReport) -> None:
        self._run.save_checkpoint()
        report.write(self._run.ema.module, jump_guidance=_SHEET_GUIDANCE)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of the jumps with flow and texture, and without."""
        run, n = self._run, round(_FLOW_SHARE * len(batch.images))
        flow, jumping = _rows(batch, slice(n)), _rows(batch, slice(n, None))
        jumps = make_jumps(jumping.images)

        def student(z: Tensor, t: Tensor) -> Tensor:
            return self._pasted(z, t, jumping, jumps.guidance)

        target = jump_targets(self._teacher, student, jumps, jumping)
        t = torch.randn(n, device=run.device).sigmoid().clamp_min(MIN_T)
        z = add_noise(flow.images, torch.randn_like(flow.images), t)
        halfway, drawn = self._halfway(jumping, jumps)
        x0 = run.estimate(
            run.forward,
            torch.cat([z, jumps.z, halfway.z]),
            torch.cat([t, jumps.t, halfway.t]),
            batch.conditions.cat(drawn.conditions),
            torch.cat([torch.zeros_like(t), jumps.guidance, halfway.guidance]),
        )
        flowed, jumped, ended = x0.split([n, len(jumps.z), len(halfway.z)])
        landed = landing(jumps.z, paste_known(jumped, jumping), jumps.t, ends(jumps.t))
        loss = jump_loss(landed, target, jumps)
        nuclei = drawn.conditions.spatial[:, CHANNELS["union"]]
        texture = texture_distance(paste_known(ended, drawn), drawn.images, nuclei).mean()
        total = loss + _FLOW_WEIGHT * flow_loss(flowed, flow.images, t, flow.weight)
        return total + _TEXTURE_WEIGHT * texture, loss

    @torch.no_grad()
    def _halfway(self, jumping: Batch, jumps: Jumps) -> tuple[Jumps, Batch]:
        """Return every second crop after a first jump from noise alone, as it is when drawing.

        Those at guidance 1: guided tissue is clearer than real, and shall stay so.
        """
        unguided = slice(None, None, 2)
        some, guidance = _rows(jumping, unguided), jumps.guidance[unguided]
        noise, t = torch.randn_like(some.images), torch.ones_like(guidance)
        z = landing(noise, self._pasted(noise, t, some, guidance), t, ends(t))
        return Jumps(z, ends(t), guidance), some

    def _pasted(self, z: Tensor, t: Tensor, batch: Batch, guidance: Tensor) -> Tensor:
        """The averaged student's estimate, with known pixels pasted."""
        x0 = self._run.estimate(self._averaged, z, t, batch.conditions, guidance)
        return paste_known(x0.clamp(-1, 1), batch)


def _rows(batch: Batch, rows: slice) -> Batch:
    c = batch.conditions
    conditions = Conditions(c.spatial[rows], c.slots[rows], c.mpp[rows], c.stain[rows])
    return Batch(batch.images[rows], conditions, batch.weight[rows])
