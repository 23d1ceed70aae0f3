from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_histodiff.core.captions import SLOT_SIZES
from napari_histodiff.diffusion.conditioning import Conditions, spatial_channels, stain_condition
from napari_histodiff.diffusion.training.generator import Generator
from napari_histodiff.diffusion.training.losses import (
    FeatureExtractor,
    FeatureScore,
    Triplet,
    Whitening,
    energy_score,
)
from tests.diffusion.tiny import TISSUE_CLASSES, tiny_pipeline


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).norm(dim=1)


def conditions(count: int, size: int = 32) -> Conditions:
    return Conditions(
        torch.rand(count, spatial_channels(TISSUE_CLASSES), size, size),
        torch.ones(count, len(SLOT_SIZES), dtype=torch.int64),
        torch.full((count,), 0.5),
        stain_condition(None).repeat(count, 1),
    )


@pytest.fixture
def extractor() -> FeatureExtractor:
    torch.manual_seed(0)
    pipeline = tiny_pipeline()
    generator = Generator(pipeline.network, pipeline.caption_encoder)
    return FeatureExtractor(generator, torch.float32, compiled=False)


def test_the_score_by_hand() -> None:
    triplet = Triplet(
        torch.tensor([[0.0, 0.0]]), torch.tensor([[6.0, 8.0]]), torch.tensor([[3.0, 4.0]])
    )
    assert energy_score(triplet, euclidean).tolist() == [(5 + 5 - 10) / 2]


@pytest.mark.parametrize("width", [0.0, 0.5, 2.0])
def test_the_true_spread_scores_best(width: float) -> None:
    torch.manual_seed(0)
    real = torch.randn(20_000, 3)
    right = energy_score(Triplet(torch.randn(20_000, 3), torch.randn(20_000, 3), real), euclidean)
    wrong = energy_score(
        Triplet(width * torch.randn(20_000, 3), width * torch.randn(20_000, 3), real), euclidean
    )
    assert right.mean() < wrong.mean()


def test_a_trio_changes_as_one() -> None:
    triplet = Triplet(*torch.ones(3, 2)).map(lambda x: 2 * x)
    assert [x.tolist() for x in (triplet.drawn, triplet.again, triplet.real)] == [[2, 2]] * 3


def test_the_extractor_is_told_the_scale_alone(extractor: FeatureExtractor) -> None:
    images, noise, t = torch.rand(2, 3, 32, 32), torch.zeros(2, 3, 32, 32), torch.full((2,), 0.1)
    first = extractor.extract(images, conditions(2), t, noise)
    again = extractor.extract(images, conditions(2), t, noise)
    assert len(first) > 2
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_features_of_real_images_score_better_than_those_of_flat_ones(
    extractor: FeatureExtractor,
) -> None:
    score, given = FeatureScore(extractor), conditions(6)
    real = torch.rand(6, 3, 32, 32) * 2 - 1
    other, third = torch.rand(2, 6, 3, 32, 32) * 2 - 1
    flat = torch.zeros_like(real)
    torch.manual_seed(1)
    near = score(Triplet(other, third, real), given)
    torch.manual_seed(1)
    far = score(Triplet(flat, flat, real), given)
    assert (near < far).all()


def test_the_drawn_images_learn_and_the_extractor_does_not(extractor: FeatureExtractor) -> None:
    drawn = torch.rand(4, 3, 32, 32).requires_grad_()
    again, real = torch.rand(2, 4, 3, 32, 32)
    FeatureScore(extractor)(Triplet(drawn, again, real), conditions(4)).sum().backward()
    assert drawn.grad is not None
    assert drawn.grad.isfinite().all()
    assert drawn.grad.abs().max() > 0


def test_whitened_rows_have_unit_covariance() -> None:
    torch.manual_seed(0)
    whiten, mix = Whitening(), torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, 50.0]])
    for _ in range(1500):
        whiten.learn(torch.randn(16, 3) @ mix)
    rows = whiten(torch.randn(20_000, 3) @ mix)
    assert torch.allclose(rows.T.cov(), torch.eye(3), atol=0.15)


def test_what_never_differs_among_real_images_weighs_most() -> None:
    torch.manual_seed(0)
    whiten = Whitening()
    for _ in range(200):
        first = torch.randn(16, 1)
        whiten.learn(torch.cat([first, first + 0.1 * torch.randn(16, 1)], 1))
    usual, apart = whiten(torch.tensor([[1.0, 1.0]])), whiten(torch.tensor([[0.5, -0.5]]))
    assert apart.norm() > 2 * usual.norm()
