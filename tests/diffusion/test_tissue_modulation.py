"""Blocks that are told tissue change nothing where it is not, and nothing until they learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.diffusion.conditioning import CHANNELS, STAIN_FEATURES, spatial_channels
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.training.config import TrainingConfig
from napari_histodiff.diffusion.training.flow_matching import initial_generator
from tests.diffusion.tiny import TISSUE_CLASSES, save_tiny, tiny_pipeline

WIDTHS = (8, 8, 8, 8)
LYMPHOID, MUSCLE = (TISSUE_NAMES.index(name) - 1 for name in ("lymphoid", "muscle"))
SEES = 128  # px, farther than it does


def pair() -> tuple[HistoUNet, HistoUNet]:
    """A network that is told by its input alone, and one of the same weights that is told twice."""
    plain = tiny_pipeline().network
    told = HistoUNet(
        widths=WIDTHS, embedding_dim=16, tissue_classes=TISSUE_CLASSES, tissue_modulation=True
    )
    told.load_state_dict(plain.state_dict(), strict=False)
    return plain, told.eval()


def draw(network: HistoUNet, spatial: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    noise = torch.randn(1, 3, *spatial.shape[-2:], generator=torch.Generator().manual_seed(1))
    one = torch.ones(1, dtype=dtype)
    with torch.no_grad():
        x0: torch.Tensor = network.to(dtype)(
            noise.to(dtype),
            one,
            spatial.to(dtype),
            torch.ones(1, 16, dtype=dtype),
            one,
            torch.ones(1, STAIN_FEATURES, dtype=dtype),
        )
    return x0


def tissue(kind: int, width: int = 64) -> torch.Tensor:
    """Conditions of a place whose left 32 columns are one class."""
    spatial = torch.zeros(1, spatial_channels(TISSUE_CLASSES), 32, width)
    spatial[:, CHANNELS["tissue"]][:, kind, :, :32] = 1
    return spatial


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_modulation_begins_as_none_and_stays_so_where_its_tissue_is_not(dtype: torch.dtype) -> None:
    plain, told = pair()
    lymphoid, muscle = tissue(LYMPHOID, 32 + 2 * SEES), tissue(MUSCLE, 32 + 2 * SEES)
    assert torch.equal(draw(plain, lymphoid, dtype), draw(told, lymphoid, dtype))
    told.float()
    for name, weight in told.named_parameters():
        if ".tissue." in name:
            torch.nn.init.normal_(weight[:, LYMPHOID : LYMPHOID + 1].data, std=0.3)
    assert torch.equal(draw(plain, muscle, dtype), draw(told, muscle, dtype))
    change = (draw(plain, lymphoid, dtype) - draw(told, lymphoid, dtype)).abs().amax((0, 1, 2))
    assert change[:32].min() > 0
    assert not change[32 + SEES :].any()


def test_blocks_at_the_finest_level_are_not_told() -> None:
    _, told = pair()
    names = [name for name, _ in told.named_parameters() if ".tissue." in name]
    assert len(names) == 6
    assert not [name for name in names if name.startswith(("encoder.0", "decoder.0"))]


def test_a_model_folder_says_whether_it_is_told(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    start = save_tiny(pipeline, tmp_path / "before")
    assert not load_pipeline(start, "cpu", "float32").network.config.tissue_modulation
    told = TrainingConfig(
        data="", output="", init_from=str(start), network={"tissue_modulation": True}
    )
    pipeline.register_modules(network=initial_generator(told).network.eval())
    again = load_pipeline(save_tiny(pipeline, tmp_path / "told"), "cpu", "float32").network
    place = tissue(LYMPHOID)
    assert torch.equal(
        draw(tiny_pipeline().network, place, torch.float32), draw(again, place, torch.float32)
    )
    assert [n for n, _ in again.named_parameters() if ".tissue." in n]
