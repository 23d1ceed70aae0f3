"""Drawn pictures are compared with the training crops that are nearest to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest, ModelInvalid, ModelNotFound
from napari_histodiff.diffusion.model_folder import bundled_model_path, check_folder
from napari_histodiff.segmenter.model import Judge
from napari_histodiff.segmenter.nearest import (
    CROP,
    INDEX_FOLDER,
    TrainingIndex,
    bundled_index,
    crops_of,
    index_of,
)


class Means:
    """Features of a double of the judge: 4 x 4 block means."""

    def features(self, images: np.ndarray) -> np.ndarray:
        side = images.shape[1] // 4
        blocks = images.reshape(len(images), 4, side, 4, side, 3).mean((2, 4))
        return blocks.reshape(len(images), -1).astype(np.float32)


def noise(count: int, seed: int) -> np.ndarray:
    """Images of coarse noise, each unlike the others."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 200, (count, 4, 4, 3), dtype=np.uint8)
    return small.repeat(CROP // 4, 1).repeat(CROP // 4, 2)


@pytest.fixture(scope="module")
def training() -> np.ndarray:
    return noise(150, 0)


@pytest.fixture(scope="module")
def index(training) -> TrainingIndex:
    measure = Means().features
    return TrainingIndex.of(measure(training), measure(noise(150, 1)), models=["a"], judge="j")


def test_a_copy_is_near_and_new_tissue_is_as_far_as_unseen_tissue(index, training) -> None:
    new = np.array([index.nearness(Means(), image, 0.5) for image in noise(60, 2)])
    assert 0.9 < np.median(new) < 1.1
    assert index.nearness(Means(), training[7], 0.5) < 0.02
    assert index.info.near > 0.5
    blended = (training[7].astype(float) * 0.9 + noise(1, 3)[0] * 0.1).astype(np.uint8)
    assert index.nearness(Means(), blended, 0.5) < index.info.near


def test_one_copied_corner_of_a_large_image_is_found(index, training) -> None:
    image = np.concatenate([noise(1, 4)[0], noise(1, 5)[0]], axis=1)
    far = index.nearness(Means(), image, 0.5)
    image[:, CROP:] = training[3]
    assert index.nearness(Means(), image, 0.5) < 0.02 < far
    # At another pixel size, too.
    assert index.nearness(Means(), image.repeat(2, 0).repeat(2, 1), 0.25) < 0.1


def test_what_is_too_small_or_bare_glass_is_not_told(index) -> None:
    assert index.nearness(Means(), noise(1, 0)[0][:100], 0.5) is None
    assert index.nearness(Means(), np.full((CROP, CROP, 3), 245, np.uint8), 0.5) is None


def test_crops_cover_the_image() -> None:
    image = np.zeros((CROP + 10, 2 * CROP + 5, 3), np.uint8)
    assert len(crops_of(image)) == 6
    image[-1, -1] = 200
    assert crops_of(image)[-1][-1, -1, 0] == 200


def test_an_index_is_read_as_it_was_written(index, tmp_path) -> None:
    index.save(tmp_path / INDEX_FOLDER)
    again = TrainingIndex.load(tmp_path / INDEX_FOLDER)
    assert again.info == index.info
    np.testing.assert_array_equal(again.crops, index.crops)
    assert index_of(tmp_path, "a") == tmp_path / INDEX_FOLDER
    assert index_of(tmp_path, "b") is None


def test_damaged_and_foreign_indices_are_refused(index, tmp_path) -> None:
    with pytest.raises(ModelNotFound):
        TrainingIndex.load(tmp_path)
    index.save(tmp_path)
    info = tmp_path / "index_info.json"
    for said in ("[]", "{", "{}", json.dumps(json.loads(info.read_text()) | {"typical": 0})):
        info.write_text(said)
        with pytest.raises(ModelInvalid):
            TrainingIndex.load(tmp_path)
        assert index_of(tmp_path, "zzz") is None
    index.save(tmp_path)
    file = tmp_path / "index.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ModelInvalid):
        TrainingIndex.load(tmp_path)


def test_too_few_crops_say_nothing(training) -> None:
    few = Means().features(training[:20])
    with pytest.raises(InvalidRequest, match="100 crops"):
        TrainingIndex.of(few, few, models=["a"], judge="j")


def test_the_bundled_index_is_of_the_bundled_model_and_judge_and_holds_no_pictures() -> None:
    index = bundled_index()
    revision = check_folder(bundled_model_path()).revision
    assert revision in index.info.models
    assert index.info.judge == Judge.load(device="cpu").info.revision
    assert index_of(None, revision) is not None
    assert index_of(None, "another") is None
    assert index.crops.shape[1] == 128
    assert index.crops.nbytes < 3 * 2**20
    folder = Path(str(index_of(None, revision)))
    assert "CC BY-NC-SA 4.0" in (folder / "README.md").read_text("utf-8")
