"""The process that trains: started, asked to stop, listened to. No Qt and no torch here."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from napari_histodiff.core.errors import StorageError
from napari_histodiff.engine.process import worker_environment
from napari_histodiff.ui.training_progress import Bar, last_words, parse_bar

__all__ = ["TrainingProcess", "training_environment"]

#: Nicer than the Studio's engine, so that drawing goes before training.
_NICENESS: Final = 15

#: Lines kept for the message when the process fails.
_TAIL: Final = 200

_PACKAGE_PARENT: Final = Path(__file__).resolve().parents[2]


def training_environment() -> dict[str, str]:
    """Return the process's environment: quiet threads, all cores but one, this same package."""
    path = filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")))
    extra = {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "TQDM_MININTERVAL": "1",  # ten bars a second would fill the log
    }
    return worker_environment(os.cpu_count() or 1, extra=extra)


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
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=training_environment(),
                    # A Ctrl-C for napari in its terminal is not one for the training.
                    start_new_session=os.name == "posix",
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
        except OSError as error:
            raise StorageError(
                f"expected to start a training that writes into {log.parent}, got "
                f"'{error.strerror or error}'; choose another output folder"
            ) from error
        with contextlib.suppress(psutil.Error, OSError):  # a nicety, never a reason to fail
            nice = getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", _NICENESS)
            psutil.Process(self._process.pid).nice(nice)

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
        code = self._process.poll()
        self._read(to_the_end=code is not None)
        return code

    def stop(self) -> None:
        """Ask it to save and end, as Ctrl-C does; returns at once."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                self._process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))

    def kill(self) -> None:
        """End it and its children at once; what it learnt since its last checkpoint is lost."""
        if self._process.poll() is None:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(self.pid).children(recursive=True):
                    child.kill()
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
