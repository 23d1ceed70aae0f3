"""Scores of the segmenter: what they count, and that torch finds their slope."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.steering.guides import GUIDES
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.segmenter.images import at_scale
from napari_histodiff.segmenter.network import CLASSES, INTERIOR
from napari_histodiff.segmenter.scores import JudgeScores, nuclear_area, nuclear_size
from napari_histodiff.segmenter.texture import TextureScore

CPU = torch.device("cpu")


def maps(*disks: tuple[int, int, float]) -> torch.Tensor:
    """What the network would say of nuclei of the third class: row, column, radius."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    found = torch.full((1, 8, 64, 96), -12.0)
    for row, column, radius in disks:
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        found[0, INTERIOR][inside] = 12.0
    found[0, CLASSES][2] = 12.0
    return found


def test_areas_are_those_of_nuclei_of_the_class() -> None:
    one = maps((20, 20, 6))
    area = float(nuclear_area(one)[0])
    assert area == pytest.approx(np.pi * 36, rel=0.05)
    assert float(nuclear_area(one, 2)[0]) == pytest.approx(area, rel=0.01)
    assert float(nuclear_area(one, 1)[0]) < 1


def test_size_does_not_count_nuclei() -> None:
    size = {
        name: float(nuclear_size(maps(*disks))[0])
        for name, disks in {
            "one": [(20, 20, 6)],
            "three": [(20, 20, 6), (40, 50, 6), (20, 70, 6)],
            "large": [(30, 40, 12)],
        }.items()
    }
    assert size["three"] == pytest.approx(size["one"], abs=0.06)
    assert size["large"] - size["one"] == pytest.approx(np.log(2), abs=0.1)


@pytest.fixture(scope="module")
def book() -> JudgeScores:
    return JudgeScores()


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.73])
def test_every_named_score_has_a_slope(book, mpp) -> None:
    images = torch.rand(2, 3, 40, 52, generator=torch.Generator().manual_seed(0))
    for guide in GUIDES:
        ((score, strength),) = book.scores(Steering(guide={guide.name: -2}), mpp, CPU)
        x = images.clone().requires_grad_()
        found = score(x)
        assert (found.shape, strength) == ((2,), -2)
        (slope,) = torch.autograd.grad(found.sum(), x)
        assert slope.isfinite().all()
        assert (slope != 0).any()


def test_nuclei_are_not_looked_for_in_pixels_too_large(book) -> None:
    with pytest.raises(InvalidRequest, match="at most 1 um per pixel to guide by nuclei, got 2"):
        book.scores(Steering(guide="plasma"), 2.0, CPU)


def patterns() -> dict[str, np.ndarray]:
    """Stripes and dots of one mean colour, and stripes of another."""
    rows, columns = np.mgrid[:96, :128]
    stripes = np.where(columns % 12 < 6, 220, 120)
    dots = np.where((columns % 12 < 6) ^ (rows % 12 < 6), 220, 120)
    grey = {"stripes": stripes, "dots": dots, "dark": stripes // 2}
    return {name: np.stack([a, a - 30, a], -1).astype(np.uint8) for name, a in grey.items()}


def as_images(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def test_likeness_is_greatest_with_the_reference_wherever_it_lies(book) -> None:
    found = patterns()
    steering = Steering(reference=found["stripes"], reference_strength=3)
    ((score, strength),) = book.scores(steering, 0.5, CPU)
    assert isinstance(score, TextureScore)
    assert strength == 3
    own, moved, dots, dark = (
        float(score(as_images(image))[0])
        for image in (
            found["stripes"], np.roll(found["stripes"], 7, 1), found["dots"], found["dark"],
        )
    )  # fmt: skip
    assert own == pytest.approx(0, abs=1e-3)
    assert moved > dots
    assert moved > dark


def test_a_reference_of_another_scale_is_brought_to_that_of_the_images(book) -> None:
    found = patterns()["dots"]
    large = found.repeat(2, 0).repeat(2, 1)
    scores = [
        book.scores(Steering(reference=image, reference_mpp=mpp), 0.5, CPU)[0][0]
        for image, mpp in ((large, 0.25), (large, None))
    ]
    right, wrong = (float(score(as_images(found))[0]) for score in scores)
    assert right > wrong


def test_stain_alone_asks_for_no_score(book) -> None:
    steering = Steering(reference=patterns()["dots"], reference_strength=0)
    assert book.scores(steering, 0.5, CPU) == []
    assert steering.scores == 0


def test_images_are_brought_to_the_scale_and_sides_of_the_network() -> None:
    images = torch.rand(1, 3, 50, 70)
    assert at_scale(images, 0.5, 2).shape == (1, 3, 50, 70)
    assert at_scale(images, 0.5, 16).shape == (1, 3, 64, 80)
    assert at_scale(images, 0.25, 16).shape == (1, 3, 32, 48)
    assert at_scale(images, 1.0, 16).shape == (1, 3, 112, 144)
