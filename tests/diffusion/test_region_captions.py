"""Captions of single tissues: one estimate for each, put together where they hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_histodiff.core.captions import SLOT_SIZES
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.conditioning import RequestConditions
from tests.diffusion.test_guidance import Recorder, Z, conditions, denoiser
from tests.diffusion.tiny import TISSUE_CLASSES, tiny_info, tiny_pipeline

SIDE = 128
TISSUE = np.zeros((SIDE, SIDE), np.uint8)
TISSUE[:, 64:] = 1
TISSUE[:20] = 2


def request(**changes) -> EditRequest:
    given = {"caption": "colon", "tissue_map": TISSUE, "seed": 3}
    region = Region(0, 0, 0, SIDE, SIDE)
    return EditRequest(kind=EditKind.GENERATE, region=region, **given | changes)


@pytest.fixture(scope="module")
def backend() -> DiffusionBackend:
    return DiffusionBackend(tiny_pipeline(), tiny_info())


def test_a_request_keeps_them_in_the_order_of_the_tissues() -> None:
    made = request(region_captions={"stroma": " high  plasma ", "gland": "low lymphocyte"})
    assert made.region_captions == (("gland", "low lymphocyte"), ("stroma", "high plasma"))
    again = EditRequest.from_dict(made.to_dict())
    assert again.region_captions == made.region_captions
    assert request(region_captions={"gland": "  "}).region_captions == ()


def test_a_request_without_them_is_written_as_before() -> None:
    assert "region_captions" not in request().to_dict()
    assert EditRequest.from_dict(request().to_dict()).region_captions == ()


@pytest.mark.parametrize("given", [{"bone": "x"}, {"unspecified": "x"}, {"gland": 3}, 7, "gland"])
def test_what_is_no_tissue_or_no_caption_is_refused(given) -> None:
    with pytest.raises(InvalidRequest, match="captions by tissue"):
        request(region_captions=given)


def test_the_shares_of_captions_are_one_at_each_pixel_of_any_window() -> None:
    made = request(region_captions={"gland": "high neutrophil", "stroma": "high plasma"})
    source = RequestConditions(made, TISSUE_CLASSES)
    whole = source.at(made.region)
    parts = whole.by_caption()
    assert len(parts) == whole.captions == 3
    total = sum(share for _, share in parts)
    assert (total == 1).all()
    assert (parts[1][1][0, 0].numpy() == (TISSUE == 1)).all()
    slots = {tuple(found.slots[0].tolist()) for found, _ in parts}
    assert len(slots) == 3
    corner = Region(0, 30, 0, 40, 40)
    assert len(source.at(corner).by_caption()) == 1, "no window pays for a tissue it has not"
    assert torch.equal(source.at(corner).shares, whole.crop(30, 0, 40, 40).shares)
    plain = RequestConditions(request(), TISSUE_CLASSES)
    assert plain.digest(corner) != source.digest(corner)
    assert plain.at(corner).shares is None


@pytest.mark.parametrize(
    ("scale", "jumps", "calls"), [(1.0, False, 2), (2.0, False, 3), (2.0, True, 2)]
)
def test_estimates_are_put_together_where_captions_hold(scale, jumps, calls) -> None:
    class ByCaption(Recorder):
        """Answers the first slot."""

        def __call__(self, sample, t, spatial, embedding, *more):
            super().__call__(sample, t, spatial, embedding, *more)
            return (embedding[:, :1, None, None] / 10).expand_as(sample)

    shares = torch.zeros(2, 1, 4, 4)
    shares[:, 0, :, 2:] = 1
    slots = torch.full((2, 1, len(SLOT_SIZES)), 3)
    given = replace(conditions(), region_slots=slots, shares=shares)
    given = replace(given, slots=given.slots + 1)
    network = ByCaption()
    x0 = denoiser(network, scale, given, jumps=jumps)(Z, 0.5)
    guided = scale if not jumps else 1.0
    assert torch.allclose(x0[..., :2], torch.tensor(0.1 * guided))
    assert torch.allclose(x0[..., 2:], torch.tensor(0.3 * guided))
    assert len(network.calls) == calls


def test_no_byte_changes_where_none_are_given(backend: DiffusionBackend) -> None:
    plain = backend.render([request(caption="colon, high lymphocyte")])[0]
    none = backend.render([request(caption="colon, high lymphocyte", region_captions={})])[0]
    absent = {"fat": "high neutrophil"}
    lacking = backend.render([request(caption="colon, high lymphocyte", region_captions=absent)])[0]
    np.testing.assert_array_equal(plain, none)
    np.testing.assert_array_equal(plain, lacking)


def test_a_caption_of_a_tissue_changes_what_it_says_of(backend: DiffusionBackend) -> None:
    steps = []
    made = request(region_captions={"gland": "high neutrophil, gland"}, guidance_scale=2.0)
    drawn = backend.render([made], on_step=steps.append)[0]
    plain = backend.render([request(guidance_scale=2.0)])[0]
    assert (drawn != plain).any()
    assert backend.evaluations(made) == steps[-1].done == steps[-1].total
    assert backend.evaluations(made) == backend.evaluations(request(guidance_scale=2.0)) * 3 // 2


def test_one_caption_for_all_tissue_is_that_caption(backend: DiffusionBackend) -> None:
    everywhere = np.ones((SIDE, SIDE), np.uint8)
    bound = request(
        tissue_map=everywhere, caption="lung", region_captions={"gland": "colon, high plasma"}
    )
    bound = replace(bound, stain=(0.4, 0.7, 0.3, 0.2, 0.3, 0.1, -0.9))
    plain_request = request(tissue_map=everywhere, caption="colon, high plasma", stain=bound.stain)
    plain = backend.render([plain_request])[0]
    np.testing.assert_array_equal(backend.render([bound])[0], plain)
