"""What draws, with what judges while it draws: a model, and the scores that guide it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_histodiff.core.torch_start import without_garbage_searches

if TYPE_CHECKING:
    from napari_histodiff.core.backend import Backend

__all__ = ["default_backend"]


def default_backend(model: Path | str | None = None, device: str = "auto") -> Backend:
    """Load a model folder, of this package or of diffusers; a `core.backend.BackendFactory`.

    Parameters and errors are those of `diffusion.backend.default_backend`.
    """
    with without_garbage_searches():
        from napari_histodiff.diffusion.backend import default_backend as load
        from napari_histodiff.segmenter.scores import JudgeScores

    return load(model, device, JudgeScores())
