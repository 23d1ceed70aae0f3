"""What the judge learns from, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import load_pack, pack
from napari_histodiff.datasets.sources import PackItem
from napari_histodiff.segmenter.crops import SegmenterCrops, augment
from napari_histodiff.segmenter.losses import (
    INFLAMMATORY,
    MAPS,
    TrainingTarget,
    distance_map,
    held_out,
    judge_loss,
    make_target,
)
from napari_histodiff.segmenter.model import Judge
from napari_histodiff.segmenter.training import train_judge
from tests.data_folder import write_data_folder
from tests.segmenter.tiny import tiny_network


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    return pack(write_data_folder(folder), folder / "train.npz")


def item(name: str, source: str = "lizard", has_nuclei: bool = True) -> PackItem:
    return PackItem(name, source, 0.5, None, "", has_nuclei, has_nuclei, False)


def target(rare: bool = False) -> TrainingTarget:
    maps = np.zeros((160, 160, 4), np.uint8)
    maps[..., MAPS.index("valid")] = 1
    maps[..., MAPS.index("class")] = 2
    if rare:
        maps[70:74, 70:74, MAPS.index("class")] = 1
    pixels = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    return TrainingTarget(item("a"), pixels, maps)


def test_distance_is_one_in_the_middle_and_small_where_nuclei_touch() -> None:
    instances = np.zeros((20, 30), np.int32)
    instances[4:15, 4:15], instances[4:15, 15:26] = 1, 2
    distance = distance_map(instances)
    assert distance[9, 9] == distance[9, 20] == 1
    assert distance[9, 14] == distance[9, 15] == pytest.approx(1 / 6)
    assert not distance[instances == 0].any()


def test_targets_of_real_layouts(packed: Path) -> None:
    loaded = load_pack(packed)
    for i, known in enumerate(loaded.items):
        codes = set(np.unique(make_target(loaded, i).maps[..., MAPS.index("class")]))
        assert (INFLAMMATORY in codes) == (known.source == "consep")
        assert bool(codes - {0}) == known.has_classes


def test_some_of_each_set_is_held_out_whatever_else_is_packed() -> None:
    lizard = [item(f"l{i}") for i in range(30)]
    others = [item(f"c{i}", "consep") for i in range(5)]
    blank = [item(f"g{i}", "glas", has_nuclei=False) for i in range(30)]
    chosen = held_out(lizard + others + blank)
    assert sorted(name.split("/")[0] for name in chosen) == ["consep", "lizard", "lizard"]
    assert held_out(others[::-1] + lizard[::-1]) == chosen
    assert not held_out(lizard[:3])
    with pytest.raises(TrainingError, match="images with nuclei"):
        held_out(blank)


def test_nuclei_that_a_network_set_are_not_learnt_from() -> None:
    soft = [replace(item(str(i)), soft=True) for i in range(4)]
    with pytest.raises(TrainingError, match="annotated"):
        held_out(soft)


def test_crops_have_one_size_and_follow_the_seed() -> None:
    sampler = SegmenterCrops([target()], 64, seed=3)
    for _ in range(4):
        pixels, maps = sampler.batch(2)
        assert pixels.shape == (2, 3, 64, 64)
        assert maps.shape == (2, 4, 64, 64)
        assert 0 <= float(pixels.min()) < float(pixels.max()) <= 1
        assert maps.dtype == torch.uint8
    first, again = (SegmenterCrops([target()], 64, seed=3).batch(2)[0] for _ in range(2))
    assert torch.equal(first, again)


def test_rare_classes_are_drawn_more_often() -> None:
    _, maps = SegmenterCrops([target()] * 20 + [target(rare=True)], 64, seed=0).batch(120)
    rare = (maps[:, MAPS.index("class")] == 1).any(-1).any(-1)
    assert rare.float().mean() > 0.15


def test_images_smaller_than_a_crop_are_told() -> None:
    with pytest.raises(TrainingError, match="larger images"):
        SegmenterCrops([target()], 300, seed=0).batch(1)


def test_augmentation_changes_the_look_within_bounds() -> None:
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for seed in range(4):
        changed = augment(images, torch.Generator().manual_seed(seed))
        assert changed.shape == images.shape
        assert 0 <= float(changed.min()) < float(changed.max()) <= 1
        assert float((changed - images).abs().mean()) > 0.005


def test_the_loss_asks_for_one_of_four_and_forgives_the_unknown() -> None:
    outputs = torch.zeros(1, 8, 4, 4)
    maps = torch.zeros(1, 4, 4, 4, dtype=torch.uint8)
    maps[:, MAPS.index("valid")] = 1
    weights = torch.tensor([0.0, 1, 1, 1, 1, 1, 1, 1])

    def loss(code: int, logits: dict[int, float]) -> float:
        maps[:, MAPS.index("class")] = code
        outputs[:, 2:] = 0
        for kind, value in logits.items():
            outputs[:, 1 + kind] = value
        return float(judge_loss(outputs, maps, weights))

    for kind in (1, 3, 4, 5):
        assert loss(INFLAMMATORY, {kind: 9}) < loss(INFLAMMATORY, {}) < loss(INFLAMMATORY, {2: 9})
    assert loss(0, {kind: 9}) == loss(0, {2: 9})
    assert loss(2, {2: 9}) < loss(2, {3: 9})


def test_what_is_not_valid_has_no_weight() -> None:
    outputs = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    maps = torch.randint(0, 2, (1, 4, 8, 8), generator=torch.Generator().manual_seed(1)).byte()
    maps[:, MAPS.index("valid")] = 1
    maps[:, MAPS.index("valid"), :, 4:] = 0
    before = judge_loss(outputs, maps, torch.ones(8))
    outputs[..., 4:] += 5
    assert judge_loss(outputs, maps, torch.ones(8)) == before


def test_the_loss_falls() -> None:
    network = tiny_network().train()
    torch.manual_seed(0)
    images = torch.rand(2, 3, 32, 32)
    maps = torch.zeros(2, 4, 32, 32, dtype=torch.uint8)
    maps[:, MAPS.index("valid")] = 1
    maps[:, MAPS.index("interior"), 8:20, 8:20] = 1
    maps[:, MAPS.index("class"), 8:20, 8:20] = 3
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    losses = []
    for _ in range(25):
        loss = judge_loss(network(images), maps, torch.ones(8))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_training_writes_a_judge_that_loads(packed: Path, tmp_path: Path) -> None:
    folders = [
        train_judge(packed, tmp_path / name, hours=1, samples=samples, device="cpu", compiled=False)
        for name, samples in (("short", 8), ("long", 24))
    ]
    judges = [Judge.load(folder, device="cpu") for folder in folders]
    assert judges[0].info.revision != judges[1].info.revision
    assert judges[1].info.class_counts["neutrophil"] > 0
    assert "CC BY-NC-SA 4.0" in judges[1].info.licence
    assert "neutrophil" in (folders[1] / "README.md").read_text()
    nuclei = judges[1].segment(np.full((40, 40, 3), 200, np.uint8))
    assert nuclei.instance_map.shape == (40, 40)


def test_a_missing_pack(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="packed file"):
        train_judge(tmp_path / "no.npz", tmp_path / "judge", hours=1, samples=8)
