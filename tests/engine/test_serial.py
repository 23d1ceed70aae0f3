"""What the engine's thread does when its runner breaks."""

from __future__ import annotations

import pytest

from napari_histodiff.core.engine import EngineState, Job, JobFailed, JobStarted
from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.engine.messages import Loaded, Report
from napari_histodiff.engine.serial import SerialEngine
from tests.fakes import FAKE_INFO
from tests.recording import Recorder, edit_request


class BrokenRunner:
    """Raises in the call that is named `broken`."""

    def __init__(self, broken: str) -> None:
        self._broken = broken

    def start(self, report: Report) -> None:
        self._pass("start")
        report(Loaded(FAKE_INFO, 1))

    def run(self, job: Job) -> None:
        self._pass("run")

    def cancel(self, job: Job) -> None:
        self._pass("cancel")

    def stop(self) -> None:
        self._pass("stop")

    def _pass(self, call: str) -> None:
        if call == self._broken:
            raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("broken", ["start", "run", "cancel"])
def test_a_runner_that_raises_fails_its_jobs_and_not_the_engine(broken: str) -> None:
    engine = SerialEngine(BrokenRunner(broken))
    record = Recorder(engine)
    for _ in range(2):  # the engine starts again after it died
        jobs = [engine.submit(edit_request()) for _ in range(2)]
        if broken == "cancel":
            record.wait(lambda job=jobs[0]: record.of(job, JobStarted))
            engine.cancel(jobs[0])
        for end in record.ends(*jobs):
            assert isinstance(end, JobFailed)
            assert isinstance(end.error, EngineUnavailable)
            assert "can't start new thread" in str(end.error)
        record.wait(lambda: engine.state is EngineState.DEAD)
        engine.start()
    engine.close()
    assert engine.state is EngineState.CLOSED


def test_a_runner_that_cannot_stop_still_lets_close_end_the_jobs() -> None:
    engine = SerialEngine(BrokenRunner("stop"))
    record = Recorder(engine)
    job = engine.submit(edit_request())
    record.wait_state(EngineState.BUSY)
    engine.close()
    assert isinstance(record.end(job), JobFailed)
    assert engine.state is EngineState.CLOSED
