"""The two ways to draw with one network: by jumps in few steps, by the guided flow in more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.samplers import SOLVERS, Solver, solver_of, timesteps

__all__ = ["JUMP_BOUNDARY", "JUMP_SHIFT", "JUMP_STEPS", "Way", "jump_steps", "way_of"]

#: Most steps that are drawn by jumps where the weights know how to.
JUMP_STEPS: Final = 4

#: The shift of a schedule of jumps, and the time of its middle, where jumps learn to stop.
JUMP_SHIFT: Final = 0.6
JUMP_BOUNDARY: Final = JUMP_SHIFT / (1 + JUMP_SHIFT)

_JUMPER: Final = SOLVERS["FlowMatchEulerDiscreteScheduler"]


@dataclass(frozen=True, slots=True)
class Way:
    """How a number of steps is drawn."""

    solver: Solver
    shift: float
    jumps: bool

    def passes(self, guidance_scale: float) -> int:
        """Return the network passes of one denoiser call: 2 with guidance, unless it jumps."""
        return 1 if self.jumps or guidance_scale == 1 else 2

    def times(self, steps: int, strength: float) -> tuple[float, ...]:
        """Return the schedule, see `samplers.timesteps`."""
        return timesteps(steps, strength, self.shift)


def jump_steps(network: HistoUNet) -> int:
    """Return up to how many steps a network is drawn with by jumps; 0 = it cannot."""
    return JUMP_STEPS if network.jumps else 0


def way_of(network: HistoUNet, scheduler: Any, steps: int) -> Way:
    """Return the way `steps` are drawn.

    Raises
    ------
    ModelInvalid
        See `samplers.solver_of`.
    """
    if steps <= jump_steps(network):
        return Way(_JUMPER, JUMP_SHIFT, jumps=True)
    return Way(solver_of(scheduler), scheduler.config.shift, jumps=False)
