"""Execution of planned windows on one canvas: read, solve, sum, count and show the progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histodiff.core.backend import OnStep, Step
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.noise import noise_field
from napari_histodiff.diffusion.conditioning import to_pixels
from napari_histodiff.diffusion.windows import Phase, Window

__all__ = [
    "Field",
    "Noise",
    "Readable",
    "Solve",
    "StepProgress",
    "mirror_pad",
    "run_phase",
]

#: Takes (b, 3, h, w) of the field and the b windows it was read from; returns the same shape.
Solve = Callable[[Tensor, Sequence[Window]], Tensor]


@dataclass(frozen=True, slots=True)
class Field:
    """Values (c, h, w) of a rectangle of the plane."""

    region: Region
    values: Tensor

    def read(self, region: Region) -> Tensor:
        """Return the view (c, h, w) of a part of the rectangle."""
        return self.values[:, *region.relative_to(self.region).slices]


class Readable(Protocol):
    """A rectangle of the plane whose values can be read."""

    def read(self, region: Region) -> Tensor:
        """Return (c, h, w) of a part of the rectangle."""


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of the plane, drawn where it is read; see `core.noise.noise_field`.

    `kinds`, (1, h, w) uint8, says which field each place has; then no other place can be read.
    """

    seed: int
    variant: int
    device: torch.device
    channels: int = 3
    kinds: Field | None = None

    def read(self, region: Region) -> Tensor:
        """Return (channels, h, w) float32 standard normal noise of a place."""
        kinds = None if self.kinds is None else self.kinds.read(region)[0].cpu().numpy()
        noise = noise_field(
            self.seed, region, channels=self.channels, variant=self.variant, kinds=kinds
        )
        return torch.from_numpy(noise).to(self.device)


def run_phase(
    field: Readable,
    phase: Phase,
    ramp: int,
    solve: Solve,
    solved: dict[Window, Tensor] | None = None,
) -> Field:
    """Solve every window of a phase on `field` and sum them by their weights.

    The sum runs in row-major order of the windows in float32, whatever order they were solved in,
    so a part of the plane has the bits of the whole.

    Parameters
    ----------
    field : Readable
        What the phase before left, or noise.
    phase : Phase
        Windows.
    ramp : int
        Pixels by which neighbours overlap.
    solve : callable
        See `Solve`.
    solved : dict of Window to (c, h, w), optional
        Windows that were solved before; those solved here are added one batch after the other.
    """
    solved = {} if solved is None else solved
    for batch in phase.batches_of([w for w in phase.windows if w not in solved]):
        spare = next(window for window in batch if window is not None)
        filled = [spare if window is None else window for window in batch]
        out = solve(_together([field.read(window.region) for window in filled]), filled)
        solved.update((w, x) for w, x in zip(batch, out, strict=True) if w is not None)
    like = solved[phase.windows[0]]
    total = like.new_zeros(len(like), *phase.region.shape)
    result = Field(phase.region, total)
    for window in phase.windows:
        part = window.shown.intersect(phase.region)
        share = window.weights(ramp)[part.relative_to(window.shown).slices]
        inside = part.relative_to(window.region).slices
        weights = torch.from_numpy(share.copy()).to(total.device)
        result.read(part).add_(weights * solved[window][:, *inside])
    return result


def _together(values: list[Tensor]) -> Tensor:
    """Stack; a lone one is not copied."""
    return values[0][None] if len(values) == 1 else torch.stack(values)


def mirror_pad(x: Tensor, inner: Region, outer: Region) -> Tensor:
    """Extend (..., h, w) of `inner` to `outer` by mirroring, as often as needed."""
    part = inner.relative_to(outer)
    return _mirrored(_mirrored(x, -2, part.y, outer.height), -1, part.x, outer.width)


def _mirrored(x: Tensor, axis: int, before: int, total: int) -> Tensor:
    """Extend one axis; only what is added is gathered."""
    size = x.shape[axis]
    if size == total:
        return x
    order = np.pad(np.arange(size), (before, total - size - before), mode="symmetric")
    ends = [
        x.index_select(axis, torch.from_numpy(part).to(x.device))
        for part in (order[:before], order[before + size :])
    ]
    return torch.cat([ends[0], x, ends[1]], axis)


#: Slide background in [-1, 1], where no window has been evaluated yet.
_BACKGROUND = 0.9


class StepProgress:
    """Reports `total` evaluations to `on_step`, `passes` after each denoiser call.

    Estimates are of `channels` planes in `region`, of which `show` makes the pixels of a preview.
    """

    def __init__(
        self,
        on_step: OnStep | None,
        total: int,
        passes: int,
        region: Region,
        channels: int = 3,
        show: Callable[[Tensor], NDArray[np.uint8]] = to_pixels,
    ) -> None:
        self._channels = channels
        self._show = show
        self._on_step = on_step
        self._total = total
        self._passes = passes
        self._region = region
        self._done = 0
        self._estimate: Field | None = None

    def begin(self, device: torch.device) -> None:
        """Start the picture of the next variant."""
        if self._on_step is not None:
            values = torch.full((self._channels, *self._region.shape), _BACKGROUND, device=device)
            self._estimate = Field(self._region, values)

    def skip(self, calls: int, ticks: int = 0) -> None:
        """Count denoiser calls and ticks that are not needed; the next report jumps over them."""
        self._done += calls * self._passes + ticks

    def tick(self) -> None:
        """Report other work that takes about as long as an evaluation."""
        if self._on_step is not None:
            self._done += 1
            self._on_step(Step(self._done, self._total, self._preview))

    def saw(self, windows: Sequence[Window], x0: Tensor) -> None:
        """Take the estimates of a batch of windows, (b, 3, h, w), and report."""
        if self._on_step is None or self._estimate is None:
            return
        for window, estimate in zip(windows, x0, strict=True):
            part = window.region.intersect(self._region)
            inside = part.relative_to(window.region).slices
            self._estimate.read(part).copy_(estimate[:, *inside])
        for _ in range(self._passes):
            self.tick()

    def _preview(self) -> NDArray[np.uint8]:
        assert self._estimate is not None
        return self._show(self._estimate.values)
