"""Plain values the controller hands to the panels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.ui.generation.history import HistoryEntry
from napari_histodiff.ui.text import duration_text

__all__ = ["EngineStatus", "Level", "Notice", "RunPhase", "RunState", "Staging"]


class Level(StrEnum):
    """How loudly a notice is shown."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for the user; `details` is a traceback for the log, never for the message."""

    level: Level
    message: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the status line shows; `memory` is the worker's resident bytes, 0 when unknown."""

    state: EngineState
    info: BackendInfo | None = None
    memory: int = 0
    message: str = ""

    @property
    def restartable(self) -> bool:
        """Whether a restart is what helps."""
        return self.state in (EngineState.DEAD, EngineState.CLOSED)

    def text(self) -> str:
        """Return one short line: state, device, memory."""
        parts = [str(self.state).capitalize()]
        if self.info is not None and not self.restartable:
            parts.append(self.info.device.partition(" (")[0])
            if self.memory:
                parts.append(f"{self.memory / 2**30:.1f} GB")
        return " · ".join(parts)


class RunPhase(StrEnum):
    """Where the one running edit stands."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"


@dataclass(frozen=True, slots=True)
class RunState:
    """The running edit, if any, in network evaluations done of total.

    `elapsed` is how many seconds it has been drawn, None before it began, and `left` how many more
    it takes, None where nobody knows.
    """

    phase: RunPhase = RunPhase.IDLE
    done: int = 0
    total: int = 0
    message: str = ""
    elapsed: float | None = None
    left: float | None = None

    def text(self) -> str:
        """Return how far it is, and how much longer it takes."""
        if self.message:
            return self.message
        if self.elapsed is None:
            return "Waiting to start"
        step = f"Step {self.done} of {self.total}: " if self.total else ""
        text = f"{step}{duration_text(self.elapsed)} so far"
        if self.left is None:
            return text
        left = "nearly done" if self.left < 1 else f"about {duration_text(self.left)} left"
        return f"{text}, {left}"


@dataclass(frozen=True, slots=True, eq=False)
class Staging:
    """Variants that wait for Apply or Discard; `index` is the one in view.

    Where several models drew the same, `beside` holds the edits of all of them, in order, and
    `entry` is the one that the variant in view is of. `frame` is where the frame was when they were
    asked for; None where nobody knows.
    """

    entry: HistoryEntry
    index: int = 0
    beside: tuple[HistoryEntry, ...] = ()
    frame: Region | None = None

    @property
    def count(self) -> int:
        """How many variants the edit in view has."""
        return len(self.entry.images)

    @property
    def entries(self) -> tuple[HistoryEntry, ...]:
        """The edits of all models, in order."""
        return self.beside or (self.entry,)

    @property
    def variants(self) -> tuple[tuple[HistoryEntry, int], ...]:
        """All variants of all models in order: their edit and their number in it."""
        return tuple((entry, i) for entry in self.entries for i in range(len(entry.images)))

    @property
    def position(self) -> int:
        """Which of `variants` is in view."""
        return self.variants.index((self.entry, self.index))

    @property
    def model(self) -> str:
        """Which model drew the variant in view; "" where only one draws."""
        return self.entry.request.model_name if self.beside else ""

    def joined(self, entry: HistoryEntry) -> Staging:
        """Return the staging with the variants of another model after its own."""
        return replace(self, beside=(*self.entries, entry))

    @property
    def image(self) -> NDArray[np.uint8]:
        """The variant in view, (h, w, 3) uint8."""
        image: NDArray[np.uint8] = self.entry.images[self.index]
        return image

    @property
    def request(self) -> EditRequest:
        """What draws the variant in view, and no other."""
        return self.entry.request.alone(self.index)

    @property
    def region(self) -> Region:
        """Where Apply will put it."""
        return self.entry.request.region

    def shifted(self, down: int, right: int) -> Staging:
        """Return the staging where it lies in an image that grew by so many pixels of level 0."""
        if not (down or right):
            return self

        def moved(entry: HistoryEntry) -> HistoryEntry:
            region = entry.request.region
            return entry.at(region.translate(down >> region.level, right >> region.level))

        beside = tuple(moved(entry) for entry in self.beside)
        own = beside[self.beside.index(self.entry)] if beside else moved(self.entry)
        return replace(self, entry=own, beside=beside)

    def moved(self, by: int) -> Staging:
        """Return the staging with the variant `by` further in view, going round."""
        variants = self.variants
        entry, index = variants[(self.position + by) % len(variants)]
        return replace(self, entry=entry, index=index)
