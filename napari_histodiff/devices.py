"""Where torch computes, and in which number format."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from napari_histodiff.core.errors import DeviceUnavailable

__all__ = ["DType", "dtype_named", "is_out_of_memory", "resolve_device", "resolve_dtype"]

DType = Literal["auto", "float32", "bfloat16", "float16"]


def resolve_device(name: str) -> torch.device:
    """Return the torch device of a name.

    Raises
    ------
    DeviceUnavailable
        When it is unknown or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceUnavailable(
            f'expected a device like "auto", "cpu" or "cuda:0", got "{name}"; choose one of those'
        ) from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": torch.mps.device_count()}
    present = count.get(device.type, 0)
    if (device.index or 0) >= present:
        raise DeviceUnavailable(
            f'expected a device of this machine, got "{name}", of whose kind it has {present}; '
            'choose "auto" or "cpu"'
        )
    return device


def dtype_named(name: str) -> DType:
    """Return a number format by its name.

    Raises
    ------
    DeviceUnavailable
        When there is none of that name.
    """
    for known in get_args(DType):
        if known == name:
            found: DType = known
            return found
    raise DeviceUnavailable(
        f'expected a precision of {", ".join(get_args(DType))}, got "{name}"; choose one of those'
    )


def resolve_dtype(device: torch.device, dtype: DType) -> torch.dtype:
    """Return the number format of the network; "auto" is bfloat16 where it is fast."""
    if dtype == "auto":
        return torch.bfloat16 if _fast_bfloat16(device) else torch.float32
    named = {"bfloat16": torch.bfloat16, "float16": torch.float16}
    return named.get(dtype, torch.float32)


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error of torch says that memory did not suffice."""
    text = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(sign in text for sign in signs)


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # Without these instructions bfloat16 is emulated and slower than float32.
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False
