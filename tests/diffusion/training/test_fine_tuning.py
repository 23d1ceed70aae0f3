"""Fine-tuning from a folder, the validation loss and the best weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.io import imsave

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import pack
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.training.config import Stage, TrainingConfig
from napari_histodiff.diffusion.training.fine_tuning import fine_tune
from napari_histodiff.diffusion.training.flow_matching import initial_generator, train
from napari_histodiff.diffusion.training.loop import Validation
from tests.data_folder import write_data_folder
from tests.diffusion.tiny import TISSUE_CLASSES, save_tiny, tiny_pipeline


@pytest.fixture
def start(tmp_path: Path) -> Path:
    return save_tiny(tiny_pipeline(), tmp_path / "start")


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Twelve images of pink tissue with one violet nucleus each."""
    rng = np.random.default_rng(0)
    root = tmp_path / "slides"
    for name in ("images", "instances", "classes"):
        (root / name).mkdir(parents=True)
    for i in range(12):
        nucleus = np.zeros((96, 96), bool)
        nucleus[30 + i : 50 + i, 40:60] = True
        image = np.where(nucleus[..., None], (90, 50, 140), (220, 150, 190))
        image = image + rng.integers(-8, 9, image.shape)
        imsave(root / "images" / f"s{i}.png", image.astype(np.uint8))
        imsave(root / "instances" / f"s{i}.png", nucleus.astype(np.uint8), check_contrast=False)
        imsave(root / "classes" / f"s{i}.png", 2 * nucleus.astype(np.uint8), check_contrast=False)
    return root


def test_a_folder_becomes_a_model(slides: Path, start: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    folder = fine_tune(slides, output, init_from=str(start), samples=24, device="cpu")
    assert folder == output / "pipeline"
    tuned, before = (load_pipeline(f, "cpu", "float32").network for f in (folder, start))
    assert not all(
        torch.equal(a, b) for a, b in zip(tuned.parameters(), before.parameters(), strict=True)
    )
    assert json.loads((output / "config.json").read_text())["stages"][0]["size"] == 96
    rows = [row.split(",") for row in (output / "loss.csv").read_text().splitlines()]
    assert [row[4] != "" for row in rows] == [False, False, False, True]
    info = json.loads((folder / "model_info.json").read_text())
    assert info["class_counts"]["epithelial"] == 11  # one slide of twelve is held out
    with pytest.raises(TrainingError, match="without a run"):
        fine_tune(slides, output, init_from=str(start))


def test_too_small_images_are_refused(slides: Path, start: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="at least 64 px"):
        fine_tune(slides, tmp_path / "run", mpp=0.25, init_from=str(start))


def config(tmp_path: Path, start: Path, **more) -> TrainingConfig:
    (tmp_path / "data").mkdir()
    data = str(pack(write_data_folder(tmp_path / "data"), tmp_path / "train.npz"))
    settings = TrainingConfig(
        data=data,
        output=str(tmp_path / "run"),
        validation=data,
        init_from=str(start),
        samples=8,
        stages=(Stage(64, 4, 1.0),),
        compile=False,
        precision="float32",
    )
    return replace(settings, **more)


def test_the_validation_loss_is_the_same_every_time(start: Path, tmp_path: Path) -> None:
    settings = config(tmp_path, start)
    generator = initial_generator(settings)
    validation = Validation(Path(settings.data), 32, TISSUE_CLASSES)
    loss = validation.loss(generator)
    torch.manual_seed(5)
    assert validation.loss(generator) == loss
    assert Validation(Path(settings.data), 32, TISSUE_CLASSES).loss(generator) == loss


def test_worse_weights_do_not_replace_the_best(start: Path, tmp_path: Path, monkeypatch) -> None:
    losses = iter([1.0, 2.0, 0.5])
    monkeypatch.setattr(Validation, "loss", lambda self, generator: next(losses))
    settings = config(tmp_path, start)
    first = train(settings)
    kept = load_pipeline(first, "cpu", "float32").network.state_dict()

    def weights(samples: int) -> dict[str, torch.Tensor]:
        folder = train(replace(settings, samples=samples), resume=True)
        return load_pipeline(folder, "cpu", "float32").network.state_dict()

    worse, better = weights(16), weights(24)
    assert all(torch.equal(kept[name], worse[name]) for name in kept)
    assert not all(torch.equal(kept[name], better[name]) for name in kept)


def test_flow_training_takes_the_jumps_away(start: Path, tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    pipeline.network.register_to_config(jumps=True)
    jumper = save_tiny(pipeline, tmp_path / "jumper")
    assert load_pipeline(jumper, "cpu", "float32").network.jumps
    folder = train(config(tmp_path, jumper, validation=None))
    assert not load_pipeline(folder, "cpu", "float32").network.jumps
