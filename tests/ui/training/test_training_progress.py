from __future__ import annotations

import io
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from napari_histodiff.core.errors import StorageError
from napari_histodiff.ui.text import duration_text, short_count
from napari_histodiff.ui.training import process
from napari_histodiff.ui.training.process import (
    Bar,
    LossTable,
    TrainingProcess,
    last_words,
    parse_bar,
    training_environment,
)


def test_the_bars_that_tqdm_draws_are_read() -> None:
    screen = io.StringIO()
    with tqdm(total=300_000, initial=1600, unit="crop", file=screen, mininterval=0) as bar:
        bar.update(16)
        bar.set_postfix(loss="0.1234", size=64)
    read = [parse_bar(line) for line in screen.getvalue().split("\r")]
    assert read[0] is None  # nothing said before the first bar
    bars = [found for found in read if found is not None]
    assert (bars[-1].done, bars[-1].total) == (1616, 300_000)
    assert bars[-1].rate > 0


@pytest.mark.parametrize(
    ("line", "bar"),
    [
        (" 8%|8  | 12/150 [00:10<01:55, 2.50s/crop, loss=0.2]", Bar(12, 150, 0.4)),
        ("12%|#  | 36/300 [1:02:03<09:00, 58.2crop/s]", Bar(36, 300, 58.2)),
        ("  0%|   | 0/300 [00:00<?, ?crop/s]", None),
        ("packing: 50%|## | 3/6 [00:01<00:01, 2.9image/s]", None),
        ("Error: expected 3/4, got 5", None),
    ],
)
def test_lines_are_told_from_bars(line: str, bar: Bar | None) -> None:
    assert parse_bar(line) == bar


def test_the_last_words_are_no_bar() -> None:
    lines = ["Error: expected a, got b; do c", "", "  3%|  | 1/30 [00:00<00:01, 3.0crop/s]"]
    assert last_words(lines) == "expected a, got b; do c"
    assert last_words(["", " "]) == ""


def test_a_growing_table_is_read_by_the_line(tmp_path: Path) -> None:
    path = tmp_path / "loss.csv"
    table = LossTable(path)
    assert not table.read()
    assert table.best is None
    assert table.train_curve().shape == table.validation_curve().shape == (0, 2)
    path.write_text("32,1.0,0.001,64\n64,3.0,0.001,64\n96,2.")
    assert table.read()
    assert table.samples == 64
    with path.open("a") as file:
        file.write("5,0.001,64\n128,nan,0.001,64\n")
    assert table.read()
    assert not table.read()
    assert table.samples == 96
    assert table.train_curve().tolist() == [[32, 1], [64, 3], [96, 2.5]]


def test_columns_go_by_their_names_when_the_table_has_them(tmp_path: Path) -> None:
    path = tmp_path / "loss.csv"
    path.write_text(
        "samples,loss,learning_rate,size,rate,validation\n"
        "10,2,0,64,50,\n20,1.5,0,64,51,1.8\n30,1.4,0,64,52,1.6\n40,1.3,0,64,52,1.7\nbroken\n"
    )
    table = LossTable(path)
    table.read()
    assert table.best == (30, 1.6)
    assert table.validation_curve().tolist() == [[20, 1.8], [30, 1.6], [40, 1.7]]


def test_a_long_table_becomes_a_short_and_smooth_curve(tmp_path: Path) -> None:
    path = tmp_path / "loss.csv"
    noise = np.random.default_rng(0).normal(0, 0.3, 5000)
    losses = 1 + noise
    path.write_text("".join(f"{16 * i},{loss}\n" for i, loss in enumerate(losses, 1)))
    table = LossTable(path)
    table.read()
    curve = table.train_curve()
    assert len(curve) == 200
    assert curve[-1, 0] == 80_000
    assert curve[-1, 1] == pytest.approx(losses[-200:].mean())
    assert curve[50:, 1].std() < 0.1 * noise.std()


def test_durations_and_counts_are_said_as_people_do() -> None:
    assert [duration_text(s) for s in (12, 600, 5400, 7500, 7200)] == [
        *("12 s", "10 min", "1 h 30 min", "2 h 5 min", "2 h")
    ]
    assert [short_count(n) for n in (950, 12_000, 1_500_000)] == ["950", "12k", "1.5M"]


def test_the_environment_leaves_a_core_free_and_speaks_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    environment = training_environment()
    assert environment["OMP_NUM_THREADS"] == "7"
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["PYTHONUNBUFFERED"] == "1"


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """As urgent as the tests: a busy machine starves the patient."""
    monkeypatch.setattr(process, "_NICENESS", 0)


def _wait(process: TrainingProcess) -> int:
    end = time.monotonic() + 60
    while (code := process.poll()) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return code


@pytest.mark.usefixtures("prompt")
def test_output_goes_to_the_log_and_a_later_run_adds_to_it(tmp_path: Path) -> None:
    log = tmp_path / "run" / "training.log"
    first = TrainingProcess([sys.executable, "-c", "print('one')"], log)
    assert _wait(first) == 0
    assert first.last_line == "one"
    second = TrainingProcess([sys.executable, "-c", "raise SystemExit('two')"], log, append=True)
    assert _wait(second) == 1
    assert second.last_line == "two"
    assert log.read_text().split() == ["one", "two"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_is_gone(tmp_path: Path) -> None:
    process = TrainingProcess(
        [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "training.log"
    )
    process.kill()
    assert _wait(process) == -signal.SIGKILL
    process.kill()
    process.stop()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="choose another output folder"):
        TrainingProcess([sys.executable, "-c", ""], tmp_path / "file" / "training.log")
