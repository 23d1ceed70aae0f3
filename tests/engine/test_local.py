from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import psutil
import pytest

from napari_histodiff.core.backend import BackendFactory
from napari_histodiff.core.engine import EngineState, JobCancelled, JobFailed, JobFinished
from napari_histodiff.core.errors import WorkerDied
from napari_histodiff.engine import LocalEngine
from tests.contracts import EngineContract
from tests.fakes import FakeFactory
from tests.recording import edit_request

ROOT = Path(__file__).resolve().parents[2]
LONG = {"steps": 100, "variants": 16}
posix = pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")


def gone(pid: int) -> bool:
    """Wait until a process is gone; False when it stays."""
    try:
        psutil.Process(pid).wait(30)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


class TestLocalEngine(EngineContract):
    def make(self, factory: BackendFactory | str) -> LocalEngine:
        return LocalEngine(factory)

    @posix
    def test_a_killed_worker_fails_its_job_only_and_is_replaced(self) -> None:
        engine, record = self.engine(FakeFactory(delay=0.01))
        assert isinstance(engine, LocalEngine)
        running, waiting = engine.submit(edit_request(**LONG)), engine.submit(edit_request())
        record.wait_started(running)
        first = engine.worker_pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        lost, kept = record.ends(running, waiting)
        assert isinstance(lost, JobFailed)
        assert type(lost.error) is WorkerDied
        assert "SIGKILL" in str(lost.error)
        assert "try again" in str(lost.error)
        assert isinstance(kept, JobFinished)
        assert engine.worker_pid != first

    @posix
    def test_an_idle_worker_that_is_killed_is_replaced(self) -> None:
        engine, record = self.engine()
        assert isinstance(engine, LocalEngine)
        engine.start()
        record.wait_state(EngineState.READY)
        assert engine.worker_pid is not None
        os.kill(engine.worker_pid, signal.SIGKILL)
        record.wait(lambda: [e.state for e in record.states()].count(EngineState.READY) == 2)
        assert isinstance(record.end(engine.submit(edit_request())), JobFinished)

    @posix
    def test_a_cancelled_job_whose_worker_dies_is_cancelled(self) -> None:
        engine, record = self.engine(FakeFactory(delay=30))
        assert isinstance(engine, LocalEngine)
        job = engine.submit(edit_request())
        record.wait_state(EngineState.BUSY)
        engine.cancel(job)
        assert engine.worker_pid is not None
        os.kill(engine.worker_pid, signal.SIGKILL)
        assert isinstance(record.end(job), JobCancelled)

    @posix
    def test_a_worker_that_dies_while_loading_is_not_replaced_for_ever(self) -> None:
        engine, record = self.engine(FakeFactory(load_error="kill"))
        end = record.end(engine.submit(edit_request()))
        assert isinstance(end, JobFailed)
        assert type(end.error) is WorkerDied
        assert "before the model was loaded" in str(end.error)
        record.wait_state(EngineState.DEAD)
        assert [e.state for e in record.states()].count(EngineState.STARTING) == 1

    def test_an_unpicklable_factory_is_refused_with_its_reason(self) -> None:
        lock = threading.Lock()
        engine, record = self.engine(lambda: lock)
        end = record.end(engine.submit(edit_request()))
        assert isinstance(end, JobFailed)
        assert "pickle" in str(end.error)
        assert engine.state is EngineState.DEAD

    def test_the_worker_is_prepared_before_a_model_can_load(self) -> None:
        engine, record = self.engine("tests.engine.probes:probe")
        assert isinstance(engine, LocalEngine)
        engine.start()
        info = record.wait_state(EngineState.READY).info
        assert info is not None
        found = json.loads(info.licence)
        assert found["pid"] == engine.worker_pid != os.getpid()
        assert found["OMP_WAIT_POLICY"] == "PASSIVE"
        assert int(found["OMP_NUM_THREADS"]) >= 1
        lower = getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", 10)
        assert found["nice"] == lower
        assert not found["qt"]
        # The backend's module stayed out of this process: the same holds for torch.
        assert "tests.engine.probes" not in sys.modules

    def test_close_leaves_no_process_and_no_noise(self, caplog: pytest.LogCaptureFixture) -> None:
        others = set(psutil.Process().children(recursive=True))
        engine, record = self.engine(FakeFactory(delay=0.01))
        assert isinstance(engine, LocalEngine)
        job = engine.submit(edit_request(**LONG))
        record.wait_started(job)
        assert engine.worker_pid in {p.pid for p in psutil.Process().children()}
        engine.close()
        assert set(psutil.Process().children(recursive=True)) <= others
        assert engine.worker_pid is None
        assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


SCRIPT = """
    import os, sys, time
    from napari_histodiff.core.engine import EngineStateChanged
    from napari_histodiff.engine import LocalEngine
    from tests.fakes import FakeFactory
    from tests.recording import Recorder, edit_request

    engine = LocalEngine(FakeFactory(delay=0.02))
    record = Recorder(engine)
    job = engine.submit(edit_request(steps=100, variants=16))
    record.wait_started(job)
    assert not {"torch", "qtpy", "napari", "zarr"} & set(sys.modules)
    print(engine.worker_pid, flush=True)
"""


def script(rest: str) -> subprocess.Popen[str]:
    """Start a process that runs a long job, tells its worker's id, then does `rest`."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT) + rest],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@posix
def test_the_worker_dies_with_a_killed_parent() -> None:
    with script("time.sleep(60)") as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
        assert gone(worker)


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        pytest.param("", 0, id="end of script"),
        pytest.param("raise SystemExit(3)", 3, id="exit"),
        pytest.param("engine.close()", 0, id="close"),
    ],
)
def test_a_script_that_ends_leaves_no_process_and_no_noise(rest: str, code: int) -> None:
    with script(rest) as parent:
        output, noise = parent.communicate(timeout=60)
        assert gone(int(output))
        assert parent.returncode == code
        assert noise == ""
