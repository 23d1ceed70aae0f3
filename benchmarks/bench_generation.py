"""What windows, blending and bookkeeping cost on top of the bare network.

For a square frame the script draws, notes every call of the network with its shapes, then times
drawings and bare calls of the same shapes in turns, so that what else the machine does falls on
both. It prints medians: wall / (calls x bare time), where 1.00 is free, and wall / time inside the
network in those very drawings, which leaves out that repeated calls run on warm caches.

    python benchmarks/bench_generation.py [--sizes 256 1024] [--steps 2] [--painted]
        [--dtype float32] [--eager] [--model FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, EditKind, EditRequest
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.compiled import compiled_network
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.model_folder import bundled_model_path, check_folder


class Recorder:
    """Counts and times calls of a module by the shapes of their inputs; keeps one of each."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.counts: Counter[tuple[int, ...]] = Counter()
        self.calls: dict[tuple[int, ...], tuple[Any, dict[str, Any]]] = {}
        self.seconds = 0.0
        self._started = 0.0
        self._handles = (
            module.register_forward_pre_hook(self._note, with_kwargs=True),
            module.register_forward_hook(self._clock),
        )

    def stop(self) -> None:
        """Take the hook off again."""
        for handle in self._handles:
            handle.remove()

    def _note(self, _: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        shape = tuple((args[0] if args else kwargs["sample"]).shape)
        self.counts[shape] += 1
        self.calls[shape] = (args, kwargs)
        self._started = time.perf_counter()

    def _clock(self, *_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - self._started


@torch.inference_mode()
def bare_seconds(module: torch.nn.Module, recorder: Recorder, repeats: int = 3) -> float:
    """Return the time the recorded calls take by themselves: medians times counts."""
    total = 0.0
    for shape, count in recorder.counts.items():
        args, kwargs = recorder.calls[shape]
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            module(*args, **kwargs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        total += count * statistics.median(times)
    return total


def frame(size: int, steps: int, painted: bool) -> EditRequest:
    """Return a request of a square, with nuclei and tissue in every part of it or none at all."""
    maps = {}
    if painted:
        cells = np.arange((size // 16) ** 2, dtype=np.int32).reshape(size // 16, -1)
        ids = np.kron(cells + 1, np.pad(np.ones((10, 10), np.int32), 3))
        tissue = np.kron(cells % 5, np.ones((16, 16), np.uint8)).astype(np.uint8)
        classes = np.where(ids > 0, ids % 6 + 1, 0).astype(np.uint8)
        maps = {"instance_map": ids, "class_map": classes, "tissue_map": tissue}
    region = Region(0, 0, 0, size, size)
    return EditRequest(kind=EditKind.GENERATE, region=region, steps=steps, **maps)


def measure(
    backend: DiffusionBackend, network: torch.nn.Module, request: EditRequest, repeats: int
) -> tuple[float, float, float]:
    """Return medians of wall / bare, of wall / in situ, and of the wall."""
    over_bare, over_situ, walls = [], [], []
    for _ in range(repeats):
        recorder = Recorder(network)
        start = time.perf_counter()
        backend.render([request])
        walls.append(time.perf_counter() - start)
        recorder.stop()
        over_situ.append(walls[-1] / recorder.seconds)
        over_bare.append(walls[-1] / bare_seconds(network, recorder))
    return statistics.median(over_bare), statistics.median(over_situ), statistics.median(walls)


def main() -> None:
    """Print one row per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--painted", action="store_true", help="with nuclei and tissue")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--eager", action="store_true", help="without OpenVINO")
    parser.add_argument("--model", type=Path, default=bundled_model_path())
    options = parser.parse_args()
    pipeline = load_pipeline(options.model, dtype=options.dtype)
    if not options.eager:
        pipeline.compiled = compiled_network(pipeline.network, pipeline.layout)
    backend = DiffusionBackend(pipeline, check_folder(options.model))
    print(
        f"{backend.info.name} on {backend.info.device}, {options.steps} steps, "
        f"guidance {DEFAULT_GUIDANCE}"
    )
    print(
        f"{'frame':>10} {'evaluations':>12} {'wall s':>8} {'wall / bare':>12} "
        f"{'wall / in situ':>15}"
    )
    for size in options.sizes:
        request = frame(size, options.steps, options.painted)
        backend.render([request])  # warm up the shapes
        bare, situ, wall = measure(backend, pipeline.evaluator, request, options.repeats)
        evaluations = backend.evaluations(request)
        print(f"{size:>7} px {evaluations:>12} {wall:>8.2f} {bare:>12.3f} {situ:>15.3f}")


if __name__ == "__main__":
    main()
