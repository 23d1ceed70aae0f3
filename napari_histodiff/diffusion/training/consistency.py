"""Teaches the network to jump: many guided steps of the flow in one evaluation.

The path from noise to image is cut in two at `sampling.JUMP_BOUNDARY`. A jump from t leads to the
end of its part, so two evaluations suffice, and more of them lie on the same paths. Each jump is
taught to land where a short guided step of the frozen flow network followed by a jump lands:
consistency distillation (Song et al., arXiv 2303.01469) in phases (Wang et al., arXiv 2405.18407),
with the guidance scale as an input (Luo et al., arXiv 2310.04378). A share of every batch scores
drawn pairs (`losses`), and some of it goes on training the flow: one file serves both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.devices import resolve_device
from napari_histodiff.diffusion.conditioning import CHANNELS, Conditions
from napari_histodiff.diffusion.flow import MIN_T, add_noise, expand, flow_loss
from napari_histodiff.diffusion.guidance import MOST_JUMP_GUIDANCE
from napari_histodiff.diffusion.sampling import JUMP_BOUNDARY
from napari_histodiff.diffusion.training.batches import Batch
from napari_histodiff.diffusion.training.checkpoints import refuse_checkpoint
from napari_histodiff.diffusion.training.config import TrainingConfig
from napari_histodiff.diffusion.training.flow_matching import initial_generator
from napari_histodiff.diffusion.training.loop import TrainingLoop
from napari_histodiff.diffusion.training.losses import (
    FeatureExtractor,
    FeatureScore,
    ShiftScore,
    StatisticsScore,
    Triplet,
    frozen,
    texture_score,
)
from napari_histodiff.diffusion.training.report import TrainingReport

__all__ = [
    "Jumps",
    "Teacher",
    "as_stored",
    "distil",
    "ends",
    "jump_loss",
    "jump_targets",
    "landing",
    "make_jumps",
    "paste_known",
]

#: Shares of the crops that go on training the flow and that teach jumps; the others are drawn
#: twice from noise alone, in two jumps, and scored against real tissue.
_FLOW_SHARE: Final = 1 / 6
_JUMP_SHARE: Final = 1 / 3

#: Weights beside the loss of the jumps.
_FLOW_WEIGHT: Final = 0.5
_TEXTURE_WEIGHT: Final = 0.25
_STATISTICS_WEIGHT: Final = 0.25
_FEATURE_WEIGHT: Final = 0.25
_SHIFT_WEIGHT: Final = 0.7

#: Micrometres per pixel that part scales at which tissue looks another: shifts are of each.
_SCALE_STEPS: Final = (0.4, 0.8)

#: Tissue whose texture is compared apart from that of the rest.
_EPITHELIAL: Final = (TISSUE_NAMES.index("gland"), TISSUE_NAMES.index("mucus"))

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
    run = TrainingLoop(config, packed, generator, device, resume=resume)
    task = _JumpTask(
        run,
        Teacher(teacher, run.dtype, compiled=config.compile),
        FeatureExtractor(teacher, run.dtype, compiled=config.compile),
    )
    run.train(task.loss, task.save)
    return run.save_pipeline()


class _JumpTask:
    """What is learnt at each step."""

    def __init__(self, run: TrainingLoop, teacher: Teacher, extractor: FeatureExtractor) -> None:
        self._run = run
        self._teacher = teacher
        self._features = FeatureScore(extractor)
        self._statistics = StatisticsScore()
        self._shifts = [ShiftScore() for _ in range(len(_SCALE_STEPS) + 1)]
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
        images = Triplet(first, second, real.images)
        texture = texture_score(images, _areas(real.conditions)).mean()
        features = self._features(images, real.conditions).mean()
        statistics = self._statistics(images).mean()
        return (
            _TEXTURE_WEIGHT * texture
            + _STATISTICS_WEIGHT * statistics
            + _FEATURE_WEIGHT * features
            + _SHIFT_WEIGHT * self._shift(first, second, real)
        )

    def _shift(self, first: Tensor, second: Tensor, real: Batch) -> Tensor:
        """Return the mean shift of what was drawn of nothing but paint and words, by scale."""
        spatial = real.conditions.spatial
        given = spatial[:, CHANNELS["known_mask"]].amax((1, 2, 3))
        free = (given == 0) & (spatial[:, CHANNELS["has_coarse"]].amax((1, 2, 3)) == 0)
        steps = torch.tensor(_SCALE_STEPS, device=free.device)
        scale = torch.bucketize(real.conditions.mpp, steps)
        total = first.new_zeros(())
        for i, score in enumerate(self._shifts):
            rows = free & (scale == i)
            if bool(rows.any()):
                drawn = torch.cat([first[rows], second[rows]])
                total = total + score(drawn, real.images[rows].repeat(2, 1, 1, 1))
        return total

    def _pasted(self, batch: Batch, guidance: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """The averaged student's estimate, with known pixels pasted."""
        x0 = self._run.estimate(self._averaged, z, t, batch.conditions, guidance)
        return paste_known(x0.clamp(-1, 1), batch)


def _areas(conditions: Conditions) -> Tensor:
    """Return nuclei, and the glands between them that the network is shown, (b, 2, h, w)."""
    nuclei = conditions.spatial[:, CHANNELS["union"]]
    tissue = conditions.spatial[:, CHANNELS["tissue"]]
    glands = tissue[:, [i - 1 for i in _EPITHELIAL if i <= tissue.shape[1]]].amax(1, keepdim=True)
    return torch.cat([nuclei, glands * (1 - nuclei)], 1)


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


#: Share of the jumps that start from noise alone.
_FROM_NOISE: Final = 0.3

#: How far the teacher steps in t.
_STRIDE: Final = 0.125

#: Errors well below this count squared, larger ones by their size (pseudo-Huber).
_HUBER: Final = 0.02

#: `denoise(z, t) -> x0` for a batch of times.
Estimate = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Jumps:
    """Jumps from `z` at `t`; every second one, from the first, at guidance 1."""

    z: Tensor
    t: Tensor
    guidance: Tensor


def make_jumps(images: Tensor) -> Jumps:
    """Return one jump per image, (b, 3, h, w) in [-1, 1]."""
    count, device = len(images), images.device
    t = torch.rand(count, device=device).clamp_min(0.02)
    t[torch.rand(count, device=device) < _FROM_NOISE] = 1
    guidance = 1 + (MOST_JUMP_GUIDANCE - 1) * torch.rand(count, device=device)
    guidance[::2] = 1
    return Jumps(add_noise(images, torch.randn_like(images), t), t, guidance)


def ends(t: Tensor) -> Tensor:
    """Return the times that jumps from (b,) times lead to."""
    return torch.where(t > JUMP_BOUNDARY, JUMP_BOUNDARY, 0.0)


def landing(z: Tensor, x0: Tensor, t: Tensor, end: Tensor) -> Tensor:
    """Return the point at `end` on the straight line from z at t towards x0."""
    return x0 + (z - x0) * expand(end / t)


def paste_known(x0: Tensor, batch: Batch) -> Tensor:
    """Put the real pixels where they are known or do not count."""
    known = batch.conditions.spatial[:, CHANNELS["known_mask"]] > 0.5
    return torch.where(known | (batch.weight == 0), batch.images, x0)


class Teacher:
    """The frozen flow network, guided."""

    def __init__(self, generator: nn.Module, dtype: torch.dtype, *, compiled: bool) -> None:
        network = frozen(generator, dtype)
        self._forward: Any = torch.compile(network, dynamic=False) if compiled else network
        self._dtype = dtype

    @torch.no_grad()
    def step(self, jumps: Jumps, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return z and t after one Heun step towards the ends of the jumps."""
        t = jumps.t
        r = torch.maximum(t - _STRIDE, ends(t))
        x0 = self.estimate(jumps.z, t, batch, jumps.guidance)
        guess = landing(jumps.z, x0, t, r)
        at_zero = expand(r) == 0
        safe = r.clamp_min(1e-3)
        corrected = self.estimate(guess, safe, batch, jumps.guidance)
        slope = ((jumps.z - x0) / expand(t) + (guess - corrected) / expand(safe)) / 2
        return torch.where(at_zero, guess, jumps.z + slope * expand(r - t)), r

    def estimate(self, z: Tensor, t: Tensor, batch: Batch, guidance: Tensor) -> Tensor:
        """Return the estimate of the clean image with known pixels pasted, odd rows guided."""
        odd = slice(1, None, 2)
        c = batch.conditions
        bare = Conditions(c.spatial[odd], c.slots[odd], c.mpp[odd], c.stain[odd]).without_prompt()
        both = c.cat(bare)
        rows = self._forward(
            torch.cat([z, z[odd]]),
            torch.cat([t, t[odd]]),
            both.spatial.to(self._dtype),
            both.slots,
            both.mpp,
            both.stain,
        ).float()
        x0, without = rows[: len(z)].clone(), rows[len(z) :]
        x0[odd] = without + expand(guidance[odd]) * (x0[odd] - without)
        return paste_known(x0.clamp(-1, 1), batch)


@torch.no_grad()
def jump_targets(teacher: Teacher, student: Estimate, jumps: Jumps, batch: Batch) -> Tensor:
    """Return where jumps are to land: a step of the teacher, then a jump of the (averaged) student.

    `student` answers with known pixels pasted.
    """
    z, r = teacher.step(jumps, batch)
    end = ends(jumps.t)
    arrived = expand(r <= end)
    safe = r.clamp_min(1e-3)
    return torch.where(arrived, z, landing(z, student(z, safe), safe, torch.minimum(end, safe)))


def jump_loss(landed: Tensor, target: Tensor, jumps: Jumps) -> Tensor:
    """Return the pseudo-Huber distance of landings per image, in units of the clean image."""
    error = (landed - target) / expand(1 - ends(jumps.t) / jumps.t).clamp_min(0.1)
    squares = error.square().mean((1, 2, 3))
    return ((squares + _HUBER**2).sqrt() - _HUBER).mean()
