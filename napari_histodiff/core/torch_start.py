"""What must be so before torch loads: threads that sleep while they wait, Triton's own LLVM.

And what should be so while it loads: nobody looks for garbage.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Final

__all__ = ["busy_waiting", "load_triton_apart", "wait_quietly", "without_garbage_searches"]

_VARIABLE: Final = "OMP_WAIT_POLICY"

#: What the variable was, and whether torch had read it, when this package was first imported.
_too_late = False


def wait_quietly() -> None:
    """Have OpenMP's threads sleep rather than spin while they wait for each other.

    Spinning threads starve whatever else runs, torch's own other threads among it: beside one busy
    thread a two-thread forward was 26 times slower. OpenMP reads the variable when torch loads; a
    policy the user has set stays.
    """
    global _too_late
    _too_late = "torch" in sys.modules and _VARIABLE not in os.environ
    os.environ.setdefault(_VARIABLE, "PASSIVE")


def busy_waiting() -> bool:
    """Return whether torch was loaded before `wait_quietly` could quiet its threads."""
    return _too_late


def load_triton_apart() -> None:
    """Load Triton, which torch brings, so that it finds its own LLVM in a process with a window.

    Mesa draws windows with an LLVM of its own (software rendering, AMD), numba compiles with
    another. Triton holds a third, and where one of them came first it calls into that one and the
    process ends by a segmentation fault: a napari window, when a model was loaded in its console.
    Without a window nothing is done: torch loads Triton itself, when it needs it.
    """
    deep = getattr(os, "RTLD_DEEPBIND", 0)  # Linux only, as are Triton and Mesa
    if not deep or "triton" in sys.modules or "napari" not in sys.modules:
        return
    before = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | deep)
    try:
        with suppress(ImportError):  # torch for CPUs comes without
            import_module("triton")
    finally:
        sys.setdlopenflags(before)


@contextmanager
def without_garbage_searches() -> Iterator[None]:
    """Import in here what is large: Python looks for no garbage meanwhile, as modules are none.

    They are half a million objects when torch and diffusers are loaded, which Python would look
    through again and again as they come: a quarter of the time that loading takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
