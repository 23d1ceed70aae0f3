"""Draws training crops from a pack: where, how oriented, at which scale, what of them is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.box_mean import block_means
from napari_histodiff.core.captions import Caption, caption_from_maps, parse_caption
from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES, instance_edges
from napari_histodiff.core.stain_bank import StainEntry
from napari_histodiff.datasets.crop_windows import (
    Window,
    class_places,
    image_odds,
    orient,
    window_around,
)
from napari_histodiff.datasets.packing import LAYERS, Pack
from napari_histodiff.diffusion.stain import change_detail, stain_look
from napari_histodiff.inpainting.stains import glass_colour, stain_vector

__all__ = [
    "COARSEST_CROP",
    "COARSEST_MPP",
    "FINE",
    "MIX",
    "SCALES",
    "Crop",
    "CropSampler",
    "MixedSampler",
    "Sampler",
    "collect_stains",
    "random_known_mask",
]

#: Weight of each source in the draws.
MIX: Final[dict[str, float]] = {
    "lizard": 0.33,
    "consep": 0.24,
    "monuseg": 0.20,
    "monusac": 0.04,
    "tcga_lgg36": 0.07,
    "miccai2015_seg": 0.03,
    "glas": 0.06,
    "tcga_sbu_unannotated": 0.02,
    "camelyon_tiles": 0.02,
    "wsi": 0.01,
    "overview": 0.02,
    "atlas": 0.13,
    "atlas_wide1": 0.14,
    "atlas_wide2": 0.08,
}

#: Largest reduction a crop is drawn at, and so how much coarser than the data the model knows.
COARSEST_CROP: Final = 4

#: Share of the draws at each reduction. At eight nuclei are dots: for the look of a section only.
SCALES: Final[dict[int, float]] = {1: 0.57, 2: 0.25, 4: 0.14, 8: 0.04}

#: Share of the draws from images of twice the resolution, where there are any.
FINE: Final = 0.14

#: Micrometres per pixel that no image is reduced beyond.
COARSEST_MPP: Final = 6.0

_CLASS, _VALID, _TISSUE = (LAYERS.index(name) for name in ("class", "valid", "tissue"))
_GLASS: Final = TISSUE_NAMES.index("glass")
_RARE: Final = (1, 5, 4)  # neutrophil, eosinophil, plasma
_SCARCE: Final = ("mucus", "fat", "lumen", "vessel", "blood")
_LEAST_SCARCE: Final = 400  # pixels of such a tissue in an image, below which it is not sought
_LEAST_VALID: Final = 0.9
_DRAWS: Final = 200  # tries to find a valid area
_STAIN_SIDE: Final = 256  # px around a crop that its stain is measured on
_REDETAILED: Final = 0.5  # share of the crops whose finest detail is changed
_DETAIL: Final = (-0.3, 0.9)  # how much of it is taken away; below 0, added
_SOFTENED: Final = 0.4  # most that such a crop is blurred


#: From pixels to pixels, (h, w, 3) uint8.
_Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One square crop: `pixels` (s, s, 3) uint8, `layers` (s, s, 5) uint8 as `packing.LAYERS`.

    `stain` is that of its wider surroundings, None where they hold too little tissue. `soft`: a
    network set the nuclei.
    """

    pixels: NDArray[np.uint8]
    layers: NDArray[np.uint8]
    mpp: float
    caption: Caption
    has_nuclei: bool
    stain: tuple[float, ...] | None
    soft: bool = False


class Sampler(Protocol):
    """Where crops come from."""

    def draw(self, size: int) -> Crop:
        """Return one crop of `size` pixels a side."""


class MixedSampler:
    """Crops of images at the usual scale and, now and then, of images at twice the resolution."""

    def __init__(self, usual: Sampler, fine: Sampler, seed: int, *, share: float = FINE) -> None:
        self._usual, self._fine, self._share = usual, fine, share
        self._rng = np.random.default_rng(seed)

    def draw(self, size: int) -> Crop:
        """Return one crop of `size` pixels a side."""
        source = self._fine if self._rng.random() < self._share else self._usual
        return source.draw(size)


class CropSampler:
    """Endless random crops, the rare classes drawn more often than they occur.

    Parameters
    ----------
    packed : Pack
    seed : int
    rare : float
        Share of the draws that are centred on a neutrophil, eosinophil or plasma cell.
    scarce : float
        Share of the draws that are centred on some tissues: each as often, and each image that
        holds it.
    tissues : sequence of str
        Those tissues, by name; by default what few images have.
    scales : dict
        Share of the draws at each reduction.
    """

    def __init__(
        self,
        packed: Pack,
        seed: int,
        *,
        rare: float = 0.15,
        scarce: float = 0.15,
        tissues: Sequence[str] = _SCARCE,
        scales: Mapping[int, float] = SCALES,
    ) -> None:
        self._packed = packed
        self._rng = np.random.default_rng(seed)
        self._rare, self._scarce = rare, scarce
        self._scales = np.array(list(scales))
        self._scale_odds = np.array(list(scales.values())) / sum(scales.values())
        self._weights = image_odds(
            [layers[..., _VALID].sum() for layers in packed.layers],
            [item.source for item in packed.items],
            MIX,
            other=1.0,
        )
        self._sides = np.array([min(pixels.shape[:2]) for pixels in packed.pixels])
        self._mpps = np.array([item.mpp for item in packed.items])
        self._odds_of: dict[tuple[int, int], NDArray[np.float64]] = {}
        unsure = np.zeros((1, 1), np.uint8)  # soft classes are too uncertain to seek
        maps = [
            unsure if item.soft else layers[..., _CLASS]
            for item, layers in zip(packed.items, packed.layers, strict=True)
        ]
        self._places = [p for rare in _RARE if len(p := class_places(maps, rare))]
        self._tissues = _tissue_places([layers[..., _TISSUE] for layers in packed.layers], tissues)
        self._base = [_base_caption(item.organ, item.caption) for item in packed.items]

    def draw(self, size: int) -> Crop:
        """Return one crop of `size` pixels a side, in a random one of eight orientations."""
        scale = int(self._rng.choice(self._scales, p=self._scale_odds))
        scale, i, window = self._window_at(size, scale)
        item = self._packed.items[i]
        pixels, layers = self._packed.pixels[i][window], self._packed.layers[i][window]
        if scale > 1:
            pixels = _box_down(pixels, scale)
            layers = self._reduced(i, window, scale)
        change = self._detail()
        turns, flip = int(self._rng.integers(4)), bool(self._rng.integers(2))
        glass = bool((layers[..., _TISSUE] == _GLASS).all())
        return Crop(
            orient(change(pixels), turns, flip),
            orient(layers, turns, flip),
            item.mpp * scale,
            self._caption(i, layers),
            item.has_nuclei or glass,  # for certain: there are none
            self._stain(i, window, scale, change),
            item.soft and not glass,
        )

    def _reduced(self, i: int, window: Window, scale: int) -> NDArray[np.uint8]:
        """Layers at a coarser scale; edges are those of the reduced nuclei, as when painted."""
        layers = self._packed.layers[i][window][::scale, ::scale].copy()
        instances = self._packed.instances[i][window][::scale, ::scale].astype(np.int32)
        layers[..., LAYERS.index("edges")] = instance_edges(instances, layers[..., _CLASS])
        return layers

    def _detail(self) -> _Change:
        """Return what some crops are seen through, as another scanner would show their tissue."""
        if self._rng.random() >= _REDETAILED:
            return lambda pixels: pixels
        taken = self._rng.uniform(*_DETAIL)
        softened = max(0.0, self._rng.uniform(-_SOFTENED, _SOFTENED))
        return lambda pixels: change_detail(pixels, taken, softened)

    def _stain(
        self,
        i: int,
        window: Window,
        scale: int,
        change: _Change,
    ) -> tuple[float, ...] | None:
        around = tuple(_widened(side, _STAIN_SIDE * scale) for side in window)
        pixels, valid = self._packed.pixels[i][around], self._packed.layers[i][around][..., _VALID]
        if scale > 1:
            pixels, valid = _box_down(pixels, scale), _box_down(valid[..., None], scale)[..., 0]
        return stain_vector(change(pixels), valid > 0)

    def _window_at(self, size: int, scale: int) -> tuple[int, int, Window]:
        """Fall back to the next finer scale where no image has a valid area that large."""
        while True:
            found = self._window(size * scale, scale)
            if found is not None:
                return (scale, *found)
            if scale == 1:
                raise TrainingError(
                    f"expected images with valid areas of {size} px, got none in {_DRAWS} draws; "
                    "lower the crop size"
                )
            scale //= 2

    def _odds(self, size: int, scale: int) -> NDArray[np.float64]:
        """Odds of the images that hold a crop of `size` and may be reduced; all 0 where none is."""
        if (size, scale) not in self._odds_of:
            fits = (self._sides >= size) & (self._mpps * scale <= COARSEST_MPP)
            odds = np.where(fits, self._weights, 0)
            self._odds_of[size, scale] = odds / max(odds.sum(), np.finfo(float).tiny)
        return self._odds_of[size, scale]

    def _window(self, size: int, scale: int) -> tuple[int, Window] | None:
        odds = self._odds(size, scale)
        for _ in range(_DRAWS if odds.any() else 0):
            centre = None
            if self._places and self._rng.random() < self._rare:
                i, *centre = self._any(self._any(self._places))
            elif self._tissues and self._rng.random() < self._scarce:
                i, *centre = self._any(self._any(self._any(self._tissues)))
            else:
                i = int(self._rng.choice(len(self._weights), p=odds))
            height, width = self._packed.pixels[i].shape[:2]
            if odds[i] == 0 or min(height, width) < size:
                continue
            y, x = (int(self._rng.integers(n - size + 1)) for n in (height, width))
            window = (slice(y, y + size), slice(x, x + size))
            if centre is not None:
                jitter = self._rng.integers(-size // 4, size // 4 + 1, 2)
                window = window_around(centre + jitter, size, (height, width))
            if self._packed.layers[i][window][::4, ::4, _VALID].mean() >= _LEAST_VALID:
                return i, window
        return None

    def _any(self, some: Any) -> Any:
        return some[int(self._rng.integers(len(some)))]

    def _caption(self, i: int, layers: NDArray[np.uint8]) -> Caption:
        item, base = self._packed.items[i], self._base[i]
        tissue_map = layers[..., _TISSUE] if item.has_tissue else None
        seen = caption_from_maps(layers[..., _CLASS], None, tissue_map)
        return Caption(
            organ=base.organ,
            levels=seen.levels if item.has_classes else base.levels,
            tissue=(*base.tissue, *seen.tissue),
        )


def _tissue_places(
    maps: Sequence[NDArray[np.uint8]], tissues: Sequence[str]
) -> list[list[NDArray[np.int64]]]:
    """Return, of each tissue, for each image that holds it, rows of image, y, x."""
    found = []
    for name in tissues:
        places = class_places(maps, TISSUE_NAMES.index(name))
        starts = np.unique(places[:, 0], return_index=True)[1]
        parts = [p[::4] for p in np.split(places, starts[1:]) if 4 * len(p) >= _LEAST_SCARCE]
        if parts:
            found.append(parts)
    return found


def _base_caption(organ: str | None, text: str) -> Caption:
    caption = parse_caption(text).caption
    return Caption(organ=organ or caption.organ, tissue=caption.tissue)


def collect_stains(packed: Pack, scales: Iterable[int] = SCALES) -> list[StainEntry]:
    """Return the stain of every annotated image at every scale it is drawn at."""
    entries = []
    for i, item in enumerate(packed.items):
        if not item.annotated:
            continue
        organ = _base_caption(item.organ, item.caption).organ
        for scale in scales:
            if item.mpp * scale > COARSEST_MPP:
                continue
            pixels = _box_down(packed.pixels[i], scale)
            valid = _box_down(packed.layers[i][..., _VALID, None], scale)[..., 0] > 0
            vector = stain_vector(pixels, valid)
            if vector is not None:
                look, glass = stain_look(pixels), glass_colour(pixels, valid)
                entries.append(StainEntry(organ, look, item.mpp * scale, vector, glass))
    return entries


def _box_down(pixels: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    return block_means(pixels, scale).round().astype(np.uint8)


def _widened(side: slice, length: int) -> slice:
    """A slice of at least `length` around `side`; NumPy cuts it at the far end."""
    extra = max(0, length - (side.stop - side.start)) // 2
    return slice(max(0, side.start - extra), side.stop + extra)


def random_known_mask(rng: np.random.Generator, size: int, share: float) -> NDArray[np.bool_]:
    """Return (size, size) bool, True = known; empty with probability 1 - `share`.

    Otherwise, with equal odds: all but a box, all but a blob, a strip along one side, or a blob.
    """
    known = np.zeros((size, size), bool)
    if rng.random() >= share:
        return known
    match int(rng.integers(4)):
        case 0:
            return ~_box(rng, size)
        case 1:
            return ~_blob(rng, size)
        case 2:
            known[: int(rng.integers(size // 8, 3 * size // 4))] = True
            return np.rot90(known, int(rng.integers(4))).copy()
        case _:
            return _blob(rng, size)


def _box(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    height, width = rng.integers(size // 4, 7 * size // 8, 2)
    y, x = int(rng.integers(size - height + 1)), int(rng.integers(size - width + 1))
    box = np.zeros((size, size), bool)
    box[y : y + height, x : x + width] = True
    return box


def _blob(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    field = gaussian_filter(rng.standard_normal((size // 4, size // 4)), size / 32, mode="wrap")
    blob = field > np.quantile(field, rng.uniform(0.3, 0.8))
    return blob.repeat(4, 0).repeat(4, 1)
