"""The judge in a process of its own: the window never holds torch, and cancel is certain."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.engine.process import worker_environment
from napari_histodiff.ui.proposal import Proposal, make_proposal

__all__ = ["JUDGE_COMMAND", "JudgeDone", "JudgeEvent", "JudgeFailed", "JudgeRun", "JudgeStep"]

log = logging.getLogger(__name__)

#: `-P` keeps the current folder off the path until the parent's own path replaces it.
_START: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.readline()); "
    "from napari_histodiff.segmenter.propose import main; sys.exit(main())"
)

#: The program; the names of the files with the image and for the result are added.
JUDGE_COMMAND: Final = (sys.executable, "-P", "-c", _START, "--follow-stdin")

_STOP_SECONDS: Final = 5.0
_KILLED: Final = -9


@dataclass(frozen=True, slots=True)
class JudgeStep:
    """`done` of `total` passes over the image are done."""

    done: int
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class JudgeDone:
    """The nuclei that were found."""

    proposal: Proposal


@dataclass(frozen=True, slots=True)
class JudgeFailed:
    """Why there are none; `details` is what the process wrote, for the log."""

    message: str
    details: str = ""


JudgeEvent = JudgeStep | JudgeDone | JudgeFailed


class JudgeRun:
    """One run of the judge, started at once; it cannot outlive this process.

    Parameters
    ----------
    command : sequence of str
        The program; it gets two more arguments, see `segmenter.propose`.
    image : (h, w, 3) uint8
        Pixels of the frame.
    mpp : float
        Micrometres per pixel.
    coverage : (h, w) bool
        Where pixels exist; nuclei elsewhere are left out.
    tell : callable
        Called with every event from another thread: steps, then done or failed; nothing after
        `cancel`.
    """

    def __init__(
        self,
        command: Sequence[str],
        image: NDArray[np.uint8],
        mpp: float,
        coverage: NDArray[np.bool_],
        tell: Callable[[JudgeRun, JudgeEvent], None],
    ) -> None:
        self._command = tuple(command)
        self._image, self._mpp, self._coverage = image, mpp, coverage
        self._tell = tell
        self._lock = threading.Lock()
        self._cancelled = False
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="histodiff-judge", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process id, None before the process is there."""
        return None if self._process is None else self._process.pid

    def cancel(self) -> None:
        """Kill the process; returns at once, and nothing more is told. Idempotent."""
        with self._lock:
            self._cancelled = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def close(self) -> None:
        """Kill the process and wait until it is gone; idempotent."""
        self.cancel()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            with tempfile.TemporaryDirectory(
                prefix="histodiff-", ignore_cleanup_errors=True
            ) as folder:
                event = self._judge(Path(folder))
        except HistodiffError as error:
            event = JudgeFailed(str(error))
        except OSError as error:
            event = JudgeFailed(
                f"expected to start the judge and exchange files with it, got {error}; "
                "free memory and disk space, then propose again"
            )
        self._send(event)

    def _judge(self, folder: Path) -> JudgeEvent:
        source, result, words = (folder / name for name in ("in.npz", "out.npz", "stderr.txt"))
        np.savez(source, image=self._image, mpp=self._mpp)
        with words.open("wb") as stderr:
            process = self._start((*self._command, str(source), str(result)), stderr)
            if process is None:
                return JudgeFailed("cancelled")
            with process:
                self._follow(process)
        if process.returncode != 0:
            return _failure(process.returncode, words.read_text("utf-8", errors="replace"))
        if not result.exists():
            return _failure(0, words.read_text("utf-8", errors="replace"))
        with np.load(result, allow_pickle=False) as arrays:
            return JudgeDone(make_proposal(arrays, self._coverage))

    def _start(self, command: Sequence[str], stderr: IO[bytes]) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._cancelled:
                return None
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=worker_environment(os.cpu_count() or 1),
                text=True,
                encoding="utf-8",
                errors="replace",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            return self._process

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # Not through the buffer: what stays in it would fail again when stdin is closed.
            os.write(process.stdin.fileno(), _path_line())
        except OSError:
            log.debug("the judge ended before it listened")  # its last words follow
        for line in process.stdout:
            step = _step(line)
            if step is not None:
                self._send(step)

    def _send(self, event: JudgeEvent) -> None:
        if not self._cancelled:
            self._tell(self, event)


def _path_line() -> bytes:
    return (json.dumps([path or os.getcwd() for path in sys.path]) + "\n").encode()


def _step(line: str) -> JudgeStep | None:
    """The step a line tells of; libraries may print other things."""
    try:
        said = json.loads(line)
        return JudgeStep(int(said["done"]), int(said["total"]))
    except (ValueError, TypeError, KeyError):
        return None


def _failure(status: int, words: str) -> JudgeFailed:
    lines = [line for line in words.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else ""
    try:
        return JudgeFailed(str(json.loads(last)["error"]), words)
    except (ValueError, TypeError, KeyError):
        pass
    got = last or f"exit status {status}"
    if status == _KILLED:
        got = "a killed process (often: no memory left)"
    return JudgeFailed(
        f"expected nuclei from the judge, got {got[:300]}; "
        "propose again, with a smaller frame when memory is short",
        words,
    )
