"""`histodiff inpaint --strength-map`: gray pictures as strengths, and what is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from skimage.io import imread, imsave

from napari_histodiff.cli.main import main
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.core.steering.start import Fill
from tests.diffusion.tiny import save_tiny, tiny_pipeline


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    model = save_tiny(tiny_pipeline(), tmp_path / "model")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        told = ("--model", model, "--device", "cpu")
        return CliRunner().invoke(main, ["inpaint", *map(str, (*arguments, *told))])

    return run


def saved_request(path: Path) -> EditRequest:
    return EditRequest.from_dict(json.loads(path.read_text()))


def test_a_gray_picture_gives_a_strength_to_each_pixel(run) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    imsave("image.png", image, check_contrast=False)
    gray = np.zeros((24, 40), np.uint8)
    gray[4:8, 4:30], gray[8:12, 4:30] = 255, 77
    imsave("gray.png", gray, check_contrast=False)
    np.save("gray.npy", gray / np.float32(255))
    for name in ("gray.png", "gray.npy"):
        result = run("image.png", "--strength-map", name, "-o", name[5:])
        assert result.exit_code == 0, result.output
        request = saved_request(Path(name[5:]) / "inpaint-001.json")
        assert np.unique(request.strength_map).tolist() == pytest.approx([0, 0.3, 1])
        np.testing.assert_array_equal(request.edit_mask, gray > 0)
        # What is saved beside the image draws it again.
        np.testing.assert_array_equal(
            imread(Path(name[5:]) / "inpaint-001_strength.png"), np.where(gray == 77, 76, gray)
        )
    imsave("half.png", np.uint8(gray > 100) * np.uint8(255), check_contrast=False)
    told = ("--edit-mask", "half.png", "--strength", 0.6)
    assert run("image.png", *told, "--fill", "blur", "-o", "blur").exit_code == 0
    assert saved_request(Path("blur") / "inpaint-001.json").fill is Fill.BLUR
    assert "not one of" in run("image.png", *told, "--fill", "grey").output
    told = ("--edit-mask", "half.png", "--strength-map", "gray.png")
    assert run("image.png", *told, "-o", "both").exit_code == 0
    both = saved_request(Path("both") / "inpaint-001.json")
    np.testing.assert_array_equal(both.edit_mask, gray > 100)
    assert (both.strength, both.strength_map) == (1.0, None)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("colours.png", "shape (24, 40, 3)"),
        ("gray.jpg", "JPEG, which blurs"),
        ("beyond.npy", "0 to 2"),
        ("small.png", "(32, 32)"),
    ],
)
def test_strengths_that_are_none_are_refused(run, name, says) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    imsave("image.png", image, check_contrast=False)
    imsave("colours.png", image, check_contrast=False)
    imsave("gray.jpg", image[..., 0], check_contrast=False)
    imsave("small.png", np.full((32, 32), 99, np.uint8), check_contrast=False)
    np.save("beyond.npy", np.eye(24, 40) * 2)
    result = run("image.png", "--strength-map", name)
    assert result.exit_code == 2
    assert says in result.stderr
