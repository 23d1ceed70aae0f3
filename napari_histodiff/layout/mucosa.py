"""The epithelium of a wall: crypts that stand side by side below the surface, or ridges."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.layout.fields import key_of, uniform, uniforms
from napari_histodiff.layout.wall import CRYPTS, Wall

__all__ = ["Mucosa"]

_SHALLOWEST: Final = 0.84  # of the first layer's thickness
_WAVES: Final = 1024
_WAVE: Final = 60.0  # um between widenings of a crypt
_UNEVEN: Final = 0.22
_FAINT: Final = 0.5  # of its width; what would be narrower is no crypt


class Mucosa:
    """Epithelium as a function of depth and place, all in pixels of level 0.

    Parameters
    ----------
    seed : int
    wall : Wall
    mpp : float
        Micrometres per pixel of level 0.
    share : float
        Share of the crypts that are there.
    bare : bool
        Whether the surface's epithelium fades as crypts do; otherwise it is everywhere.
    """

    def __init__(self, seed: int, wall: Wall, mpp: float, share: float, bare: bool) -> None:
        plan, um = wall.plan, 1 / mpp
        self._bare = bare
        self.pitch = np.float32(wall.pitch)
        self.height = np.float32(plan.crypt * um)
        self.surface = np.float32(plan.surface * um)
        self.ridge = np.float32(plan.ridge * um)
        self._closing = np.float32(plan.closing)
        index, zero = np.arange(CRYPTS), np.zeros(CRYPTS, np.int64)
        one, two, three = uniforms(key_of(seed, 76), index, zero)
        four, five, six = uniforms(key_of(seed, 77), index, zero)
        first = wall.edges[1] if len(wall.edges) > 1 else np.float32(600 * um)
        self.depth = np.float32(first)
        self._cells, self._share = 1 / self.pitch, 1 / self.depth
        self._middle = (index.astype(np.float32) + np.float32(0.5)) * self.pitch
        self._middle += self.pitch * np.float32(0.14) * (one - np.float32(0.5))
        self._width = self.pitch * (np.float32(0.35) + np.float32(0.08) * two)
        self._width[six >= share] = 0
        reach = np.float32(_SHALLOWEST) + np.float32(0.99 - _SHALLOWEST) * three
        self._end = self.depth * reach - self._width
        # Crypts and their lumina are wider and narrower along their depth.
        number = np.arange(_WAVES + 1) % _WAVES
        waves = uniform(key_of(seed, 78), number, np.arange(2)[:, None])
        self._waves = 1 + np.float32(_UNEVEN) * (waves - np.float32(0.5))
        self._wave = np.float32(1 / (_WAVE * um))
        self._lean = (four - np.float32(0.5)) * np.float32(0.1) * self.pitch
        self._ridge = self.ridge * (np.float32(0.3) + np.float32(0.7) * five)

    @property
    def deepest(self) -> float:
        """No epithelium lies deeper."""
        return float(self.depth if self.height > 0 else self.surface + self.ridge)

    def inside(
        self, depth: NDArray[Any], place: NDArray[Any], fade: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return how far points lie within the epithelium, and whether in the lumen of a crypt.

        Parameters
        ----------
        depth, place : (n,) float32
            See `Wall.on`.
        fade : (n,) float32
            1 where the epithelium is whole, down to 0 where there is none.

        Returns
        -------
        basal : (n,) float32
            Distance from the border to the stroma, negative outside.
        lumen : (n,) bool
        """
        on_surface = self.bottom(place, fade) - depth
        if self.height == 0:
            return np.asarray(on_surface, np.float32), np.zeros(depth.shape, np.bool_)
        in_crypt, _, _, _, height = self._within(depth, place, fade)
        basal = np.maximum(on_surface, in_crypt)
        return np.asarray(basal, np.float32), in_crypt > height

    def crypt(
        self, depth: NDArray[Any], place: NDArray[Any], fade: NDArray[Any]
    ) -> tuple[NDArray[Any], ...]:
        """Return of the crypt at each point: how far inside, offset, number, width and end."""
        inside, index, offset, width, _ = self._within(depth, place, fade)
        return inside, offset, index, width, self._end[index]

    def _within(
        self, depth: NDArray[Any], place: NDArray[Any], fade: NDArray[Any]
    ) -> tuple[NDArray[Any], ...]:
        index = np.minimum((place * self._cells).astype(np.int32), CRYPTS - 1)
        share = depth * self._share
        offset = place - np.take(self._middle, index) - np.take(self._lean, index) * share
        wider, higher = self._uneven(depth, index)
        # Wider towards the end, as a flask is.
        width = np.take(self._width, index) * (np.float32(0.86) + np.float32(0.14) * share)
        width *= fade * (fade >= np.float32(_FAINT)) * wider
        past = np.maximum(depth - np.take(self._end, index), 0)
        apart = np.sqrt(offset * offset + past * past)
        inside = np.where(width > 0, width - apart, -self.pitch)
        return inside, index, offset, width, self.height * higher * (1 + self._closing * share)

    def _uneven(self, depth: NDArray[Any], index: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        # Two smooth numbers around 1 along each crypt.
        at = depth * self._wave
        whole = at.astype(np.int32)
        part = at - whole
        part *= part * (np.float32(3) - np.float32(2) * part)
        place = np.bitwise_and(whole + index * np.int32(37), _WAVES - 1)
        low, high = (np.take(self._waves, place + step, axis=1) for step in (0, 1))
        wave = low + (high - low) * part
        return wave[0], wave[1]

    def bottom(self, place: NDArray[Any], fade: NDArray[Any]) -> NDArray[Any]:
        """Return how deep the surface's epithelium reaches, float32."""
        bottom = self._bottom(place)
        return bottom * fade if self._bare else bottom

    def _bottom(self, place: NDArray[Any]) -> NDArray[Any]:
        if self.ridge == 0:
            return np.full(place.shape, self.surface)
        index = np.clip((place / self.pitch).astype(np.int32), 0, CRYPTS - 1)
        offset = (place - np.take(self._middle, index)) / (self.pitch * np.float32(0.42))
        bump = np.maximum(1 - offset * offset, 0)
        return self.surface + np.take(self._ridge, index) * bump * bump

    def shares(self) -> tuple[float, float]:
        """Return which shares of the depth that holds epithelium are epithelium and lumen."""
        place = np.linspace(0, float(self.pitch) * 40, 2000, dtype=np.float32)
        depth = np.linspace(0, self.deepest, 60, dtype=np.float32)
        y, x = (part.ravel() for part in np.meshgrid(depth, place, indexing="ij"))
        basal, lumen = self.inside(y, x, np.ones_like(y))
        return float(((basal > 0) & ~lumen).mean()), float(lumen.mean())
