"""The worker's process: environment, start, last words, end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import psutil

__all__ = ["WorkerProcess", "worker_environment"]

logger = logging.getLogger(__name__)

#: `-P` keeps the current folder off the path until the parent's own path replaces it.
_COMMAND = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.readline()); "
    "from napari_histodiff.engine.worker import main; main()"
)
_TAIL_LINES = 60
_STOP_SECONDS = 2.0


def worker_environment(
    cores: int, threads: int | None = None, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of a worker: this process's, with quiet and bounded threads.

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


class WorkerProcess:
    """A worker process that cannot outlive this one.

    It is started as a fresh interpreter rather than through multiprocessing, which would import
    the user's script, and napari with it, a second time. Its stdin is the lifeline: the worker
    exits when it closes.

    Parameters
    ----------
    settings : mapping
        What `worker.main` reads; JSON-ready, TLS keys included, so they never touch the disk.
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
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            text=True,
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._reader = threading.Thread(target=self._read, name="histodiff-log", daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, name="histodiff-watch", daemon=True).start()
        self._send(json.dumps([path or os.getcwd() for path in sys.path]), json.dumps(settings))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """End the process and its children, and wait until they are gone; idempotent."""
        self._stopping = True
        family = _family(self._process.pid) if self._process.poll() is None else []
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for child in family:
            with contextlib.suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(family, timeout=_STOP_SECONDS)
        self._reader.join(_STOP_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _send(self, *lines: str) -> None:
        stdin = self._process.stdin
        # A process that is gone already is reported by the watcher, with its last words.
        with contextlib.suppress(OSError):
            if stdin is not None:
                stdin.writelines(line + "\n" for line in lines)
                stdin.flush()

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            for line in self._process.stdout or ():
                self._tail.append(line)
                logger.debug("worker: %s", line.rstrip())

    def _watch(self) -> None:
        code = self._process.wait()
        if not self._stopping:
            self._reader.join(_STOP_SECONDS)
            self._on_exit(_describe_exit(code), "".join(self._tail))


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name} (often: no memory left)" if name == "SIGKILL" else name
