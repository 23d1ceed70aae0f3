"""What steers a drawing, from the command line and from Python: it acts, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from skimage.io import imsave

import napari_histodiff as hd
from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.inpainting.stains import stain_vector
from tests.diffusion.tiny import save_tiny, tiny_pipeline

TISSUE = np.random.default_rng(0).integers(60, 200, (48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tiny_pipeline(), tmp_path_factory.mktemp("steering") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> hd.Model:
    return hd.load_model(folder, "cpu")


@pytest.fixture
def run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    imsave("tissue.png", TISSUE, check_contrast=False)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 255
    imsave("mask.png", mask, check_contrast=False)

    def invoke(*words: object) -> Result:
        common = ["--model", str(folder), "--device", "cpu", "-o", "out"]
        return CliRunner().invoke(main, [*map(str, words), *common])

    return invoke


def test_options_reach_the_request_that_is_saved(run) -> None:
    result = run(
        "inpaint", "tissue.png", "--edit-mask", "mask.png", "--steps", 3, "--repaint", 2,
        "--jump-length", 1, "--guide", "lymphocyte:2", "--guide", "size:-1",
        "--reference", "tissue.png", "--reference-strength", 1.5,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    steering = hd.EditRequest.from_json("out/inpaint-001.json").steering
    assert steering == Steering(
        repaint=2,
        guide={"lymphocyte": 2, "size": -1},
        reference=TISSUE,
        reference_strength=1.5,
    )
    assert run("generate", "--size", 48, 48, "--guide", "plasma").exit_code == 0
    assert hd.EditRequest.from_json("out/generate-001.json").steering == Steering(guide="plasma")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("generate", "--size", 48, 48, "--guide", "tumour:2"), "expected a guide of"),
        (("generate", "--size", 48, 48, "--guide", "plasma:lots"), "strength of plasma"),
        (("generate", "--size", 48, 48, "--guide", "python"), "expected the function"),
        (("generate", "--size", 48, 48, "--guide", "plasma", "--steps", 1), "at least 2 steps"),
        (("generate", "--size", 48, 48, "--reference", "none.png"), "does not exist"),
        (("inpaint", "tissue.png", "--mask", "mask.png", "--repaint", 3), "at least 3 steps"),
        (("inpaint", "tissue.png", "--mask", "mask.png", "--repaint", 0), "range"),
    ],
)
def test_what_cannot_act_is_refused_in_a_line(run, words, said) -> None:
    more = () if "--steps" in words else ("--steps", 2)
    result = run(*words, *more)
    assert result.exit_code == 2
    assert said in result.output
    assert not list(Path().glob("out/*"))


def test_a_function_guides_from_python(model: hd.Model) -> None:
    def red(images: Any) -> Any:
        return images[:, 0].mean((1, 2))

    settings: dict[str, Any] = {"shape": (48, 48), "steps": 3, "suggest": False}
    more = model(guide=red, **settings)
    plain = model(**settings)
    request = model.request(guide={"python": -4}, **settings)
    (less,) = model.draw(request, guide=red)
    assert less[..., 0].mean() < plain[..., 0].mean() < more[..., 0].mean()
    with pytest.raises(InvalidRequest, match="functions are not kept with requests"):
        model.draw(request)


def test_a_reference_gives_its_stain_unless_another_is_given(model: hd.Model) -> None:
    settings: dict[str, Any] = {"shape": (48, 48), "suggest": False, "reference": TISSUE}
    request = model.request(**settings)
    assert request.stain is None
    assert request.steering.reference is not None
    likened = model.draw(request)
    alone = model.draw(model.request(**settings, reference_strength=0))
    assert (likened != alone).any()
    stained = model.request(shape=(48, 48), suggest=False, stain_from=TISSUE)
    np.testing.assert_array_equal(alone, model.draw(stained))
    assert model.request(**settings, stain_from=255 - TISSUE).stain is not None


SLIDE = (0.4, 0.7, 0.3, 0.2, 0.3, 0.1, -0.9, 0.5)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stains = [{"organ": None, "look": None, "mpp": 0.5, "vector": SLIDE}]
    folder = tmp_path_factory.mktemp("slides") / "model"
    return save_tiny(tiny_pipeline(), folder, stains=stains)


@pytest.mark.parametrize(("mpp", "is_grain"), [(None, True), (0.45, True), (2.0, False)])
def test_a_stain_of_another_scale_has_the_detail_of_a_slide(
    slides: Path, tmp_path: Path, mpp: float | None, is_grain: bool
) -> None:
    known = hd.load_model(slides, "cpu")
    settings: dict[str, Any] = {"shape": (48, 48), "suggest": False}
    request = known.request(**settings, stain_from=TISSUE, stain_mpp=mpp)
    measured = stain_vector(TISSUE)
    assert measured is not None
    wanted = measured if is_grain else (*measured[:6], *SLIDE[6:])
    assert request.stain == pytest.approx(wanted)
    likened = known.request(**settings, reference=TISSUE, reference_mpp=mpp, reference_strength=0)
    np.testing.assert_array_equal(known.draw(likened), known.draw(request))

    dots = {} if mpp is None else {"dpi": (25400 / mpp,) * 2}
    Image.fromarray(TISSUE).save(tmp_path / "tissue.png", **dots)
    words = ["generate", "--size", 48, 48, "--stain-from", tmp_path / "tissue.png", "--no-suggest"]
    common = ["--model", slides, "--device", "cpu", "-o", tmp_path / "out"]
    run = CliRunner().invoke(main, list(map(str, [*words, *common])))
    assert run.exit_code == 0, run.output
    saved = hd.EditRequest.from_json(tmp_path / "out" / "generate-001.json")
    assert saved.stain == pytest.approx(wanted)


@pytest.mark.parametrize("mpp", [0, -1.0, float("nan"), "half"])
def test_the_scale_of_a_stain_is_a_length(model: hd.Model, mpp: Any) -> None:
    with pytest.raises(InvalidRequest, match="expected stain_mpp as a number above 0"):
        model.request(shape=(48, 48), suggest=False, stain_from=TISSUE, stain_mpp=mpp)


def test_the_detail_of_a_stain_is_that_of_known_pixels_where_there_are_some(slides: Path) -> None:
    known = hd.load_model(slides, "cpu")
    image = np.repeat(np.repeat(TISSUE, 2, 0), 2, 1)
    hole = np.zeros(image.shape[:2], bool)
    hole[30:60, 30:60] = True
    around, measured = stain_vector(image, ~hole), stain_vector(TISSUE)
    assert around is not None
    assert measured is not None
    request = known.request(image=image, edit_mask=hole, stain_from=TISSUE, stain_mpp=2)
    assert request.stain == pytest.approx((*measured[:6], *around[6:]))


def test_the_scale_of_a_stain_is_that_of_the_drawing_before_it_is_enlarged(slides: Path) -> None:
    known = hd.load_model(slides, "cpu")
    settings: dict[str, Any] = {"shape": (48, 48), "suggest": False, "mpp": 0.1}
    fine, drawn = (
        known.request(**settings, stain_from=TISSUE, stain_mpp=mpp).stain for mpp in (0.1, 0.25)
    )
    assert drawn == pytest.approx(stain_vector(TISSUE))
    assert fine == pytest.approx((*drawn[:6], *SLIDE[6:]))


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.full((48, 64, 3), 200, np.uint8), "got one even colour"),
        (np.full((48, 64, 3), (170, 90, 150), np.uint8), "got one even colour"),
        (np.repeat(TISSUE[..., :1], 3, -1), "expected stained tissue, got grey"),
        (np.full((48, 64, 3), 245, np.uint8), "got background"),
    ],
)
def test_what_has_no_stain_is_refused_as_stain_and_gives_none_as_reference(
    slides: Path, picture: np.ndarray, said: str
) -> None:
    known = hd.load_model(slides, "cpu")
    settings: dict[str, Any] = {"shape": (48, 48), "suggest": False}
    with pytest.raises(InvalidImage, match=said):
        known.request(**settings, stain_from=picture)
    likened = known(**settings, reference=picture, reference_strength=0)
    np.testing.assert_array_equal(likened, known(**settings))
