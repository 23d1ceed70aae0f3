"""How a gigapixel slide feels: opening it, memory, panning, and how soon tissue is drawn.

A real window on a new slide of 131,072 px a side, with the worker process and a model. Absolute
times are those of the machine: without a graphics card the frames themselves are drawn by the
processor, which is why lag is also measured on the window that only pans, with drawing paused.

    python -m benchmarks.bench_slide_view [--minutes 5] [--side 131072] [--factory MODULE:FUNCTION]

Needs a display, or xvfb-run -a -s "-screen 0 1600x1000x24".
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.slide_view import Lag, SlideWindow, resident, turn
from benchmarks.slide_view_floor import plain_picture
from benchmarks.slide_view_panning import pan, tissue_everywhere
from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import MAX_SIDE, SlideRecipe
from napari_histodiff.ui.generation.engines import BACKEND

#: Milliseconds between two moves of the camera, and moves until another place is looked at.
_BEAT = 50
_MOVES = 40

#: Seconds of each measurement that stands still or pans at one level, and most a jump may take.
_SECONDS = 10.0
_PATIENCE = 120.0

_JUMPS = 3

_Numbers = NDArray[np.float64]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="time of the tour")
    parser.add_argument("--side", type=int, default=MAX_SIDE, help="pixels a side")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--factory", default=BACKEND, help="import path of what makes the backend")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        window = SlideWindow(options.factory, Path(folder))
        try:
            _measure(window, options.side, options.seed, options.minutes)
        finally:
            window.close()


def _measure(window: SlideWindow, side: int, seed: int, minutes: float) -> None:
    info = window.warm_up()
    turn(2000)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {side} px a side")
    before = resident()
    _say_opening(window, info, side, seed)
    opened = resident()
    rng = np.random.default_rng(seed)
    _say_lag(window, rng)
    _say_jumps(window, rng)
    _say_cached(window)
    largest = _tour(window, rng, minutes)
    print(
        f"memory: {before:.0f} MB before, {opened:.0f} MB open, {resident():.0f} MB after "
        f"{minutes:g} minutes of tour, at most {largest:.0f} MB: growth {largest - before:.0f} MB, "
        f"of which {largest - opened:.0f} MB since it is open"
    )
    _say_panning(window, info, side, seed)


def _say_opening(window: SlideWindow, info: BackendInfo, side: int, seed: int) -> None:
    """The second slide leaves out what Python and napari compile and import only once."""
    for name, number in (("first slide", seed + 1), ("next slide", seed)):
        window.close_slide()
        recipe = SlideRecipe.plan(info, height=side, width=side, seed=number)
        cpu, start = time.thread_time(), time.perf_counter()
        window.make_slide(recipe, name)
        seconds, work = time.perf_counter() - start, time.thread_time() - cpu
        print(f"make to overview on screen, {name}: {seconds:.2f} s ({work:.2f} s of processor)")
        turn(2000)


def _say_lag(window: SlideWindow, rng: np.random.Generator) -> None:
    """Lag of the window at rest, panning with drawing paused, and panning while it draws."""
    session = window.session
    rest = Lag()
    session.pause()
    with rest.measured():
        turn(round(_SECONDS * 1000))
    _say_values("lag at rest", rest.values)
    for paused in (True, False):
        (session.pause if paused else session.resume)()
        lag, frames, cpu, drawn = Lag(), window.frames, time.thread_time(), _drawn(window)
        start = time.perf_counter()
        for level in _levels(window):
            window.look(*window.tissue(rng), level)
            with lag.measured():
                _pan(window, level, _SECONDS / 2)
        seconds = time.perf_counter() - start
        name = "paused" if paused else "drawing"
        _say_values(f"lag panning, {name}", lag.values)
        frames = max(1, window.frames - frames)
        work = (time.thread_time() - cpu) * 1000 / frames
        print(f"  {frames / seconds:.1f} frames/s, {work:.0f} ms of processor a frame")
        if not paused:
            print(f"  {(_drawn(window) - drawn) / seconds:.2f} tiles/s drawn while panning")


def _say_jumps(window: SlideWindow, rng: np.random.Generator) -> None:
    coarsest = window.session.store.recipe.coarsest
    for level in (coarsest, 0):
        first, exact = [], []
        for _ in range(_JUMPS):
            window.look(*window.tissue(rng), level)
            view = _view(window, level)
            middle = Region(level, view.y + view.height // 2, view.x + view.width // 2, 1, 1)
            above = window.session.store.spec.at_level(middle, coarsest)
            start = time.perf_counter()
            if _shown(window, above):
                first.append(time.perf_counter() - start)
            if _shown(window, middle):
                exact.append(time.perf_counter() - start)
        _say_seconds(f"jump to level {level}, first tile a model drew", first)
        if level < coarsest:
            _say_seconds(f"jump to level {level}, first tile of that level", exact)
    drawn, start = _drawn(window), time.perf_counter()
    turn(round(_SECONDS * 1000))
    rate = (_drawn(window) - drawn) / (time.perf_counter() - start)
    print(f"tiles drawn at level 0 with the view at rest: {rate:.2f} a second")


def _shown(window: SlideWindow, place: Region) -> bool:
    """Wait until the tile of a place is drawn and the slide was read and painted since."""
    if not window.wait(lambda: window.is_drawn(place), _PATIENCE):
        return False
    read: list[object] = []
    window.session.layer.events.set_data.connect(read.append)
    done = window.wait(lambda: bool(read), _PATIENCE)
    window.session.layer.events.set_data.disconnect(read.append)
    window.next_frame()
    return done


def _say_cached(window: SlideWindow) -> None:
    """From a move of the camera over tiles that are drawn to the frame on the screen."""
    session = window.session
    coarsest = session.store.recipe.coarsest
    view = _view(window, coarsest)
    window.look(*_middle(view), coarsest)
    around = _view(window, coarsest).pad(512).intersect(session.store.spec.bounds(coarsest))
    session.render_frame(around)
    if not window.wait(lambda: window.is_drawn(around), 3 * _PATIENCE):
        print("cached tiles: the model did not draw them in time")
        return
    session.pause()
    turn(2000)
    y, x = _middle(view)
    ours = _moves(window, lambda aside: session.go_to(y, x + (aside << coarsest)))
    with plain_picture(window) as show:
        floor = _moves(window, show)
    _say_frames("cached tile to screen", *ours)
    _say_frames("the same with a plain array of napari", *floor)
    work, least = ours[1] / floor[1], float(np.median(ours[0]) / np.median(floor[0]))
    print(f"  ours over the plain array: {work:.2f} of processor, {least:.2f} of p50")
    session.resume()


def _moves(window: SlideWindow, show: Callable[[int], object]) -> tuple[_Numbers, float]:
    """Move aside by pixels of the screen; return ms to each frame, and ms of processor a frame."""
    times, work = [], 0.0
    for step in range(60):
        cpu, start = time.thread_time(), time.perf_counter()
        show((step % 20 - 10) * 40)
        window.next_frame()
        times.append((time.perf_counter() - start) * 1000)
        work += time.thread_time() - cpu
        turn(30)
    return np.array(times), work * 1000 / len(times)


def _say_frames(name: str, times: _Numbers, work: float) -> None:
    _say_values(name, times)
    print(f"  {work:.0f} ms of processor a frame")


def _say_panning(window: SlideWindow, info: BackendInfo, side: int, seed: int) -> None:
    """Tiles drawn, and how much of the screen they cover, on a slide of tissue all over."""
    window.close_slide()
    recipe = SlideRecipe.plan(info, height=side, width=side, seed=seed)
    window.make_slide(recipe, "tissue all over", tissue_everywhere(recipe))
    for row, (level, speed) in enumerate(
        (level, speed) for level in (0, recipe.coarsest) for speed in (0.25, 1.0, 3.0)
    ):
        drawn = _drawn(window)
        share = pan(window, level, (row + 1) * side // 8, speed, _SECONDS)
        print(
            f"panning at level {level}, {speed:g} screens/s: "
            f"{(_drawn(window) - drawn) / _SECONDS:.2f} tiles/s drawn, "
            f"drawn tissue on {share:.0%} of the screen"
        )


def _tour(window: SlideWindow, rng: np.random.Generator, minutes: float) -> float:
    """Pan and zoom over all levels; return the most memory seen, in MB."""
    end = time.perf_counter() + minutes * 60
    largest, drawn = resident(), _drawn(window)
    while time.perf_counter() < end:
        for level in _levels(window):
            window.look(*window.tissue(rng), level)
            _pan(window, level, min(_MOVES * _BEAT / 1000, end - time.perf_counter()))
            largest = max(largest, resident())
    print(f"tour: {(_drawn(window) - drawn) / (minutes * 60):.2f} tiles/s drawn")
    return largest


def _pan(window: SlideWindow, level: int, seconds: float) -> None:
    """Move the camera on, 30 pixels of the level at a time."""
    y, x = _middle(window.session.view_box())
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        y, x = y + (10 << level), x + (30 << level)
        window.session.go_to(y, x)
        turn(_BEAT)


def _levels(window: SlideWindow) -> Sequence[int]:
    return range(window.session.store.spec.levels - 1, -1, -1)


def _view(window: SlideWindow, level: int) -> Region:
    """Return the view in pixels of a level, inside the slide."""
    spec = window.session.store.spec
    return spec.at_level(window.session.view_box(), level).intersect(spec.bounds(level))


def _middle(view: Region) -> tuple[float, float]:
    scale = 1 << view.level
    return (view.y + view.height / 2) * scale, (view.x + view.width / 2) * scale


def _drawn(window: SlideWindow) -> int:
    store = window.session.store
    levels = range(store.recipe.coarsest + 1)
    return sum(int(np.count_nonzero(store.state(level))) for level in levels)


def _say_values(name: str, values: _Numbers) -> None:
    p50, p95 = np.percentile(values, (50, 95))
    print(
        f"{name}: p50 {p50:.1f} ms   p95 {p95:.1f} ms   max {values.max():.1f} ms   "
        f"({len(values)} values)"
    )


def _say_seconds(name: str, seconds: Sequence[float]) -> None:
    if not seconds:
        print(f"{name}: none came in {_PATIENCE:.0f} s")
        return
    listed = ", ".join(f"{value:.2f}" for value in sorted(seconds))
    print(f"{name}: median {np.median(seconds):.2f} s   ({listed})")


if __name__ == "__main__":
    main()
