from __future__ import annotations

import pickle

import numpy as np
import pytest

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import (
    EngineState,
    EngineStateChanged,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobProgress,
    JobStarted,
)
from napari_histodiff.core.errors import WorkerDied

INFO = BackendInfo(
    name="model",
    revision="abc",
    mpp=(0.25, 1.0),
    class_counts={"plasma": 3},
    tissue_names=("unspecified",),
    window=288,
    multiple_of=16,
    device="cpu",
    seconds_per_window=0.1,
    licence="CC BY-NC-SA 4.0",
)


@pytest.mark.parametrize(
    "event",
    [
        EngineStateChanged(EngineState.READY, INFO, 10, "ready"),
        JobStarted("1"),
        JobProgress("1", 2, 3),
        JobCancelled("1"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_travel_between_processes(event: object) -> None:
    assert pickle.loads(pickle.dumps(event)) == event


def test_results_and_failures_travel_between_processes() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    finished = pickle.loads(pickle.dumps(JobFinished("1", images, 0.5)))
    np.testing.assert_array_equal(finished.images, images)
    failed = pickle.loads(pickle.dumps(JobFailed("1", WorkerDied("expected"), "trace")))
    assert (type(failed.error), failed.details) == (WorkerDied, "trace")
