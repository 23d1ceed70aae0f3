"""Fixtures every test may use. Nothing here imports torch, Qt or napari."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.hub.server import FakeHub

# A third of the time that all test modules take to load goes into searches for garbage.
gc.disable()

# Some test modules import torch before the package, which would set this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Compiling takes longer than a tiny network saves, in workers too; its own tests allow it.
os.environ.setdefault("HISTODIFF_OPENVINO", "0")

# Levels made of scans are kept, and settings and slides remembered, but not among the user's.
OWN = Path(tempfile.mkdtemp(prefix="histodiff-tests-"))
atexit.register(shutil.rmtree, OWN, ignore_errors=True)
os.environ.setdefault("HISTODIFF_CACHE", str(OWN / "cache"))
for kind in ("CONFIG", "DATA"):
    os.environ[f"XDG_{kind}_HOME"] = str(OWN / kind.lower())

# No deadline: a slow machine is no wrong answer.
settings.register_profile(
    "napari-histodiff",
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("napari-histodiff")

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_finish() -> None:
    """Look for garbage from now on, but no more among what was loaded for all tests."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with the public data sets; tests that use it are marked `data` and skip without it."""
    folder = Path(os.environ.get("HISTODIFF_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}; set HISTODIFF_DATA to the data folder")
    return folder


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a pipeline of diffusers with what nobody needs beside it; copy it to change it."""
    from napari_histodiff.core.torch_start import load_triton_apart

    load_triton_apart()  # tests of windows ask for it, too
    from tests.diffusion.foreign.tiny import tiny_pipeline

    folder = tiny_pipeline(tmp_path_factory.mktemp("hub") / "tiny", "DDIMPipeline")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "model.ckpt").write_bytes(b"another")
    (folder / "train.py").write_text("raise SystemExit")
    (folder / "samples").mkdir()
    (folder / "samples" / "a.png").write_bytes(b"0" * 100)
    return folder


@pytest.fixture
def hub(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub on this machine with one tiny model, and an empty folder for what is downloaded."""
    from tests.hub.server import NAME, FakeHub, serve

    with serve(FakeHub({NAME: published})) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HISTODIFF_MODELS", str(tmp_path / "models"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.chdir(tmp_path)
        yield made
