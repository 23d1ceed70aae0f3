"""Kills a process that edits a scan, again and again, and compares what is left with the rules."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path

import numpy as np

from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from tests.slide.crashing import one_child, say
from tests.slide.overlays.fake_scan import (
    Expected,
    FakeScan,
    levels_of,
    make_scan,
    random_edit,
    request,
)


def step(overlay: ScanOverlay | None, expected: Expected, number: int) -> None:
    """Take the step of a number, the same on every scan; on what is expected only without edits."""
    rng = np.random.default_rng(number)
    kind = number % 6
    if kind == 4:
        expected.undo()
        if overlay is not None:
            overlay.undo()
    elif kind == 5 and number % 4:
        expected.redo()
        if overlay is not None:
            overlay.redo()
    else:
        region, pixels, mask = random_edit(expected.scan.spec, rng)
        expected.write(region, pixels, mask)
        if overlay is not None:
            overlay.write(request(region), pixels, mask)
            nuclei = rng.integers(0, 50, (60, 60), np.int32)
            overlay.paint(Region(0, number % 400, 20, 60, 60), nuclei)


def work(path: Path, first: int) -> None:
    """Take step after step and say so after each; the body of the child process."""
    scan = FakeScan(path.with_name("slide.svs"))
    with ScanOverlay.open(path, scan, read_only=False) as overlay:
        say("open")
        for number in range(first, first + 10_000):
            step(overlay, Expected(scan), number)
            say(str(number))


def kill_and_compare(folder: Path, kills: int, seed: int = 0) -> tuple[int, list[str]]:
    """Kill a child at random moments; return how many steps lasted, and what broke."""
    moments = random.Random(seed)
    scan = make_scan(folder / "slide.svs", 600, 530)
    checksum = hashlib.sha256(scan.path.read_bytes()).digest()
    path, expected, taken = folder / "edits", Expected(scan), 0
    ScanOverlay.create(path, scan).close()
    for _ in range(kills):
        acknowledged = one_child(path, taken, moments.uniform(0, 0.6), __name__)
        while taken < acknowledged:
            step(None, expected, taken)
            taken += 1
        with ScanOverlay.open(path, scan, read_only=False) as overlay:
            if not overlay.verify().is_whole:
                return taken, [str(overlay.verify())]
            if not _shows(overlay, expected):
                # The last step may have been committed but not yet acknowledged.
                step(None, expected, taken)
                taken += 1
                if not _shows(overlay, expected):
                    return taken, [f"neither {taken - 1} nor {taken} steps"]
    if hashlib.sha256(scan.path.read_bytes()).digest() != checksum:
        return taken, ["the scan was written to"]
    return taken, []


def _shows(overlay: ScanOverlay, expected: Expected) -> bool:
    history = (overlay.can_undo, overlay.can_redo) == (bool(expected.done), bool(expected.undone))
    shown = zip(levels_of(overlay), expected.shown(), strict=True)
    return history and all(np.array_equal(found, wanted) for found, wanted in shown)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
