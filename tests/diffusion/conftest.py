"""A tiny model with random weights, in memory and on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.diffusion.tiny import save_tiny, tiny_pipeline


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid model folder; copy it before changing it."""
    return save_tiny(tiny_pipeline(), tmp_path_factory.mktemp("models") / "tiny")
