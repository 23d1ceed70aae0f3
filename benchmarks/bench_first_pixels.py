"""How soon a warm engine shows the first pixels after Generate.

Submits small jobs to a warm worker process and prints, in milliseconds and in network evaluations,
the time to the first preview, and the part of a whole job that is not spent in the network.

    python benchmarks/bench_first_pixels.py [--size 256] [--jobs 5]
"""

from __future__ import annotations

import argparse
import queue
import statistics
import time

from napari_histodiff.core.engine import (
    EngineEvent,
    EngineState,
    EngineStateChanged,
    JobFailed,
    JobFinished,
    JobPreview,
)
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.engine.local import LocalEngine

FACTORY = "napari_histodiff.backends:default_backend"


def main() -> None:
    """Print medians over a few jobs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=5)
    options = parser.parse_args()
    engine = LocalEngine(FACTORY)
    events: queue.Queue[tuple[float, EngineEvent]] = queue.Queue()
    engine.subscribe(lambda event: events.put((time.perf_counter(), event)))
    start = time.perf_counter()
    engine.start()
    try:
        while True:
            now, event = events.get(timeout=120)
            if isinstance(event, EngineStateChanged) and event.state is EngineState.READY:
                break
        print(f"cold start to ready: {now - start:.1f} s")
        region = Region(0, 0, 0, options.size, options.size)
        firsts, shares = [], []
        for seed in range(options.jobs + 1):
            request = EditRequest(
                kind=EditKind.GENERATE, region=region, steps=options.steps, seed=seed
            )
            start = time.perf_counter()
            engine.submit(request)
            first = None
            while True:
                now, event = events.get(timeout=300)
                if isinstance(event, JobFailed):
                    raise event.error
                if isinstance(event, JobPreview) and first is None:
                    first = now - start
                if isinstance(event, JobFinished):
                    break
            if seed and first is not None:  # the first job warms up the shapes
                firsts.append(first)
                shares.append((now - start) / event.seconds)
    finally:
        engine.close()
    evaluation = event.seconds / (2 * options.steps - 1)
    first = statistics.median(firsts)
    print(f"first preview of {options.size} px: {1000 * first:.0f} ms", end=", ")
    print(f"{first / evaluation:.2f} x one evaluation ({1000 * evaluation:.0f} ms)")
    print(f"whole job / time in the worker: {statistics.median(shares):.3f}")


if __name__ == "__main__":
    main()
