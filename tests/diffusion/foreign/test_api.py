"""Foreign models through the Python interface and the command line."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from skimage.io import imread

import napari_histodiff as hd
from napari_histodiff.cli.main import main
from napari_histodiff.core.foreign.convention import CONVENTION_FILE, PRESETS
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.core.requests import DEFAULT_STEPS
from tests.diffusion.foreign.tiny import tiny_pipeline

CONTROL = "StableDiffusionControlNetPipeline"


def nuclei() -> np.ndarray:
    classes = np.zeros((40, 56), np.uint8)
    classes[8:20, 8:20] = 3
    return classes


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_a_folder_of_diffusers_is_a_model(folder_of) -> None:
    model = hd.load_model(folder_of(CONTROL), device="cpu")
    assert model.info.captions == "text"
    assert model.info.paint == ("nuclei",)
    assert model.info.kind == CONTROL
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        image = model(nuclei(), caption="whatever the pathologist writes", steps=3)
    assert image.shape == (40, 56, 3)


def test_steps_and_guidance_are_the_models_own_where_none_are_asked_for(folder_of) -> None:
    model = hd.load_model(folder_of(CONTROL), device="cpu")
    request = model.request(nuclei())
    assert (request.steps, request.guidance_scale) == (30, 5.0)
    assert model.request(nuclei(), steps=7).steps == 7
    assert hd.load_model(device="cpu").request(nuclei()).steps == DEFAULT_STEPS


def test_paint_and_captions_that_a_model_does_not_take_are_told(folder_of) -> None:
    model = hd.load_model(folder_of("DDIMPipeline"), device="cpu")
    tissue = np.ones((40, 56), np.uint8)
    with pytest.warns(hd.UnusedInput, match="no nuclei and no tissue map and no caption"):
        request = model.request(nuclei(), tissue_map=tissue, caption="colon")
    assert not np.asarray(request.tissue_map).any()
    with pytest.warns(hd.UnusedInput, match="takes no tissue map;"):
        hd.load_model(folder_of(CONTROL), device="cpu").request(nuclei(), tissue_map=tissue)
    blank = model.request(shape=(16, 16))
    assert blank.class_map is None  # nothing is suggested to a model that cannot use it


def test_tissue_is_taken_in_the_models_schema(tmp_path) -> None:
    folder = tiny_pipeline(tmp_path, CONTROL, preset="bcss-tissue", control=0.6)
    model = hd.load_model(folder, device="cpu")
    tissue = np.ones((40, 56), np.uint8)
    tissue[:, 20:] = model.info.tissue_names.index("fat")
    images = [model(tissue_map=t, steps=3, suggest=False) for t in (tissue, np.ones_like(tissue))]
    assert not np.array_equal(*images)


def test_a_new_slide_can_be_made_for_a_model_of_one_scale(folder_of) -> None:
    info = hd.load_model(folder_of(CONTROL), device="cpu").info
    recipe = SlideRecipe.plan(info, height=2048, width=2048, steps=info.steps)
    assert recipe.coarsest == 0  # coarser levels are averages: the model draws one
    assert recipe.margin == info.margin


def test_the_command_line_draws_and_says_what_a_model_is(folder_of, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("classes.npy", nuclei())
    folder = folder_of(CONTROL)
    model = ("--model", folder, "--device", "cpu")
    done = run("generate", "--classes", "classes.npy", "--steps", 3, "-o", "out", *model)
    assert done.exit_code == 0, done.output
    assert imread("out/generate-001.png").shape == (40, 56, 3)
    told = run("info", *model).output
    assert "takes paint of: nuclei" in told
    assert "captions: text; 30 steps at 5" in told


def test_the_command_line_inpaints(folder_of, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    mask = nuclei() > 0
    Image.fromarray(pixels).save("a.png")
    Image.fromarray(mask.astype(np.uint8) * 255).save("m.png")
    folder = folder_of("StableDiffusionInpaintPipeline")
    done = run("inpaint", "a.png", "--mask", "m.png", "--steps", 3, "--model", folder, "-o", "out")
    assert done.exit_code == 0, done.output
    drawn = imread("out/inpaint-001.png")
    np.testing.assert_array_equal(drawn[~mask], pixels[~mask])
    assert not np.array_equal(drawn[mask], pixels[mask])


def test_masks_are_listed_written_and_shown(tmp_path) -> None:
    assert run("masks").output.split() == list(PRESETS)
    assert "give --preset" in run("masks", tmp_path).output
    assert run("masks", tmp_path, "--preset", "bcss-tissue").exit_code == 0
    assert (tmp_path / CONVENTION_FILE).is_file()
    shown = run("masks", tmp_path).output
    assert "paint: tissue as integers, 0.25 to 0.5 um per pixel" in shown
    assert "necrosis: 4" in shown
    assert run("masks", tmp_path, "--preset", "x").exit_code == 2
