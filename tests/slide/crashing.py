"""Kills a process that edits a slide, again and again, and compares what is left with a twin."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import (
    PlainLayout,
    draw,
    draw_all,
    edit,
    everything,
    make,
    missing,
    same,
)

ROOT = Path(__file__).parents[2]


def step(slide: SlideStore, number: int) -> None:
    """Take the step of a number, the same on every slide."""
    rng = np.random.default_rng(number)
    kind = number % 8
    if kind == 4:
        slide.undo()
    elif kind == 5 and number % 3:
        slide.redo()
    elif kind == 6:
        classes = np.zeros((4, 4), np.uint8)
        classes[rng.integers(4), rng.integers(4)] = rng.integers(5)
        slide.set_sketch(Sketch(classes, 64))
    else:
        level = int(rng.integers(slide.recipe.coarsest + 1))
        bounds = slide.spec.bounds(level)
        y, x = (int(rng.integers(side - 100)) for side in bounds.shape)
        edit(slide, Region(level, y, x, 90, 80), number, rng.random((90, 80)) < 0.8)


def work(path: Path, first: int) -> None:
    """Take step after step and say so after each; the body of the child process."""
    with SlideStore.open(path, read_only=False, layout=PlainLayout) as slide:
        say("open")
        for number in range(first, first + 10_000):
            for tile in missing(slide)[:3]:
                draw(slide, tile)
            step(slide, number)
            say(str(number))
            if number % 11 == 0:
                slide.evict(slide.nbytes * 2 // 3)


@dataclass
class Tally:
    """What a loop of kills showed."""

    kills: int = 0
    steps: int = 0
    unfinished: int = 0
    wrong: list[str] = field(default_factory=list)
    open_seconds: list[float] = field(default_factory=list)


def kill_and_compare(folder: Path, kills: int, seed: int = 0) -> Iterator[Tally]:
    """Kill a child `kills` times at random moments; yield the tally after each."""
    moments = random.Random(seed)
    slide, twin = make(folder / "killed"), make(folder / "twin")
    path = slide.path
    slide.close()
    tally = Tally()
    taken = 0
    for _ in range(kills):
        acknowledged = one_child(path, taken, moments.uniform(0.0, 0.8))
        start = time.perf_counter()
        slide = SlideStore.open(path, read_only=False, layout=PlainLayout)
        tally.open_seconds.append(time.perf_counter() - start)
        tally.kills += 1
        report = slide.verify()
        if report.damaged or report.missing:
            tally.wrong.append(str(report))
        while taken < acknowledged:
            taken = _follow(twin, taken)
        if not _equal(slide, twin):
            # The last step may have been committed but not yet acknowledged.
            taken = _follow(twin, taken)
            tally.unfinished += 1
            if not _equal(slide, twin):
                tally.wrong.append(f"neither {taken - 1} nor {taken} steps")
        tally.steps = taken
        slide.close()
        yield tally
        if tally.wrong:
            break
    twin.close()
    shutil.rmtree(folder)


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _follow(twin: SlideStore, taken: int) -> int:
    draw_all(twin)
    step(twin, taken)
    return taken + 1


def _equal(slide: SlideStore, twin: SlideStore) -> bool:
    draw_all(slide)
    draw_all(twin)
    history = (slide.can_undo, slide.can_redo) == (twin.can_undo, twin.can_redo)
    return history and same(everything(slide), everything(twin))


def one_child(path: Path, first: int, seconds: float, module: str = "tests.slide.crashing") -> int:
    """Run a child for so long after it has opened the slide; return how many steps it reported."""
    command = [sys.executable, "-m", module, str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        time.sleep(seconds)
        child.kill()
        lines = child.stdout.read().splitlines()
    # The last line may be cut off: it is whole when the next number follows from it.
    numbers = [first + place for place, line in enumerate(lines) if line == str(first + place)]
    return numbers[-1] + 1 if numbers else first


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
