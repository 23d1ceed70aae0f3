"""How a slide grew, as steps that can be taken back and repeated among its edits.

An edit has a number, a growth the number of the last edit before it: that is its place in the order
of steps. A growth counts only while the slide lies where it left it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.json_data import read_json_object
from napari_histodiff.slide.storage.dependencies import PlaneFrame
from napari_histodiff.slide.storage.transactions import write_file

__all__ = ["Growth", "Growths"]

_FILE: Final = "histodiff/growths.json"


@dataclass(frozen=True, slots=True)
class Growth:
    """One growth: where the slide lay before and after it, and after which edit it came."""

    before: PlaneFrame
    after: PlaneFrame
    edit: int

    def seen(self, refined: int) -> Growth:
        """Return the same growth of a slide that got finer levels since."""
        return Growth(self.before.finer(refined), self.after.finer(refined), self.edit)


class Growths:
    """The growths of a slide that can be taken back, and those that can be repeated.

    Parameters
    ----------
    path : Path
        The folder of the slide.
    """

    def __init__(self, path: Path) -> None:
        self._file = path / _FILE
        self._done: list[Growth] = []
        #: Those that were taken back, the last one at the end.
        self.undone: list[Growth] = []
        try:
            kept = read_json_object(self._file)
            self._done = [_growth(line) for line in kept["done"]]
            self.undone = [_growth(line) for line in kept["undone"]]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or of a slide that was cut off: edits can be undone all the same

    def to_undo(self, frame: PlaneFrame, done: Sequence[int]) -> Growth | None:
        """Return the growth that is the last step, None when an edit is or there is no step.

        Parameters
        ----------
        frame : PlaneFrame
            Where the slide lies.
        done : sequence of int
            Numbers of the edits that can be undone.
        """
        if not self._done:
            return None
        last = self._done[-1].seen(frame.refined)
        is_last = last.after == frame and (not done or done[-1] <= last.edit)
        return last if is_last else None

    def to_redo(self, frame: PlaneFrame, undone: Sequence[int]) -> Growth | None:
        """Return the growth that is the next step to repeat, None when an edit or nothing is."""
        if not self.undone:
            return None
        last = self.undone[-1].seen(frame.refined)
        is_next = last.before == frame and (not undone or undone[-1] > last.edit)
        return last if is_next else None

    def do(self, growth: Growth) -> None:
        """Note a growth that was carried out.

        Raises
        ------
        StorageError
            When it cannot be written.
        """
        self._done.append(growth)
        self.undone.clear()
        self._write()

    def undo(self) -> None:
        """Note that the last growth was taken back.

        Raises
        ------
        StorageError
            As `do`.
        """
        self.undone.append(self._done.pop())
        self._write()

    def redo(self) -> None:
        """Note that the growth taken back last was repeated.

        Raises
        ------
        StorageError
            As `do`.
        """
        self._done.append(self.undone.pop())
        self._write()

    def forget_undone(self) -> None:
        """Note that something else was done: what was taken back cannot be repeated any more.

        Raises
        ------
        StorageError
            As `do`.
        """
        if self.undone:
            self.undone.clear()
            self._write()

    def _write(self) -> None:
        lines = {
            "done": [_line(growth) for growth in self._done],
            "undone": [_line(growth) for growth in self.undone],
        }
        write_file(self._file, json.dumps(lines).encode(), sync=True)


def _line(growth: Growth) -> list[Any]:
    return [list(growth.before), list(growth.after), growth.edit]


def _growth(line: Any) -> Growth:
    before, after, edit = line
    return Growth(PlaneFrame(*map(int, before)), PlaneFrame(*map(int, after)), int(edit))
