"""Proposed tissue, the gland network, what it learns from, and that it learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.errors import InvalidImage, InvalidRequest, ModelInvalid, TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.packing import LAYERS, Pack, PackWriter
from napari_histodiff.datasets.sources import PackItem, Sample
from napari_histodiff.segmenter.gland_training import GlandCrops, gland_loss, train_gland
from napari_histodiff.segmenter.network import GlandNetwork
from napari_histodiff.segmenter.tissue import GlandInfo, TissueSegmenter, write_gland_network
from tests.segmenter.tiny import write_tiny_judge

GLAND, STROMA, LUMEN, GLASS, MUCUS = (
    TISSUE_NAMES.index(name) for name in ("gland", "stroma", "lumen", "glass", "mucus")
)
INFO = GlandInfo("tiny", "CC0", {"with outlined glands": 7})


@dataclass(frozen=True)
class Nuclei:
    instance_map: NDArray[np.int32]
    class_map: NDArray[np.uint8]


def segmenter(logit: float) -> TissueSegmenter:
    """One that finds glands everywhere, or nowhere."""
    network = GlandNetwork((8, 8))
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.constant_(network.head.bias, logit)
    return TissueSegmenter(network, INFO)


def stroma_nuclei(shape: tuple[int, int]) -> Nuclei:
    """Connective nuclei all over an image."""
    instances = np.zeros(shape, np.int32)
    for k, y in enumerate(range(4, shape[0] - 12, 24)):
        for m, x in enumerate(range(4, shape[1] - 12, 24)):
            instances[y : y + 8, x : x + 8] = 1 + 100 * k + m
    return Nuclei(instances, np.where(instances > 0, 6, 0).astype(np.uint8))


def pink(side: int = 200) -> NDArray[np.uint8]:
    """Tissue with a strip of glass on the left."""
    image = np.full((side, side, 3), (220, 150, 190), np.uint8)
    image[:, : side // 4] = 250
    return image


def packed(source: str = "glas", organ: str | None = "colon", side: int = 320) -> Pack:
    """One image: a dark gland on the left, light stroma on the right."""
    item = PackItem("a", source, 0.5, organ, "", False, False, True)
    pixels = np.full((side, side, 3), 200, np.uint8)
    pixels[:, : side // 2] = (120, 60, 160)
    layers = np.zeros((side, side, len(LAYERS)), np.uint8)
    layers[..., LAYERS.index("valid")] = 1
    tissue = layers[..., LAYERS.index("tissue")]
    tissue[:, : side // 2], tissue[:, side // 2 :] = GLAND, STROMA
    return Pack([item], [pixels], [layers], [np.zeros((side, side), np.uint16)])


def test_glands_come_from_the_network_and_the_rest_from_rules() -> None:
    image = pink()
    found = segmenter(9).propose(image, mpp=0.5, nuclei=stroma_nuclei((200, 200)))
    assert found.shape == (200, 200)
    assert found.dtype == np.uint8
    assert (found[:, 80:] == GLAND).mean() > 0.9
    found = segmenter(-9).propose(image, mpp=0.5, nuclei=stroma_nuclei((200, 200)))
    assert (found[:, 80:] == STROMA).mean() > 0.9
    assert (found[:, :40] == GLASS).mean() > 0.9


def test_without_nuclei_or_in_doubt_tissue_stays_unspecified() -> None:
    assert not segmenter(-9).propose(pink(), mpp=0.5, nuclei=None)[:, 80:].any()
    unsure = segmenter(-0.4).propose(pink(), mpp=0.5, nuclei=stroma_nuclei((200, 200)))
    assert not unsure[:, 80:].any()


def test_what_is_no_image_or_no_scale_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="micrometres per pixel"):
        segmenter(0).propose(pink(), mpp=40, nuclei=None)
    with pytest.raises(InvalidImage, match="h, w, 3"):
        segmenter(0).propose(pink()[..., 0], mpp=0.5, nuclei=None)


def test_likelihoods_have_the_size_of_the_image_and_turn_with_it() -> None:
    torch.manual_seed(0)
    network = TissueSegmenter(GlandNetwork((8, 8)), INFO)
    image = np.random.default_rng(0).integers(0, 256, (70, 53, 3), np.uint8)
    found = network.gland(image, 1.0)
    assert found.shape == (70, 53)
    assert found.std() > 0
    turned = network.gland(np.ascontiguousarray(image[::-1, ::-1]), 1.0)
    np.testing.assert_allclose(turned[::-1, ::-1], found, atol=1e-5)
    assert network.gland(image, 2.0).shape == (70, 53)


def test_a_folder_comes_back_and_that_of_a_judge_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = GlandNetwork()
    folder = write_gland_network(tmp_path / "gland", network, INFO, 12)
    loaded = TissueSegmenter.load(folder, "cpu")
    assert loaded.info.images == INFO.images
    assert len(loaded.info.revision) == 12
    assert "12 crops" in (folder / "README.md").read_text("utf-8")
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    same = TissueSegmenter(network, INFO).gland(image, 1.0)
    np.testing.assert_allclose(loaded.gland(image, 1.0), same, atol=0.02)
    with pytest.raises(ModelInvalid, match="expected a GlandNetwork"):
        TissueSegmenter.load(write_tiny_judge(tmp_path / "judge"), "cpu")


def test_the_loss_is_least_where_glands_are_found() -> None:
    glands = torch.zeros(1, 1, 8, 8)
    glands[..., :4] = 1
    right, wrong = 20 * glands - 10, 10 - 20 * glands
    assert float(gland_loss(right, glands)) < 0.01
    assert float(gland_loss(wrong, glands)) > 5


def test_crops_show_what_their_labels_say() -> None:
    pixels, glands = GlandCrops(packed(), 32, 0).batch(12)
    assert pixels.shape == (12, 3, 32, 32)
    assert glands.shape == (12, 1, 32, 32)
    red = pixels[:, :1]
    assert red[glands == 1].mean() < 0.55
    assert red[glands == 0].mean() > 0.7


def test_labels_by_rule_are_not_learnt_from() -> None:
    both = packed()
    for other in (packed("atlas"), packed("atlas", "spleen")):
        both.items.extend(other.items)
        both.pixels.extend(other.pixels)
        both.layers.extend(other.layers)
        both.instances.extend(other.instances)
    assert GlandCrops(both, 32, 0).kinds == ["outlined", "without"]
    with pytest.raises(TrainingError, match="expected outlined glands"):
        GlandCrops(packed("atlas"), 32, 0)


def test_it_learns(tmp_path: Path) -> None:
    one = packed()
    none, tissue = np.zeros((320, 320), np.uint8), one.layers[0][..., LAYERS.index("tissue")]
    with PackWriter(tmp_path / "pack.npz") as writer:
        instances = none.astype(np.int32)
        writer.add(Sample(one.items[0], one.pixels[0], none, instances, tissue, none + 1))
    folder = train_gland(
        tmp_path / "pack.npz", tmp_path / "gland", hours=1, samples=320, compiled=False
    )
    found = TissueSegmenter.load(folder, "cpu").gland(one.pixels[0], 0.5)
    assert found[:, :120].mean() > found[:, 200:].mean() + 0.2


@pytest.mark.data
def test_the_bundled_network_finds_glands_that_people_outlined(data_root: Path) -> None:
    folder = data_root / "glas"
    segmenter = TissueSegmenter.load(device="cpu")
    both = either = 0
    for name in ("test_1", "test_20", "test_31"):
        image = np.array(Image.open(folder / "images" / f"{name}.jpg").convert("RGB"))
        gland = np.array(Image.open(folder / "tissue" / f"{name}.png")) > 0
        found = segmenter.gland(image, 0.62) > 0.5
        both += int((found & gland).sum())
        either += int((found | gland).sum())
    assert both / either > 0.7
