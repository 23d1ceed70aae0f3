"""Seen from fresh interpreters: OpenMP reads its variable once, when torch loads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

REPORT = """
import os
from napari_histodiff.core import torch_start
print(os.environ["OMP_WAIT_POLICY"], torch_start.busy_waiting())
"""


def told(code: str, **environment: str) -> str:
    """What a fresh interpreter prints of the policy after `code`."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    run = subprocess.run(
        [sys.executable, "-c", code + REPORT],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return run.stdout.strip()


@pytest.mark.parametrize("way_in", ["napari_histodiff", "napari_histodiff.cli.main"])
def test_threads_are_quiet_whichever_way_the_package_is_entered(way_in: str) -> None:
    assert told(f"import {way_in}") == "PASSIVE False"


def test_what_the_user_set_stays() -> None:
    assert told("import napari_histodiff", OMP_WAIT_POLICY="ACTIVE") == "ACTIVE False"


def test_torch_that_came_first_is_noticed() -> None:
    fake = "import sys, types; sys.modules['torch'] = types.ModuleType('torch')"
    assert told(f"{fake}; import napari_histodiff") == "PASSIVE True"
