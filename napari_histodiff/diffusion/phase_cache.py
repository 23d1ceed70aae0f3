"""Keeps the windows of early phases for the neighbours that read them too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from zict import LRU

from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.geometry import Region
from napari_histodiff.diffusion.windows import Phase, Window

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CACHE_BYTES", "PhaseCache", "PhaseMemory"]

#: Bytes of main memory that kept windows may take: about 270 windows of 288 px.
CACHE_BYTES: Final = 256 * 2**20


class PhaseCache:
    """Solved windows by the digest of everything that decides them; the least recent go first.

    Parameters
    ----------
    max_bytes : int
        Of the kept values together; 0 keeps nothing.
    salt : bytes
        What all entries depend on: weights, number format, device.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES, salt: bytes = b"") -> None:
        self.max_bytes = max_bytes
        self.salt = salt
        self._entries: LRU[bytes, Tensor] = LRU(max_bytes, {}, weight=lambda _, value: value.nbytes)

    @property
    def nbytes(self) -> int:
        """Bytes kept at present."""
        return int(self._entries.total_weight)

    def get(self, key: bytes) -> Tensor | None:
        """Return the kept value, which must not be written to."""
        return self._entries.get(key)

    def put(self, key: bytes, value: Tensor) -> None:
        """Keep a copy in main memory; one that alone exceeds the limit is not kept."""
        if key not in self._entries and value.nbytes <= self.max_bytes:
            self._entries[key] = value.detach().cpu().clone()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


class PhaseMemory:
    """What one drawing finds in the cache and adds to it.

    A window is decided by the settings of the drawing, its phase, place and conditions, and by the
    windows of the phase before that it reads. The last phase is left out: its pixels are the result
    and nobody else reads them.

    Parameters
    ----------
    cache : PhaseCache
        Where to look.
    settings : bytes
        Digest of what all windows of the drawing share: seed, variant, times, guidance ...
    conditions : callable
        Digest of the conditions of a window.
    """

    def __init__(
        self, cache: PhaseCache, settings: bytes, conditions: Callable[[Region], bytes]
    ) -> None:
        self._cache = cache
        self._settings = settings
        self._conditions = conditions
        self._before: dict[Window, bytes] = {}
        self._keys: dict[Window, bytes] = {}

    def recall(self, phase: Phase, times: Sequence[float]) -> dict[Window, Tensor]:
        """Enter a phase and return those of its windows that are kept."""
        self._before, self._keys = self._keys, {}
        for window in phase.windows:
            read = [
                key
                for other, key in self._before.items()
                if not other.shown.intersect(window.region).is_empty
            ]
            place = window.region
            self._keys[window] = digest_of(
                self._cache.salt,
                self._settings,
                (place.level, place.y, place.x, *place.shape, tuple(times)),
                self._conditions(place),
                *read,
            )
        found = {window: self._cache.get(key) for window, key in self._keys.items()}
        return {window: value for window, value in found.items() if value is not None}

    def keep(self, solved: Mapping[Window, Tensor]) -> None:
        """Keep windows of the phase entered last."""
        for window, value in solved.items():
            self._cache.put(self._keys[window], value)
