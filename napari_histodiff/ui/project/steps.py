"""Undo and redo of an image's edits as a project folder keeps them: the last steps, whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.json_data import from_json
from napari_histodiff.slide.exporting.provenance import EditMark
from napari_histodiff.ui.project.folder import Slot
from napari_histodiff.ui.workspace.journal import JournalStep, MemoryJournal

__all__ = ["MOST", "PIXELS", "KeptSteps"]

#: Name of the plane of the pixels themselves.
PIXELS: Final = "pixels"

#: Bytes of steps that are kept, before they are compressed.
MOST: Final = 2**27

#: Names of the planes of a step's pixels, before its number.
_PLANES: Final = ("before", "after")


@dataclass(frozen=True, slots=True, eq=False)
class KeptSteps:
    """What can be taken back or repeated, and how the rest was made.

    Attributes
    ----------
    marks : tuple of EditMark
        Of edits that cannot be taken back, oldest first.
    done, undone : tuple of JournalStep
        As `MemoryJournal` has them.
    """

    marks: tuple[EditMark, ...] = ()
    done: tuple[JournalStep, ...] = ()
    undone: tuple[JournalStep, ...] = ()

    @classmethod
    def of(cls, journal: object, most: int = MOST) -> KeptSteps:
        """Return the last steps of a journal in memory, up to so many bytes; of others none."""
        if not isinstance(journal, MemoryJournal):
            return cls()
        done, most = _last(journal.done, most)
        undone, _ = _last(journal.undone, most)
        shown = journal.marks
        known = sum(step.mark is not None for step in done)
        return cls(shown[: len(shown) - known], done, undone)

    @classmethod
    def read(cls, image: Mapping[str, Any], arrays: Mapping[Slot, NDArray[Any]]) -> KeptSteps:
        """Return the steps of an image that a project describes.

        Raises
        ------
        ValueError, KeyError, TypeError
            When it is described otherwise.
        """
        steps: dict[bool, list[JournalStep]] = {False: [], True: []}
        for said in image.get("steps", ()):
            number, region = int(said["number"]), Region(*said["region"])
            blank = np.zeros((*region.shape, 4), np.uint8)
            before, after = (
                arrays.get((image["key"], plane, region), blank) for plane in _planes(number)
            )
            if before.shape != blank.shape or after.shape != blank.shape:
                raise ValueError(f"steps of shape {before.shape}, {after.shape} for {region}")
            mark = None if said["mark"] is None else from_json(EditMark, said["mark"])
            step = JournalStep(number, region, before, after, mark)
            steps[bool(said["undone"])].append(step)
        marks = tuple(from_json(EditMark, mark) for mark in image.get("marks", ()))
        return cls(marks, tuple(steps[False]), tuple(steps[True]))

    def described(self) -> dict[str, Any]:
        """Return what `read` reads, without the arrays; ready for JSON."""
        every = [(step, False) for step in self.done] + [(step, True) for step in self.undone]
        return {
            "marks": [asdict(mark) for mark in self.marks],
            "steps": [
                {
                    "number": step.number,
                    "region": _sides(step.region),
                    "undone": undone,
                    "mark": None if step.mark is None else asdict(step.mark),
                }
                for step, undone in every
            ],
        }

    def changed(self, key: str, there: Iterable[Slot]) -> dict[Slot, NDArray[Any]]:
        """Return what a folder that holds some arrays is to write: new steps, and gaps for old."""
        wanted: dict[Slot, NDArray[Any]] = {}
        for step in (*self.done, *self.undone):
            for plane, array in zip(_planes(step.number), (step.before, step.after), strict=True):
                wanted[key, plane, step.region] = array
        known = frozenset(there)
        gaps = {
            slot: np.zeros((1, 1), np.uint8)
            for slot in known
            if slot[0] == key and slot[1].partition(" ")[0] in _PLANES and slot not in wanted
        }
        return gaps | {slot: array for slot, array in wanted.items() if slot not in known}


def _last(steps: tuple[JournalStep, ...], most: int) -> tuple[tuple[JournalStep, ...], int]:
    """Return the last steps that fit into so many bytes, and how many are left."""
    kept: list[JournalStep] = []
    for step in reversed(steps):
        if step.nbytes > most:
            break
        most -= step.nbytes
        kept.append(step)
    return tuple(reversed(kept)), most


def _planes(number: int) -> tuple[str, str]:
    before, after = (f"{name} {number}" for name in _PLANES)
    return before, after


def _sides(region: Region) -> list[int]:
    return [region.level, region.y, region.x, region.height, region.width]
