"""`tools/make_venv.sh`: when the environment is kept, or made anew and why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CPU = "torch==2.13.0+cpu"

#: An interpreter whose environments hold one that installs nothing.
PYTHON = """#!/bin/sh
case "$*" in
  *"-m venv"*)
    rm -rf .venv && mkdir -p .venv/bin
    printf '#!/bin/sh\\necho "$*" >>pip.txt\\n' >.venv/bin/python
    chmod +x .venv/bin/python ;;
  *ensurepip*) ;;
  *) exec "{real}" "$@" ;;
esac
"""

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="needs bash"
)
Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    (tmp_path / "tools").mkdir()
    for name in ("tools/common.sh", "tools/make_venv.sh", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python3"
    python.write_text(PYTHON.format(real=sys.executable))
    python.chmod(0o755)

    def run(torch: str | None = None) -> str:
        told = {} if torch is None else {"TORCH": torch}
        kept = {name: value for name, value in os.environ.items() if name != "TORCH"}
        done = subprocess.run(
            ["bash", "tools/make_venv.sh"],
            cwd=tmp_path,
            env=kept | {"PYTHON": str(python)} | told,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_without_torch_the_environment_is_kept_whatever_it_has(make: Make) -> None:
    made = make(CPU)
    assert f"installing {CPU}" in made
    assert "anew" not in made
    assert make() == ""
    assert make(CPU) == ""


def test_another_torch_makes_it_anew_and_says_so(make: Make) -> None:
    assert "installing torch==" in make()
    made = make(CPU)
    assert f"making .venv anew: TORCH was torch==2.13.0, is now {CPU}" in made
    assert f"installing {CPU}" in made


def test_other_requirements_make_it_anew_with_the_same_torch(make: Make, tmp_path: Path) -> None:
    make(CPU)
    project = tmp_path / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace("dependencies = [", 'dependencies = ["six",', 1), "utf-8")
    made = make()
    assert "making .venv anew: pyproject.toml asks for other packages" in made
    assert "TORCH was" not in made
    assert f"installing {CPU}" in made


def test_what_was_not_finished_is_made_anew(make: Make, tmp_path: Path) -> None:
    make()
    (tmp_path / ".venv" / "installed").unlink()
    assert "making .venv anew: it was not finished" in make()
