"""How soon live painting follows the hand, against the real edit, and what that costs the window.

Strokes are made on a frame at rest; the time of each is from its end to the picture of it in view.
The real edit is what *Generate* draws of the same frame, one variant, two steps; the ratio of both
says what live painting is worth. A timer of 5 ms notes by how much the window is held up.

    python benchmarks/bench_live.py [--side 512] [--strokes 10] [--factory MODULE:FUNCTION]

Needs a display, or xvfb-run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, Qt, QTimer

from napari_histodiff.core.engine import EngineState
from napari_histodiff.engine.local import LocalEngine
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.engines import BACKEND
from napari_histodiff.ui.generation.settings import Settings, SettingsStore
from napari_histodiff.ui.starting.painted import paint_demo

_PERIOD = 0.005

#: Seconds until something must have happened.
_PATIENCE = 300.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512, help="pixels of the frame's sides")
    parser.add_argument("--strokes", type=int, default=10)
    parser.add_argument("--factory", default=BACKEND, help="import path of what makes the backend")
    options = parser.parse_args()
    side = options.side

    viewer = napari.Viewer()
    store = SettingsStore(Path(tempfile.mkdtemp()) / "studio.json")
    store.save(Settings(suggest=False, variants=1))
    dock = StudioDock(viewer, engine=LocalEngine(options.factory), store=store)
    viewer.window.add_dock_widget(dock, area="right")
    dock.workspace.new_canvas(side, side)
    document, controller, live = dock.workspace.document, dock.controller, dock.live
    document.set_frame(document.region)
    document.set_painting(*paint_demo(side, side), np.zeros((side, side), bool))
    until = partial(_until, controller)
    until("the engine", lambda: controller.status.state in (EngineState.READY, EngineState.DEAD))
    if controller.status.state is EngineState.DEAD:
        raise SystemExit(controller.status.message)

    real = []
    for _ in range(3):
        start = time.perf_counter()
        dock.actions.generate()
        until("a variant", lambda: controller.staged.now is not None)
        real.append(time.perf_counter() - start)
        controller.staged.discard()
    controller.set(live=True)
    until("the live picture", lambda: live.shown == live.strokes)

    seen, fired = [], []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: fired.append(time.perf_counter()))
    timer.start(round(_PERIOD * 1000))
    rng = np.random.default_rng(0)
    for _ in range(options.strokes):
        y, x = rng.integers(16, side - 16, 2)
        rows, cols = (n.ravel() for n in np.mgrid[y - 6 : y + 6, x - 6 : x + 6])
        start = time.perf_counter()
        document.nuclei.layer.data_setitem((rows, cols), document.nuclei.new_label())
        until("the live picture", lambda: live.shown == live.strokes)
        seen.append(time.perf_counter() - start)
    timer.stop()
    held = np.clip(np.diff(fired) - _PERIOD, 0, None) * 1000
    ratio = np.median(seen) / np.median(real)
    print(
        f"frame {side} px on {controller.status.info.device}: generate {np.median(real):.2f} s   "
        f"stroke to picture {np.median(seen):.2f} s (worst {max(seen):.2f})   ratio {ratio:.2f}\n"
        f"window held up while painting: p50 {np.median(held):.1f} ms   "
        f"p95 {np.percentile(held, 95):.1f} ms   max {held.max():.1f} ms"
    )
    dock.shut_down()
    viewer.close()


def _until(controller: Controller, what: str, reached: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not reached():
        if time.monotonic() > end:
            said = f"{controller.status.text()} {controller.plan.note}"
            raise SystemExit(f"expected {what} by now, got none: {said}")
        loop = QEventLoop()
        QTimer.singleShot(5, loop.quit)
        loop.exec()


if __name__ == "__main__":
    main()
