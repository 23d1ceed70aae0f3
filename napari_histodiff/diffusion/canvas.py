"""Execution of planned windows on one canvas: read, solve, sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_histodiff.core.geometry import Region
from napari_histodiff.diffusion.windows import Phase, Window

__all__ = ["Field", "Solve", "mirror_pad", "run_phase"]

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


def run_phase(field: Field, phase: Phase, ramp: int, solve: Solve) -> Field:
    """Solve every window of a phase on `field` and sum them by their weights.

    The sum runs in row-major order of the windows in float32, whatever order they were solved in,
    so a part of a canvas has the bits of the whole.
    """
    solved: dict[Window, Tensor] = {}
    for batch in phase.batches:
        spare = phase.batch_size[batch[0].region.shape] - len(batch)
        filled = [*batch, *[batch[-1]] * spare]
        out = solve(torch.stack([field.read(window.region) for window in filled]), filled)
        solved.update(zip(batch, out, strict=False))
    total = field.values.new_zeros(len(field.values), *phase.region.shape)
    result = Field(phase.region, total)
    for window in phase.windows:
        part = window.region.intersect(phase.region)
        inside = part.relative_to(window.region).slices
        weights = torch.from_numpy(window.weights(ramp)[inside]).to(total.device)
        result.read(part).add_(weights * solved[window][:, *inside])
    return result


def mirror_pad(x: Tensor, inner: Region, outer: Region) -> Tensor:
    """Extend (..., h, w) of `inner` to `outer` by mirroring, as often as needed."""
    part = inner.relative_to(outer)
    rows = _mirrored(part.y, part.height, outer.height)
    columns = _mirrored(part.x, part.width, outer.width)
    return x[..., rows[:, None], columns]


def _mirrored(before: int, size: int, total: int) -> Tensor:
    pad = (before, total - size - before)
    return torch.from_numpy(np.pad(np.arange(size), pad, mode="symmetric"))
