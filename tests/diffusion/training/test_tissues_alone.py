"""Some tissues can be taught alone: everything else that a network knows stays, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.packing import LAYERS, load_pack, pack
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.training.config import Drop, Stage, TrainingConfig
from napari_histodiff.diffusion.training.consistency import distil
from napari_histodiff.diffusion.training.crops import CropSampler
from napari_histodiff.diffusion.training.flow_matching import train
from tests.data_folder import write_data_folder
from tests.diffusion.tiny import save_tiny, tiny_pipeline

GLAND, LUMEN = (TISSUE_NAMES.index(name) - 1 for name in ("gland", "lumen"))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("tissues")
    (folder / "data").mkdir()
    return TrainingConfig(
        data=str(pack(write_data_folder(folder / "data"), folder / "train.npz")),
        output=str(folder / "run"),
        init_from=str(save_tiny(tiny_pipeline(), folder / "start")),
        network={"tissue_modulation": True},
        tissues=("gland",),
        samples=24,
        stages=(Stage(32, 8, 1.0),),
        drop=Drop(tissue=0.0),
        learning_rate=1e-2,
        warmup=1,
        compile=False,
        precision="float32",
    )


@pytest.mark.parametrize("teach", [train, distil])
def test_only_how_they_modulate_blocks_is_learnt(
    config: TrainingConfig, tmp_path: Path, teach: Callable[[TrainingConfig], Path]
) -> None:
    assert config.init_from is not None
    before = load_pipeline(config.init_from, "cpu", "float32")
    after = load_pipeline(teach(replace(config, output=str(tmp_path))), "cpu", "float32")
    known = before.network.state_dict()
    learnt = 0
    for name, weights in after.network.state_dict().items():
        if name in known:
            assert torch.equal(weights, known[name].half().float()), name
        else:
            assert ".tissue." in name
            others = [i for i in range(weights.shape[1]) if i != GLAND]
            assert not weights[:, others].any()
            learnt += int(weights[:, GLAND].any())
    assert learnt > 0
    for name, weights in after.caption_encoder.state_dict().items():
        assert torch.equal(weights, before.caption_encoder.state_dict()[name].half().float())


def test_most_crops_are_drawn_around_them(config: TrainingConfig) -> None:
    packed = load_pack(Path(config.data))
    layer = LAYERS.index("tissue")
    for layers in packed.layers:
        layers[..., layer] = 0
    packed.layers[-1][4:28, 4:28, layer] = LUMEN + 1
    sampler = CropSampler(packed, 0, rare=0.0, scarce=0.8, tissues=("lumen",))
    found = [bool(sampler.draw(32).layers[..., layer].any()) for _ in range(60)]
    assert np.mean(found) > 0.6


def test_what_cannot_be_taught_alone_is_refused(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="choose from gland"):
        replace(config, tissues=("cartilage",))
    with pytest.raises(TrainingError, match="tissue_modulation"):
        train(replace(config, network={}, output=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()
