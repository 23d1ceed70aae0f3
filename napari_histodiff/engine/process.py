"""Child processes: environment, start, lifeline, last words, end. Without torch, dask and Qt."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Final

import psutil

from napari_histodiff.core.torch_start import without_garbage_searches

__all__ = [
    "ChildProcess",
    "WorkerProcess",
    "child_command",
    "child_environment",
    "describe_exit",
    "lower_priority",
    "run",
]

logger = logging.getLogger(__name__)

#: `-P` keeps the current folder off the path until the parent's own path replaces it.
_BOOTSTRAP: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.readline()); "
    "from napari_histodiff.engine.process import run; run()"
)
_TAIL_LINES: Final = 60
_STOP_SECONDS: Final = 2.0


def child_command(function: str) -> tuple[str, ...]:
    """Return the command of a fresh interpreter that calls "module:function" with a lifeline.

    Fresh, as multiprocessing would import the user's script, and napari with it, a second time.
    What is added to the command are the program's arguments. It suits `ChildProcess`, which tells
    it this interpreter's path.
    """
    return (sys.executable, "-P", "-c", _BOOTSTRAP, function)


def child_environment(
    cores: int, threads: int | None = None, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of a child: this process's, with quiet and bounded threads.

    `cores` - 1 threads, at least 1, leave a core to the window; `threads` overrides it and so does
    an OMP_NUM_THREADS the user has set. `extra` wins over everything.
    """
    environment = dict(os.environ)
    # Spinning threads starve the window: a 2-thread forward beside one busy thread was 26 x slower.
    environment["OMP_WAIT_POLICY"] = "PASSIVE"
    count = str(threads or environment.get("OMP_NUM_THREADS") or max(1, cores - 1))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = count
    # dask keeps this many past messages, previews among them.
    environment["DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH"] = "16"
    environment["DASK_DISTRIBUTED__WORKER__HTTP__ROUTES"] = "[]"
    environment.update(extra or {})
    return environment


def lower_priority(niceness: int, pid: int | None = None) -> None:
    """Let a process, by default this one, go after others (POSIX; on Windows "below normal")."""
    with contextlib.suppress(psutil.Error, OSError):  # a nicety, never a reason to fail
        psutil.Process(pid).nice(getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", niceness))


def describe_exit(code: int) -> str:
    """Say how a process ended, in words: "exit code 1", "SIGKILL (often: no memory left)"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name} (often: no memory left)" if name == "SIGKILL" else name


def run() -> None:
    """Call the function that the parent asks for; the child's side of `ChildProcess`."""
    settings = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, name="histodiff-lifeline", daemon=True).start()
    module, _, function = sys.argv.pop(1).partition(":")
    with without_garbage_searches():
        call = getattr(importlib.import_module(module), function)
    sys.exit(call() if settings is None else call(settings))


def _end_with_parent() -> None:
    """End at once when stdin closes, which the system does however the parent ends."""
    # Not sys.stdin: a thread that waits in it would hold its lock while the interpreter ends.
    while os.read(0, 4096):
        pass
    os._exit(1)


class ChildProcess:
    """A process of this program, started at once.

    Parameters
    ----------
    command : sequence of str
        What to run; `child_command` for a function of this package.
    environment : mapping
        Its whole environment, in place before it starts.
    settings : JSON-ready, optional
        The argument of the function of `child_command`; it never touches the disk.
    output, errors : binary file, optional
        Where it prints; by default `lines` reads both, or what is not given.
    lifeline : bool
        Whether stdin holds the child: it ends when this process does. Without, it goes on after
        this one, and a Ctrl-C in the terminal is not one for it.

    Raises
    ------
    OSError
        When it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        settings: Any = None,
        output: IO[bytes] | None = None,
        errors: IO[bytes] | None = None,
        lifeline: bool = True,
    ) -> None:
        flags = "CREATE_NO_WINDOW" if lifeline else "CREATE_NEW_PROCESS_GROUP"
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=errors or subprocess.STDOUT,
            env=dict(environment),
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=not lifeline and os.name == "posix",
            creationflags=getattr(subprocess, flags, 0),
        )
        if lifeline:
            path = [entry or os.getcwd() for entry in sys.path]
            self._send(f"{json.dumps(path)}\n{json.dumps(settings)}\n")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def lines(self) -> Iterator[str]:
        """Yield what it prints, line by line, until it ends or is stopped."""
        with contextlib.suppress(ValueError, OSError):
            yield from self._process.stdout or ()

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        return self._process.wait()

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does; returns at once."""
        if self.code is None:
            with contextlib.suppress(OSError):
                self._process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))

    def kill(self) -> None:
        """End it and its children; returns at once."""
        if self.code is None:
            family = self._family()
            self._process.kill()
            _kill_all(family)

    def stop(self) -> None:
        """Cut its lifeline, and wait until it and its children are gone; idempotent."""
        family = self._family()
        self._close(self._process.stdin)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _kill_all(family)
        psutil.wait_procs(family, timeout=_STOP_SECONDS)

    def close(self) -> None:
        """Close its pipes; it ends, if it has not."""
        self._close(self._process.stdin)
        self._close(self._process.stdout)

    def _family(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True) if self.code is None else []
        except psutil.Error:
            return []

    def _send(self, text: str) -> None:
        if self._process.stdin is not None:
            # A process that is gone already is reported with its last words. Not through the
            # buffer: what stays in it would fail again when stdin is closed.
            with contextlib.suppress(OSError):
                os.write(self._process.stdin.fileno(), text.encode())

    @staticmethod
    def _close(pipe: IO[str] | None) -> None:
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()


class WorkerProcess:
    """A worker process that cannot outlive this one.

    Parameters
    ----------
    settings : mapping
        What `worker.main` takes; JSON-ready, TLS keys included, so they never touch the disk.
    environment : mapping
        Its whole environment, in place before its interpreter starts.
    on_exit : callable
        Called from another thread with a description and the last output when the process ends
        without `stop`.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        environment: Mapping[str, str],
        on_exit: Callable[[str, str], None],
    ) -> None:
        self._on_exit = on_exit
        self._stopping = False
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        command = child_command("napari_histodiff.engine.worker:main")
        self._child = ChildProcess(command, environment, settings=settings)
        self._reader = threading.Thread(target=self._read, name="histodiff-log", daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, name="histodiff-watch", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._child.code is not None

    def stop(self) -> None:
        """End the process and its children, and wait until they are gone; idempotent."""
        self._stopping = True
        self._child.stop()
        self._reader.join(_STOP_SECONDS)
        self._child.close()

    def _read(self) -> None:
        for line in self._child.lines():
            self._tail.append(line)
            logger.debug("worker: %s", line.rstrip())

    def _watch(self) -> None:
        code = self._child.wait()
        if not self._stopping:
            self._reader.join(_STOP_SECONDS)
            self._on_exit(describe_exit(code), "".join(self._tail))


def _kill_all(family: Sequence[psutil.Process]) -> None:
    for child in family:
        with contextlib.suppress(psutil.Error):
            child.kill()
