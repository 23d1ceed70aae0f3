"""What the window says about a slide at one moment: plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["SlideStatus", "magnification_of"]

# A 40x objective gives 0.25 micrometres per pixel, a 20x objective 0.5.
_MICROMETRES_AT_1X: Final = 10.0


@dataclass(frozen=True, slots=True)
class SlideStatus:
    """How far a slide is drawn and what is asked for.

    Attributes
    ----------
    level : int
        Pyramid level shown, 0 = finest.
    mpp, magnification : float
        Micrometres per pixel of that level, and the objective it corresponds to (0.5 = 20x).
    queued, in_flight, failed : int
        Tiles that wait, are being drawn, and could not be drawn.
    rate : float
        Tiles per second lately; 0 when unknown.
    seconds_left : float or None
        Until the queue is empty; None when unknown.
    paused : bool
        Whether drawing is held.
    generated, edited, stale : int
        Tiles of the levels that the model draws, by state.
    read_only : bool
        Whether the slide can only be looked at.
    message : str
        What the user should know now; empty when nothing.
    """

    level: int = 0
    mpp: float = 0.5
    magnification: float = 20.0
    queued: int = 0
    in_flight: int = 0
    failed: int = 0
    rate: float = 0.0
    seconds_left: float | None = None
    paused: bool = False
    generated: int = 0
    edited: int = 0
    stale: int = 0
    read_only: bool = False
    message: str = ""


def magnification_of(mpp: float) -> float:
    """Return the objective, 20 for "20x", that gives so many micrometres per pixel."""
    return _MICROMETRES_AT_1X / mpp
