"""A change of an image that may take its time: what comes of it, and what is said meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import Signal

from napari_histodiff.core.geometry import Region

__all__ = ["Doing", "Step"]


class Step:
    """One write, undo or redo: on its way, or over. Belongs to the thread of the viewer.

    Attributes
    ----------
    is_over : bool
        Whether it was carried out or failed.
    region : Region or None
        Where pixels changed; None when nothing did.
    error : Exception or None
        Why it failed; the image is as it was then.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.region: Region | None = None
        self.error: Exception | None = None
        self._listeners: list[Callable[[Step], None]] = []

    @classmethod
    def carried_out(cls, region: Region | None) -> Step:
        """Return a step that is over."""
        step = cls()
        step.end(region)
        return step

    def then(self, listener: Callable[[Step], None]) -> Step:
        """Call `listener` when the step is over, at once when it is; returns the step."""
        if self.is_over:
            listener(self)
        else:
            self._listeners.append(listener)
        return self

    def end(self, region: Region | None = None, error: Exception | None = None) -> None:
        """Tell what came of it; only who carries it out calls this, and once."""
        self.is_over, self.region, self.error = True, region, error
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(self)


class Doing:
    """What is being done to an image, in words, for as long as it takes."""

    #: The words changed; empty when nothing is being done any more.
    changed = Signal(str)

    def __init__(self) -> None:
        self._steps: dict[Step, str] = {}

    @property
    def text(self) -> str:
        """What is being done, "Writing the edit…"; empty when nothing is."""
        return next(iter(self._steps.values()), "")

    def follow(self, text: str, step: Step) -> None:
        """Say `text` until a step is over; those asked for before it are said first."""
        if not step.is_over:
            self._steps[step] = text
            self.changed.emit(self.text)
            step.then(self._forget)

    def _forget(self, step: Step) -> None:
        del self._steps[step]
        self.changed.emit(self.text)
