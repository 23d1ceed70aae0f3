"""Flow matching between noise (t = 1) and images (t = 0), and its preconditioning.

Images are (b, 3, h, w) float in [-1, 1]; t is (b,) float in [0, 1].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "MIN_T",
    "SIGMA_DATA",
    "add_noise",
    "expand",
    "flow_loss",
    "noise_again",
    "preconditioning",
    "velocity",
]

#: Standard deviation of H&E pixels in [-1, 1] over the training set.
SIGMA_DATA = 0.45

#: Below this t the velocity is taken as if t were this, as in JiT (arXiv 2511.13720).
MIN_T = 1e-3

# The weight 1/t^2 of the velocity error is held below this.
_LEAST_T = 0.05


def expand(t: Tensor) -> Tensor:
    """Shape (b,) to (b, 1, 1, 1) so that it broadcasts over images."""
    return t.view(-1, 1, 1, 1)


def add_noise(x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """Return z_t = (1 - t) x0 + t eps (Lipman et al., arXiv 2210.02747)."""
    return x0 + expand(t) * (eps - x0)


def noise_again(z: Tensor, eps: Tensor, t: float, s: float) -> Tensor:
    """Return what has the noise of a time t at a later one, s > t: of the same image and noise.

    Parameters
    ----------
    z : (b, 3, h, w) float
        At t.
    eps : (b, 3, h, w) float
        Standard normal noise that z knows nothing of.
    """
    kept = (1 - s) / (1 - t)
    return z * kept + eps * (s**2 - (kept * t) ** 2) ** 0.5


def velocity(z: Tensor, x0: Tensor, t: Tensor) -> Tensor:
    """Return dz/dt = (z - x0) / t, the direction towards noise."""
    return (z - x0) / expand(t).clamp_min(MIN_T)


def preconditioning(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (c_in, c_skip, c_out), each (b, 1, 1, 1), for x0 = c_skip z + c_out F(c_in z).

    EDM's unit-variance rule (Karras et al., arXiv 2206.00364, table 1) written for the linear flow,
    so the network's raw output F has unit variance at every t and x0 = z exactly at t = 0.
    """
    t = expand(t)
    signal = (1 - t) * SIGMA_DATA
    power = signal.square() + t.square()
    c_in = power.rsqrt()
    c_skip = (1 - t) * SIGMA_DATA**2 / power
    c_out = t * SIGMA_DATA * c_in
    return c_in, c_skip, c_out


def flow_loss(x0: Tensor, target: Tensor, t: Tensor, weight: Tensor) -> Tensor:
    """Return the mean squared velocity error of an x-prediction, weighted by pixel."""
    error = (x0 - target) / expand(t).clamp_min(_LEAST_T)
    return (weight * error.square()).sum() / (3 * weight.sum()).clamp_min(1)
