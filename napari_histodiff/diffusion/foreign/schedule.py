"""The solvers of diffusers, run a stretch at a time: between two stretches, windows are blended.

A scheduler of diffusers keeps the last outputs of the network between its steps. Each stretch of a
window begins with a fresh copy, so that what a window becomes depends on nothing but where it
begins; multistep solvers start a stretch at first order, as they start a picture.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import diffusers
import torch

from napari_histodiff.core.errors import InvalidRequest, ModelInvalid

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Schedule", "deterministic"]

#: Solvers that add no noise of their own, which would belong to no place.
_KEPT: Final = (
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerDiscreteScheduler",
    "UniPCMultistepScheduler",
)
_DIFFERENT: Final = {"DDPMScheduler": "DDIMScheduler"}
_OTHERS: Final = "DPMSolverMultistepScheduler"
_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "DPMSolverMultistepScheduler": {"algorithm_type": "dpmsolver++"},
    "UniPCMultistepScheduler": {"predict_x0": True},
}


def deterministic(scheduler: Any) -> Any:
    """Return a scheduler of the same noise levels that adds no noise between steps.

    Solvers of other kinds are replaced by DPM-Solver++ (Lu et al., arXiv 2211.01095), DDPM by DDIM.

    Raises
    ------
    ModelInvalid
        When it has no noise levels of this kind.
    """
    name = type(scheduler).__name__
    if "beta_schedule" not in scheduler.config:
        raise ModelInvalid(
            f"expected a scheduler with noise levels of the DDPM kind, got {name}; choose a model "
            "that predicts noise"
        )
    maker = getattr(diffusers, name if name in _KEPT else _DIFFERENT.get(name, _OTHERS))
    return maker.from_config(scheduler.config, **_SETTINGS.get(maker.__name__, {}))


@dataclass(frozen=True, slots=True)
class Schedule:
    """The steps of one drawing.

    Attributes
    ----------
    scheduler : SchedulerMixin
        With its timesteps set; copied, never stepped itself.
    first : int
        The first step that is taken.
    """

    scheduler: Any
    first: int

    @classmethod
    def of(cls, scheduler: Any, steps: int, strength: float, device: torch.device) -> Schedule:
        """Plan a number of steps, of which `strength` takes the last ones, at least one.

        Raises
        ------
        InvalidRequest
            When the model was trained with fewer.
        """
        most = scheduler.config.num_train_timesteps
        if steps > most:
            raise InvalidRequest(f"expected at most {most} steps, got {steps}; take fewer")
        own = copy.deepcopy(scheduler)
        own.set_timesteps(steps, device=device)
        return cls(own, _first(own, strength))

    @property
    def count(self) -> int:
        """How many steps are taken."""
        return len(self.scheduler.timesteps) - self.first

    def begins(self, strength: float) -> int:
        """Return the step that a part of a strength begins with."""
        return max(0, _first(self.scheduler, strength) - self.first)

    def noisy(self, clean: Tensor, noise: Tensor, step: int) -> Tensor:
        """Return latents at the noise level before a step; after the last: clean."""
        if step == self.count:
            return clean
        # A single image: this works on its shape alone.
        t = self.scheduler.timesteps[self.first + step]
        own = copy.copy(self.scheduler)
        if hasattr(own, "set_begin_index"):
            own.set_begin_index(self.first + step)
        found: Tensor = own.add_noise(clean, noise, t.reshape(1))
        return found

    def noise_again(self, z: Tensor, eps: Tensor, step: int, earlier: int) -> Tensor:
        """Return latents before `step` with the noise there is before an earlier one.

        Parameters
        ----------
        z : (b, c, h, w) float
        eps : (b, c, h, w) float
            Standard normal noise that z knows nothing of.
        step, earlier : int
        """
        (signal, noise), (left, wanted) = self.amounts(step), self.amounts(earlier)
        kept = left / signal
        return z * kept + eps * max(wanted**2 - (kept * noise) ** 2, 0.0) ** 0.5

    def amounts(self, step: int) -> tuple[float, float]:
        """Return how much of the image and of the noise there is before a step."""
        one, none = torch.ones(1), torch.zeros(1)
        if step == self.count:
            return 1.0, 0.0
        return float(self.noisy(one, none, step)), float(self.noisy(none, one, step))

    def clean(self, z: Tensor, output: Tensor, step: int) -> Tensor:
        """Return the estimate of the clean latents from what the network predicts at a step."""
        signal, noise, size = self._shares(step)
        z = z / size
        kind = self.scheduler.config.prediction_type
        if kind == "epsilon":
            return (z - noise * output) / signal
        return signal * z - noise * output if kind == "v_prediction" else output

    def predicting(self, z: Tensor, clean: Tensor, step: int) -> Tensor:
        """Return what the network would have predicted for another estimate, back from `clean`."""
        signal, noise, size = self._shares(step)
        eps = (z / size - signal * clean) / noise
        kind = self.scheduler.config.prediction_type
        if kind == "epsilon":
            return eps
        return signal * eps - noise * clean if kind == "v_prediction" else clean

    def _shares(self, step: int) -> tuple[float, float, float]:
        """Shares of image and noise, squares of sum 1, and what latents are larger by."""
        signal, noise = self.amounts(step)
        size = (signal**2 + noise**2) ** 0.5
        return signal / size, noise / size, size

    def started(self, noise: Tensor) -> Tensor:
        """Return what the first step begins with where there is no image."""
        scale = self.scheduler.init_noise_sigma
        return noise * (float(scale) if self.first == 0 else 1.0)

    def run(
        self,
        predict: Callable[[Tensor, Tensor], Tensor],
        z: Tensor,
        steps: range,
        after: Callable[[Tensor, Tensor, int], Tensor],
        moved: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Take some steps.

        Parameters
        ----------
        predict : callable
            (b, c, h, w) scaled for the network, and a time, to what it predicts.
        z : (b, c, h, w) float32
        steps : range
            Of 0 .. count.
        after : callable
            Takes z after a step, the estimate of the clean latents, and the number of the step that
            comes next; returns the z to go on with.
        moved : callable, optional
            Moves the estimate of the clean latents before a step that is not the last.
        """
        own = copy.deepcopy(self.scheduler)
        if hasattr(own, "set_begin_index"):
            own.set_begin_index(self.first + steps.start)
        for step in steps:
            t = own.timesteps[self.first + step]
            output = predict(own.scale_model_input(z, t), t)
            if moved is not None and step < self.count - 1:
                output = self.predicting(z, moved(self.clean(z, output, step)), step)
            found = own.step(output, t, z)
            clean = getattr(found, "pred_original_sample", None)
            if clean is None:
                clean = own.model_outputs[-1]  # of multistep solvers: converted
            z = after(found.prev_sample, clean, step + 1)
        return z


def _first(scheduler: Any, strength: float) -> int:
    """The first step of a strength, as in diffusers' image-to-image pipelines."""
    steps = scheduler.num_inference_steps
    used = min(max(int(steps * strength), 1), steps)
    return len(scheduler.timesteps) - used
