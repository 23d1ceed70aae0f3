"""Draws training crops from a pack: where, how oriented, at which scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import Caption, caption_from_maps, parse_caption
from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import LAYERS, Pack

__all__ = ["COARSEST_CROP", "MIX", "Crop", "CropSampler"]

#: Share of the draws each source gets; brain and unannotated sets share a tenth.
MIX: Final[dict[str, float]] = {
    "lizard": 0.45,
    "consep": 0.25,
    "monuseg": 0.18,
    "tcga_lgg36": 0.04,
    "miccai2015_seg": 0.02,
    "glas": 0.04,
    "tcga_sbu_unannotated": 0.02,
}

#: Largest reduction a crop is drawn at, and so how much coarser than the data the model knows.
COARSEST_CROP: Final = 2

_CLASS, _VALID = LAYERS.index("class"), LAYERS.index("valid")
_RARE: Final = (1, 5, 4)  # neutrophil, eosinophil, plasma
_LEAST_VALID: Final = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One square crop: `pixels` (s, s, 3) uint8, `layers` (s, s, 5) uint8 as `packing.LAYERS`."""

    pixels: NDArray[np.uint8]
    layers: NDArray[np.uint8]
    mpp: float
    caption: Caption
    has_nuclei: bool


class CropSampler:
    """Endless random crops, the rare classes drawn more often than they occur.

    Parameters
    ----------
    packed : Pack
    seed : int
    rare : float
        Share of the draws that are centred on a neutrophil, eosinophil or plasma cell.
    coarse_scale : float
        Share of the draws taken at twice the micrometres per pixel.
    """

    def __init__(
        self, packed: Pack, seed: int, *, rare: float = 0.15, coarse_scale: float = 0.1
    ) -> None:
        self._packed = packed
        self._rng = np.random.default_rng(seed)
        self._rare = rare
        self._coarse_scale = coarse_scale
        self._weights = self._item_weights()
        self._places = self._rare_places()
        self._base = [_base_caption(item.organ, item.caption) for item in packed.items]

    def draw(self, size: int) -> Crop:
        """Return one crop of `size` pixels a side, in a random one of eight orientations."""
        scale = COARSEST_CROP if self._rng.random() < self._coarse_scale else 1
        i, window = self._window(size * scale)
        item = self._packed.items[i]
        pixels, layers = self._packed.pixels[i][window], self._packed.layers[i][window]
        if scale > 1:
            boxes = pixels.reshape(size, scale, size, scale, 3)
            pixels = boxes.mean((1, 3)).round().astype(np.uint8)
            layers = layers[::scale, ::scale]
        turns, flip = int(self._rng.integers(4)), bool(self._rng.integers(2))
        return Crop(
            _orient(pixels, turns, flip),
            _orient(layers, turns, flip),
            item.mpp * scale,
            self._caption(i, layers),
            item.has_nuclei,
        )

    def _window(self, size: int) -> tuple[int, tuple[slice, slice]]:
        for _ in range(200):
            centre = None
            if self._places and self._rng.random() < self._rare:
                places = self._places[int(self._rng.integers(len(self._places)))]
                i, *centre = places[int(self._rng.integers(len(places)))]
            else:
                i = int(self._rng.choice(len(self._weights), p=self._weights))
            height, width = self._packed.pixels[i].shape[:2]
            if min(height, width) < size:
                continue
            y, x = (int(self._rng.integers(n - size + 1)) for n in (height, width))
            if centre is not None:
                jitter = self._rng.integers(-size // 4, size // 4 + 1, 2)
                y = int(np.clip(centre[0] - size // 2 + jitter[0], 0, height - size))
                x = int(np.clip(centre[1] - size // 2 + jitter[1], 0, width - size))
            window = (slice(y, y + size), slice(x, x + size))
            if self._packed.layers[i][window][::4, ::4, _VALID].mean() >= _LEAST_VALID:
                return i, window
        raise TrainingError(
            f"expected images with valid areas of {size} px, got none in 200 draws; "
            "lower the crop size"
        )

    def _item_weights(self) -> NDArray[np.float64]:
        items = self._packed.items
        areas = np.array([layers[..., _VALID].sum() for layers in self._packed.layers], float)
        weights = np.zeros(len(items))
        for source in {item.source for item in items}:
            members = np.array([item.source == source for item in items])
            weights[members] = MIX.get(source, 1.0) * areas[members] / areas[members].sum()
        return weights / weights.sum()

    def _rare_places(self) -> list[NDArray[np.int64]]:
        """One array of (item, y, x) per rare class that occurs."""
        places: list[NDArray[np.int64]] = []
        for rare in _RARE:
            found = []
            for i, layers in enumerate(self._packed.layers):
                spots = np.argwhere(layers[::2, ::2, _CLASS] == rare) * 2
                found.append(np.insert(spots, 0, i, axis=1))
            stacked = np.concatenate(found)
            if len(stacked):
                places.append(stacked)
        return places

    def _caption(self, i: int, layers: NDArray[np.uint8]) -> Caption:
        item, base = self._packed.items[i], self._base[i]
        tissue_map = layers[..., LAYERS.index("tissue")] if item.has_tissue else None
        seen = caption_from_maps(layers[..., _CLASS], None, tissue_map)
        return Caption(
            organ=base.organ,
            levels=seen.levels if item.has_classes else base.levels,
            tissue=(*base.tissue, *seen.tissue),
        )


def _base_caption(organ: str | None, text: str) -> Caption:
    caption = parse_caption(text).caption
    return Caption(organ=organ or caption.organ, tissue=caption.tissue)


def _orient(array: NDArray[np.uint8], turns: int, flip: bool) -> NDArray[np.uint8]:
    turned = np.rot90(array, turns)
    return np.ascontiguousarray(turned[:, ::-1] if flip else turned)
