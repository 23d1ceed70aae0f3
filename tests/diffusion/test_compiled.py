"""Compiled by OpenVINO, or not: equal to rounding, and a machine without it draws all the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_histodiff.diffusion.compiled as compiled_module
from napari_histodiff.core.errors import Cancelled
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.compiled import (
    OPENVINO_VARIABLE,
    CompiledNetwork,
    compiled_network,
)
from napari_histodiff.diffusion.conditioning import STAIN_FEATURES, spatial_channels
from tests.diffusion.tiny import TILE, WINDOW, tiny_info, tiny_pipeline

REQUEST = EditRequest(kind=EditKind.GENERATE, region=Region(0, 0, 0, TILE, TILE), steps=2)


@pytest.fixture(autouse=True)
def allowed(monkeypatch) -> None:
    monkeypatch.delenv(OPENVINO_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def compiled() -> CompiledNetwork:
    pytest.importorskip("openvino")
    pipeline = tiny_pipeline()
    return CompiledNetwork(pipeline.network, pipeline.layout)


@pytest.fixture
def in_pairs(compiled, monkeypatch) -> CompiledNetwork:
    """The same on two threads, before any shape was tried side by side."""
    monkeypatch.setattr(compiled, "_threads", 2)
    monkeypatch.setattr(compiled, "side_by_side", 2)
    monkeypatch.setattr(compiled, "_alike", {})
    compiled._ready.clear()
    return compiled


CHANNEL_COUNT = spatial_channels(tiny_pipeline().network.tissue_classes)


def inputs(rows: int, height: int, width: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    spatial = noise(rows, CHANNEL_COUNT, height + 7, width + 5)[..., 7:, 5:]  # a view
    stain = noise(rows, STAIN_FEATURES)
    t, mpp = torch.rand(rows, generator=generator), torch.full((rows,), 0.5)
    return noise(rows, 3, height, width), t, spatial, noise(rows, 16), mpp, stain, torch.ones(rows)


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(1, WINDOW, WINDOW), (3, TILE, WINDOW), (1, 112, WINDOW)])
def test_it_says_what_the_network_says(compiled, shape) -> None:
    given = inputs(*shape)
    expected = compiled._network(*given)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(compiled(*given), expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_the_result_of_one_call_outlives_the_next(compiled) -> None:
    given = inputs(1, WINDOW, WINDOW)
    first = compiled(*given)
    before = first.clone()
    compiled(-given[0], *given[1:])
    assert torch.equal(first, before)
    assert torch.equal(compiled(*given), before)


@torch.inference_mode()
@pytest.mark.parametrize("side", [TILE, WINDOW, 112])
def test_a_window_has_the_same_bits_alone_and_in_any_company(in_pairs, side: int) -> None:
    given = inputs(5, side, side)
    alone = torch.cat([in_pairs(*(x[i : i + 1] for x in given)) for i in range(5)])
    for _ in range(2):  # the first call tries both ways
        assert torch.equal(in_pairs(*given), alone)
        assert torch.equal(in_pairs(*(x[1:4] for x in given)), alone[1:4])


@torch.inference_mode()
def test_windows_that_would_differ_side_by_side_are_evaluated_alone(in_pairs, monkeypatch) -> None:
    given = inputs(3, WINDOW, WINDOW)
    alone = torch.cat([in_pairs(*(x[i : i + 1] for x in given)) for i in range(3)])
    infer, calls = compiled_module._infer, []

    def other_bits(requests, rows):
        calls.append(len(requests))
        found = infer(requests, rows)
        return [x + 1e-3 for x in found] if len(requests) > 1 else found

    monkeypatch.setattr(compiled_module, "_infer", other_bits)
    assert torch.equal(in_pairs(*given), alone)
    assert calls == [2, 2, 1, 1, 1]
    assert torch.equal(in_pairs(*given), alone)
    assert calls == [2, 2, 1, 1, 1, 1, 1, 1]


def test_a_frame_of_many_windows_has_the_bytes_of_windows_drawn_alone(
    in_pairs, monkeypatch
) -> None:
    pipeline = tiny_pipeline()
    pipeline.compiled = in_pairs
    frame = replace(REQUEST, region=Region(0, 0, 0, 2 * TILE, 2 * TILE))
    in_fewer_calls = DiffusionBackend(pipeline, tiny_info())
    calls = in_fewer_calls.evaluations(frame)
    pixels = in_fewer_calls.render([frame])[0]
    monkeypatch.setattr(in_pairs, "side_by_side", 1)
    alone = DiffusionBackend(pipeline, tiny_info())
    assert calls < alone.evaluations(frame)
    np.testing.assert_array_equal(pixels, alone.render([frame])[0])


def test_a_backend_says_that_it_is_compiled_draws_the_same_and_stops_between_steps(
    compiled,
) -> None:
    pipeline = tiny_pipeline()
    eager = DiffusionBackend(pipeline, tiny_info())
    expected = eager.render([REQUEST])[0].astype(int)
    pipeline.compiled = compiled
    backend = DiffusionBackend(pipeline, tiny_info())
    assert (eager.info.device, backend.info.device) == ("cpu (float32)", "cpu (float32, OpenVINO)")
    assert np.abs(backend.render([REQUEST])[0] - expected).max() <= 1
    seen: list[int] = []

    def stop(step) -> None:
        seen.append(step.done)
        raise Cancelled

    with pytest.raises(Cancelled):
        backend.render([REQUEST], on_step=stop)
    assert seen == [1]


def test_a_loaded_model_is_compiled(model_folder, monkeypatch) -> None:
    pytest.importorskip("openvino")

    def device() -> str:
        return DiffusionBackend.load(model_folder, "cpu", "float32").info.device

    assert device() == "cpu (float32, OpenVINO)"
    monkeypatch.setenv(OPENVINO_VARIABLE, "0")
    assert device() == "cpu (float32)"


def missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)


def failing(monkeypatch) -> None:
    openvino = pytest.importorskip("openvino")

    def fail(*_, **__) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(openvino, "convert_model", fail)


@pytest.mark.parametrize("spoil", [missing, failing])
def test_without_a_working_openvino_the_network_draws(
    monkeypatch, spoil: Callable[..., None]
) -> None:
    spoil(monkeypatch)
    pipeline = tiny_pipeline()
    assert compiled_network(pipeline.network, pipeline.layout) is None
    assert pipeline.evaluator is pipeline.network
    assert DiffusionBackend(pipeline, tiny_info()).info.device == "cpu (float32)"


def test_bfloat16_is_left_to_torch() -> None:
    pipeline = tiny_pipeline()
    network = pipeline.network.to(torch.bfloat16)
    assert compiled_network(network, pipeline.layout) is None
