"""Counts evaluations and keeps the picture a preview shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histodiff.core.backend import OnStep, Step
from napari_histodiff.core.geometry import Region
from napari_histodiff.diffusion.canvas import Field
from napari_histodiff.diffusion.conditioning import to_pixels
from napari_histodiff.diffusion.windows import Window

__all__ = ["Progress"]

#: Slide background in [-1, 1], where no window has been evaluated yet.
_BACKGROUND = 0.9


class Progress:
    """Reports `total` evaluations to `on_step`, `passes` after each denoiser call."""

    def __init__(self, on_step: OnStep | None, total: int, passes: int, region: Region) -> None:
        self._on_step = on_step
        self._total = total
        self._passes = passes
        self._region = region
        self._done = 0
        self._estimate: Field | None = None

    def begin(self, device: torch.device) -> None:
        """Start the picture of the next variant."""
        if self._on_step is not None:
            values = torch.full((3, *self._region.shape), _BACKGROUND, device=device)
            self._estimate = Field(self._region, values)

    def skip(self, calls: int) -> None:
        """Count denoiser calls that are not needed; the next report jumps over them."""
        self._done += calls * self._passes

    def saw(self, windows: Sequence[Window], x0: Tensor) -> None:
        """Take the estimates of a batch of windows, (b, 3, h, w), and report."""
        if self._on_step is None or self._estimate is None:
            return
        for window, estimate in zip(windows, x0, strict=True):
            part = window.region.intersect(self._region)
            inside = part.relative_to(window.region).slices
            self._estimate.read(part).copy_(estimate[:, *inside])
        for _ in range(self._passes):
            self._done += 1
            self._on_step(Step(self._done, self._total, self._preview))

    def _preview(self) -> NDArray[np.uint8]:
        assert self._estimate is not None
        return to_pixels(self._estimate.values)
