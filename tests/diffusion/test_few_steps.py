"""Few steps are jumps where the network knows how to; more are the guided flow."""

from __future__ import annotations

import pytest
import torch

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.sampling import JUMP_STEPS, jump_steps, sampling_of
from tests.diffusion.tiny import tiny_info, tiny_pipeline


def jumping_pipeline():
    pipeline = tiny_pipeline()
    pipeline.network.jumps = True
    return pipeline


@pytest.mark.parametrize("steps", range(1, 9))
def test_the_way_follows_from_the_steps(steps: int) -> None:
    jumper, flow = jumping_pipeline(), tiny_pipeline()
    sampling = sampling_of(jumper.network, jumper.scheduler, steps)
    assert sampling.jumps == (steps <= JUMP_STEPS)
    assert sampling.passes(3.0) == (1 if sampling.jumps else 2)
    assert sampling.passes(1.0) == 1
    assert not sampling_of(flow.network, flow.scheduler, steps).jumps
    assert (jump_steps(jumper.network), jump_steps(flow.network)) == (JUMP_STEPS, 0)
    times = sampling.times(steps, 1.0)
    assert (times[0], times[-1], len(times)) == (1.0, 0.0, steps + 1)


@pytest.mark.parametrize("steps", [2, 6])
def test_the_estimate_of_the_interface_is_what_is_evaluated(steps: int) -> None:
    backend = DiffusionBackend(jumping_pipeline(), tiny_info())
    info = backend.info
    assert isinstance(info, BackendInfo)
    small = EditRequest(kind=EditKind.GENERATE, region=Region(0, 0, 0, 32, 32), steps=steps)
    counted: list[int] = []
    backend.render([small], on_step=lambda step: counted.append(step.done))
    assert len(counted) == backend.evaluations(small)
    assert len(counted) % info.evaluations_per_window(steps, small.guidance_scale) == 0


def test_guidance_changes_a_jump() -> None:
    backend = DiffusionBackend(jumping_pipeline(), tiny_info())
    torch.manual_seed(0)
    torch.nn.init.normal_(backend._pipeline.network.modulation[0].weight)
    region = Region(0, 0, 0, 32, 32)
    one, four = (
        backend.render(
            [EditRequest(kind=EditKind.GENERATE, region=region, steps=2, guidance_scale=scale)]
        )[0]
        for scale in (1.0, 4.0)
    )
    assert (one != four).any()
