"""The judge's process, with a fake judge; no window."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_histodiff.ui.proposals.process import (
    JudgeDone,
    JudgeEvent,
    JudgeFailed,
    JudgeRun,
    JudgeStep,
)

FAKE = Path(__file__).with_name("fake_judge.py")


def fake_command(mode: str) -> tuple[str, ...]:
    return (sys.executable, str(FAKE), mode)


def tissue() -> np.ndarray:
    """Three dark blobs on pale tissue, the third of them doubtful."""
    image = np.full((128, 128, 3), 220, np.uint8)
    for y, red in ((10, 20), (50, 40), (90, 200)):
        image[y : y + 12, 40:56] = (red, 40, 120)
    return image


class Told:
    def __init__(self, command: tuple[str, ...]) -> None:
        self._events: queue.Queue[JudgeEvent] = queue.Queue()
        image = tissue()
        self.run = JudgeRun(
            command, image, 0.5, np.ones(image.shape[:2], bool), lambda _, e: self._events.put(e)
        )

    def next(self) -> JudgeEvent:
        return self._events.get(timeout=60)

    def end(self) -> JudgeEvent:
        while isinstance(event := self.next(), JudgeStep):
            pass
        return event

    @property
    def silent(self) -> bool:
        return self._events.empty()


def _until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_steps_then_nuclei() -> None:
    told = Told(fake_command("work"))
    assert [told.next(), told.next()] == [JudgeStep(1, 2), JudgeStep(2, 2)]
    done = told.next()
    assert isinstance(done, JudgeDone)
    assert done.proposal.classes.tolist() == [3, 3, 3]
    assert done.proposal.text() == "3 nuclei proposed (1 uncertain), and tissue"


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("error", "^expected a judge, got none; fetch one$"),
        ("crash", "got RuntimeError: the microscope fell over; propose again"),
        ("kill", "no memory left.*smaller frame"),
        ("short", "uncertainties for other nuclei"),
    ],
)
def test_a_failure_says_what_to_do(mode: str, words: str) -> None:
    failed = Told(fake_command(mode)).end()
    assert isinstance(failed, JudgeFailed)
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(failed.message)


def test_a_program_that_is_not_there() -> None:
    failed = Told(("no-such-program-anywhere",)).end()
    assert isinstance(failed, JudgeFailed)
    assert "expected to start the judge" in failed.message


def test_a_program_that_writes_nothing() -> None:
    failed = Told((sys.executable, "-c", "pass")).end()
    assert isinstance(failed, JudgeFailed)
    assert "exit code 0" in failed.message


def test_cancel_kills_and_silences() -> None:
    told = Told(fake_command("hang"))
    assert [told.next(), told.next()] == [JudgeStep(1, 2), JudgeStep(2, 2)]
    process = psutil.Process(told.run.pid)
    told.run.cancel()
    _until(lambda: not process.is_running())
    told.run.close()
    assert told.silent


def test_cancel_before_the_start() -> None:
    told = Told(fake_command("work"))
    told.run.cancel()
    told.run.close()
    _until(lambda: "histodiff-judge" not in {thread.name for thread in threading.enumerate()})


def test_the_environment_keeps_threads_quiet() -> None:
    code = "import os; print('{\"done\": 1, \"total\": %d}' % len(os.environ['OMP_WAIT_POLICY']))"
    assert Told((sys.executable, "-c", code)).next() == JudgeStep(1, len("PASSIVE"))
