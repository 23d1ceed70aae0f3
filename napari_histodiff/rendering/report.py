"""What a render says while it runs and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["OnProgress", "RenderProgress", "RenderReport"]


@dataclass(frozen=True, slots=True)
class RenderProgress:
    """Where a render stands: `done` of `total` tiles are stored, the last one of `level`."""

    done: int
    total: int
    level: int


#: Called in the caller's thread after every block, and once before the first one.
OnProgress = Callable[[RenderProgress], None]


@dataclass(frozen=True, slots=True)
class RenderReport:
    """What a render did.

    Attributes
    ----------
    tiles : int
        Tiles stored by this run.
    kept : int
        Tiles asked for that were drawn or edited before.
    blank : int
        Of `tiles`, those of bare glass, which need no model.
    seconds : float
        From the first block to the last, model loading excluded.
    devices : tuple of str
        Where the model ran, each once. Tiles of different kinds of devices agree up to rounding
        only, not byte for byte.
    deaths : int
        Workers that went away before the end.
    """

    tiles: int
    kept: int
    blank: int
    seconds: float
    devices: tuple[str, ...]
    deaths: int
