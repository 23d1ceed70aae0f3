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
            parts.append(self.info.device)
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
    """The running edit, if any, in network evaluations done of total."""

    phase: RunPhase = RunPhase.IDLE
    done: int = 0
    total: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Staging:
    """Variants that wait for Apply or Discard; `index` is the one in view."""

    entry: HistoryEntry
    index: int = 0

    @property
    def count(self) -> int:
        """How many variants there are."""
        return len(self.entry.images)

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
        request = self.entry.request
        level = request.region.level
        region = request.region.translate(down >> level, right >> level)
        return replace(self, entry=replace(self.entry, request=replace(request, region=region)))

    def moved(self, by: int) -> Staging:
        """Return the staging with the variant `by` further in view, going round."""
        return replace(self, index=(self.index + by) % self.count)
