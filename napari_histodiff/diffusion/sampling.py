"""Sampling: solvers of the flow, and jumps (consistency steps) of a network that knows them.

A denoiser is `denoise(z, t) -> x0`, with z and x0 of one shape and t one number in (0, 1]. The
solvers are plain functions over one such call, single-step and without state between steps, so a
trajectory may stop at any time of the schedule, be blended with its neighbours, and go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from torch import Tensor

from napari_histodiff.core.errors import ModelInvalid
from napari_histodiff.core.steering.strengths import with_levels
from napari_histodiff.diffusion.network import HistoUNet

__all__ = [
    "FIRST_TIME",
    "JUMP_BOUNDARY",
    "JUMP_SHIFT",
    "JUMP_STEPS",
    "SOLVERS",
    "Denoiser",
    "Sampling",
    "Solver",
    "backwards",
    "euler",
    "heun",
    "jump_steps",
    "sampling_of",
    "solver_of",
    "split",
    "timesteps",
]

Denoiser = Callable[[Tensor, float], Tensor]


def timesteps(steps: int, strength: float = 1.0, shift: float = 1.0) -> tuple[float, ...]:
    """Return the descending times of a schedule, from `strength` to 0.

    Parameters
    ----------
    steps : int
        Solver steps from t = 1.
    strength : float
        Where the schedule starts; only the steps below it are taken, at least one, as in diffusers'
        image-to-image pipelines.
    shift : float
        diffusers' `shift`: t -> shift t / (1 + (shift - 1) t) spends more steps on noise when > 1
        and on texture when < 1 (Esser et al., arXiv 2403.03206, equation 23).
    """
    share = strength / (shift + (1 - shift) * strength)
    used = max(1, round(steps * share))
    even = (share * (used - i) / used for i in range(1, used + 1))
    return (strength, *(shift * u / (1 + (shift - 1) * u) for u in even))


#: Time below which the direction of the flow is not told well: where walks backwards begin.
FIRST_TIME: Final = 0.05


def backwards(times: Sequence[float]) -> tuple[float, ...]:
    """Return the ascending times that lead from an image to where a schedule starts.

    A solver that walks them inverts the flow, as DDIM inversion does (Song et al., arXiv
    2010.02502, section 4.3). They begin at `FIRST_TIME`, or at half the last step where that is
    earlier: at 0 the flow has no direction.
    """
    return (min(FIRST_TIME, times[-2] / 2), *reversed(times[:-1]))


def split(times: Sequence[float], phases: int) -> tuple[tuple[float, ...], ...]:
    """Cut a schedule into at most `phases` schedules of equal steps; early ones take the rest.

    Each ends at the time where the next begins.
    """
    steps = len(times) - 1
    parts = min(phases, steps)
    size, rest = divmod(steps, parts)
    ends = [0]
    for i in range(parts):
        ends.append(ends[-1] + size + (i < rest))
    return tuple(tuple(times[a : b + 1]) for a, b in pairwise(ends))


def euler(denoise: Denoiser, z: Tensor, times: Sequence[float]) -> Tensor:
    """First order: follow the direction at the start of each step (DDIM for this flow)."""
    for t, s in pairwise(times):
        z = _towards(z, denoise(z, t), t, s)
    return z


def heun(denoise: Denoiser, z: Tensor, times: Sequence[float]) -> Tensor:
    """Second order: mean of the directions at both ends of each step.

    Karras et al., arXiv 2206.00364, algorithm 1. A step that ends at t = 0, where the direction is
    not defined, is an Euler step.
    """
    for t, s in pairwise(times):
        x0 = denoise(z, t)
        guess = _towards(z, x0, t, s)
        if s == 0:
            z = guess
        else:
            slope = ((z - x0) / t + (guess - denoise(guess, s)) / s) / 2
            z = z + slope * (s - t)
    return z


def _towards(z: Tensor, x0: Tensor, t: float, s: float) -> Tensor:
    # At s = 0 this is x0 itself, without the rounding of z - t (z - x0) / t.
    return x0 if s == 0 else x0 + (z - x0) * (s / t)


def _euler_calls(times: Sequence[float]) -> list[float]:
    return list(times[:-1])


def _heun_calls(times: Sequence[float]) -> list[float]:
    return [at for step in pairwise(times) for at in step if at > 0]


@dataclass(frozen=True, slots=True)
class Solver:
    """A sampler `run(denoise, z, times)`, at which times it calls `denoise`, and its order."""

    run: Callable[[Denoiser, Tensor, Sequence[float]], Tensor]
    calls: Callable[[Sequence[float]], list[float]]
    order: int

    def evaluations(self, times: Sequence[float]) -> int:
        """Return how often `run` calls `denoise`."""
        return len(self.calls(times))


#: Solver for each diffusers scheduler class a model folder may name.
SOLVERS: Final[dict[str, Solver]] = {
    "FlowMatchEulerDiscreteScheduler": Solver(euler, _euler_calls, 1),
    "FlowMatchHeunDiscreteScheduler": Solver(heun, _heun_calls, 2),
}


def solver_of(scheduler: Any) -> Solver:
    """Return the solver a diffusers flow-matching scheduler stands for.

    The scheduler contributes its class and its `shift`. Its own `step` keeps state between calls,
    which windows that are blended between phases cannot use.

    Raises
    ------
    ModelInvalid
        When the scheduler is of another class.
    """
    name = type(scheduler).__name__
    if name not in SOLVERS:
        raise ModelInvalid(
            f"expected a scheduler of {', '.join(SOLVERS)}, got {name}; "
            "save the model with one of these"
        )
    return SOLVERS[name]


#: Most steps that are drawn by jumps where the weights know how to.
JUMP_STEPS: Final = 4

#: The shift of a schedule of jumps, and the time of its middle, where jumps learn to stop.
JUMP_SHIFT: Final = 0.6
JUMP_BOUNDARY: Final = JUMP_SHIFT / (1 + JUMP_SHIFT)

_JUMPER: Final = SOLVERS["FlowMatchEulerDiscreteScheduler"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a number of steps is drawn."""

    solver: Solver
    shift: float
    jumps: bool

    def passes(self, guidance_scale: float) -> int:
        """Return the network passes of one denoiser call: 2 with guidance, unless it jumps."""
        return 1 if self.jumps or guidance_scale == 1 else 2

    def times(self, steps: int, strength: float, levels: Sequence[float] = ()) -> tuple[float, ...]:
        """Return the schedule, see `timesteps` and `with_levels`."""
        return with_levels(timesteps(steps, strength, self.shift), levels)


def jump_steps(network: HistoUNet) -> int:
    """Return up to how many steps a network is drawn with by jumps; 0 = it cannot."""
    return JUMP_STEPS if network.jumps else 0


def sampling_of(network: HistoUNet, scheduler: Any, steps: int) -> Sampling:
    """Return the sampling of a number of steps.

    Raises
    ------
    ModelInvalid
        See `samplers.solver_of`.
    """
    if steps <= jump_steps(network):
        return Sampling(_JUMPER, JUMP_SHIFT, jumps=True)
    return Sampling(solver_of(scheduler), scheduler.config.shift, jumps=False)
