"""How long the window's event loop is held up: while an edit runs, at Apply and at Discard.

A timer of 5 ms notes when it really fires; the lag is what passes beyond those 5 ms. The same is
measured on the idle window first, so that a busy machine is seen for what it is. The promises are a
p95 of at most 50 ms while a 512 px edit runs in the worker, and no hold-up of more than 100 ms when
a variant is applied or discarded: the longest within two seconds of each is noted.

    python benchmarks/bench_gui_lag.py [--seconds 20] [--repeats 5] [--factory MODULE:FUNCTION]

Needs a display, or xvfb-run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, Qt, QTimer

from napari_histodiff.core.engine import EngineState
from napari_histodiff.engine.local import LocalEngine
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.engines import BACKEND
from napari_histodiff.ui.generation.settings import SettingsStore
from napari_histodiff.ui.generation.states import RunPhase
from napari_histodiff.ui.starting.painted import paint_demo

_PERIOD = 0.005


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="measured time of each part")
    parser.add_argument("--repeats", type=int, default=5, help="variants applied and discarded")
    parser.add_argument("--factory", default=BACKEND, help="import path of what makes the backend")
    options = parser.parse_args()

    viewer = napari.Viewer()
    store = SettingsStore(Path(tempfile.mkdtemp()) / "studio.json")
    dock = StudioDock(viewer, engine=LocalEngine(options.factory), store=store)
    viewer.window.add_dock_widget(dock, area="right")
    dock.workspace.new_canvas(512, 512)
    dock.workspace.document.set_painting(*paint_demo(512, 512), np.zeros((512, 512), bool))
    while dock.controller.status.state is not EngineState.READY:
        if dock.controller.status.state is EngineState.DEAD:
            raise SystemExit(dock.controller.status.message)
        _turn(50)
    _report("idle", _measure(options.seconds))
    dock.controller.set(steps=100, variants=16)
    dock.actions.generate()
    while dock.controller.run_state.done == 0:
        _turn(50)
    _report("generating", _measure(options.seconds))
    if dock.controller.run_state.phase is RunPhase.IDLE:
        print("the job ended during the measurement; use fewer --seconds")
    dock.actions.cancel()
    dock.controller.set(steps=2, variants=1)
    _report("idle again", _measure(2))
    for name, end in (("apply", dock.actions.apply), ("discard", dock.controller.staged.discard)):
        held = []
        for _ in range(options.repeats):
            _stage(dock)
            QTimer.singleShot(200, end)
            held.append(float(_measure(2).max()))
        print(
            f"{name:>10}: longest hold-up, median of {len(held)} {median(held):6.1f} ms   "
            f"max {max(held):6.1f} ms"
        )
    dock.shut_down()
    viewer.close()


def _stage(dock: StudioDock) -> None:
    dock.actions.generate()
    while (
        dock.controller.staged.now is None or dock.controller.run_state.phase is not RunPhase.IDLE
    ):
        _turn(50)
    _turn(500)


def _measure(seconds: float) -> np.ndarray[Any, Any]:
    fired: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(partial(_note, fired))
    timer.start(round(_PERIOD * 1000))
    _turn(round(seconds * 1000))
    timer.stop()
    return np.clip(np.diff(fired) - _PERIOD, 0, None) * 1000


def _note(fired: list[float]) -> None:
    fired.append(time.perf_counter())


def _turn(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def _report(name: str, lag: np.ndarray[Any, Any]) -> None:
    p50, p95 = np.percentile(lag, (50, 95))
    print(
        f"{name:>10}: lag p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   max {lag.max():6.1f} ms   "
        f"({len(lag)} turns)"
    )


if __name__ == "__main__":
    main()
