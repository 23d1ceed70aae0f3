"""Numbers that belong to a cell of an endless lattice: the same cell always draws the same ones.

SplitMix64's finaliser (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014) over (key, row, column); whole arrays at once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["bits", "key_of", "uniform", "uniforms"]

_ROW: Final = np.uint64(0x9E3779B97F4A7C15)
_COLUMN: Final = np.uint64(0xD6E8FEB86659FD93)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_WORD: Final = 2**64 - 1


@lru_cache(maxsize=4096)
def key_of(seed: int, *channels: int) -> np.uint64:
    """Return a key for `bits` from a seed and the numbers of a channel."""
    key = seed & _WORD
    for channel in channels:
        key = _mix_int((key * 0x9E3779B97F4A7C15 + channel + 1) & _WORD)
    return np.uint64(key)


def bits(key: np.uint64, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.uint64]:
    """Return 64 random bits for each cell; rows and columns are whole numbers and broadcast."""
    mixed = _mix((np.asarray(rows).astype(np.int64).view(np.uint64) * _ROW) ^ key)
    return _mix(mixed ^ (np.asarray(cols).astype(np.int64).view(np.uint64) * _COLUMN))


def uniform(key: np.uint64, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.float32]:
    """Return one number in [0, 1) for each cell, float32."""
    return (bits(key, rows, cols) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def uniforms(
    key: np.uint64, rows: NDArray[Any], cols: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return three independent numbers in [0, 1) for each cell, float32, of one hash."""
    word = bits(key, rows, cols)
    scale, low = np.float32(2.0**-21), np.uint64(2**21 - 1)
    first, second, third = (
        ((word >> np.uint64(shift)) & low).astype(np.float32) * scale for shift in (0, 21, 42)
    )
    return first, second, third


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def _mix_int(x: int) -> int:
    x = (x ^ (x >> 30)) * int(_FIRST) & _WORD
    x = (x ^ (x >> 27)) * int(_SECOND) & _WORD
    return x ^ (x >> 31)
