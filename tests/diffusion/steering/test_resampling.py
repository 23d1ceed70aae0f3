"""RePaint: which steps are taken again, and what comes of it in every kind of model."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.backend import Backend, Step
from napari_histodiff.core.errors import Cancelled, InvalidRequest
from napari_histodiff.core.foreign.folder import check_foreign
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.flow import add_noise, noise_again
from napari_histodiff.diffusion.foreign.backend import ForeignBackend
from napari_histodiff.diffusion.foreign.loading import load_parts
from napari_histodiff.diffusion.foreign.schedule import Schedule
from napari_histodiff.diffusion.steering.resampling import stretches_of
from tests.diffusion.tiny import tiny_info, tiny_pipeline
from tests.recording import edit_request

AGAIN = Steering(repaint=2, jump_length=2)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.booleans())
def test_stretches_follow_each_other_and_share_no_noise(
    steps, phases, repeats, jump, from_noise
) -> None:
    steering = Steering(repaint=repeats, jump_length=jump)
    stretches = stretches_of(steps, phases, steering, from_noise=from_noise)
    assert stretches[0].begin == stretches[0].steps.start == 0
    assert stretches[-1].steps.stop == steps
    for one, following in pairwise(stretches):
        assert following.begin == one.steps.stop
        assert following.goes_back or following.steps.start == following.begin
    assert all(len(stretch.steps) > 0 for stretch in stretches)
    backs = [stretch for stretch in stretches if stretch.goes_back]
    assert bool(backs) == (repeats > 1 and steps - 1 > from_noise)
    assert all(stretch.begin < steps for stretch in backs)  # the image has no noise to add to
    assert all(stretch.steps.start > 0 for stretch in backs) or not from_noise
    numbers = [stretch.noise_of(0) for stretch in backs]
    assert len(set(numbers)) == len(numbers)
    assert all(number >= 16 for number in numbers)  # what up to 16 variants begin with


def test_noise_that_is_added_makes_the_later_time() -> None:
    generator = torch.Generator().manual_seed(0)
    image, first, second = torch.randn(3, 1, 3, 64, 64, generator=generator)
    t, s = 0.3, 0.7
    z = noise_again(add_noise(image, first, torch.tensor([t])), second, t, s)
    noise = (z - (1 - s) * image) / s
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert (noise * image).mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_noise_levels_of_diffusers_are_reached_from_below(kind) -> None:
    schedule = Schedule.of(kind(), 8, 1.0, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    image, first, second = torch.randn(3, 1, 3, 64, 64, generator=generator)
    z = schedule.noise_again(schedule.noisy(image, first, 5), second, 5, 2)
    signal, amount = schedule.amounts(2)
    noise = (z - signal * image) / amount
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert schedule.amounts(8) == (1.0, 0.0)


class GaussianUNet:
    """The exact denoiser of windows whose pixels share a level: N(0, common^2 11' + own^2 I)."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, scheduler: Any, size: int, common: float, own: float) -> None:
        self.config = SimpleNamespace(in_channels=3, sample_size=size, block_out_channels=(1, 1))
        self._scheduler = scheduler
        self._common, self._own = common, own

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def __call__(self, z: torch.Tensor, t: torch.Tensor, return_dict: bool) -> Any:
        share = float(self._scheduler.alphas_cumprod[int(t)])
        level = z.mean((1, 2, 3), keepdim=True)
        x0 = self._shrunk(level, self._common**2 * z[0].numel() + self._own**2, share)
        x0 = x0 + self._shrunk(z - level, self._own**2, share)
        return ((z - share**0.5 * x0) / (1 - share) ** 0.5,)

    @staticmethod
    def _shrunk(z: torch.Tensor, variance: float, share: float) -> torch.Tensor:
        return z * variance * share**0.5 / (share * variance + 1 - share)


def gaussian(folder: Any, own: float) -> ForeignBackend:
    """A model of other makers whose windows have one level, and know nothing of masks."""
    parts = load_parts(check_foreign(folder), "cpu", "float32")
    scheduler = DDIMScheduler(clip_sample=False)
    unet = GaussianUNet(scheduler, 16, 0.4, own)
    network = replace(parts.network, unet=unet)
    return ForeignBackend(
        replace(parts, network=network, scheduler=scheduler), check_foreign(folder)
    )


def half_known(shape: tuple[int, int], level: float, own: float) -> tuple[np.ndarray, np.ndarray]:
    """An image whose left half is known, and its edit mask."""
    values = level + own * np.random.default_rng(0).standard_normal((*shape, 3))
    mask = np.zeros(shape, bool)
    mask[:, shape[1] // 2 :] = True
    return np.rint((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8), mask


@pytest.mark.parametrize(("shape", "off"), [((16, 16), 0.05), ((16, 40), 0.2)])
def test_steps_taken_again_draw_from_what_is_known(folder_of, shape, off) -> None:
    """Given the left half, the right half comes to have its level, and keeps its own spread.

    Where it is wider than a window, what is known reaches it over the windows between.
    """
    own, level = 0.1, 0.5
    image, mask = half_known(shape, level, own)
    model = gaussian(folder_of("DDIMPipeline"), own)
    errors = {}
    for repaint in (1, 8):
        request = EditRequest(
            kind=EditKind.INPAINT,
            region=Region(0, 0, 0, *shape),
            image=image,
            edit_mask=mask,
            steps=24,
            variants=4,
            steering=Steering(repaint=repaint, jump_length=4),
        )
        (drawn,) = model.render([request])
        np.testing.assert_array_equal(drawn[:, ~mask], np.stack([image[~mask]] * 4))
        values = drawn[:, mask] / 127.5 - 1
        errors[repaint] = np.abs(values.mean((1, 2)) - level).mean()
    assert 0.5 * own < values.std((1, 2)).mean() < 2 * own
    assert errors[8] < off
    assert errors[8] < errors[1] / 2


@pytest.fixture(params=["own", "flow", "DDIMPipeline", "LDMPipeline"])
def backend(request: pytest.FixtureRequest, folder_of) -> Backend:
    if request.param == "own":
        return DiffusionBackend(tiny_pipeline(), tiny_info())
    if request.param == "flow":
        return DiffusionBackend(tiny_pipeline(FlowMatchEulerDiscreteScheduler()), tiny_info())
    return ForeignBackend.load(folder_of(request.param), "cpu", "float32")


@pytest.mark.parametrize("kind", [EditKind.INPAINT, EditKind.OUTPAINT])
def test_the_promises_hold(backend, kind) -> None:
    request = edit_request(kind, (45, 131), steps=4, variants=2, steering=AGAIN)
    assert request.image is not None
    assert request.edit_mask is not None
    seen: list[Step] = []
    (drawn,) = backend.render([request], on_step=seen.append)
    total = backend.evaluations(request)
    assert [(s.done, s.total) for s in seen] == [(n, total) for n in range(1, total + 1)]
    assert total > backend.evaluations(replace(request, steering=Steering()))
    known = ~request.edit_mask
    np.testing.assert_array_equal(drawn[:, known], np.stack([request.image[known]] * 2))
    (again,) = backend.render([request])
    np.testing.assert_array_equal(drawn, again)
    (once,) = backend.render([replace(request, steering=Steering())])
    assert (drawn[:, ~known] != once[:, ~known]).any()


def test_a_cancel_stops_at_once(backend) -> None:
    calls = []

    def stop(step: Step) -> None:
        calls.append(step)
        raise Cancelled("expected no cancel, got one; submit again")

    with pytest.raises(Cancelled):
        backend.render([edit_request(EditKind.INPAINT, steps=9, steering=AGAIN)], on_step=stop)
    assert len(calls) == 1


def test_steps_that_can_not_be_taken_again_are_told_before_drawing(backend) -> None:
    seen: list[Step] = []
    request = edit_request(EditKind.INPAINT, steps=2, steering=AGAIN)
    with pytest.raises(InvalidRequest, match="at least 3 steps to take some of them again, got 2"):
        backend.render([request], on_step=seen.append)
    assert not seen


def test_what_lies_under_the_mask_does_not_matter(backend) -> None:
    request = edit_request(EditKind.OUTPAINT, steps=6, steering=AGAIN)
    assert request.image is not None
    assert request.edit_mask is not None
    hidden = np.where(request.edit_mask[..., None], 7, request.image).astype(np.uint8)
    (first,) = backend.render([request])
    (second,) = backend.render([replace(request, image=hidden)])
    np.testing.assert_array_equal(first, second)


def test_less_than_all_strength_begins_with_the_image_and_goes_back_to_its_start(backend) -> None:
    request = edit_request(EditKind.INPAINT, steps=12, strength=0.5, steering=AGAIN)
    (drawn,) = backend.render([request])
    assert drawn.shape == (1, 32, 48, 3)
