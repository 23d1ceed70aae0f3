"""Parts of different strength: the schedule stops at each, and weaker parts stay nearer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.backend import Backend
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.core.steering.strengths import levels_of, with_levels
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.canvas import Field
from napari_histodiff.diffusion.conditioning import CHANNELS, conditions_from_request
from napari_histodiff.diffusion.foreign import loading
from napari_histodiff.diffusion.foreign.backend import ForeignBackend
from napari_histodiff.diffusion.sampling import timesteps
from napari_histodiff.diffusion.steering.parts import Parts
from napari_histodiff.diffusion.windows import Window
from napari_histodiff.inpainting.blending import keep_known
from napari_histodiff.inpainting.fills import filled
from tests.diffusion.foreign import tiny as foreign
from tests.diffusion.tiny import TISSUE_CLASSES, tiny_info, tiny_pipeline

SIDE = 96  # pixels a side of the frames: several windows of each model
LEVELS = st.lists(st.integers(1, 20).map(lambda k: k / 20), max_size=6)


@given(steps=st.integers(1, 60), strength=st.floats(0.05, 1), levels=LEVELS)
def test_a_schedule_stops_at_each_strength(steps, strength, levels) -> None:
    plain = timesteps(steps, strength, 0.6)
    times = with_levels(plain, levels)
    assert (times[0], times[-1]) == (strength, 0)
    assert all(a > b for a, b in pairwise(times))
    assert {level for level in levels if level < strength} <= set(times)
    assert len(plain) <= len(times) <= len(plain) + len(set(levels))
    assert with_levels(plain, ()) == plain


def test_a_stop_takes_the_place_of_one_nearby() -> None:
    assert with_levels((1.0, 0.375, 0.0), (1.0, 0.4)) == (1.0, 0.4, 0.0)
    assert with_levels((1.0, 0.375, 0.0), (1.0, 0.7)) == (1.0, 0.7, 0.375, 0.0)


def own(jumps: bool) -> Backend:
    pipeline = tiny_pipeline()
    pipeline.network.jumps = jumps
    return DiffusionBackend(pipeline, tiny_info())


#: Backends by name: our own that jump or do not, and classes of pipelines of others.
BACKENDS: dict[str, bool | str] = {
    "jumps": True,
    "flow": False,
    "latents": "StableDiffusionPipeline",
    "inpainting": "StableDiffusionInpaintPipeline",
    "pixels": "DDPMPipeline",
}


@pytest.fixture(params=BACKENDS)
def backend(request, folder_of, monkeypatch) -> Backend:
    monkeypatch.setattr(loading, "load_text_encoder", foreign.fake_text)
    kind = BACKENDS[request.param]
    if isinstance(kind, bool):
        return own(kind)
    return ForeignBackend.load(folder_of(kind), "cpu", "float32")


def drawn(backend: Backend, **changes) -> np.ndarray:
    (images,) = backend.render([edit(backend, **changes)])
    return images[0]


def edit(backend: Backend, side: int = SIDE, **changes) -> EditRequest:
    rng = np.random.default_rng(0)
    mask = np.zeros((side, side), bool)
    mask[side * 2 // 9 : side * 7 // 9, side // 9 : side * 8 // 9] = True
    steps = 2 if backend.info.jump_steps else 6
    image = rng.integers(60, 200, (side, side, 3), np.uint8)
    return EditRequest(
        kind=EditKind.INPAINT,
        region=Region(0, 0, 64, side, side),
        edit_mask=mask,
        mpp=backend.info.mpp[0],
        **{"image": image, "steps": steps, "seed": 3, **changes},
    )


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def halves(left: float, right: float, side: int = SIDE) -> np.ndarray:
    strengths = np.full((side, side), left)
    strengths[:, side // 2 :] = right
    return strengths


@pytest.mark.parametrize("strength", [0.35, 0.55, 1.0])
def test_one_strength_everywhere_has_the_bytes_of_the_number(backend, strength) -> None:
    np.testing.assert_array_equal(
        drawn(backend, strength_map=halves(strength, strength)), drawn(backend, strength=strength)
    )


# The tiny network for inpainting draws the same from any noise.
@pytest.mark.parametrize("backend", sorted(BACKENDS.keys() - {"inpainting"}), indirect=True)
def test_each_part_is_near_what_its_strength_draws_alone(backend) -> None:
    side = 144  # what a part draws reaches into the next one, which is to be wider
    strengths = halves(1.0, 0.2, side)
    request = edit(backend, side, strength_map=strengths)
    assert levels_of(request.strength_map) == (1.0, 0.2)
    image = drawn(backend, side=side, strength_map=strengths)
    np.testing.assert_array_equal(image[~request.edit_mask], request.image[~request.edit_mask])
    # Random weights do not draw what they see: weak edits are near each other, not the image.
    weak, strong = drawn(backend, side=side, strength=0.2), drawn(backend, side=side)
    left, right = (slice(40, 104), slice(24, 60)), (slice(40, 104), slice(84, 120))
    assert apart(image[right], weak[right]) < 0.6 * apart(strong[right], weak[right])
    assert apart(image[left], strong[left]) < 0.6 * apart(weak[left], strong[left])


def test_steps_are_told_as_estimated(backend) -> None:
    request = edit(backend, strength_map=halves(1.0, 0.7))
    counted: list[tuple[int, int]] = []
    backend.render([request], on_step=lambda step: counted.append((step.done, step.total)))
    total = backend.evaluations(request)
    assert counted == [(n, total) for n in range(1, total + 1)]


def test_steps_can_be_taken_again_with_parts(backend) -> None:
    again = Steering(repaint=2, jump_length=1)
    image = drawn(backend, strength_map=halves(1.0, 0.5), steering=again, steps=6)
    mask = edit(backend).edit_mask
    np.testing.assert_array_equal(image[~mask], edit(backend).image[~mask])


def test_a_part_that_waits_is_known_until_its_time() -> None:
    place = Region(0, 0, 0, 32, 32)
    strengths = np.zeros((32, 32), np.float32)
    strengths[8:16], strengths[16:24] = 1.0, 0.35
    request = EditRequest(
        kind=EditKind.INPAINT,
        region=place,
        image=np.full((32, 32, 3), 200, np.uint8),
        edit_mask=strengths > 0,
        strength_map=strengths,
    )
    conditions = conditions_from_request(request, TISSUE_CLASSES)
    image = torch.full((3, 32, 32), 0.25)
    parts = Parts(Field(place, torch.from_numpy(strengths)[None]), Field(place, image))
    window = Window(place, (False,) * 4)
    early, late = (parts.waiting(conditions, [window], t).spatial[0] for t in (0.4, 0.35))
    mask = CHANNELS["known_mask"]
    np.testing.assert_array_equal(early[mask][0], strengths != 1)
    np.testing.assert_array_equal(late[mask][0], strengths == 0)
    assert (early[CHANNELS["known"]][:, 16:24] == 0.25).all()
    assert (late[CHANNELS["known"]][:, 8:24] == 0).all()
    assert torch.equal(late, conditions.spatial[0])


@pytest.mark.parametrize("fill", [Fill.BLUR, Fill.BORDER])
@pytest.mark.parametrize("given", [{"strength": 0.6}, {"strength_map": halves(1.0, 0.6)}])
def test_a_fill_is_drawn_from_as_if_the_image_held_it(backend, fill, given) -> None:
    request = edit(backend, **given)
    held = filled(request.image, request.edit_mask, fill)
    image = drawn(backend, fill=fill, **given)
    np.testing.assert_array_equal(image, drawn(backend, image=held, **given))
    np.testing.assert_array_equal(image[~request.edit_mask], request.image[~request.edit_mask])


# The tiny network for inpainting draws the same from anything.
@pytest.mark.parametrize("backend", sorted(BACKENDS.keys() - {"inpainting"}), indirect=True)
def test_what_an_edit_starts_from_shows_below_the_whole_strength_alone(backend) -> None:
    plain, blurred, noisy = (
        drawn(backend, strength=0.6, fill=fill) for fill in ("original", "blur", "noise")
    )
    np.testing.assert_array_equal(plain, drawn(backend, strength=0.6))
    assert apart(plain, blurred) > 0
    np.testing.assert_array_equal(noisy, drawn(backend))
    np.testing.assert_array_equal(noisy, drawn(backend, fill="border"))


def test_old_and_new_fade_into_each_other_not_into_the_fill(backend) -> None:
    request = edit(backend, strength=0.6, fill="border", feather=8.0)
    image = drawn(backend, strength=0.6, fill="border", feather=8.0)
    sharp = drawn(backend, strength=0.6, fill="border")[None]
    np.testing.assert_array_equal(image, keep_known(sharp, request)[0])
