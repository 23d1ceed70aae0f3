"""How long drawings take on this machine, as those before them did, also in earlier sessions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.files import read_config, write_config
from napari_histodiff.ui.text import duration_text

__all__ = ["Estimate", "Estimator"]

#: A machine is at most so many times faster or slower than the model's measure of itself.
_FASTEST, _SLOWEST = 0.02, 50.0

#: Models whose speed is remembered.
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """Windows to draw and seconds they take.

    Attributes
    ----------
    windows : int
    seconds : float
        As the model's measure of itself says where `measured` is False, which is far too little on
        most machines.
    device : str
    measured : bool
        Whether this model has drawn on this machine before.
    plain, startup : float
        What the seconds are put together of: those of the model's measure, and those that the first
        drawing of a session takes longer.
    model : str
        Tells models, their weights and devices apart.
    """

    windows: int
    seconds: float
    device: str
    measured: bool = True
    plain: float = 0.0
    startup: float = 0.0
    model: str = ""

    def __str__(self) -> str:
        where = self.device.split(" ")[0]
        if not self.measured:
            return f"First drawing on {where}: its time is not measured yet"
        return f"About {duration_text(self.seconds)} on {where}"

    def times(self, share: float) -> Estimate:
        """Return the estimate of so many times the work."""
        return replace(
            self,
            windows=max(1, round(self.windows * share)),
            seconds=(self.seconds - self.startup) * share + self.startup,
            plain=self.plain * share,
        )


class Estimator:
    """Estimates from the backend's measured speed, corrected by the drawings that were made.

    The first drawing of a session takes longer by a time of its own, in which kernels are chosen
    and memory is taken; both are told from session to session.

    Parameters
    ----------
    path : Path, optional
        Where they are remembered; without one, until the estimator goes.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        #: By model: how many times as long as it measured itself, and seconds before.
        self._speeds: dict[str, tuple[float, float]] = {}
        kept = {} if path is None else read_config(path)
        for model, values in kept.items():
            with suppress(TypeError, ValueError):
                rate, startup = map(float, values)
                if math.isfinite(startup) and startup >= 0 and rate > 0:
                    self._speeds[model] = (_clipped(rate), startup)
        self._warm: set[str] = set()

    def estimate(
        self,
        shape: tuple[float, ...],
        *,
        steps: int,
        guidance_scale: float,
        variants: int,
        info: BackendInfo,
        steering: Steering | None = None,
        strengths: Sequence[float] = (1.0,),
    ) -> Estimate:
        """Estimate a frame of `shape` pixels.

        Parameters
        ----------
        shape : (height, width)
            Frame in pixels of the model's size.
        steps : int
            Solver steps.
        guidance_scale : float
            How strictly paint and caption are followed; 1 = no guidance.
        variants : int
            Independent draws.
        info : BackendInfo
            Window size and seconds per evaluation.
        steering : Steering, optional
            Which steps are taken again, and what a drawing is guided by.
        strengths : sequence of float
            Of the parts of the edit mask, the largest first.
        """
        windows = variants
        area = float(variants)
        for length in shape:
            windows *= max(1, math.ceil(length / info.window))
            area *= length / info.window
        passes = info.evaluations_per_window(steps, guidance_scale, steering, strengths)
        # Overlaps of windows, and whatever else this machine does, are left to the rate.
        plain = area * passes * info.seconds_per_window
        model = f"{info.name} {info.revision} on {info.device}"
        rate, startup = self._speeds.get(model, (1.0, 0.0))
        startup = 0.0 if model in self._warm else startup
        known = model in self._speeds
        return Estimate(windows, plain * rate + startup, info.device, known, plain, startup, model)

    def learn(self, estimate: Estimate, seconds: float) -> None:
        """Move half the way to what a finished drawing really took, and remember that."""
        if estimate.plain <= 0 or seconds <= 0:
            return
        known = self._speeds.get(estimate.model)
        rate, startup = known or (1.0, 0.0)
        if estimate.model in self._warm or known is None:
            rate = _clipped(math.sqrt(rate * _clipped(seconds / estimate.plain)))
        if estimate.model not in self._warm:
            over = max(0.0, seconds - rate * estimate.plain)
            startup = over if known is None else (startup + over) / 2
        self._warm.add(estimate.model)
        self._speeds.pop(estimate.model, None)  # the latest stay
        self._speeds[estimate.model] = (rate, startup)
        if self._path is not None:
            latest = list(self._speeds.items())[-_MOST:]
            write_config(self._path, {model: list(speed) for model, speed in latest})


def _clipped(rate: float) -> float:
    return min(max(rate, _FASTEST), _SLOWEST)
