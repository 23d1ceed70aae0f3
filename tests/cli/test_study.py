"""`histodiff study`, as it is typed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from napari_histodiff.cli.main import main
from napari_histodiff.studies.reading.database import ReaderStudy
from tests.studies.reading.pictures import folders, read_all


def test_a_study_is_made_read_and_reported(tmp_path) -> None:
    real, synthetic = folders(tmp_path, count=5)
    path = tmp_path / "a.study"
    arguments = ["study", "new", str(path), "--real", str(real), "--synthetic", str(synthetic)]
    made = CliRunner().invoke(main, [*arguments, "--pairs", "3", "--jpeg", "80", "--jpeg", "0"])
    assert made.exit_code == 0, made.output
    assert "3 pair" in made.output
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 2
    assert "exists" in again.output
    output = str(tmp_path / "out")
    early = CliRunner().invoke(main, ["study", "report", str(path), "-o", output])
    assert early.exit_code == 2
    assert "expected answers" in early.output
    read_all(ReaderStudy(path), "Ann", right=True)
    told = CliRunner().invoke(main, ["study", "report", str(path), "-o", output])
    assert told.exit_code == 0, told.output
    assert "p, drawn called real" in told.output
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C of a child reaches its parent on Windows")
def test_run_serves_until_ctrl_c(tmp_path) -> None:
    real, synthetic = folders(tmp_path, count=5)
    path = str(tmp_path / "a.study")
    new = ["study", "new", path, "--real", str(real), "--synthetic", str(synthetic)]
    assert CliRunner().invoke(main, new).exit_code == 0
    command = [sys.executable, "-u", "-m", "napari_histodiff", "study", "run", path, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.match(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert address is not None
            with urllib.request.urlopen(address[0], timeout=20) as page:
                assert b"Reader study" in page.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert "Stopped." in process.stdout.read()
        finally:
            process.kill()
