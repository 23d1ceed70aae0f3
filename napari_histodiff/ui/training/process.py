"""The process that trains: started, asked to stop, its losses and progress read.

No Qt and no torch here.
"""

from __future__ import annotations

import csv
import math
import os
import re
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import StorageError
from napari_histodiff.engine.process import ChildProcess, child_environment, lower_priority

__all__ = ["Bar", "LossTable", "TrainingProcess", "last_words", "parse_bar", "training_environment"]

#: Nicer than the Studio's engine, so that drawing goes before training.
_NICENESS: Final = 15

#: Lines kept for the message when the process fails.
_TAIL: Final = 200

_PACKAGE_PARENT: Final = Path(__file__).resolve().parents[3]


def training_environment() -> dict[str, str]:
    """Return the process's environment: quiet threads, all cores but one, this same package."""
    path = filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")))
    extra = {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "TQDM_MININTERVAL": "1",  # ten bars a second would fill the log
    }
    return child_environment(os.cpu_count() or 1, extra=extra)


class TrainingProcess:
    """A training in a process of its own, which writes into a log file.

    It prints into the file and not into a pipe, so that it goes on and can save its work should
    napari end without warning.

    Parameters
    ----------
    command : sequence of str
        What to run.
    log : Path
        Receives all output; its folder is made.
    append : bool
        Keep what the log holds, for a run that goes on.

    Raises
    ------
    StorageError
        When the log cannot be written, or the command cannot be started.
    """

    def __init__(self, command: Sequence[str], log: Path, *, append: bool = False) -> None:
        self._log = log
        self._pending = b""
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._waiter: threading.Thread | None = None
        self.bar: Bar | None = None
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab" if append else "wb") as file:
                self._offset = file.tell()
                self._process = ChildProcess(
                    command, training_environment(), output=file, lifeline=False
                )
        except OSError as error:
            raise StorageError(
                f"expected to start a training that writes into {log.parent}, got "
                f"'{error.strerror or error}'; choose another output folder"
            ) from error
        lower_priority(_NICENESS, self._process.pid)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def last_line(self) -> str:
        """What it said last, progress bars aside."""
        return last_words(self._tail)

    def poll(self) -> int | None:
        """Read what it printed and return its exit code, None while it runs."""
        code = self._process.code
        self._read(to_the_end=code is not None)
        return code

    def stop(self) -> None:
        """Ask it to save and end, as Ctrl-C does; returns at once."""
        self._process.interrupt()

    def kill(self) -> None:
        """End it and its children at once; what it learnt since its last checkpoint is lost."""
        self._process.kill()

    def leave(self) -> None:
        """Ask it to save and end, and look no further after it."""
        self.stop()
        if self._waiter is None:
            self._waiter = threading.Thread(
                target=self._process.wait, name="histodiff-training", daemon=True
            )
            self._waiter.start()

    def _read(self, *, to_the_end: bool) -> None:
        try:
            with self._log.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return
        self._offset += len(new)
        # A bar ends in a carriage return, so that the next is drawn over it.
        *lines, self._pending = (self._pending + new).replace(b"\r", b"\n").split(b"\n")
        if to_the_end:
            lines.append(self._pending)
            self._pending = b""
        for line in lines:
            self._hear(line.decode("utf-8", "replace"))

    def _hear(self, line: str) -> None:
        bar = parse_bar(line)
        if bar is not None:
            self.bar = bar
        elif line.strip():
            self._tail.append(line)


#: Columns of a table without a header, as `diffusion.training.report` writes it.
_COLUMNS: Final = ("samples", "loss", "learning_rate", "size", "validation")

#: Points of the drawn curve, and the share of the run that each averages.
_POINTS: Final = 200
_SMOOTH: Final = 1 / 25

_BAR: Final = re.compile(
    r"(?P<done>\d+)/(?P<total>\d+) \[[^\]]*?(?P<rate>[\d.]+)(?P<unit>crop/s|s/crop)"
)
_ANY_BAR: Final = re.compile(r"\d+%\|.*\[.*\]|^\d+\w+ \[")


@dataclass(frozen=True, slots=True)
class Bar:
    """A progress bar: training crops done of `total`, and crops per second."""

    done: int
    total: int
    rate: float


def parse_bar(line: str) -> Bar | None:
    """Read a line of tqdm; None when it is another, or has no rate yet."""
    found = _BAR.search(line)
    if found is None:
        return None
    rate = float(found["rate"])
    if found["unit"] == "s/crop":
        rate = 1 / rate if rate else 0.0
    return Bar(int(found["done"]), int(found["total"]), rate)


def last_words(lines: Iterable[str]) -> str:
    """Return the last line that is no progress bar, without the word "Error:" before it."""
    said = [line.strip() for line in lines if line.strip() and not _ANY_BAR.search(line)]
    return said[-1].removeprefix("Error: ") if said else ""


class LossTable:
    """The growing table of a run, read a piece at a time.

    Parameters
    ----------
    path : Path
        The file; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._names: tuple[str, ...] = _COLUMNS
        self._train: list[tuple[float, float]] = []
        self._checks: list[tuple[float, float]] = []

    def read(self) -> bool:
        """Take what was added since the last call; returns whether that is anything."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return False
        new = new[: new.rfind(b"\n") + 1]  # a line that is half written waits for its end
        self._offset += len(new)
        for row in csv.reader(new.decode("utf-8", "replace").splitlines()):
            self._take(row)
        return bool(new)

    @property
    def samples(self) -> int:
        """Training crops of the last row, 0 before the first."""
        last = max((rows[-1][0] for rows in (self._train, self._checks) if rows), default=0)
        return int(last)

    @property
    def best(self) -> tuple[int, float] | None:
        """Crops and loss where the validation loss was least; None before the first."""
        if not self._checks:
            return None
        samples, loss = min(self._checks, key=lambda check: check[1])
        return int(samples), loss

    def train_curve(self) -> NDArray[np.float64]:
        """Return the training loss, a mean over the steps just before: (n, 2), n at most 200.

        Columns are crops and loss.
        """
        if not self._train:
            return np.empty((0, 2))
        rows = np.asarray(self._train)
        window = max(1, round(len(rows) * _SMOOTH))
        sums = np.concatenate([[0.0], np.cumsum(rows[:, 1])])
        ends = np.unique(np.linspace(1, len(rows), min(len(rows), _POINTS)).round().astype(int))
        starts = np.maximum(ends - window, 0)
        means = (sums[ends] - sums[starts]) / (ends - starts)
        return np.column_stack([rows[ends - 1, 0], means])

    def validation_curve(self) -> NDArray[np.float64]:
        """Return the validation loss, (n, 2): crops and loss."""
        return np.asarray(self._checks, dtype=np.float64).reshape(-1, 2)

    def _take(self, row: list[str]) -> None:
        if "samples" in row:
            self._names = tuple(row)
            return
        cells = dict(zip(self._names, row, strict=False))
        samples = _number(cells.get("samples"))
        if math.isnan(samples):
            return
        for name, rows in (("loss", self._train), ("validation", self._checks)):
            value = _number(cells.get(name))
            if math.isfinite(value):
                rows.append((samples, value))


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
