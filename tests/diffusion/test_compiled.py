"""Compiled by OpenVINO, or not: equal to rounding, and a machine without it draws all the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

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
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline
from tests.diffusion.tiny import TILE, WINDOW, tiny_info, tiny_pipeline

REQUEST = EditRequest(kind=EditKind.GENERATE, region=Region(0, 0, 0, TILE, TILE), steps=2)


@pytest.fixture(autouse=True)
def allowed(monkeypatch) -> None:
    monkeypatch.delenv(OPENVINO_VARIABLE, raising=False)


def openvino_or_skip() -> Any:
    """Import it as the package does: else it tells its makers, and forks a process each time."""
    with compiled_module._private():
        return pytest.importorskip("openvino")


def pipeline_of(dtype: torch.dtype) -> HistoDiffusionPipeline:
    pipeline = tiny_pipeline()
    for module in (pipeline.network, pipeline.caption_encoder):
        torch.nn.Module.to(module, dtype=dtype)
    return pipeline


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=str)
def compiled(request) -> CompiledNetwork:
    openvino = openvino_or_skip()
    known = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if request.param == torch.bfloat16 and "BF16" not in known:
        pytest.skip("this processor does not compute in bfloat16")
    pipeline = pipeline_of(request.param)
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


def inputs(
    rows: int, height: int, width: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    spatial = noise(rows, CHANNEL_COUNT, height + 7, width + 5)[..., 7:, 5:]  # a view
    stain = noise(rows, STAIN_FEATURES)
    t, mpp = torch.rand(rows, generator=generator), torch.full((rows,), 0.5)
    embedding = noise(rows, 16).to(dtype)
    return noise(rows, 3, height, width), t, spatial, embedding, mpp, stain, torch.ones(rows)


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(1, WINDOW, WINDOW), (3, TILE, WINDOW), (1, 112, WINDOW)])
def test_it_says_what_the_network_says(compiled, shape) -> None:
    expected = tiny_pipeline().network(*inputs(*shape))
    assert expected.abs().max() > 0.1
    given = inputs(*shape, compiled._network.dtype)
    eager = compiled._network(*given)
    found = compiled(*given)
    assert found.dtype == torch.float32
    # Nor does it lose more than torch does in its number format.
    lost = (eager - expected).square().mean().sqrt()
    assert (found - expected).square().mean().sqrt() <= 1.1 * lost + 1e-5


def test_its_makers_are_told_nothing(compiled) -> None:
    assert compiled_module._TELEMETRY not in sys.modules


@torch.inference_mode()
def test_the_result_of_one_call_outlives_the_next(compiled) -> None:
    given = inputs(1, WINDOW, WINDOW, compiled._network.dtype)
    first = compiled(*given)
    before = first.clone()
    compiled(-given[0], *given[1:])
    assert torch.equal(first, before)
    assert torch.equal(compiled(*given), before)


@torch.inference_mode()
def test_what_windows_of_a_step_are_told_is_worked_out_once(compiled, monkeypatch) -> None:
    told, asked = compiled._float.told, []
    monkeypatch.setattr(compiled._float, "told", lambda *given: asked.append(1) or told(*given))
    given = inputs(1, TILE, TILE, compiled._network.dtype)
    first = compiled(*given)
    other_place = [-given[0], given[1], -given[2], *given[3:]]
    compiled(*other_place)
    assert len(asked) == 1
    for number in (1, 3, 4, 5, 6):  # time, caption, scale, stain, guidance
        told_else = list(given)
        told_else[number] = told_else[number] + 1
        assert not torch.equal(compiled(*told_else), first), number
    given[1].zero_()  # what a caller does with its own later
    assert not torch.equal(compiled(*given), first)
    assert len(asked) == 7


@torch.inference_mode()
@pytest.mark.parametrize("side", [TILE, WINDOW, 112])
def test_a_window_has_the_same_bits_alone_and_in_any_company(in_pairs, side: int) -> None:
    given = inputs(5, side, side, in_pairs._network.dtype)
    alone = torch.cat([in_pairs(*(x[i : i + 1] for x in given)) for i in range(5)])
    for _ in range(2):  # the first call tries both ways
        assert torch.equal(in_pairs(*given), alone)
        assert torch.equal(in_pairs(*(x[1:4] for x in given)), alone[1:4])


@torch.inference_mode()
def test_windows_that_would_differ_side_by_side_are_evaluated_alone(in_pairs, monkeypatch) -> None:
    given = inputs(3, WINDOW, WINDOW, in_pairs._network.dtype)
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


@torch.inference_mode()
@pytest.mark.parametrize(("alike", "kept"), [(True, 2), (False, 1)])
def test_of_the_two_ways_that_were_compared_the_one_in_use_stays_compiled(
    in_pairs, monkeypatch, alike: bool, kept: int
) -> None:
    """Both of every shape would push each other out, and a second drawing compile them again."""
    monkeypatch.setattr(compiled_module.torch, "equal", lambda one, other: alike)
    in_pairs(*inputs(2, WINDOW, WINDOW, in_pairs._network.dtype))
    assert list(in_pairs._ready) == [(WINDOW, WINDOW, kept)]


def test_a_frame_of_many_windows_has_the_bytes_of_windows_drawn_alone(
    in_pairs, monkeypatch
) -> None:
    pipeline = pipeline_of(in_pairs._network.dtype)
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
    dtype = compiled._network.dtype
    pipeline = pipeline_of(dtype)
    eager = DiffusionBackend(pipeline, tiny_info())
    expected = eager.render([REQUEST])[0].astype(int)
    pipeline.compiled = compiled
    backend = DiffusionBackend(pipeline, tiny_info())
    name = str(dtype).removeprefix("torch.")
    assert (eager.info.device, backend.info.device) == (f"cpu ({name})", f"cpu ({name}, OpenVINO)")
    most = 1 if dtype == torch.float32 else 3
    assert np.abs(backend.render([REQUEST])[0] - expected).max() <= most
    seen: list[int] = []

    def stop(step) -> None:
        seen.append(step.done)
        raise Cancelled

    with pytest.raises(Cancelled):
        backend.render([REQUEST], on_step=stop)
    assert seen == [1]


def test_a_loaded_model_is_compiled(model_folder, monkeypatch) -> None:
    openvino_or_skip()

    def device() -> str:
        return DiffusionBackend.load(model_folder, "cpu", "float32").info.device

    assert device() == "cpu (float32, OpenVINO)"
    monkeypatch.setenv(OPENVINO_VARIABLE, "0")
    assert device() == "cpu (float32)"


def missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)


def failing(monkeypatch) -> None:
    openvino = openvino_or_skip()

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


def openvino_of(capabilities: list[str], settings: list[dict[str, Any]]) -> SimpleNamespace:
    """An OpenVINO on a processor of these capabilities, which notes how it compiles."""
    model = SimpleNamespace(clone=lambda: SimpleNamespace(reshape=lambda shapes: None))
    core = SimpleNamespace(
        get_property=lambda device, name: capabilities,
        compile_model=lambda model, device, how: (
            settings.append(how) or SimpleNamespace(create_infer_request=object)
        ),
    )
    return SimpleNamespace(Core=lambda: core, convert_model=lambda *_, **__: model)


@pytest.mark.parametrize(
    ("dtype", "capabilities", "hint"),
    [
        (torch.float32, ["FP32"], "f32"),
        (torch.float32, ["BF16", "FP32"], "f32"),  # asked for: as exact as without OpenVINO
        (torch.bfloat16, ["BF16", "FP32"], "bf16"),
        (torch.bfloat16, ["FP32"], None),
        (torch.bfloat16, ["FP32", "FP16"], None),  # ARM
        (torch.float16, ["FP32", "FP16"], None),
    ],
    ids=str,
)
def test_it_computes_in_the_number_format_of_the_network_or_not_at_all(
    monkeypatch, dtype, capabilities, hint
) -> None:
    settings: list[dict[str, Any]] = []
    monkeypatch.setitem(sys.modules, "openvino", openvino_of(capabilities, settings))
    pipeline = pipeline_of(dtype)
    found = compiled_network(pipeline.network, pipeline.layout)
    assert (found is None) == (hint is None)
    assert [how["INFERENCE_PRECISION_HINT"] for how in settings] == ([hint] if hint else [])


def test_a_network_that_is_not_on_the_processor_is_left_to_torch() -> None:
    pipeline = tiny_pipeline()
    assert compiled_network(pipeline.network.to("meta"), pipeline.layout) is None
