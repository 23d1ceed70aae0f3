"""What a reader does in napari: opens a study, sees trials, answers; a thread uses the file."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from psygnal import Signal

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.studies.reading.database import ReaderStudy, Seat, ShownTrial

__all__ = ["Asked", "ReadingController"]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Where a reader is: a trial with its pictures, (h, w, 3) uint8, or none when all is done."""

    title: str
    seat: Seat
    trial: ShownTrial | None
    pictures: tuple[NDArray[np.uint8], ...]


class ReadingController:
    """Runs one reader through a study.

    `asked` says what to show, `failed` what went wrong in words, `busy` that neither is to be
    expected at once. `pump` is called on the GUI thread, many times a second.
    """

    asked = Signal(Asked)
    failed = Signal(str)
    busy = Signal(bool)

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="reader-study")
        self._work: Future[tuple[ReaderStudy, Asked]] | None = None
        self._study: ReaderStudy | None = None
        self._shown_at = 0.0
        self.current: Asked | None = None

    def open(self, path: Path, name: str) -> None:
        """Seat a reader in the study of a file, where they left off."""

        def work() -> tuple[ReaderStudy, Asked]:
            study = ReaderStudy(path)
            return study, _next(study, study.join(name))

        self._start(work)

    def shown(self) -> None:
        """Time runs from now."""
        self._shown_at = self._clock()

    def answer(
        self, *, side: int | None = None, rating: int | None = None, reason: str = ""
    ) -> None:
        """Keep an answer: 0 the left one is real, 1 the right one; or a rating from 1 to 6.

        What does not answer the trial in view, or comes while one is being kept, does nothing.
        """
        current, study = self.current, self._study
        if self._work is not None or study is None or current is None or current.trial is None:
            return
        trial, reader = current.trial, current.seat.reader
        if (side is None) is (len(trial.images) == 2) or (rating is None) is (side is None):
            return
        chosen = None if side is None else trial.images[side]
        seconds = self._clock() - self._shown_at

        def work() -> tuple[ReaderStudy, Asked]:
            study.answer(
                *(reader, trial.trial),
                chosen=chosen,
                rating=rating,
                seconds=seconds,
                reason=reason,
            )
            return study, _next(study, study.seat(reader))

        self._start(work)

    def pump(self) -> None:
        """Say what the thread has done since the last call."""
        work = self._work
        if work is None or not work.done():
            return
        self._work = None
        self.busy.emit(False)
        try:
            self._study, self.current = work.result()
        except HistodiffError as error:
            self.failed.emit(str(error))
        else:
            self.asked.emit(self.current)

    def close(self) -> None:
        """Let an answer under way be kept, and stop; idempotent."""
        self._executor.shutdown(wait=True, cancel_futures=False)

    def _start(self, work: Callable[[], tuple[ReaderStudy, Asked]]) -> None:
        if self._work is None:
            self._work = self._executor.submit(work)
            self.busy.emit(True)


def _next(study: ReaderStudy, seat: Seat) -> Asked:
    trial = study.next_trial(seat.reader)
    images = () if trial is None else trial.images
    return Asked(study.title, seat, trial, tuple(_pixels(study.image(i)[1]) for i in images))


def _pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))
