"""OpenMP threads that sleep while they wait, set before torch loads."""

from __future__ import annotations

import os
import sys
from typing import Final

__all__ = ["busy_waiting", "wait_quietly"]

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
