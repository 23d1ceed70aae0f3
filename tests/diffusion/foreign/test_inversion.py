"""The noise of an image: drawn from again, the image comes back."""

from __future__ import annotations

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

import napari_histodiff as hd
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.requests import EditKind
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.foreign.backend import ForeignBackend
from napari_histodiff.diffusion.foreign.inversion import inverted
from napari_histodiff.diffusion.foreign.schedule import Schedule, deterministic
from tests.contracts import edit_request
from tests.diffusion.tiny import tiny_info, tiny_pipeline

SPREAD = 0.3
IMAGE = torch.linspace(-0.6, 0.6, 48).reshape(1, 3, 4, 4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("name", ["DDIMScheduler", "EulerDiscreteScheduler"])
def test_what_the_noise_of_an_image_draws_is_the_image(kind, strength, name) -> None:
    scheduler = getattr(diffusers, name)(prediction_type=kind)
    if name == "DDIMScheduler":
        scheduler.register_to_config(clip_sample=False)
    schedule = Schedule.of(deterministic(scheduler), 200, strength, torch.device("cpu"))
    shares = schedule.scheduler.alphas_cumprod

    def predict(z: Tensor, t: Tensor) -> Tensor:
        """The best guess when pixels are normal, of standard deviation `SPREAD`."""
        share = float(np.interp(float(t), np.arange(len(shares)), shares))
        noise = (1 - share) ** 0.5 * z / (share * SPREAD**2 + 1 - share)
        image = (z - (1 - share) ** 0.5 * noise) / share**0.5
        velocity = share**0.5 * noise - (1 - share) ** 0.5 * image
        return {"epsilon": noise, "v_prediction": velocity, "sample": image}[kind]

    estimates: list[Tensor] = []
    start = inverted(schedule, predict, IMAGE, estimates.append)
    assert len(estimates) == schedule.count
    again = schedule.run(predict, start, range(schedule.count), lambda z, clean, step: z)
    torch.testing.assert_close(again, IMAGE, atol=0.03, rtol=0)


def whole_image(**changes):
    rng = np.random.default_rng(1)
    image = np.repeat(np.repeat(rng.integers(0, 256, (4, 6, 3), np.uint8), 8, 0), 8, 1)
    return edit_request(
        kind=EditKind.INPAINT,
        image=image,
        edit_mask=np.ones(image.shape[:2], bool),
        strength=0.4,
        **changes,
    )


@pytest.mark.parametrize("model", ["own", "DDIMPipeline", "LDMPipeline"])
def test_a_redrawing_from_its_own_noise_is_nearer_to_the_image_and_counted(
    model, folder_of
) -> None:
    backend = (
        DiffusionBackend(tiny_pipeline(), tiny_info())
        if model == "own"
        else ForeignBackend.load(folder_of(model), "cpu", "float32")
    )
    steps: list[int] = []
    request = whole_image(steps=20, inverted=True, mpp=backend.info.mpp[0])
    (drawn,) = backend.render([request], on_step=lambda step: steps.append(step.total))
    assert len(steps) == steps[0] == backend.evaluations(request)
    plain = whole_image(steps=20, mpp=backend.info.mpp[0])
    assert backend.evaluations(plain) < backend.evaluations(request)
    (noisy,) = backend.render([plain])
    again = backend.render([request])[0]
    np.testing.assert_array_equal(drawn, again)
    if model != "LDMPipeline":  # random weights decode to nothing like what they encode
        image = request.image.astype(int)
        assert np.abs(drawn[0] - image).mean() < np.abs(noisy[0] - image).mean()


def test_jumps_cannot_be_walked_backwards() -> None:
    pipeline = tiny_pipeline()
    pipeline.network.jumps = True
    with pytest.raises(InvalidRequest, match="more than 4 steps"):
        DiffusionBackend(pipeline, tiny_info()).render([whole_image(steps=4, inverted=True)])


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": EditKind.GENERATE, "inverted": True},
        {"inverted": True, "strength": 1.0},
        {"inverted": "yes"},
    ],
)
def test_a_request_that_has_no_noise_of_an_image_is_refused(changes) -> None:
    values = {"strength": 0.4, "kind": EditKind.INPAINT} | changes
    image = np.zeros((32, 48, 3), np.uint8)
    with pytest.raises(InvalidRequest, match="leave inverted out"):
        edit_request(image=image, edit_mask=np.ones((32, 48), bool), **values)


def test_inversion_is_kept_with_a_request() -> None:
    request = whole_image(inverted=True)
    assert type(request).from_dict(request.to_dict()).inverted is True
    assert "inverted" not in whole_image().to_dict()


def test_a_model_without_paint_needs_no_segmenter_to_compare(folder_of, monkeypatch) -> None:
    model = hd.Model(ForeignBackend.load(folder_of("DDIMPipeline"), "cpu", "float32"))
    monkeypatch.setattr(type(model), "segmenters", lambda self: pytest.fail("asked for paint"))
    rng = np.random.default_rng(0)
    image = (rng.integers(-9, 10, (70, 96, 3)) + np.array([200, 130, 170])).astype(np.uint8)
    found = model.anomaly_map(image, model.info.mpp[0])
    assert found.values.shape == (70, 96)
    assert np.isfinite(found.values).all()
    assert "this image" in found.unit
