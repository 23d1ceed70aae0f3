"""How much work an edit is and how long it will take, said before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_histodiff.core.backend import BackendInfo

__all__ = ["Estimate", "Estimator", "duration_text"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Windows to draw and seconds they take on `device`."""

    windows: int
    seconds: float
    device: str

    def __str__(self) -> str:
        noun = "window" if self.windows == 1 else "windows"
        where = self.device.split(" ")[0]
        return f"{self.windows} {noun}, about {duration_text(self.seconds)} on {where}"


def duration_text(seconds: float) -> str:
    """Return a duration rounded as people say it: "0.4 s", "12 s", "3 min"."""
    if seconds < 1:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


class Estimator:
    """Estimates from the backend's measured speed, corrected by the jobs that have run."""

    def __init__(self) -> None:
        self._correction = 1.0

    def estimate(
        self,
        shape: tuple[int, int],
        *,
        steps: int,
        guidance_scale: float,
        variants: int,
        info: BackendInfo,
    ) -> Estimate:
        """Estimate a frame of `shape` pixels.

        Parameters
        ----------
        shape : (height, width)
            Frame in pixels.
        steps : int
            Solver steps.
        guidance_scale : float
            How strictly paint and caption are followed; 1 = no guidance.
        variants : int
            Independent draws.
        info : BackendInfo
            Window size and seconds per evaluation.
        """
        windows = variants
        area = float(variants)
        for length in shape:
            windows *= max(1, math.ceil(length / info.window))
            area *= length / info.window
        passes = info.evaluations_per_window(steps, guidance_scale)
        # Overlaps of windows, and whatever else this machine does, are left to the correction.
        seconds = area * passes * info.seconds_per_window * self._correction
        return Estimate(windows, seconds, info.device)

    def learn(self, estimate: Estimate, seconds: float) -> None:
        """Move the correction half the way to what a finished job really took."""
        if estimate.seconds > 0 and seconds > 0:
            ratio = math.sqrt(seconds / estimate.seconds)
            self._correction = min(max(self._correction * ratio, 0.02), 50.0)
