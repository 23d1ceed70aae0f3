"""The network compiled by OpenVINO, for processors, in float32 or bfloat16."""

from __future__ import annotations

import copy
import os
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from napari_histodiff.diffusion.conditioning import spatial_channels
from napari_histodiff.diffusion.flow import preconditioning
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.windows import WindowLayout

__all__ = ["OPENVINO_VARIABLE", "CompiledNetwork", "compiled_network"]

#: Set to 0 to draw without OpenVINO where it is installed.
OPENVINO_VARIABLE: Final = "HISTODIFF_OPENVINO"

#: What OpenVINO calls the number formats it computes in.
_PRECISIONS: Final = {torch.float32: "f32", torch.bfloat16: "bf16"}

#: What is kept compiled: a frame of 1,024 px has 7 shapes, the largest alone and side by side, and
#: one more is compared; each takes about 100 MB.
_SHAPES: Final = 9

#: Windows evaluated side by side at the most; each takes memory of its own.
_SIDE_BY_SIDE: Final = 4

_TELEMETRY: Final = "openvino_telemetry"


def compiled_network(network: HistoUNet, layout: WindowLayout) -> CompiledNetwork | None:
    """Compile a network, or return None where that cannot be or does not pay.

    It pays on a processor, in a number format that this one computes in. Without OpenVINO, or when
    it fails on this machine, drawings are made without it.
    """
    weight = network.stem.weight
    wanted = weight.device.type == "cpu" and weight.dtype in _PRECISIONS
    if not wanted or os.environ.get(OPENVINO_VARIABLE) == "0":
        return None
    try:
        compiled = CompiledNetwork(network, layout)
        compiled.prepare(layout.size, layout.size)
    except (ImportError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError):
        return None
    return compiled


class CompiledNetwork(nn.Module):
    """Evaluates windows by OpenVINO: one with all threads, several side by side with fewer each.

    Side by side, threads wait less for each other. A window's bits do not depend on the others:
    where the first windows of a shape show that they would, it is always evaluated alone.

    Every shape is compiled by itself, which takes as long as one or two evaluations. So only the
    shapes that come again are: those of tiles and of frames of whole tiles. The network itself
    evaluates the others, such as the border of a frame at an odd place. What evaluates a window is
    decided by its shape alone, and so are its bits.

    Parameters
    ----------
    network : HistoUNet
        On the processor, float32 or bfloat16.
    layout : WindowLayout
        Windows it will see.

    Attributes
    ----------
    side_by_side : int
        How many windows one call should bring.

    Raises
    ------
    ImportError
        Without OpenVINO.
    LookupError
        When this processor has no instructions for the number format of the network.
    """

    def __init__(self, network: HistoUNet, layout: WindowLayout) -> None:
        super().__init__()
        self._network = network
        self._sides = layout.usual_sides
        with _private():
            import openvino

            self._core: Any = openvino.Core()
            self._precision = _precision(self._core, network)
            # Float32 is what OpenVINO takes in, to compute in less. It shares these weights.
            is_float = network.dtype == torch.float32
            self._float = network if is_float else copy.deepcopy(network).float()
            self._model = _converted(openvino, self._float)
        self._threads = torch.get_num_threads()
        self.side_by_side = min(self._threads, _SIDE_BY_SIDE)
        self._ready: OrderedDict[tuple[int, int, int], list[Any]] = OrderedDict()
        #: Shapes whose bits are the same side by side, or not; the others have not been tried.
        self._alike: dict[tuple[int, int], bool] = {}
        #: What a window was told last, and what came of it; exchanged as one.
        self._last: tuple[tuple[Tensor, ...], list[Tensor]] = ((), [])
        self._lock = threading.Lock()

    def forward(
        self,
        sample: Tensor,
        t: Tensor,
        spatial: Tensor,
        embedding: Tensor,
        mpp: Tensor,
        stain: Tensor,
        jump_guidance: Tensor | None = None,
    ) -> Tensor:
        """Return the estimate of the clean image; see `HistoUNet.forward`."""
        if jump_guidance is None:
            jump_guidance = torch.zeros_like(t)
        given = (sample, t, spatial, embedding, mpp, stain, jump_guidance)
        alone = [[x[i : i + 1] for x in given] for i in range(len(sample))]
        height, width = sample.shape[-2:]
        if height not in self._sides or width not in self._sides:
            return torch.cat([self._network(*row) for row in alone])
        rows = [self._prepared(*row) for row in alone]
        with self._lock:
            differs = not self._alike.get((height, width), True)
            if differs or len(rows) == 1 or self.side_by_side == 1:
                found = [_infer(self.prepare(height, width), [row]) for row in rows]
            else:
                found = self._together(height, width, rows)
        return _joined(found)

    def _prepared(
        self, sample: Tensor, t: Tensor, spatial: Tensor, embedding: Tensor, *rest: Tensor
    ) -> list[Tensor]:
        """Turn inputs of `HistoUNet.forward` to those of `HistoUNet.estimate`.

        All windows of a step are told the same.
        """
        numbers = (t, embedding, *rest)
        before, ready = self._last
        if len(before) != len(numbers) or not all(map(torch.equal, before, numbers)):
            ready = [*preconditioning(t), self._float.told(t, embedding.float(), *rest)]
            self._last = tuple(x.clone() for x in numbers), ready
        *factors, told = ready
        return [sample, *factors, spatial, told]

    def _together(self, height: int, width: int, rows: list[list[Tensor]]) -> list[list[Tensor]]:
        requests = self.prepare(height, width, self.side_by_side)
        count = self.side_by_side
        found = [_infer(requests, rows[i : i + count]) for i in range(0, len(rows), count)]
        if (height, width) not in self._alike:
            alone = [_infer(self.prepare(height, width), [row]) for row in rows]
            alike = torch.equal(_joined(alone), _joined(found))
            self._alike[height, width] = alike
            # Only one of both is evaluated again: the other would push out shapes in use.
            self._ready.pop((height, width, 1 if alike else count), None)
            return alone
        return found

    def prepare(self, height: int, width: int, windows: int = 1) -> list[Any]:
        """Return what evaluates windows of a shape, compiled when it is asked for first."""
        key = (height, width, windows)
        if key not in self._ready:
            model = self._model.clone()
            shapes = [list(x.shape) for x in _example(self._network, height, width)]
            model.reshape(dict(zip(range(len(shapes)), shapes, strict=True)))
            settings = {
                "INFERENCE_PRECISION_HINT": self._precision,
                "INFERENCE_NUM_THREADS": self._threads,
                "NUM_STREAMS": windows,
                "ENABLE_CPU_PINNING": False,  # other programs use these cores too
            }
            compiled = self._core.compile_model(model, "CPU", settings)
            self._ready[key] = [compiled.create_infer_request() for _ in range(windows)]
            if len(self._ready) > _SHAPES:
                self._ready.popitem(last=False)
        self._ready.move_to_end(key)
        return self._ready[key]


def _infer(requests: Sequence[Any], rows: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Evaluate windows at once, each by one request."""
    arrays = [[np.ascontiguousarray(x.float().numpy()) for x in row] for row in rows]
    running = list(zip(requests, arrays, strict=False))
    for request, given in running:
        request.start_async(given, share_inputs=True)
    for request, _ in running:
        request.wait()
    # The array of a result is written to again at the next call.
    return [torch.from_numpy(request.get_output_tensor(0).data.copy()) for request, _ in running]


def _joined(parts: Sequence[Sequence[Tensor]]) -> Tensor:
    return torch.cat([row for part in parts for row in part])


def _precision(core: Any, network: HistoUNet) -> str:
    """Return what the network is to be evaluated in."""
    precision = _PRECISIONS[network.stem.weight.dtype]
    known = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in known:
        raise LookupError("expected a processor that computes in bfloat16; draw by torch")
    return precision


def _converted(openvino: Any, network: HistoUNet) -> Any:
    side = network.multiple_of
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing
        example = _example(network, side, 2 * side)
        # To check a trace is to make it twice.
        traced = torch.jit.trace(_Estimate(network), example, check_trace=False)
        return openvino.convert_model(traced, example_input=example)


class _Estimate(nn.Module):
    """What OpenVINO evaluates: all but what is told, for which bfloat16 is too coarse."""

    def __init__(self, network: HistoUNet) -> None:
        super().__init__()
        self._network = network

    def forward(self, *given: Tensor) -> Tensor:
        return self._network.estimate(*given)


def _example(network: HistoUNet, height: int, width: int) -> tuple[Tensor, ...]:
    """Inputs of one window, in the order of `HistoUNet.estimate`."""
    one = torch.ones(1, 1, 1, 1)
    return (
        torch.zeros(1, 3, height, width),
        *(one, one.clone(), one.clone()),
        torch.zeros(1, spatial_channels(network.tissue_classes), height, width),
        torch.zeros(1, network.config.embedding_dim),
    )


@contextmanager
def _private() -> Iterator[None]:
    """Keep OpenVINO from telling its makers that it was imported and what it converts.

    It does without the package that tells where that cannot be imported.
    """
    if _TELEMETRY in sys.modules:
        yield
        return
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
