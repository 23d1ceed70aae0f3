"""Which engine draws: a worker process of this machine with the bundled or another model."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from napari_histodiff.core.engine import Engine

__all__ = ["BACKEND", "default_engine"]

#: Import path of the backend factory; only the worker process imports it, and torch with it.
BACKEND: Final = "napari_histodiff.diffusion.backend:default_backend"

#: Where the factory finds the model folder when it is not the bundled one.
_MODEL_VARIABLE: Final = "HISTODIFF_MODEL"


def default_engine(model: Path | None = None) -> Engine:
    """Return a worker process on this machine, not started, with the bundled or another model."""
    from napari_histodiff.engine.local import LocalEngine

    return LocalEngine(
        BACKEND, environment=None if model is None else {_MODEL_VARIABLE: str(model)}
    )
