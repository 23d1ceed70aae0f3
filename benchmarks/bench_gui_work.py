"""How much processor time the window's thread takes for a touch of the paint and for a Generate.

The frame is painted with thousands of nuclei, and pixels lie under it; an engine that only takes
requests stands in for the worker. Measured are a touch (the paint has changed: what the button says
and the counts) and Generate (the frame is copied, what is not painted is suggested in a thread, the
request is made and handed over). napari's own work and the drawing of the window are not in it.

    python benchmarks/bench_gui_work.py [--side 4096] [--image 20000] [--repeats 5] [--before PATH]

With `--as-painted`, nothing is suggested.
With `--before`, another checkout is measured in turns with this one, each time in a fresh process,
and the ratios of the medians are printed. Needs no display.
"""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

#: Where each class is, in this layout and in the one of release 4.
_MODULES = {
    "Workspace": ("ui.workspace.workspace", "ui.workspace"),
    "Controller": ("ui.generation.controller", "ui.controller"),
    "SettingsStore": ("ui.generation.settings", "ui.settings"),
    "EngineState": ("core.engine", "core.events"),
    "EngineStateChanged": ("core.engine", "core.events"),
    "Job": ("core.engine", "core.protocols"),
    "BackendInfo": ("core.backend", "core.protocols"),
    "Region": ("core.geometry",),
}
#: Seconds between two looks, and until a request must have come.
_LOOK = 0.05
_PATIENCE = 600.0

_GAP = 40
_NUCLEUS = 16


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="side of the frame in pixels")
    parser.add_argument("--image", type=int, default=0, help="side of an image; else a canvas")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each")
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--as-painted", action="store_true", help="suggest nothing")
    parser.add_argument("--json", action="store_true", help="measure once and print as JSON")
    options = parser.parse_args()
    if options.json:
        print(json.dumps(_measure(options.side, options.image, suggest=not options.as_painted)))
        return
    from benchmarks.in_turns import measured_in_turns  # which an older checkout may lack

    arguments = ["--side", str(options.side), "--image", str(options.image)]
    arguments += ["--as-painted"] if options.as_painted else []
    found = measured_in_turns(__file__, arguments, options.before, options.repeats)
    for what in found["now"]:
        line = f"{what:>20}:"
        for name, measured in found.items():
            times = measured[what]
            line += f"  {name} {median(times) * 1000:7.1f} ms ({min(times) * 1000:.1f} least)"
        if options.before:
            line += f"  ratio {median(found['now'][what]) / median(found['before'][what]):.3f}"
        print(line)


def _measure(side: int, image: int, *, suggest: bool) -> dict[str, float]:
    from napari.components import ViewerModel

    viewer = ViewerModel()
    workspace = _find("Workspace")(viewer, seed=0)
    engine = _Engine()
    store = _find("SettingsStore")(Path(tempfile.mkdtemp()) / "studio.json")
    controller = _find("Controller")(viewer, workspace, engine, store=store)
    controller.set(suggest=suggest)
    if image:
        pixels = np.full((image, image, 3), 200, np.uint8)
        workspace.use_layer(viewer.add_image(pixels, scale=(0.5, 0.5)))
    else:
        workspace.new_canvas(side, side)
    document = getattr(workspace, "document", workspace)
    frame = _find("Region")(0, 0, 0, side, side)
    document.set_frame(frame)
    if not image:
        document.write(frame, np.full((side, side, 3), 200, np.uint8))
    document.set_painting(*_painting(side))
    engine.tell(_find("EngineStateChanged")(_find("EngineState").READY, _info()))
    _touch(controller, workspace)
    seconds = {"a touch of the paint": median(_touch(controller, workspace) for _ in range(3))}
    seconds |= _generate(controller, engine)
    if engine.submitted != 1:
        raise SystemExit(f"expected one request, got {engine.submitted}: {controller.plan.note}")
    return seconds


def _touch(controller: Any, workspace: Any) -> float:
    """Return what a touch costs: the signal of the paint layers, and the look that follows."""
    plans: list[Any] = []
    controller.plan_changed.connect(plans.append)
    start = time.thread_time()
    workspace.painting_changed.emit()
    while not plans:
        time.sleep(_LOOK)  # the look waits for the end of a stroke
        controller.pump()
    controller.plan_changed.disconnect(plans.append)
    return time.thread_time() - start


def _generate(controller: Any, engine: _Engine) -> dict[str, float]:
    """Return what Generate costs: pressing it, and handing over what a thread made meanwhile.

    Looks at a thread that is not ready yet are in neither: the window takes them all the time.
    """
    end = time.monotonic() + _PATIENCE
    start = time.thread_time()
    controller.generate()
    pressed = handed = time.thread_time() - start
    while not engine.submitted and time.monotonic() < end:
        time.sleep(_LOOK)
        start = time.thread_time()
        controller.pump()
        handed = time.thread_time() - start
    return {"pressing Generate": pressed, "handing it over": handed}


def _painting(side: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Return class map, instance map and edit mask: squares in rows, the middle to be redrawn."""
    classes, instances = np.zeros((side, side), np.uint8), np.zeros((side, side), np.int32)
    corners = range(_GAP // 2, side - _NUCLEUS, _GAP)
    for number, (y, x) in enumerate(((y, x) for y in corners for x in corners), start=1):
        place = slice(y, y + _NUCLEUS), slice(x, x + _NUCLEUS)
        classes[place], instances[place] = 1 + number % 6, number
    mask = np.zeros((side, side), np.bool_)
    mask[side // 4 : -side // 4, side // 4 : -side // 4] = True
    return classes, instances, mask


def _info() -> Any:
    return _find("BackendInfo")(
        name="none",
        revision="0",
        mpp=(0.25, 4.0),
        class_counts={},
        tissue_names=(),
        window=256,
        multiple_of=16,
        device="none",
        seconds_per_window=0.1,
        licence="none",
    )


class _Engine:
    """Takes requests and draws nothing."""

    def __init__(self) -> None:
        self.state, self.info = _find("EngineState").CLOSED, None
        self.submitted = 0
        self._listeners: list[Any] = []

    def subscribe(self, listener: Any) -> Any:
        self._listeners.append(listener)
        return lambda: None

    def tell(self, event: Any) -> None:
        for listener in self._listeners:
            listener(event)

    def submit(self, request: Any) -> Any:
        self.submitted += 1
        return _find("Job")(str(self.submitted), request)


def _find(name: str) -> Any:
    """Return a class of the package, wherever it is in this checkout."""
    for module in _MODULES[name]:
        try:
            return getattr(importlib.import_module(f"napari_histodiff.{module}"), name)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"expected {name} in one of {_MODULES[name]}, found it in none")


if __name__ == "__main__":
    main()
