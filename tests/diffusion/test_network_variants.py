"""The networks of `benchmarks.networks` fit where a `HistoUNet` fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.networks.blocks import REACH, NeighbourBlock
from benchmarks.networks.inflammatory import POLICIES, Policy, labelled_sampler
from benchmarks.networks.learning import Learner, budget, learn_together
from benchmarks.networks.variants import DESCRIPTIONS, VARIANTS, PaintedUNet, build
from napari_histodiff.datasets.packing import Pack
from napari_histodiff.datasets.sources import PackItem
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder
from napari_histodiff.diffusion.conditioning import CHANNELS, STAIN_FEATURES, spatial_channels
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.training.batches import BatchMaker
from napari_histodiff.diffusion.training.config import Stage
from napari_histodiff.diffusion.training.crops import CropSampler
from napari_histodiff.diffusion.training.generator import Generator


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_draws_and_all_of_it_learns(name: str) -> None:
    network = build(name, 0)
    assert name in DESCRIPTIONS
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    x0 = _call(network, _inputs(32, 48))
    assert x0.shape == (2, 3, 32, 48)
    assert x0.dtype == torch.float32
    torch.autograd.backward(x0.square().mean())
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == ["jump"]


def test_variants_have_the_parameters_they_are_compared_at() -> None:
    count = {name: sum(p.numel() for p in build(name, 0).parameters()) for name in VARIANTS}
    for name in ("patch4", "transformer", "spade", "spade-only"):
        assert count[name] == pytest.approx(count["base"], rel=0.05)
    assert count["narrow"] == pytest.approx(count["base"] / 2, rel=0.1)
    assert count["wide"] > 1.5 * count["base"]


@pytest.mark.parametrize("at_input", [True, False])
def test_nuclei_reach_a_painted_network_only_where_they_should(at_input: bool) -> None:
    network = PaintedUNet(at_input, widths=(8, 8), encoder_blocks=(0, 1), decoder_blocks=(1, 1))
    torch.nn.init.normal_(network.head.weight)
    inputs = _inputs(16, 16)
    painted = inputs["spatial"].clone()
    painted[:, CHANNELS["nuclei"]] += 1
    with torch.no_grad():
        before, after = _call(network, inputs), _call(network, inputs | {"spatial": painted})
    # The modulation starts at 0, so an untrained network sees what its stem sees.
    assert torch.equal(before, after) != at_input


def test_attention_does_not_reach_beyond_its_neighbourhood() -> None:
    torch.manual_seed(0)
    block = NeighbourBlock(8, 4, heads=2, hidden=16)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(1, 8, 3, 12)
    changed = x.clone()
    changed[..., 0] += 1
    emb = torch.randn(1, 4)
    with torch.no_grad():
        moved = (block(x, emb) - block(changed, emb)).abs().amax((0, 1, 2))
    assert (moved[: REACH + 1] > 1e-4).all()
    assert (moved[REACH + 1 :] < 1e-6).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_inflammatory_nuclei_are_labelled_and_the_crops_stay(policy: Policy) -> None:
    packed, untouched = _pack(), _pack()
    sampler = labelled_sampler(packed, policy, 0)
    classes, instances = packed.layers[0][..., 0], packed.instances[0]
    found = {i: set(np.unique(classes[instances == i]).tolist()) for i in (1, 2, 3)}
    assert found[1] == {2}  # known before
    assert found[2] == {0}  # not inflammatory
    assert found[3] <= {"unknown": {0}, "mixed": {3, 4}, "lymphocyte": {3}}[policy]
    assert np.array_equal(packed.layers[1], untouched.layers[1])
    plain = labelled_sampler(untouched, "unknown", 0)
    for _ in range(4):
        assert np.array_equal(sampler.draw(16).pixels, plain.draw(16).pixels)


def test_learners_side_by_side_see_the_same_crops_and_noise() -> None:
    config = budget(48, 0, stages=(Stage(16, 4, 1.0),), precision="float32")
    maker = BatchMaker(CropSampler(_pack(), 0), config.drop, 0, 4)
    learners = {name: Learner(_tiny(seed), config) for name, seed in (("a", 0), ("b", 0), ("c", 1))}
    seen: list[int] = []
    learn_together(
        learners, dict.fromkeys(learners, maker), config, every=5, on_checkpoint=seen.append
    )
    assert seen == [20, 40, 48]
    a, b, c = (learner.losses for learner in learners.values())
    assert len(a) == 12
    assert a == b
    assert a != c


def _tiny(seed: int) -> Generator:
    torch.manual_seed(seed)
    return Generator(HistoUNet(widths=(8, 8, 8, 8), embedding_dim=16), CaptionEncoder(dim=16))


def _pack() -> Pack:
    """An item of each source; Lizard has a lymphocyte and a plasma cell."""
    rng = np.random.default_rng(0)
    instances = np.zeros((32, 32), np.uint16)
    for i in (1, 2, 3):
        instances[8 * i : 8 * i + 6, 4:20] = i
    own = np.where(instances == 1, 2, 0)
    lizard = np.choose(instances, (0, 2, 3, 4))
    known = PackItem("b", "lizard", 0.5, "colon", "", True, True, False)
    partly = replace(known, source="consep", unknown_is_inflammatory=True, other_nuclei=(2,))
    items = [partly, known]
    layers = []
    for classes in (own, lizard):
        planes = [classes, np.zeros_like(classes), instances > 0, 0 * classes, 1 + 0 * classes]
        layers.append(np.stack(planes, -1).astype(np.uint8))
    pixels = [rng.integers(0, 255, (32, 32, 3), np.uint8) for _ in items]
    return Pack(items, pixels, layers, [instances, instances.copy()])


def _inputs(height: int, width: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "sample": torch.randn(2, 3, height, width),
        "t": torch.tensor([0.3, 1.0]),
        "spatial": torch.rand(2, spatial_channels(4), height, width),
        "embedding": torch.randn(2, 256),
        "mpp": torch.tensor([0.5, 1.0]),
        "stain": torch.randn(2, STAIN_FEATURES),
    }


def _call(network: HistoUNet, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    x0: torch.Tensor = network(**inputs)
    return x0
