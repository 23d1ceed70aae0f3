"""Captions read by text encoders of transformers: pixels of diffusers' own pipelines."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from safetensors.torch import load_file, save_file

import napari_histodiff as hd
from napari_histodiff.core.errors import ModelInvalid
from napari_histodiff.core.foreign.folder import check_foreign
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.noise import noise_field
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.foreign import loading
from napari_histodiff.diffusion.foreign.backend import ForeignBackend
from napari_histodiff.diffusion.foreign.text import load_text_encoder
from tests.diffusion.foreign.clip import TOKENS, write_clip
from tests.diffusion.foreign.tiny import FACTOR, LATENTS, WINDOW, tiny_pipeline

pytest.importorskip("transformers", reason="reads captions; it comes with the extra [text]")

SIDE = WINDOW * FACTOR
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TEXT = "glands of a colon, crowded by something that no list of words has"


@pytest.fixture(autouse=True)
def _real_texts(_texts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_text_encoder", load_text_encoder)


@pytest.fixture(autouse=True)
def _most_probable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipelines of diffusers draw latents of an image at random; ours take the likeliest."""
    monkeypatch.setattr(
        DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode()
    )


def folder_of_clip(place: Path, class_name: str) -> Path:
    scheduler = diffusers.DDIMScheduler(
        **BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    return write_clip(tiny_pipeline(place / "m", class_name, scheduler=scheduler))


def request_of(class_name: str, **changes: Any) -> EditRequest:
    """A frame of one window, with an edit mask of whole latents where an image is known."""
    settings: dict[str, Any] = {
        "kind": EditKind.GENERATE,
        "region": Region(0, 16 * FACTOR, -8 * FACTOR, SIDE, SIDE),
        "steps": 4,
        "seed": 5,
        "guidance_scale": 3.0,
        "caption": TEXT,
    }
    if "Inpaint" in class_name:
        rng = np.random.default_rng(0)
        settings["kind"] = EditKind.INPAINT
        settings["image"] = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        settings["edit_mask"] = np.zeros((SIDE, SIDE), bool)
        settings["edit_mask"][10:40, 22:50] = True
    if "ControlNet" in class_name:
        settings["class_map"] = np.zeros((SIDE, SIDE), np.uint8)
        settings["class_map"][5:20, 9:30] = 3
    return EditRequest(**settings | changes)


def drawn_by_diffusers(folder: Path, request: EditRequest, prompt: str) -> np.ndarray:
    """What the pipeline of the folder draws of the same noise, (h, w, 3) in 0 .. 255."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    place = Region(0, 16, -8, WINDOW, WINDOW)
    given: dict[str, Any] = {
        "latents": torch.from_numpy(noise_field(5, place, channels=LATENTS))[None],
        "num_inference_steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "height": SIDE,
        "width": SIDE,
    }
    control = None
    if request.class_map is not None:
        convention = check_foreign(folder).convention
        control = convention.control((SIDE, SIDE), request.class_map, None, None)
        assert control is not None
        control = torch.from_numpy(control)[None]
    if request.image is not None and request.edit_mask is not None:
        given["image"] = Image.fromarray(request.image)
        given["mask_image"] = Image.fromarray(request.edit_mask.astype(np.uint8) * 255)
        given["strength"] = 1.0
        if control is not None:
            given["control_image"] = control
    elif control is not None:
        given["image"] = control
    if control is not None:
        given["controlnet_conditioning_scale"] = 1.0  # the loops have other defaults
    with torch.no_grad():
        pixels: np.ndarray = pipeline(prompt, output_type="np", **given).images[0] * 255
    if request.image is not None and request.edit_mask is not None:
        pixels[~request.edit_mask] = request.image[~request.edit_mask]
    return pixels


@pytest.mark.parametrize(
    "class_name",
    [
        "StableDiffusionPipeline",
        "StableDiffusionInpaintPipeline",
        "StableDiffusionControlNetPipeline",
        "StableDiffusionControlNetInpaintPipeline",
        "StableDiffusionXLPipeline",
        "StableDiffusionXLInpaintPipeline",
        "StableDiffusionXLControlNetPipeline",
        "StableDiffusionXLControlNetInpaintPipeline",
    ],
)
def test_one_window_is_what_the_pipeline_of_diffusers_draws(tmp_path, class_name) -> None:
    folder = folder_of_clip(tmp_path, class_name)
    request = request_of(class_name)
    (drawn,) = ForeignBackend.load(folder, "cpu", "float32").render([request])
    expected = drawn_by_diffusers(folder, request, TEXT)
    assert expected.std() > 1
    np.testing.assert_allclose(drawn[0], expected, atol=1)


def test_free_text_reaches_the_encoder_and_our_words_become_a_sentence(tmp_path) -> None:
    folder = folder_of_clip(tmp_path, "StableDiffusionPipeline")
    model = ForeignBackend.load(folder, "cpu", "float32")
    free, ours, other = (
        model.render([request_of("StableDiffusionPipeline", caption=caption)])[0][0]
        for caption in (TEXT, "colon, high lymphocytes", "colon, low lymphocytes")
    )
    sentence = "H&E stained histopathology image of colon tissue with many lymphocytes"
    expected = drawn_by_diffusers(folder, request_of("StableDiffusionPipeline"), sentence)
    np.testing.assert_allclose(ours, expected, atol=1)
    assert not np.array_equal(free, ours)
    assert not np.array_equal(ours, other)


def test_a_model_is_drawn_with_by_its_folder_alone(tmp_path) -> None:
    folder = folder_of_clip(tmp_path, "StableDiffusionXLControlNetPipeline")
    model = hd.load_model(folder, device="cpu")
    assert model.info.captions == "text"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        image = model(request_of("ControlNet").class_map, caption=TEXT, steps=3)
    assert image.shape == (SIDE, SIDE, 3)


def test_a_caption_of_any_length_and_script_is_read(tmp_path) -> None:
    folder = folder_of_clip(tmp_path, "StableDiffusionXLPipeline")
    encoder = load_text_encoder(check_foreign(folder))
    told = encoder.encode(["", "腺 \U0001f52c", "word " * 500])
    assert told.words.shape == (3, TOKENS, 16)
    assert told.words.isfinite().all()
    assert not told.words[0].any()  # as this kind of model was trained to read silence
    assert told.pooled is not None
    assert told.words[1:].any(-1).all()


def test_an_encoder_without_its_weights_is_not_made_up(tmp_path) -> None:
    folder = folder_of_clip(tmp_path, "StableDiffusionPipeline")
    path = folder / "text_encoder" / "model.safetensors"
    weights = load_file(path)
    weights.pop(sorted(weights)[0])
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelInvalid, match="expected the weights of CLIPTextModel"):
        load_text_encoder(check_foreign(folder))
