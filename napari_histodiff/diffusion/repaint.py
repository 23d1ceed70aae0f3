"""Inpainting with foreign models that were never trained to inpaint: RePaint.

Lugmayr et al., "RePaint: inpainting using denoising diffusion probabilistic models", CVPR 2022
(arXiv 2201.09865): an unconditional model draws everywhere, the known pixels with noise of the same
level replace what it drew there, and time goes back and forth so that both sides come to agree.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_histodiff.core.backend import OnStep
from napari_histodiff.core.errors import InvalidRequest, ModelInvalid
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import as_edit_mask, as_rgb
from napari_histodiff.core.noise import noise_field
from napari_histodiff.diffusion.canvas import Field, StepProgress, mirror_pad, run_phase
from napari_histodiff.diffusion.conditioning import from_pixels, to_pixels
from napari_histodiff.diffusion.windows import Window, WindowLayout, plan

__all__ = ["repaint", "walk"]

_PREDICTIONS: Final = ("epsilon", "sample", "v_prediction")
_LARGEST_WINDOW: Final = 256


@torch.inference_mode()
def repaint(
    unet: Any,
    scheduler: Any,
    image: ArrayLike,
    edit_mask: ArrayLike,
    *,
    steps: int = 100,
    resampling: int = 10,
    jump_length: int = 10,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> NDArray[np.uint8]:
    """Redraw the pixels under an edit mask with an unconditional model.

    Images of any size are drawn through windows of the model's size, whose lattice moves by half a
    stride after every step; estimates of the clean image are blended where windows overlap.

    Parameters
    ----------
    unet : diffusers.UNet2DModel
        Unconditional, for three channels in [-1, 1], on its device. Learned variances are ignored.
    scheduler : diffusers.DDPMScheduler or diffusers.DDIMScheduler
        Its noise levels, prediction type, spacing of times and clipping are used; it is not
        changed. With DDIM the way back is deterministic, with DDPM it is not.
    image : (h, w, 3) uint8
        The pixels outside the edit mask come back byte for byte.
    edit_mask : (h, w) bool
        True where pixels may change.
    steps : int
        Noise levels that are visited.
    resampling : int
        How often each stretch of `jump_length` levels is walked; r of the paper, 1 = once.
    jump_length : int
        Levels that noise is added back for; j of the paper.
    seed : int
        Of all noise.
    on_step : callable, optional
        Called after every network evaluation; may raise to stop.

    Returns
    -------
    (h, w, 3) uint8

    Raises
    ------
    InvalidRequest
        When a number is below 1, there are fewer steps than the longest jump, or the mask is of
        another shape than the image or empty.
    ModelInvalid
        When the model is conditional or not of three channels, or the scheduler has no noise
        levels or another prediction type.
    """
    pixels, mask = _checked(image, edit_mask)
    levels = walk(steps, resampling, jump_length)
    _check_unet(unet)
    noise_levels = _NoiseLevels.of(scheduler, steps)
    layout = _layout(unet)
    frame = Region(0, 0, 0, *mask.shape)
    canvas = frame.snap(layout.multiple_of)
    phases = plan(canvas, layout, 2)
    downward = [a > b for a, b in pairwise(levels)]
    calls = [len(phases[left % 2].batches) for left in range(sum(downward), 0, -1)]
    progress = StepProgress(on_step, sum(calls), 1, frame)
    progress.begin(unet.device)
    known = mirror_pad(from_pixels(pixels), frame, canvas).to(unet.device)
    free = mirror_pad(torch.from_numpy(mask), frame, canvas).to(unet.device)
    noises = _noises(seed, canvas, unet.device)
    denoise = _Denoiser(unet, noise_levels, progress)
    z, left = next(noises), len(calls)
    for level, following in pairwise(levels):
        if following > level:
            z = noise_levels.up(z, level, following, next(noises))
            continue
        denoise.level = level
        x0 = run_phase(Field(canvas, z), phases[left % 2], layout.ramp, denoise).values
        left -= 1
        drawn = noise_levels.down(z, x0, level, next(noises))
        z = torch.where(free, drawn, noise_levels.noisy(known, following, next(noises)))
    result = to_pixels(Field(canvas, z).read(frame))
    return np.where(mask[..., None], result, pixels)


def walk(steps: int, resampling: int, jump_length: int) -> list[int]:
    """Return the noise levels that are visited, from `steps` (noise) down to 0 (image).

    Each is one above or below the one before; the schedule of the paper's appendix B.

    Raises
    ------
    InvalidRequest
        When a number is below 1 or a jump is longer than all steps.
    """
    numbers = {"steps": steps, "resampling": resampling, "jump_length": jump_length}
    for name, number in numbers.items():
        if number < 1:
            raise InvalidRequest(f"expected {name} of at least 1, got {number}; give more")
    if resampling > 1 and jump_length >= steps:
        raise InvalidRequest(
            f"expected jumps shorter than {steps} steps, got {jump_length}; "
            "take more steps or shorter jumps"
        )
    jumps = dict.fromkeys(range(1, steps - jump_length + 1, jump_length), resampling - 1)
    level = steps
    levels = [level]
    while level > 1:
        level -= 1
        levels.append(level)
        if jumps.get(level, 0) > 0:
            jumps[level] -= 1
            levels.extend(range(level + 1, level + jump_length + 1))
            level += jump_length
    return [*levels, 0]


@dataclass(frozen=True, slots=True)
class _NoiseLevels:
    """The noise levels of a scheduler; level 0 is the image.

    `shares[k]` is the share of the image's variance at level k (alpha bar), `times[k]` the time the
    network is told.
    """

    shares: tuple[float, ...]
    times: tuple[int, ...]
    prediction: str
    clip: float | None
    is_random: bool

    @classmethod
    def of(cls, scheduler: Any, steps: int) -> _NoiseLevels:
        name, prediction = type(scheduler).__name__, scheduler.config.get("prediction_type")
        if not hasattr(scheduler, "alphas_cumprod") or prediction not in _PREDICTIONS:
            raise ModelInvalid(
                f"expected a DDPM or DDIM scheduler that predicts one of {', '.join(_PREDICTIONS)}"
                f", got {name} with {prediction}; load the model with a DDPMScheduler"
            )
        if steps > scheduler.config.num_train_timesteps:
            raise InvalidRequest(
                f"expected at most {scheduler.config.num_train_timesteps} steps of this model, "
                f"got {steps}; take fewer"
            )
        own = copy.deepcopy(scheduler)
        own.set_timesteps(steps)
        times = [int(t) for t in reversed(own.timesteps)]
        return cls(
            shares=(1.0, *(float(own.alphas_cumprod[t]) for t in times)),
            times=(0, *times),
            prediction=prediction,
            clip=own.config.clip_sample_range if own.config.get("clip_sample") else None,
            is_random=name != "DDIMScheduler",
        )

    def clean(self, z: Tensor, output: Tensor, level: int) -> Tensor:
        """Return the estimate of the image from what the network predicts."""
        share = self.shares[level]
        signal, noise = share**0.5, (1 - share) ** 0.5
        if self.prediction == "epsilon":
            output = (z - noise * output) / signal
        elif self.prediction == "v_prediction":
            output = signal * z - noise * output
        return output if self.clip is None else output.clamp(-self.clip, self.clip)

    def noisy(self, x0: Tensor, level: int, noise: Tensor) -> Tensor:
        """Return an image at a level."""
        share = self.shares[level]
        return float(share**0.5) * x0 + float((1 - share) ** 0.5) * noise

    def up(self, z: Tensor, level: int, following: int, noise: Tensor) -> Tensor:
        """Add the noise between two levels."""
        kept = self.shares[following] / self.shares[level]
        return float(kept**0.5) * z + float((1 - kept) ** 0.5) * noise

    def down(self, z: Tensor, x0: Tensor, level: int, noise: Tensor) -> Tensor:
        """Return the level below (Song et al., arXiv 2010.02502, equations 12 and 16)."""
        share, below = self.shares[level], self.shares[level - 1]
        direction = (z - share**0.5 * x0) / (1 - share) ** 0.5
        fresh = 0.0
        if self.is_random:
            fresh = (1 - below) / (1 - share) * (1 - share / below)
        return (
            float(below**0.5) * x0
            + float((1 - below - fresh) ** 0.5) * direction
            + float(fresh**0.5) * noise
        )


@dataclass(slots=True)
class _Denoiser:
    """Estimates the clean image of a batch of windows at one noise level."""

    unet: Any
    levels: _NoiseLevels
    progress: StepProgress
    level: int = 0

    def __call__(self, z: Tensor, windows: Sequence[Window]) -> Tensor:
        output = self.unet(z.to(self.unet.dtype), self.levels.times[self.level]).sample
        x0 = self.levels.clean(z, output[:, : z.shape[1]].float(), self.level)
        self.progress.saw(windows, x0)
        return x0


def _noises(seed: int, canvas: Region, device: torch.device) -> Iterator[Tensor]:
    variant = 0
    while True:
        yield torch.from_numpy(noise_field(seed, canvas, variant=variant)).to(device)
        variant += 1


def _layout(unet: Any) -> WindowLayout:
    """Windows of the model's size, overlapping by about an eighth."""
    # Each level but the last halves the resolution; the unit keeps lattices on whole patches.
    multiple = 2 ** (len(unet.config.block_out_channels) - 1)
    unit = 2 * multiple
    sample = unet.config.sample_size or _LARGEST_WINDOW
    side = max(2 * unit, (min(sample) if isinstance(sample, tuple | list) else sample))
    side = side // unit * unit
    return WindowLayout(side, max(unit, side // 8 // unit * unit), 2, multiple)


def _checked(image: ArrayLike, edit_mask: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    pixels, mask = as_rgb(image), as_edit_mask(edit_mask)
    if mask.shape != pixels.shape[:2] or not mask.any():
        raise InvalidRequest(
            f"expected an edit mask of shape {pixels.shape[:2]} with a painted pixel, got "
            f"{mask.shape} with {int(mask.sum())}; paint where pixels may change"
        )
    return pixels, mask


def _check_unet(unet: Any) -> None:
    channels, classes = unet.config.in_channels, unet.config.get("num_class_embeds")
    if type(unet).__name__ == "UNet2DConditionModel" or classes or channels != 3:
        raise ModelInvalid(
            f"expected an unconditional UNet2DModel of 3 channels, got {type(unet).__name__} of "
            f"{channels} channels and {classes or 0} classes; use another model"
        )
