from __future__ import annotations

import pytest

from napari_histodiff.engine.process import worker_environment


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
    environment = worker_environment(cores, threads, {"COLOUR": "pink"})
    assert environment["OMP_NUM_THREADS"] == expected
    assert environment["MKL_NUM_THREADS"] == expected
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["COLOUR"] == "pink"
