"""How long opening a slide, or making one, keeps the window from anything else, at the longest.

A timer of 1 ms notes how much processor time the window's thread has spent; the most between two
notes is the longest event. Processor time, so that a busy machine counts for less. Opening is
measured in a window that is ready, first in its process and then again, with the slide closed in
between.

    python benchmarks/bench_opening.py [--side 65536] [--again 3] [--before PATH]

With `--before`, another checkout is measured in turns with this one, each time in a fresh process.
Needs a display, or xvfb-run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

#: Seconds after the slide is there that still belong to opening it, and that a new window rests.
_AFTER = 2.0
_REST = 8.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=65_536, help="pixels of the slide's sides")
    parser.add_argument("--again", type=int, default=3, help="openings after the first one")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each checkout")
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--json", action="store_true", help="measure once and print as JSON")
    options = parser.parse_args()
    if options.json:
        print(json.dumps(_measure(options.side, options.again)))
        return
    from benchmarks.in_turns import measured_in_turns  # which an older checkout may lack

    arguments = ["--side", str(options.side), "--again", str(options.again)]
    found = measured_in_turns(__file__, arguments, options.before, options.repeats)
    for what in found["now"]:
        line = f"{what:>16}:"
        for name, measured in found.items():
            times = measured[what]
            line += f"  {name} {median(times) * 1000:6.0f} ms ({max(times) * 1000:.0f} most)"
        print(line)


def _measure(side: int, again: int) -> dict[str, float]:
    import napari

    from napari_histodiff.core.recipe import SlideRecipe
    from napari_histodiff.slide.store import SlideStore
    from napari_histodiff.ui.dock import StudioDock
    from napari_histodiff.ui.generation.settings import SettingsStore
    from napari_histodiff.ui.slide.new_slide import NewSlide

    folder = Path(tempfile.mkdtemp())
    recipe = SlideRecipe.plan(_info(), height=side, width=side, caption="colon, gland", seed=3)
    SlideStore.create(folder / "slide.ome.zarr", recipe).close()
    viewer = napari.Viewer()
    viewer.window.resize(1440, 900)
    store = SettingsStore(folder / "studio.json")
    dock = StudioDock(viewer, engine=_Engine(), store=store)
    viewer.window.add_dock_widget(dock, area="right")
    meter = _Meter()
    meter.turn(_REST)

    def open_() -> float:
        return meter.longest(lambda: dock.slide.open_slide(folder / "slide.ome.zarr"))

    found, closed, opened = {"opening, first": open_()}, [], []
    for _ in range(again):
        closed.append(meter.longest(dock.slide.close_slide))
        opened.append(open_())
    found |= {"opening, again": median(opened), "closing": median(closed)}
    meter.longest(dock.slide.close_slide)
    found["making"] = meter.longest(
        lambda: dock.slide.make(NewSlide(folder / "new.ome.zarr", recipe, None))
    )
    dock.shut_down()
    viewer.close()
    return found


class _Meter:
    """Reads the clock of the window's thread as often as the window can."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._read: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(lambda: self._read.append(time.thread_time()))

    def longest(self, work: Callable[[], object]) -> float:
        """Return the longest event in processor time while something is done, in seconds."""
        from qtpy.QtCore import QTimer

        self._read = [time.thread_time()]
        self._timer.start(1)
        QTimer.singleShot(50, work)
        self.turn(_AFTER)
        self._timer.stop()
        reads = [*self._read, time.thread_time()]
        return max(after - before for before, after in pairwise(reads))

    def turn(self, seconds: float) -> None:
        """Let the window live for a while."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1000), loop.quit)
        loop.exec()


def _info() -> Any:
    from napari_histodiff.core.backend import BackendInfo
    from napari_histodiff.core.maps import TISSUE_NAMES

    return BackendInfo(
        name="none",
        revision="0",
        mpp=(0.25, 4.0),
        class_counts={},
        tissue_names=TISSUE_NAMES,
        window=256,
        multiple_of=16,
        device="none",
        seconds_per_window=0.1,
        licence="none",
    )


class _Engine:
    """Never gets ready, so that nothing is drawn meanwhile."""

    def __init__(self) -> None:
        from napari_histodiff.core.engine import EngineState

        self.state, self.info = EngineState.STARTING, None

    def subscribe(self, listener: Any) -> Any:
        return lambda: None

    def start(self) -> None: ...
    def close(self) -> None: ...


if __name__ == "__main__":
    main()
