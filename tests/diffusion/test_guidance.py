"""Guidance arithmetic and known pixels, with a network whose output is its nuclei channel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histodiff.core.captions import SLOT_SIZES
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder, EmbeddedCaptions
from napari_histodiff.diffusion.conditioning import (
    CHANNELS,
    Conditions,
    spatial_channels,
    stain_condition,
)
from napari_histodiff.diffusion.guidance import MOST_JUMP_GUIDANCE, GuidedDenoiser
from tests.diffusion.tiny import TISSUE_CLASSES

Z = torch.zeros(2, 3, 4, 4)


class Recorder:
    """Answers 0.1 + 0.2 x (first nuclei channel) and keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor]] = []

    def __call__(self, sample, t, spatial, embedding, mpp, stain, jump_guidance) -> Tensor:
        assert len(sample) == len(t) == len(spatial) == len(embedding) == len(mpp)
        assert len(stain) == len(t)
        self.calls.append((t, jump_guidance))
        return 0.1 + 0.2 * spatial[:, CHANNELS["nuclei"]][:, :1].expand_as(sample)


def conditions() -> Conditions:
    spatial = torch.zeros(2, spatial_channels(TISSUE_CLASSES), 4, 4)
    spatial[:, CHANNELS["nuclei"]] = 1
    slots = torch.zeros(2, len(SLOT_SIZES), dtype=torch.int64)
    return Conditions(spatial, slots, torch.ones(2), stain_condition(None).repeat(2, 1))


def denoiser(
    network: Recorder, scale: float, given: Conditions | None = None, **kw
) -> GuidedDenoiser:
    return GuidedDenoiser(network, lambda slots: slots.float(), given or conditions(), scale, **kw)


@pytest.mark.parametrize(
    ("scale", "jumps", "split", "rows", "expected"),
    [
        (1.0, False, False, [2], 0.3),
        (2.0, False, False, [4], 0.5),
        (2.0, False, True, [2, 2], 0.5),
        (2.0, True, False, [2], 0.3),
        (9.0, True, True, [2], 0.3),
        (9.0, False, False, [4], 1.0),  # clipped
    ],
)
def test_guidance(scale, jumps, split, rows, expected) -> None:
    network = Recorder()
    x0 = denoiser(network, scale, split=split, jumps=jumps)(Z, 0.7)
    torch.testing.assert_close(x0, torch.full_like(Z, expected))
    assert [len(t) for t, _ in network.calls] == rows
    for t, guidance in network.calls:
        assert t.tolist() == pytest.approx([0.7] * len(t))
        assert set(guidance.tolist()) == {min(scale, MOST_JUMP_GUIDANCE) if jumps else 0}


def test_known_pixels_replace_the_estimate_exactly() -> None:
    given = conditions()
    given.spatial[:, CHANNELS["known"], 1, 2] = 0.123
    given.spatial[:, CHANNELS["known_mask"], 1, 2] = 1
    x0 = denoiser(Recorder(), 3.0, given)(Z, 0.5)
    assert torch.equal(x0[:, :, 1, 2], torch.full((2, 3), 0.123))
    assert (x0[:, :, 0, 0] > 0.5).all()


def test_captions_of_a_drawing_are_embedded_once() -> None:
    encoder, asked = CaptionEncoder(dim=16), []
    encoder.register_forward_hook(lambda *_: asked.append(1))
    embed = EmbeddedCaptions(encoder)
    none = torch.zeros(1, len(SLOT_SIZES), dtype=torch.int64)
    first, both = none + 1, torch.cat([none + 1, none])
    for slots in (none, first, both, none.clone(), first.clone(), both.clone()):
        found = embed(slots)
        assert torch.equal(found, encoder(slots))
    assert len(asked) == 3 + 6


@pytest.mark.parametrize("block", [2, 4])
def test_means_that_are_known_hold_in_the_estimate_without_steps_between_blocks(block: int) -> None:
    coarse = torch.linspace(-0.5, 0.4, 32 // block)[None, None, None].expand(2, 3, 32 // block, -1)
    means = coarse.repeat_interleave(block, -1).repeat_interleave(block, -2)
    spatial = torch.zeros(2, spatial_channels(TISSUE_CLASSES), 32, 32)
    given = replace(conditions(), spatial=spatial, means=means, block=block)
    x0 = denoiser(Recorder(), 1.0, given)(torch.zeros(2, 3, 32, 32), 0.5)
    assert (F.avg_pool2d(x0, block) - coarse)[..., 1:-1].abs().max() < 1e-3
    slopes = x0.diff(dim=-1)[..., block:-block]
    torch.testing.assert_close(slopes, slopes.mean().expand_as(slopes), atol=5e-3, rtol=0)


def test_known_pixels_are_kept_where_means_are_known_too() -> None:
    given = conditions()
    given.spatial[:, CHANNELS["known"], 1, 2] = 0.123
    given.spatial[:, CHANNELS["known_mask"], 1, 2] = 1
    x0 = denoiser(Recorder(), 1.0, replace(given, means=torch.full_like(Z, -0.5)))(Z, 0.5)
    assert torch.equal(x0[:, :, 1, 2], torch.full((2, 3), 0.123))
    assert (x0[:, :, 2:, :2] < 0).all()
