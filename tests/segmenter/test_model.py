"""A judge with random weights: shapes, scales, seams, errors."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.errors import (
    Cancelled,
    DeviceUnavailable,
    InvalidImage,
    InvalidRequest,
)
from napari_histodiff.segmenter import model as model_module
from napari_histodiff.segmenter.model import Judge
from napari_histodiff.segmenter.postprocess import Maps
from napari_histodiff.segmenter.prediction import VIEWS, predict, predict_views
from tests.segmenter.test_postprocess import discs, maps_of
from tests.segmenter.tiny import tiny_network, write_tiny_judge


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    return Judge.load(write_tiny_judge(tmp_path / "tiny"), device="cpu", dtype="float32")


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (7, 50), (64, 64), (33, 129)])
@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_any_size_at_any_scale(judge: Judge, shape: tuple[int, int], mpp: float) -> None:
    nuclei = judge.segment(noise(*shape, 3), mpp=mpp)
    assert nuclei.instance_map.shape == nuclei.class_map.shape == shape
    assert nuclei.instance_map.dtype == np.int32
    assert nuclei.class_map.dtype == np.uint8
    ids = np.unique(nuclei.instance_map)
    assert ids[ids > 0].tolist() == list(range(1, len(nuclei.probabilities) + 1))
    assert ((nuclei.class_map > 0) == (nuclei.instance_map > 0)).all()


def test_scale_is_mapped_back(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nucleus found at 0.5 um/px lies where it is in an image at 0.25."""
    seen: list[tuple[int, ...]] = []

    def stand_in(network: object, image: NDArray[np.uint8]) -> Maps:
        seen.append(image.shape)
        return maps_of(discs((20, 40, 6), shape=image.shape[:2]), {1: 5})

    monkeypatch.setattr(model_module, "predict", stand_in)
    nuclei = judge.segment(noise(100, 120, 3), mpp=0.25)
    assert seen == [(50, 60, 3)]
    y, x = np.nonzero(nuclei.instance_map)
    assert (y.mean(), x.mean()) == pytest.approx((40.5, 80.5), abs=0.6)
    assert nuclei.class_map[40, 80] == 5


def test_tiles_leave_no_seam() -> None:
    network = tiny_network()
    image = noise(300, 90, 3)
    whole, tiled = predict(network, image), predict(network, image, tile=64)
    np.testing.assert_allclose(tiled.interior, whole.interior, atol=1e-4)
    np.testing.assert_allclose(tiled.distance, whole.distance, atol=1e-3)
    np.testing.assert_allclose(tiled.classes, whole.classes, atol=1e-4)


def brightness(network: object, seen: NDArray[np.uint8]) -> Maps:
    """Say the same of a pixel however the image is turned."""
    plane = (seen[..., 0] / 255).astype(np.float32)
    return Maps(plane, plane, np.stack([plane + i for i in range(6)]))


def test_views_are_turned_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_histodiff.segmenter.prediction.predict", brightness)
    image = noise(20, 30, 3)
    views = list(predict_views(tiny_network(), image))
    assert len(views) == VIEWS
    for maps in views:
        assert (maps.interior == brightness(None, image).interior).all()
        assert (maps.classes == brightness(None, image).classes).all()


def test_views_that_agree_leave_no_doubt(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_histodiff.segmenter.prediction.predict", brightness)
    image = np.zeros((64, 64, 3), np.uint8)
    image[10:30, 20:44] = 240
    assert judge.propose(image).uncertainty.tolist() == [0]


def test_a_proposal_says_how_sure_it_is(judge: Judge) -> None:
    steps: list[tuple[int, int]] = []
    proposal = judge.propose(noise(96, 80, 3), on_step=lambda *s: steps.append(s))
    assert steps == [(i, VIEWS) for i in range(1, VIEWS + 1)]
    assert len(proposal.probabilities) == len(proposal.uncertainty) > 0
    assert ((proposal.uncertainty >= 0) & (proposal.uncertainty <= 1)).all()
    assert proposal.uncertainty.max() > 0


def test_a_proposal_can_be_stopped(judge: Judge) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        judge.propose(noise(32, 32, 3), on_step=stop)


def test_features_do_not_depend_on_the_batch(judge: Judge) -> None:
    images = noise(5, 40, 48, 3)
    features = judge.features(images, batch=2)
    assert features.dtype == np.float32
    assert features.shape == (5, judge.feature_network().num_features)
    np.testing.assert_allclose(features, judge.features(images, batch=5), rtol=1e-4, atol=1e-5)
    assert judge.features(images[:0]).shape == (0, features.shape[1])
    assert not np.allclose(features[0], features[1])


def test_features_serve_torchmetrics(judge: Judge) -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    metric = fid.FrechetInceptionDistance(feature=judge.feature_network(), normalize=False)
    for seed, real in ((0, True), (1, False)):
        images = torch.from_numpy(noise(20, 3, 32, 32, seed=seed))
        metric.update(images, real=real)
    assert math.isfinite(float(metric.compute()))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        "picture.png",
    ],
)
def test_other_images_are_refused(judge: Judge, image: NDArray[np.uint8]) -> None:
    with pytest.raises(InvalidImage, match=r"\(h, w, 3\) uint8"):
        judge.segment(image)


def test_other_features_and_scales_are_refused(judge: Judge) -> None:
    with pytest.raises(InvalidImage, match=r"\(n, h, w, 3\) uint8"):
        judge.features(noise(8, 8, 3))
    for mpp in (0, -1, math.nan, 500):
        with pytest.raises(InvalidRequest, match="micrometres per pixel"):
            judge.segment(noise(8, 8, 3), mpp=mpp)


def test_the_bundled_judge_finds_plain_nuclei() -> None:
    """At two scales; wrong weights or a wrong range of the input would find none."""
    rng = np.random.default_rng(0)
    places = [(y, x) for y in range(24, 128, 40) for x in range(24, 128, 40)]
    true = discs(*((y, x, 7) for y, x in places), shape=(128, 128))
    pixels = np.where((true > 0)[..., None], (95, 60, 145), (225, 170, 205))
    image = (gaussian_filter(pixels, (1, 1, 0)) + rng.normal(0, 6, pixels.shape)).astype(np.uint8)
    bundled = Judge.load(device="cpu")
    assert bundled.info.class_counts["epithelial"] > 10_000
    for factor in (1, 2):
        large = np.kron(image, np.ones((factor, factor, 1), np.uint8))
        nuclei = bundled.segment(large, mpp=0.5 / factor)
        found = nuclei.instance_map[factor // 2 :: factor, factor // 2 :: factor]
        assert len(nuclei.probabilities) == len(places)
        assert ((found > 0) == (true > 0)).mean() > 0.97


def test_other_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailable):
        Judge.load(write_tiny_judge(tmp_path / "tiny"), device="cuda:99")


def test_the_judge_knows_nothing_of_the_generator() -> None:
    code = (
        "import pkgutil, importlib, sys, napari_histodiff.segmenter as segmenter\n"
        "for m in pkgutil.iter_modules(segmenter.__path__):\n"
        "    importlib.import_module(f'napari_histodiff.segmenter.{m.name}')\n"
        "print([m for m in sys.modules if m.startswith('napari_histodiff.diffusion')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"
