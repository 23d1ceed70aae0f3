"""Foreign networks draw what diffusers draws with them, and keep their promises in windows."""

from __future__ import annotations

import importlib
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from napari_histodiff.core.errors import InvalidRequest, OutOfMemory
from napari_histodiff.core.foreign.folder import check_foreign
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.noise import noise_field
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.backend import default_backend
from napari_histodiff.diffusion.conditioning import from_pixels, to_pixels
from napari_histodiff.diffusion.foreign.backend import ForeignBackend
from napari_histodiff.diffusion.foreign.codec import PixelCodec
from napari_histodiff.diffusion.foreign.loading import load_parts
from napari_histodiff.diffusion.foreign.network import Network
from napari_histodiff.diffusion.foreign.text import prompt_of
from tests.diffusion.foreign.tiny import (
    FACTOR,
    LATENTS,
    WINDOW,
    fake_text,
    tiny_pipeline,
    tiny_unet,
)
from tests.recording import edit_request

SIDE = WINDOW * FACTOR
PLACE = Region(0, 16 * FACTOR, -8 * FACTOR, SIDE, SIDE)
LATENT_PLACE = Region(0, 16, -8, WINDOW, WINDOW)


def loaded(folder) -> Any:
    return load_parts(check_foreign(folder), "cpu", "float32")


def backend(folder, dtype: Any = "float32") -> ForeignBackend:
    return ForeignBackend.load(folder, "cpu", dtype)


def noise(region: Region, channels: int) -> torch.Tensor:
    return torch.from_numpy(noise_field(5, region, channels=channels))[None]


@pytest.mark.parametrize(
    ("class_name", "module", "factor", "channels"),
    [
        ("DDIMPipeline", "ddim.pipeline_ddim", 1, 3),
        (
            "LDMPipeline",
            "deprecated.latent_diffusion_uncond.pipeline_latent_diffusion_uncond",
            FACTOR,
            LATENTS,
        ),
    ],
)
def test_a_frame_of_one_window_is_what_the_own_pipeline_draws(
    folder_of, monkeypatch, class_name, module, factor, channels
) -> None:
    region = Region(0, 16 * factor, -8 * factor, WINDOW * factor, WINDOW * factor)
    start = noise(LATENT_PLACE, channels)
    own = importlib.import_module(f"diffusers.pipelines.{module}")
    monkeypatch.setattr(own, "randn_tensor", lambda *args, **kwargs: start.clone())
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder_of(class_name))
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        expected = pipeline(num_inference_steps=5, output_type="np").images
    request = EditRequest(kind=EditKind.GENERATE, region=region, steps=5, seed=5)
    (drawn,) = backend(folder_of(class_name)).render([request])
    np.testing.assert_allclose(drawn, expected * 255, atol=0.51)


def reference(
    folder, request: EditRequest, scheduler: Any, control: torch.Tensor | None = None
) -> np.ndarray:
    """The loop of diffusers' Stable Diffusion pipelines, as they write it, on one window."""
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae")
    net = None
    if control is not None:
        net = diffusers.ControlNetModel.from_pretrained(folder / "controlnet")
    model = check_foreign(folder)
    text = prompt_of(request.caption, model.convention.prompt)
    prompt = fake_text(model).encode(["", text])
    added: dict[str, Any] = {}
    if prompt.pooled is not None:
        sizes = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]] * 2)
        added["added_cond_kwargs"] = {"text_embeds": prompt.pooled, "time_ids": sizes}
    scheduler.set_timesteps(request.steps)
    start = noise(LATENT_PLACE, LATENTS)
    latents = start * scheduler.init_noise_sigma
    first = 0
    known: torch.Tensor = torch.empty(0)
    if request.image is not None and request.edit_mask is not None:
        image = from_pixels(request.image)[None]
        mask = torch.from_numpy(request.edit_mask.copy())[None, None].float()
        small = torch.nn.functional.interpolate(mask, size=(WINDOW, WINDOW))
        scale = vae.config.scaling_factor
        clean = vae.encode(image).latent_dist.mode() * scale
        masked = vae.encode(image * (mask < 0.5)).latent_dist.mode() * scale
        known = torch.cat([torch.cat([small, masked], 1)] * 2)
        if request.strength < 1:
            first = request.steps - int(request.steps * request.strength)
            latents = scheduler.add_noise(clean, start, scheduler.timesteps[first : first + 1])
    times = scheduler.timesteps[first:]
    for i, t in enumerate(times):
        seen = scheduler.scale_model_input(torch.cat([latents] * 2), t)
        extra: dict[str, Any] = dict(added)
        if net is not None:
            down, middle = net(
                seen, t, encoder_hidden_states=prompt.words,
                controlnet_cond=torch.cat([control] * 2), return_dict=False, **added,
            )  # fmt: skip
            extra["down_block_additional_residuals"] = down
            extra["mid_block_additional_residual"] = middle
        if unet.config.in_channels == 9:
            seen = torch.cat([seen, known], 1)
        output = unet(seen, t, encoder_hidden_states=prompt.words, **extra).sample
        plain, told = output.chunk(2)
        output = plain + request.guidance_scale * (told - plain)
        latents = scheduler.step(output, t, latents).prev_sample
        if known.numel() and unet.config.in_channels == 4:
            kept = clean
            if i < len(times) - 1:
                kept = scheduler.add_noise(clean, start, times[i + 1 : i + 2])
            latents = (1 - small) * kept + small * latents
    pixels: np.ndarray = to_pixels(vae.decode(latents / vae.config.scaling_factor).sample)
    if request.edit_mask is not None and request.image is not None:
        pixels[:, ~request.edit_mask] = request.image[~request.edit_mask]
    return pixels


def one_window(kind: EditKind, **changes: Any) -> EditRequest:
    """A frame of one window, whose edit mask is of whole latents, two steps a phase."""
    rng = np.random.default_rng(0)
    settings: dict[str, Any] = {"steps": 4, "seed": 5, "guidance_scale": 3.0}
    if kind is EditKind.INPAINT:
        settings["image"] = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        settings["edit_mask"] = np.zeros((SIDE, SIDE), bool)
        settings["edit_mask"][10:40, 22:50] = True
    return EditRequest(kind=kind, region=PLACE, **settings | changes)


BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize(
    ("class_name", "kind", "changes"),
    [
        ("StableDiffusionPipeline", EditKind.GENERATE, {"caption": "a free text, not of ours"}),
        ("StableDiffusionPipeline", EditKind.INPAINT, {}),
        ("StableDiffusionPipeline", EditKind.INPAINT, {"strength": 0.5}),
        ("StableDiffusionInpaintPipeline", EditKind.INPAINT, {}),
        ("StableDiffusionControlNetPipeline", EditKind.GENERATE, {}),
        ("StableDiffusionXLPipeline", EditKind.GENERATE, {}),
        ("StableDiffusionXLInpaintPipeline", EditKind.INPAINT, {}),
        ("StableDiffusionXLControlNetPipeline", EditKind.GENERATE, {}),
    ],
)
def test_a_window_of_stable_diffusion_goes_as_in_diffusers(
    tmp_path, class_name, kind, changes
) -> None:
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False)
    folder = tiny_pipeline(tmp_path, class_name, scheduler=scheduler)
    request = one_window(kind, **changes)
    control = None
    if "ControlNet" in class_name:
        classes = np.zeros((SIDE, SIDE), np.uint8)
        classes[5:20, 9:30] = 3
        request = one_window(kind, class_map=classes, **changes)
        image = check_foreign(folder).convention.control((SIDE, SIDE), classes, None, None)
        control = torch.from_numpy(image)[None]
    with torch.no_grad():
        expected = reference(folder, request, scheduler, control)
    (drawn,) = backend(folder).render([request])
    np.testing.assert_allclose(drawn, expected, atol=1)
    assert expected.std() > 1


@pytest.mark.parametrize(
    "name",
    ["PNDMScheduler", "EulerAncestralDiscreteScheduler", "LMSDiscreteScheduler",
     "UniPCMultistepScheduler", "EulerDiscreteScheduler", "DDPMScheduler"],
)  # fmt: skip
def test_any_solver_of_noise_levels_is_made_repeatable(tmp_path, name) -> None:
    scheduler = getattr(diffusers, name)(**BETAS)
    folder = tiny_pipeline(tmp_path, "StableDiffusionPipeline", scheduler=scheduler)
    request = edit_request(steps=6)
    first, second = (backend(folder).render([request])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()


def test_more_steps_than_the_model_knows_are_refused(tmp_path) -> None:
    few = diffusers.DDIMScheduler(num_train_timesteps=8)
    folder = tiny_pipeline(tmp_path, "DDIMPipeline", scheduler=few)
    with pytest.raises(InvalidRequest, match="at most 8 steps, got 9"):
        backend(folder).render([edit_request(steps=9)])


@pytest.mark.parametrize("mpp", [0.25, 1.0, 0.1732])
@pytest.mark.parametrize("kind", EditKind)
def test_frames_of_another_scale_are_resampled_and_known_pixels_kept(folder_of, kind, mpp) -> None:
    request = edit_request(kind, (45, 31), mpp=mpp)
    model = backend(folder_of("StableDiffusionControlNetPipeline"))
    seen: list[int] = []
    (images,) = model.render([request], on_step=lambda step: seen.append(step.total))
    assert images.shape == (1, 45, 31, 3)
    assert len(seen) == model.evaluations(request)
    if kind in (EditKind.INPAINT, EditKind.OUTPAINT):
        assert request.edit_mask is not None
        assert request.image is not None
        known = ~request.edit_mask
        np.testing.assert_array_equal(images[0][known], request.image[known])


def test_a_scale_beyond_reach_is_refused(folder_of) -> None:
    with pytest.raises(InvalidRequest, match=r"0\.125 to 2 um per pixel of a frame"):
        backend(folder_of("DDIMPipeline")).render([edit_request(mpp=4.0)])


def test_paint_and_caption_count(folder_of) -> None:
    model = backend(folder_of("StableDiffusionControlNetPipeline"))
    classes = np.zeros((32, 48), np.uint8)
    classes[4:20, 8:30] = 3
    requests = [
        edit_request(guidance_scale=2.0, **changes)
        for changes in ({}, {"class_map": classes}, {"caption": "a dense infiltrate"})
    ]
    images = model.render(requests)
    assert len({image.tobytes() for image in images}) == 3


def test_half_precision_draws(folder_of) -> None:
    model = backend(folder_of("StableDiffusionInpaintPipeline"), "bfloat16")
    (images,) = model.render([edit_request(EditKind.INPAINT)])
    assert model.info.device == "cpu (bfloat16)"
    assert images.dtype == np.uint8


def test_memory_is_saved_by_steps_until_it_suffices(folder_of, monkeypatch) -> None:
    parts = loaded(folder_of("StableDiffusionPipeline"))
    model = ForeignBackend(parts, check_foreign(folder_of("StableDiffusionPipeline")))
    expected = model.render([edit_request(guidance_scale=2.0)])[0]
    real, batches = parts.network.unet.forward, []

    def forward(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        batches.append(len(sample))
        if len(sample) > 1:
            raise RuntimeError("CUDA out of memory")
        return real(sample, *args, **kwargs)

    monkeypatch.setattr(parts.network.unet, "forward", forward)
    (images,) = model.render([edit_request(guidance_scale=2.0)])
    assert batches[:2] == [2, 1]
    np.testing.assert_allclose(images, expected, atol=1)


def test_memory_is_spared_from_the_beginning_where_that_is_asked_for(
    folder_of, monkeypatch
) -> None:
    folder = folder_of("StableDiffusionPipeline")
    request = edit_request(guidance_scale=2.0)
    expected = ForeignBackend.load(folder, "cpu", "float32").render([request])[0]
    monkeypatch.setenv("HISTODIFF_SPARE_MEMORY", "1")
    model = default_backend(folder, "cpu")
    assert isinstance(model, ForeignBackend)
    unet, codec = model._loaded.network.unet, model._loaded.network.codec
    real, batches = unet.forward, []

    def forward(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        batches.append(len(sample))
        return real(sample, *args, **kwargs)

    monkeypatch.setattr(unet, "forward", forward)
    (images,) = model.render([request])
    assert set(batches) == {1}
    assert codec.offload
    np.testing.assert_allclose(images, expected, atol=1)


def test_memory_that_never_suffices_is_told(folder_of, monkeypatch) -> None:
    parts = loaded(folder_of("StableDiffusionPipeline"))
    model = ForeignBackend(parts, check_foreign(folder_of("StableDiffusionPipeline")))

    def forward(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(parts.network.unet, "forward", forward)
    with pytest.raises(OutOfMemory, match="none left even for one window"):
        model.render([edit_request()])


def test_an_autoencoder_outside_draws_the_same(folder_of) -> None:
    parts = loaded(folder_of("StableDiffusionInpaintPipeline"))
    model = ForeignBackend(parts, check_foreign(folder_of("StableDiffusionInpaintPipeline")))
    request = edit_request(EditKind.INPAINT)
    before = model.render([request])[0]
    parts.network.codec.offload = True
    np.testing.assert_array_equal(model.render([request])[0], before)


def test_windows_decoded_apart_agree_with_the_whole(folder_of) -> None:
    """A large frame against one call of the autoencoder on all its latents."""
    parts = loaded(folder_of("StableDiffusionPipeline"))
    model = ForeignBackend(parts, check_foreign(folder_of("StableDiffusionPipeline")))
    region = Region(0, 0, 0, 2 * SIDE, 2 * SIDE)
    decoded: list[torch.Tensor] = []
    (windows,) = model.render([EditRequest(kind=EditKind.GENERATE, region=region, steps=4)])
    drawer = model._drawer
    real = drawer.decoded
    drawer.decoded = lambda latents: decoded.append(latents.values) or real(latents)
    model.render([EditRequest(kind=EditKind.GENERATE, region=region, steps=4)])
    with torch.no_grad():
        whole = to_pixels(parts.network.codec.decode(decoded[0][None]))
    difference = np.abs(whole.astype(int) - windows)
    assert difference.mean() < 4
    assert whole.std() > 1


def test_a_target_asks_for_two_steps_and_the_margin(folder_of) -> None:
    model = default_backend(folder_of("DDIMPipeline"), "cpu")
    tile = Region(0, 0, 0, 32, 32)
    region = tile.pad(model.info.margin)
    for changes, words in (({"steps": 1}, "2 steps"), ({"region": tile}, "reaches")):
        settings: dict[str, Any] = {"region": region, "steps": 4, **changes}
        request = EditRequest(kind=EditKind.GENERATE, target=tile, **settings)
        with pytest.raises(InvalidRequest, match=words):
            model.render([request])


def test_windows_are_of_the_size_the_network_was_trained_at() -> None:
    """Those of Stable Diffusion: 512 pixels, which overlap by 128."""
    blocks = {"block_out_channels": (8,) * 4, "sample_size": 64}
    kinds = {"down_block_types": ("DownBlock2D",) * 4, "up_block_types": ("UpBlock2D",) * 4}
    layout = Network(tiny_unet("text", **blocks, **kinds), PixelCodec()).layout
    assert (layout.size, layout.ramp, layout.multiple_of) == (64, 16, 8)
