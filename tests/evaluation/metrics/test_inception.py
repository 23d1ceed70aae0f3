from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_histodiff.core.errors import InvalidImage, ModelInvalid, ModelNotFound
from napari_histodiff.evaluation.metrics import inception
from napari_histodiff.evaluation.metrics.inception import inception_scores

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)


def test_missing_weights_say_what_to_get(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"download pt_inception-2015-12-05-6726825d\.pth"):
        inception_scores(IMAGES, IMAGES, tmp_path / "none.pth")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"x")
    monkeypatch.setattr(inception, "find_spec", lambda name: None)
    with pytest.raises(ModelNotFound, match="pip install torch-fidelity"):
        inception_scores(IMAGES, IMAGES, weights)


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"x")
    monkeypatch.setattr(inception, "find_spec", lambda name: object())
    with pytest.raises(ModelInvalid, match=r"SHA-256 6726825d\.\.\., got 2d711642"):
        inception_scores(IMAGES, IMAGES, weights)


def test_a_pickle_with_code_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, victim = tmp_path / "w.pth", tmp_path / "ran"

    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (victim,)  # type: ignore[return-value]

    torch.save({"a": Touch()}, weights)
    monkeypatch.setattr(inception, "find_spec", lambda name: object())
    monkeypatch.setattr(inception, "_WEIGHTS_SHA256", "")
    with pytest.raises(ModelInvalid, match="tensors only"):
        inception_scores(IMAGES, IMAGES, weights)
    assert not victim.exists()


def test_unusable_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match="at least 20 images, got 5"):
        inception_scores(IMAGES, IMAGES[:5], tmp_path / "w.pth")
    with pytest.raises(InvalidImage, match="uint8"):
        inception_scores(IMAGES / 255, IMAGES, tmp_path / "w.pth")


class Mean(nn.Module):
    """Stands for Inception: three colour means as features or, times 10, as class scores."""

    def __init__(self, name: str, layers: list[str], weights: str) -> None:
        super().__init__()
        assert Path(weights).is_file()
        self.gain = {"2048": 1.0, "logits_unbiased": 10.0}[layers[0]]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.dtype == torch.uint8
        assert images.shape[1] == 3
        return self.gain * images.float().mean((2, 3))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.save({}, tmp_path / "w.pth")
    monkeypatch.setattr(inception, "find_spec", lambda name: object())
    monkeypatch.setattr(inception, "_WEIGHTS_SHA256", "")
    monkeypatch.setattr("torchmetrics.image.fid.NoTrainInceptionV3", Mean)
    return tmp_path / "w.pth"


def test_distance_and_score_by_hand(weights: Path) -> None:
    one_colour = np.eye(3, dtype=np.uint8)[np.arange(300) % 3] * 200
    sure_and_varied = np.tile(one_colour[:, None, None], (1, 8, 8, 1))
    scores = inception_scores(sure_and_varied, sure_and_varied + np.uint8(2), weights)
    assert scores.fid == pytest.approx(3 * 2**2, rel=1e-6)
    # every image certainly of one of three classes: the score is the number of classes
    assert scores.is_mean == pytest.approx(3, rel=0.05)
    again = inception_scores(sure_and_varied, sure_and_varied + np.uint8(2), weights)
    assert (again.is_mean, again.is_std) == (scores.is_mean, scores.is_std)  # the same splits


def test_images_that_are_all_alike_score_one(weights: Path) -> None:
    alike = np.full((20, 8, 8, 3), 90, np.uint8)
    scores = inception_scores(alike, alike, weights)
    assert (scores.fid, scores.is_std) == pytest.approx((0, 0), abs=1e-6)
    assert scores.is_mean == pytest.approx(1)
    assert scores.kid_mean == pytest.approx(0)
    # each kernel is (x y / 3 + 1)^3 of three equal means
    dark, light = np.full((20, 8, 8, 3), 1, np.uint8), np.full((20, 8, 8, 3), 3, np.uint8)
    by_hand = (1 + 1) ** 3 + (9 + 1) ** 3 - 2 * (3 + 1) ** 3
    assert inception_scores(dark, light, weights).kid_mean == pytest.approx(by_hand)
