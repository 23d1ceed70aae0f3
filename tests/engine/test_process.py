from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from napari_histodiff.engine.process import (
    ChildProcess,
    child_command,
    child_environment,
    describe_exit,
)

#: Whether a search for garbage could come while this module was loaded, in a child of the tests.
SEARCHED = gc.isenabled()


@pytest.mark.parametrize(
    ("cores", "threads", "user", "expected"),
    [
        pytest.param(8, None, None, "7", id="a core is left to the window"),
        pytest.param(1, None, None, "1", id="never none"),
        pytest.param(8, None, "2", "2", id="the user's own setting holds"),
        pytest.param(8, 3, "2", "3", id="the argument wins"),
    ],
)
def test_threads_of_the_worker(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    threads: int | None,
    user: str | None,
    expected: str,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    if user is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", user)
    environment = child_environment(cores, threads, {"COLOUR": "pink"})
    assert environment["OMP_NUM_THREADS"] == expected
    assert environment["MKL_NUM_THREADS"] == expected
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["COLOUR"] == "pink"


def probe(settings: object) -> None:
    """What a child of these tests does: says its settings and id, and waits."""
    searches = f"{SEARCHED} {gc.isenabled()}"
    sys.stdout.write(f"{settings} {sys.argv[1:]} {searches} {os.getpid()}\n")
    sys.stdout.flush()
    if settings != "end":
        time.sleep(600)


def start(settings: object) -> ChildProcess:
    command = (*child_command("tests.engine.test_process:probe"), "more")
    return ChildProcess(command, child_environment(1), settings=settings)


def test_a_child_gets_path_settings_and_arguments_and_tells_its_end() -> None:
    child = start("end")
    assert list(child.lines()) == [f"end ['more'] False True {child.pid}\n"]
    assert child.wait() == child.code == 0
    child.stop()
    child.close()


@pytest.mark.parametrize("end", [ChildProcess.stop, ChildProcess.kill])
def test_no_child_is_left(end: Callable[[ChildProcess], None]) -> None:
    child = start("wait")
    assert next(child.lines()).startswith("wait")
    end(child)
    assert child.wait() != 0
    child.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_child_dies_with_a_killed_parent() -> None:
    code = "from tests.engine.test_process import start; print(next(start('w').lines())); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline().split()[-1]))
        parent.kill()
        psutil.wait_procs([child], timeout=30)
        assert not child.is_running()


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "exit code 3"), (-9, "SIGKILL (often: no memory left)"), (-99, "signal 99")],
)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_ends_are_said_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
