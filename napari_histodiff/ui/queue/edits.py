"""Edits that were asked for: in which order they are drawn, and what became of each.

No Qt and no engine here. An edit is resolved into its request when it is asked for; nothing of the
paint or the image is read later.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.ui.generation.history import HistoryEntry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_histodiff.ui.generation.estimates import Estimate
    from napari_histodiff.ui.workspace.targets import Target

__all__ = ["EditQueue", "EditState", "Place", "QueuedEdit"]

#: Edits that may wait, and their bytes; and drawn ones that are kept until somebody looks at them.
_MOST: Final = 50
_MOST_BYTES: Final = 2**30
_MOST_READY: Final = 20


class EditState(StrEnum):
    """What became of an edit so far."""

    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Place:
    """Which image an edit is of, and where its frame was.

    Attributes
    ----------
    key : hashable
        Of the target.
    name, path : str
        Of the image, for people and for opening it again.
    frame : Region
        The frame, in pixels of its level as it was.
    origin : (int, int)
        Where the image's first pixel lay then, see `Target.origin`.
    mpp : float
        Micrometres per pixel of the finest level then.
    """

    key: Hashable
    name: str
    path: str
    frame: Region
    origin: tuple[int, int] = (0, 0)
    mpp: float = 0.5

    @classmethod
    def of(cls, target: Target, frame: Region) -> Place:
        """Return the place of a frame on an image as it is now."""
        return cls(target.key, target.name, target.path, frame, target.origin, target.mpp)

    def shift_on(self, target: Target) -> tuple[int, int]:
        """Return how far the image moved since, down and right, in pixels of its finest level."""
        finer = self.finer_on(target)
        dy, dx = (
            (then << finer) - now for then, now in zip(self.origin, target.origin, strict=True)
        )
        return dy, dx

    def finer_on(self, target: Target) -> int:
        """Return how many finer levels the image got since."""
        return max(0, round(math.log2(self.mpp / target.mpp)))

    def follow(self, region: Region, target: Target) -> Region:
        """Return where a region of the image then is on the image now."""
        level = region.level + self.finer_on(target)
        down, right = self.shift_on(target)
        return replace(region, level=level).translate(down >> level, right >> level)


@dataclass(frozen=True, slots=True, eq=False)
class QueuedEdit:
    """One edit that was asked for.

    Attributes
    ----------
    title : str
        What it does, "Inpaint".
    request : EditRequest
        What is drawn.
    place : Place
        Of its frame, which the request may reach beyond.
    tissue : (h, w) uint8, optional
        What was painted of it, whatever the model makes of that.
    estimate : Estimate, optional
        What it takes; None where the model had not said.
    state : EditState
        What became of it.
    problem : str
        Why it failed, with the next step.
    entry : HistoryEntry, optional
        What was drawn, when it is READY.
    id : str
        Tells it from others.
    """

    title: str
    request: EditRequest
    place: Place
    tissue: NDArray[np.uint8] | None = None
    estimate: Estimate | None = None
    state: EditState = EditState.WAITING
    problem: str = ""
    entry: HistoryEntry | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def expected(self) -> float | None:
        """Seconds that it takes; None where nobody knows."""
        if self.estimate is None or not self.estimate.measured:
            return None
        return self.estimate.seconds


class EditQueue:
    """The edits in their order; at most one is RUNNING."""

    def __init__(self) -> None:
        self._edits: list[QueuedEdit] = []
        #: Whether the next one is held back.
        self.paused = False

    @property
    def edits(self) -> tuple[QueuedEdit, ...]:
        """All of them; of those that wait, the next one first."""
        return tuple(self._edits)

    @property
    def waiting(self) -> tuple[QueuedEdit, ...]:
        """Those that wait, the next one first."""
        return self._of(EditState.WAITING)

    @property
    def running(self) -> QueuedEdit | None:
        """The one that is being drawn."""
        return next(iter(self._of(EditState.RUNNING)), None)

    @property
    def ready(self) -> tuple[QueuedEdit, ...]:
        """Those that are drawn and neither applied nor discarded, the oldest first."""
        return self._of(EditState.READY)

    def find(self, edit_id: str) -> QueuedEdit | None:
        """Return an edit by its id; None when it is not here any more."""
        return next((edit for edit in self._edits if edit.id == edit_id), None)

    def add(self, edit: QueuedEdit) -> None:
        """Put an edit at the end.

        Raises
        ------
        InvalidRequest
            When too many wait already, or they hold too much memory.
        """
        waiting = self.waiting
        if len(waiting) >= _MOST:
            raise InvalidRequest(
                f"expected at most {_MOST} edits to wait, got one more; wait until some are drawn, "
                "or remove some"
            )
        if waiting and sum(one.request.nbytes for one in (*waiting, edit)) > _MOST_BYTES:
            raise InvalidRequest(
                "expected room for one more edit to wait, got edits that hold a gigabyte already; "
                "wait until some are drawn, or remove some"
            )
        self._edits.append(edit)

    def put(self, edit_id: str, state: EditState, **changes: Any) -> QueuedEdit | None:
        """Give an edit another state; returns it as it is then, None when it is gone."""
        edit = self.find(edit_id)
        if edit is None:
            return None
        changed = replace(edit, state=state, **{"problem": "", **changes})
        self._edits[self._edits.index(edit)] = changed
        for old in self.ready[:-_MOST_READY]:  # the history has them
            self._edits.remove(old)
        return changed

    def remove(self, edit_id: str) -> None:
        """Take an edit out of the list."""
        self._edits = [edit for edit in self._edits if edit.id != edit_id]

    def move(self, edit_id: str, by: int) -> None:
        """Let an edit that waits be drawn so many places later, or earlier."""
        order = [edit.id for edit in self.waiting]
        if edit_id in order:
            there = order.index(edit_id)
            order.insert(min(max(there + by, 0), len(order) - 1), order.pop(there))
            self._arrange(order)

    def to_front(self, edit_id: str) -> None:
        """Let an edit that waits be the next one."""
        self.move(edit_id, -len(self._edits))

    def retry(self, edit_id: str) -> None:
        """Let an edit that failed wait again, before the others."""
        edit = self.find(edit_id)
        if edit is not None and edit.state is EditState.FAILED:
            self.put(edit_id, EditState.WAITING)
            self.to_front(edit_id)

    def _of(self, state: EditState) -> tuple[QueuedEdit, ...]:
        return tuple(edit for edit in self._edits if edit.state is state)

    def _arrange(self, order: list[str]) -> None:
        """Put those that wait in an order; the others stay where they are in the list."""
        by_id = {edit.id: edit for edit in self._edits}
        waiting = iter(order)
        self._edits = [
            by_id[next(waiting)] if edit.state is EditState.WAITING else edit
            for edit in self._edits
        ]
