"""What a network learns in order to jump: to take many guided steps of the flow in one evaluation.

The way from noise to image is cut in two at `ways.JUMP_BOUNDARY`. A jump from t leads to the end of
its part, so two evaluations suffice, and more of them lie on the same ways. Each jump is taught to
land where a short guided step of the frozen flow network followed by a jump lands: consistency
distillation (Song et al., arXiv 2303.01469) in phases (Wang et al., arXiv 2405.18407), with the
guidance scale as an input (Luo et al., arXiv 2310.04378).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from napari_histodiff.diffusion.batches import Batch
from napari_histodiff.diffusion.conditioning import CHANNELS, Conditions
from napari_histodiff.diffusion.flow import add_noise, expand
from napari_histodiff.diffusion.guidance import MOST_JUMP_GUIDANCE
from napari_histodiff.diffusion.sampling import JUMP_BOUNDARY

__all__ = [
    "Jumps",
    "Teacher",
    "ends",
    "frozen",
    "jump_loss",
    "jump_targets",
    "landing",
    "make_jumps",
    "paste_known",
]

#: Share of the jumps that start from noise alone.
_FROM_NOISE: Final = 0.3

#: How far the teacher steps in t.
_STRIDE: Final = 0.125

#: Errors well below this count squared, larger ones by their size (pseudo-Huber).
_HUBER: Final = 0.02

#: `denoise(z, t) -> x0` for a batch of times.
Estimate = Callable[[Tensor, Tensor], Tensor]

_Network = TypeVar("_Network", bound=nn.Module)


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


def frozen(network: _Network, dtype: torch.dtype) -> _Network:
    """Return a copy that computes in `dtype` and never learns."""
    return copy.deepcopy(network).eval().requires_grad_(False).to(dtype)


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
