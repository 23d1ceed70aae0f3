"""Guidance by a gradient, in our own networks and those of other makers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_histodiff.core.backend import Backend, Guidable, Step
from napari_histodiff.core.errors import Cancelled, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.steering.guides import CLIMBS
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.foreign.backend import ForeignBackend
from napari_histodiff.diffusion.steering.gradient import Ascent
from tests.diffusion.tiny import WINDOW, tiny_info, tiny_pipeline
from tests.recording import edit_request

RED = Steering(guide={"python": 4})


class Book:
    """Scores of a name each: how bright an image is in one colour."""

    def scores(self, steering: Steering, mpp: float, device: torch.device) -> Any:
        assert mpp > 0
        colours = {"lymphocyte": 0, "plasma": 2}
        return [(lambda x, c=colours[name]: x[:, c].sum((1, 2)), by) for name, by in steering.guide]


@pytest.fixture(params=["own", "DDIMPipeline", "LDMPipeline"])
def backend(request: pytest.FixtureRequest, folder_of) -> Backend:
    if request.param == "own":
        return DiffusionBackend(tiny_pipeline(), tiny_info(), book=Book())
    return ForeignBackend.load(folder_of(request.param), "cpu", "float32", book=Book())


def means(backend: Backend, request: EditRequest) -> Any:
    return backend.render([request])[0].mean((0, 1, 2))


def test_a_drawing_follows_the_score_both_ways(backend) -> None:
    plain = edit_request(steps=4)
    more = means(backend, replace(plain, steering=Steering(guide="lymphocyte:4")))
    fewer = means(backend, replace(plain, steering=Steering(guide="lymphocyte:-4")))
    both = means(backend, replace(plain, steering=Steering(guide=["lymphocyte:4", "plasma:4"])))
    none = means(backend, plain)
    assert fewer[0] < none[0] < more[0]
    assert both[2] > more[2]


@pytest.mark.parametrize("kind", [EditKind.GENERATE, EditKind.INPAINT, EditKind.OUTPAINT])
def test_the_promises_hold(backend, kind) -> None:
    steering = Steering(guide=["lymphocyte:2", "plasma:-1"])
    request = edit_request(kind, (45, 131), steps=3, variants=2, steering=steering)
    seen: list[Step] = []
    (drawn,) = backend.render([request], on_step=seen.append)
    total = backend.evaluations(request)
    assert [(s.done, s.total) for s in seen] == [(n, total) for n in range(1, total + 1)]
    assert total > backend.evaluations(replace(request, steering=Steering()))
    (again,) = backend.render([request])
    np.testing.assert_array_equal(drawn, again)
    if kind is not EditKind.GENERATE:
        assert request.image is not None
        assert request.edit_mask is not None
        known = ~request.edit_mask
        np.testing.assert_array_equal(drawn[:, known], np.stack([request.image[known]] * 2))


def test_nothing_changes_where_nothing_guides(backend) -> None:
    request = edit_request(steps=3)
    bare = replace(request, steering=Steering(guide={"lymphocyte": 0}))
    np.testing.assert_array_equal(*(backend.render([r])[0] for r in (request, bare)))


def test_a_tile_is_the_same_whatever_is_drawn_with_it(backend) -> None:
    """Parts of the endless plane under a guide: one at a time, together, and after others."""
    margin, tile = backend.info.margin, 64

    def part(y: int, x: int, height: int, width: int, **changes: Any) -> EditRequest:
        target = Region(0, y, x, height, width)
        return EditRequest(
            kind=EditKind.GENERATE,
            region=target.pad(margin + tile),
            target=target,
            steps=2,
            **{"steering": Steering(guide="lymphocyte:3"), **changes},
        )

    (together,) = backend.render([part(0, 0, tile, 2 * tile)])
    (second,) = backend.render([part(0, tile, tile, tile)])
    (first,) = backend.render([part(0, 0, tile, tile)])
    np.testing.assert_array_equal(together[0], np.concatenate([first[0], second[0]], 1))
    (other,) = backend.render([part(0, 0, tile, tile, steering=Steering())])
    assert (other != first).any()


def test_a_function_guides_in_its_process_and_is_refused_elsewhere(backend) -> None:
    request = edit_request(steps=3, steering=RED)
    with pytest.raises(InvalidRequest, match="expected the function that guided this drawing"):
        backend.render([request])
    assert isinstance(backend, Guidable)
    guided = backend.guided_by(lambda images: images[:, 0].mean())
    assert means(guided, request)[0] > means(backend, edit_request(steps=3))[0]
    mixed = replace(request, steering=Steering(guide={"python": 4, "plasma": 4}))
    assert means(guided, mixed)[2] > means(guided, request)[2]


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (lambda images: 3.0, "torch can differentiate, got float"),
        (lambda images: images.detach().mean(), "torch can differentiate"),
        (lambda images: images.mean() * float("nan"), "finite gradient"),
        (lambda images: (images - images).sqrt().mean(), "finite gradient"),
    ],
)
def test_a_function_without_a_slope_is_told(backend, score, words) -> None:
    with pytest.raises(InvalidRequest, match=words):
        backend.guided_by(score).render([edit_request(steps=3, steering=RED)])


def test_a_flat_score_moves_nothing(backend) -> None:
    flat = backend.guided_by(lambda images: 0 * images.sum())
    plain = backend.render([edit_request(steps=3)])[0]
    (drawn,) = flat.render([edit_request(steps=3, steering=RED)])
    np.testing.assert_allclose(drawn, plain, atol=1)  # there and back rounds


def test_one_step_leaves_nothing_to_guide(backend) -> None:
    with pytest.raises(InvalidRequest, match="at least 2 steps to guide a drawing, got 1"):
        backend.render([edit_request(steps=1, steering=Steering(guide="plasma"))])


def test_without_scores_a_guide_is_refused_before_drawing() -> None:
    bare = DiffusionBackend(tiny_pipeline(), tiny_info())
    seen: list[Step] = []
    request = edit_request(steering=Steering(guide="plasma"))
    with pytest.raises(InvalidRequest, match="a backend that knows scores"):
        bare.render([request], on_step=seen.append)
    assert not seen


def test_a_cancel_stops_between_two_gradients(backend) -> None:
    gradients = []

    def score(images: torch.Tensor) -> torch.Tensor:
        gradients.append(1)
        return images.mean()

    def stop(step: Step) -> None:
        raise Cancelled("expected no cancel, got one; submit again")

    with pytest.raises(Cancelled):
        backend.guided_by(score).render([edit_request(steps=3, steering=RED)], on_step=stop)
    assert len(gradients) == 1


def test_a_window_moves_by_its_own_gradient_and_only_where_it_may() -> None:
    ascent = Ascent([(lambda x: (x * x).sum(), 1.0)])
    generator = torch.Generator().manual_seed(0)
    x0 = torch.rand(2, 3, WINDOW, 64, generator=generator) - 0.5
    free = torch.zeros(2, 1, WINDOW, 64)
    free[:, :, :10] = 1
    ticks: list[int] = []
    moved = ascent(x0, free, lambda: ticks.append(1))
    assert len(ticks) == CLIMBS
    assert (moved[:, :, 10:] == x0[:, :, 10:]).all()
    assert (moved[:, :, :10] != x0[:, :, :10]).any()
    alone = ascent(x0[1:], free[1:], lambda: None)
    torch.testing.assert_close(alone, moved[1:], rtol=0, atol=1e-6)
