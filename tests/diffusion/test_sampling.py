"""Order, cost and statelessness of the solvers."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from napari_histodiff.core.errors import ModelInvalid
from napari_histodiff.diffusion.sampling import SOLVERS, euler, heun, solver_of, split, timesteps

MEAN, SPREAD = 0.3, 0.2
Z = torch.linspace(-2, 2, 9, dtype=torch.float64)


def gaussian_denoiser(z: Tensor, t: float) -> Tensor:
    """E[x0 | z] when x0 ~ N(MEAN, SPREAD^2); the flow then maps z_1 to MEAN + SPREAD z_1."""
    a = 1 - t
    gain = a * SPREAD**2 / (a**2 * SPREAD**2 + t**2)
    return MEAN + gain * (z - a * MEAN)


@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (heun, 2)])
def test_solvers_converge_to_the_known_flow_with_their_order(solver, order) -> None:
    errors = [
        (solver(gaussian_denoiser, Z, timesteps(n)) - (MEAN + SPREAD * Z)).abs().max().item()
        for n in (64, 128)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


def test_heun_keeps_the_texture_that_euler_washes_out_at_few_steps() -> None:
    kept = {
        solver: solver(gaussian_denoiser, Z, timesteps(6, shift=0.3)).std() / Z.std() / SPREAD
        for solver in (euler, heun)
    }
    assert abs(kept[heun] - 1) < 0.05
    assert kept[euler] < 0.85


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("times", [timesteps(5), timesteps(1), (1.0, 0.6, 0.2), (0.4, 0.0)])
def test_evaluations_are_counted_exactly(solver, times) -> None:
    calls = []

    def counted(z: Tensor, t: float) -> Tensor:
        calls.append(t)
        return gaussian_denoiser(z, t)

    solver.run(counted, Z, times)
    assert len(calls) == solver.evaluations(times)
    assert min(calls) > 0


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_a_trajectory_may_be_interrupted_between_steps(solver) -> None:
    first, second = split(timesteps(5), 2)
    halves = solver.run(gaussian_denoiser, solver.run(gaussian_denoiser, Z, first), second)
    assert torch.equal(halves, solver.run(gaussian_denoiser, Z, timesteps(5)))


@given(steps=st.integers(1, 100), strength=st.floats(0.05, 1), shift=st.floats(0.5, 4))
def test_times_fall_from_the_strength_to_zero(steps, strength, shift) -> None:
    times = timesteps(steps, strength, shift)
    assert times[0] == strength
    assert times[-1] == 0
    assert all(a > b for a, b in pairwise(times))
    assert len(times) - 1 <= steps


def test_strength_skips_the_steps_above_it() -> None:
    whole = timesteps(10, shift=0.3)
    assert timesteps(10, whole[4], 0.3) == pytest.approx(whole[4:])


@given(steps=st.integers(1, 40), phases=st.integers(1, 6))
def test_phases_share_the_steps_without_losing_one(steps, phases) -> None:
    times = timesteps(steps)
    parts = split(times, phases)
    assert len(parts) == min(phases, steps)
    assert [step for part in parts for step in pairwise(part)] == list(pairwise(times))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_the_scheduler_names_the_solver() -> None:
    assert solver_of(FlowMatchHeunDiscreteScheduler()).run is heun
    assert solver_of(FlowMatchEulerDiscreteScheduler()).run is euler
    with pytest.raises(ModelInvalid, match="DDIMScheduler"):
        solver_of(DDIMScheduler())
