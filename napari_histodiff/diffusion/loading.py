"""From a model folder to a pipeline on a device, without network or pickles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers.utils import logging
from safetensors import SafetensorError, safe_open

from napari_histodiff.core.errors import ModelInvalid
from napari_histodiff.devices import DType, resolve_device, resolve_dtype
from napari_histodiff.diffusion.model_folder import WEIGHTS, bundled_model_path, check_folder
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline

__all__ = ["bundled_model_path", "load_pipeline", "quiet"]


def load_pipeline(
    folder: Path | str | None = None, device: str = "auto", dtype: DType = "auto"
) -> HistoDiffusionPipeline:
    """Load a model folder, ready to draw.

    Parameters
    ----------
    folder : path, optional
        The bundled model by default.
    device : str
        "auto" takes the first CUDA device when there is one, else the processor; or a torch device.
    dtype : str
        "auto" takes bfloat16 where the device computes in it, else float32.

    Raises
    ------
    ModelNotFound, ModelInvalid
        See `model_folder.check_folder`.
    DeviceUnavailable
        When the device is not on this machine.
    """
    place = resolve_device(device)
    path = bundled_model_path() if folder is None else Path(folder)
    check_folder(path)
    try:
        with quiet():
            pipeline = HistoDiffusionPipeline.from_pretrained(
                path, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
            )
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise ModelInvalid(
            f"expected weights that fit their configuration in {path}, got {error}; "
            "copy or download the model again"
        ) from error
    for name in WEIGHTS:
        _check_weights(path / WEIGHTS[name], getattr(pipeline, name))
    pipeline.to(place)
    for module in (pipeline.network, pipeline.caption_encoder):
        # nn.Module's own method: that of diffusers warns of every cast.
        torch.nn.Module.to(module, dtype=resolve_dtype(place, dtype))
    pipeline.network.to(memory_format=torch.channels_last)
    return pipeline


def _check_weights(path: Path, module: torch.nn.Module) -> None:
    """Refuse what diffusers only warns of: weights that lack, that no layer takes, or not finite.

    A missing tensor would be drawn at random, and a model of a newer version would lose its layers.
    """
    with safe_open(path, framework="pt") as file:
        found = set(file.keys())
    expected = set(module.state_dict())
    if found != expected:
        raise ModelInvalid(
            f"expected the weights of {type(module).__name__} in {path}, got some that lack or "
            f"have no place: {', '.join(sorted(found ^ expected)[:3])}; the model is damaged or of "
            "a newer version: copy it again or update napari-histodiff"
        )
    spoilt = [name for name, value in module.state_dict().items() if not value.isfinite().all()]
    if spoilt:
        raise ModelInvalid(
            f"expected finite weights in {path}, got NaN or infinity in {', '.join(spoilt[:3])}; "
            "copy the model again, or train it with a lower learning rate"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep diffusers from a progress bar for each file and warnings we turn to errors."""
    enabled, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if enabled:
            logging.enable_progress_bar()
