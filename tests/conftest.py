"""Fixtures every test may use. Nothing here imports torch, Qt or napari."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Some test modules import torch before the package, which would set this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Compiling takes longer than a tiny network saves, in workers too; its own tests allow it.
os.environ.setdefault("HISTODIFF_OPENVINO", "0")

# Levels made of scans are kept, but not among the user's.
if "HISTODIFF_CACHE" not in os.environ:
    os.environ["HISTODIFF_CACHE"] = tempfile.mkdtemp(prefix="histodiff-tests-")
    atexit.register(shutil.rmtree, os.environ["HISTODIFF_CACHE"], ignore_errors=True)

# No deadline: a slow machine is no wrong answer.
settings.register_profile(
    "napari-histodiff",
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("napari-histodiff")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with the public data sets; tests that use it are marked `data` and skip without it."""
    folder = Path(os.environ.get("HISTODIFF_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}; set HISTODIFF_DATA to the data folder")
    return folder
