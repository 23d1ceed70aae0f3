"""From a checked folder to a network on a device, without pickles or code of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from diffusers.utils import is_accelerate_available
from safetensors import SafetensorError

from napari_histodiff.core.errors import ModelInvalid
from napari_histodiff.core.foreign.folder import ForeignFolder
from napari_histodiff.devices import DType, resolve_device, resolve_dtype
from napari_histodiff.diffusion.foreign.codec import Codec, LatentCodec, PixelCodec
from napari_histodiff.diffusion.foreign.network import Network
from napari_histodiff.diffusion.foreign.schedule import deterministic
from napari_histodiff.diffusion.foreign.text import load_text_encoder
from napari_histodiff.diffusion.loading import quiet

__all__ = ["Loaded", "load_parts"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline's parts on their devices.

    Attributes
    ----------
    network : Network
    scheduler : SchedulerMixin
        Without noise of its own; see `schedule.deterministic`.
    original : SchedulerMixin
        As it was saved.
    device, dtype
        Where and in which numbers the U-Net computes.
    """

    network: Network
    scheduler: Any
    original: Any
    device: torch.device
    dtype: torch.dtype


def load_parts(folder: ForeignFolder, device: str = "auto", dtype: DType = "auto") -> Loaded:
    """Load a checked folder.

    Parameters
    ----------
    folder : ForeignFolder
    device, dtype
        As in `diffusion.loading.load_pipeline`.

    Raises
    ------
    ModelInvalid
        When weights do not fit their configuration, or a part is missing.
    DeviceUnavailable
        When the device is not on this machine.
    """
    place = resolve_device(device)
    number = resolve_dtype(place, dtype)
    text = load_text_encoder(folder) if folder.adapter.texts else None
    unet = _module(folder, "unet", number).to(place)
    control = _module(folder, "controlnet", number).to(place) if folder.adapter.control else None
    codec: Codec = PixelCodec()
    if folder.adapter.codec is not None:
        codec = LatentCodec(_vae(folder, folder.adapter.codec, number).to(place), place)
    scheduler = _scheduler(folder)
    return Loaded(
        Network(unet, codec, text, control, folder.adapter.is_xl),
        deterministic(scheduler),
        scheduler,
        place,
        number,
    )


def _vae(folder: ForeignFolder, name: str, dtype: torch.dtype) -> Any:
    wide = folder.config(name).get("force_upcast") and dtype == torch.float16
    return _module(folder, name, torch.float32 if wide else dtype)  # else it overflows


def _module(folder: ForeignFolder, name: str, dtype: torch.dtype) -> Any:
    """Load the weights of a component."""
    maker = getattr(diffusers, folder.class_names[name])
    try:
        with quiet():
            module, found = maker.from_pretrained(
                folder.path / name,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=is_accelerate_available(),
                torch_dtype=dtype,
                variant=folder.variants[name],
                output_loading_info=True,
            )
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise ModelInvalid(
            f"expected weights that fit their configuration in {folder.path / name}, got {error}; "
            "download the model again"
        ) from error
    missing = sorted(found["missing_keys"])
    if missing:  # would be drawn at random
        raise ModelInvalid(
            f"expected the weights of {folder.class_names[name]} in {folder.path / name}, got none "
            f"of {', '.join(missing[:3])}; download the model again"
        )
    module.eval().requires_grad_(False)
    if not all(bool(value.isfinite().all()) for value in module.parameters()):
        raise ModelInvalid(
            f"expected finite weights in {folder.path / name}, got NaN or infinity; "
            "download the model again"
        )
    return module


def _scheduler(folder: ForeignFolder) -> Any:
    name = folder.class_names["scheduler"]
    maker = getattr(diffusers, name, None)
    if maker is None or not name.endswith("Scheduler"):
        raise ModelInvalid(f"expected a scheduler of diffusers, got {name}; update diffusers")
    try:
        with quiet():
            return maker.from_pretrained(folder.path / "scheduler", local_files_only=True)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ModelInvalid(
            f"expected a scheduler in {folder.path / 'scheduler'}, got {error}; "
            "download the model again"
        ) from error
