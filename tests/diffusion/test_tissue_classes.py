"""A network says how many tissue classes it is told, in old models and new ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_histodiff.core.errors import ModelInvalid
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.diffusion.conditioning import (
    CHANNELS,
    conditions_from_request,
    spatial_channels,
    stain_condition,
    tissue_channels,
)
from napari_histodiff.diffusion.loading import bundled_model_path, load_pipeline
from napari_histodiff.diffusion.model_folder import check_folder
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.training.config import TrainingConfig
from napari_histodiff.diffusion.training.flow_matching import initial_generator
from tests.contracts import edit_request
from tests.diffusion.tiny import TISSUE_CLASSES, save_tiny, tiny_pipeline


def test_ids_of_four_class_models_keep_their_meaning() -> None:
    assert TISSUE_NAMES[:5] == ("unspecified", "gland", "stroma", "lumen", "glass")
    assert len(TISSUE_NAMES) == 12


FAT, STROMA, GLASS = (TISSUE_NAMES.index(name) for name in ("fat", "stroma", "glass"))


@pytest.mark.parametrize("classes", [4, TISSUE_CLASSES])
def test_tissue_is_one_hot_over_the_classes_a_network_knows(classes: int) -> None:
    tissue = np.arange(12, dtype=np.uint8).repeat(16).reshape(12, 16)
    spatial = conditions_from_request(
        edit_request(size=(12, 16), tissue_map=tissue), classes
    ).spatial
    assert spatial.shape == (1, spatial_channels(classes), 12, 16)
    told = spatial[0, CHANNELS["tissue"], :, 0]
    expected = torch.eye(classes)
    if classes >= FAT:  # told as its cells and membranes
        expected[:, FAT - 1] = 0
        assert set(torch.nonzero(told[:, FAT])[:, 0].tolist()) <= {STROMA - 1, GLASS - 1}
        told[:, FAT] = 0
    assert torch.equal(told[:, 1 : classes + 1], expected)
    assert not told[:, 0].any()
    assert not told[:, classes + 1 :].any()


def test_ids_beyond_the_network_are_unspecified() -> None:
    assert not tissue_channels(torch.full((1, 2, 2), 5, dtype=torch.uint8), 4).any()


def test_a_model_that_does_not_say_knows_four() -> None:
    folder = bundled_model_path()
    network = load_pipeline(folder, "cpu", "float32").network
    said = json.loads((folder / "network" / "config.json").read_text()).get("tissue_classes", 4)
    assert network.tissue_classes == said == len(check_folder(folder).tissue_names) - 1
    assert network.stem.in_channels == 4 * (3 + spatial_channels(said))


def test_new_classes_change_nothing_until_they_are_learnt(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        pipeline.register_modules(network=HistoUNet(widths=(8, 8, 8, 8), embedding_dim=16).eval())
        torch.nn.init.normal_(pipeline.network.head.weight)
    start = save_tiny(pipeline, tmp_path / "four", tissue_names=TISSUE_NAMES[:5])
    config = TrainingConfig(data="", output="", init_from=str(start))
    four = initial_generator(config).network
    wide = replace(config, network={"tissue_classes": TISSUE_CLASSES})
    more = initial_generator(wide).network
    assert (four.tissue_classes, more.tissue_classes) == (4, TISSUE_CLASSES)
    spatial = torch.rand(2, spatial_channels(TISSUE_CLASSES), 32, 32)
    rest = (torch.rand(2, 16), torch.full((2,), 0.5), stain_condition(None).repeat(2, 1))
    noisy = torch.randn(2, 3, 32, 32), torch.full((2,), 0.4)
    before = four(*noisy, spatial[:, : spatial_channels(4)], *rest)
    torch.testing.assert_close(more(*noisy, spatial, *rest), before, atol=1e-5, rtol=0)


def test_an_eighth_stain_number_changes_nothing_until_it_is_learnt(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for last in (pipeline.network.head, pipeline.network.stain[-1]):
            torch.nn.init.normal_(last.weight)
    start = save_tiny(pipeline, tmp_path / "seven")
    config = TrainingConfig(data="", output="", init_from=str(start))
    seven = initial_generator(config).network
    eight = initial_generator(replace(config, network={"stain_numbers": 8})).network
    assert (seven.stain_numbers, eight.stain_numbers) == (7, 8)
    stain = stain_condition(torch.tensor([[0.3, 0.6, 0.4, 0.2, 0.3, 0.1, -1.0, 0.9]]))
    channels = spatial_channels(seven.tissue_classes)
    given = (
        *(torch.randn(1, 3, 32, 32), torch.full((1,), 0.4), torch.rand(1, channels, 32, 32)),
        *(torch.rand(1, 16), torch.full((1,), 0.5), stain),
    )
    torch.testing.assert_close(eight(*given), seven(*given), atol=1e-5, rtol=0)
    with torch.no_grad():
        eight.stain[0].weight[:, -1] = 1
    assert not torch.allclose(eight(*given), seven(*given), atol=1e-3)


def test_fewer_classes_than_names_are_refused(tmp_path: Path) -> None:
    folder = save_tiny(tiny_pipeline(), tmp_path / "model")
    config = folder / "network" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"tissue_classes": 4}))
    with pytest.raises(ModelInvalid, match="at most 4 tissue names"):
        check_folder(folder)
