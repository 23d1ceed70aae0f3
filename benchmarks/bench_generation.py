"""What windows, blending and bookkeeping cost on top of the bare network.

For a square frame the script draws once, notes every call of the network with its shapes, then
times bare calls of the same shapes. It prints wall / (calls x bare time), where 1.00 is free, and
wall / time inside the network in that very run, which leaves out that repeated calls run on warm
caches.

    python benchmarks/bench_generation.py [--sizes 256 1024] [--steps 2] [--model FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, EditKind, EditRequest
from napari_histodiff.diffusion.backend import DiffusionBackend
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
def bare_seconds(module: torch.nn.Module, recorder: Recorder, repeats: int) -> float:
    """Return the time the recorded calls take by themselves: medians times counts."""
    total = 0.0
    for shape, count in recorder.counts.items():
        args, kwargs = recorder.calls[shape]
        times = []
        for _ in range(min(repeats, max(3, count))):
            start = time.perf_counter()
            module(*args, **kwargs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        total += count * statistics.median(times)
    return total


def main() -> None:
    """Print one row per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--model", type=Path, default=bundled_model_path())
    options = parser.parse_args()
    pipeline = load_pipeline(options.model)
    backend = DiffusionBackend(pipeline, check_folder(options.model))
    print(
        f"{backend.info.name} on {backend.info.device}, {options.steps} steps, "
        f"guidance {DEFAULT_GUIDANCE}"
    )
    print(
        f"{'frame':>10} {'evaluations':>12} {'wall s':>8} {'bare s':>8} {'wall / bare':>12} "
        f"{'wall / in situ':>15}"
    )
    for size in options.sizes:
        request = EditRequest(
            kind=EditKind.GENERATE, region=Region(0, 0, 0, size, size), steps=options.steps
        )
        backend.render([request])  # warm up the shapes
        recorder = Recorder(pipeline.network)
        start = time.perf_counter()
        backend.render([request])
        wall = time.perf_counter() - start
        recorder.stop()
        bare = bare_seconds(pipeline.network, recorder, options.repeats)
        evaluations = backend.evaluations(request)
        print(
            f"{size:>7} px {evaluations:>12} {wall:>8.2f} {bare:>8.2f} {wall / bare:>12.3f} "
            f"{wall / recorder.seconds:>15.3f}"
        )


if __name__ == "__main__":
    main()
