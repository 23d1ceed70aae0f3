"""What a run tells while it goes on: its table of losses and its progress bar."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bar", "LossTable", "last_words", "parse_bar"]

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
