"""Tissue maps by rule: what lies between the nuclei of an image, where that can be told.

What white areas are follows from what surrounds them, blood and mucus from their colour, glands,
lymphoid tissue and stroma from the density of the nuclei of each class. What is in doubt stays 0.
The rules were set by eye and on the training half of GlaS; they make training labels, no findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label, regionprops

from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.datasets.sources import Sample
from napari_histodiff.datasets.tissue.fat import fat_cells
from napari_histodiff.datasets.tissue.microns import Mask, Microns, Plane

__all__ = [
    "Evidence",
    "Found",
    "Opinion",
    "label_sample",
    "label_tissue",
    "labelled",
    "optical_density",
]

_ID: Final = {name: i for i, name in enumerate(TISSUE_NAMES)}
_EPITHELIAL: Final = CLASS_NAMES.index("epithelial") + 1
_CONNECTIVE: Final = CLASS_NAMES.index("connective") + 1
_PLAIN: Final = frozenset({"brain", "kidney", "liver"})  # organs of other tissue than these
_COARSEST_NUCLEI: Final = 1.3  # um/px at which nuclei can still be told
_MPP: Final = 1.0  # um/px that finer images are labelled at; what is told finer is noise
_LIKELY, _UNLIKELY = 0.6, 0.25  # opinions that count, and the least that casts doubt
_NEAR: Final = 0.1  # share of epithelial nuclei within some 7 um, above which a place is gland
_PACKED: Final = 4  # um, half the gap between red cells that are one pool of blood
_SECRETION: Final = 0.55  # of red to green density, above which pale matter is mucus, not eosin


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What an image is labelled by; maps are (h, w).

    Attributes
    ----------
    pixels : (h, w, 3) uint8
    mpp : float
        Micrometres per pixel.
    classes, instances : optional
        Nuclei; without them only white areas and blood are labelled.
    gland : bool, optional
        Where glands are, when somebody outlined them.
    opinion : float, optional
        How likely a place is gland or its lumen, as a network sees it, 0 to 1.
    plain : bool
        Neither glands nor fibres are to be expected, as in brain.
    soft : bool
        A network set the nuclei, and may have overlooked some.
    """

    pixels: NDArray[np.uint8]
    mpp: float
    classes: NDArray[np.uint8] | None = None
    instances: NDArray[np.int32] | None = None
    gland: Mask | None = None
    opinion: Plane | None = None
    plain: bool = False
    soft: bool = False


def label_tissue(evidence: Evidence) -> NDArray[np.uint8]:
    """Return the tissue map of an image, (h, w) uint8, ids of `core.maps.TISSUE_NAMES`."""
    return _Labeller(evidence).labels()


class Segment(Protocol):
    """What finds nuclei, such as the judge."""

    def __call__(self, image: NDArray[np.uint8], *, mpp: float) -> Found:
        """Return the nuclei of an (h, w, 3) image."""


class Found(Protocol):
    """Nuclei that a network found."""

    @property
    def instance_map(self) -> NDArray[np.int32]:
        """Where each nucleus is."""

    @property
    def class_map(self) -> NDArray[np.uint8]:
        """What it is."""


#: From an image and its micrometres per pixel to how likely each place is gland.
Opinion = Callable[[NDArray[np.uint8], float], Plane]


def label_sample(
    sample: Sample,
    *,
    segment: Segment | None = None,
    opinion: Opinion | None = None,
) -> Sample:
    """Return a sample with a tissue map.

    Glands that people outlined stay; elsewhere a network's `opinion` on them counts. Without nuclei
    and with `segment`, it gets nuclei as well and is marked as soft, where nuclei can be told at
    its scale.
    """
    item, classes, instances = sample.item, sample.classes, sample.instances
    if not item.has_nuclei and segment is not None and item.mpp <= _COARSEST_NUCLEI:
        found = segment(sample.pixels, mpp=item.mpp)
        classes, instances = found.class_map, found.instance_map
        item = replace(item, has_nuclei=True, soft=True)
    outlined = np.isin(sample.tissue, (_ID["gland"], _ID["lumen"])) if item.has_tissue else None
    step = max(1, round(_MPP / item.mpp))
    seen, mpp = _reduced(sample.pixels, step), item.mpp * step
    known = item.has_nuclei and (item.has_classes or item.soft)
    evidence = Evidence(
        seen,
        mpp,
        classes[::step, ::step] if known else None,
        instances[::step, ::step] if known else None,
        gland=None if outlined is None else outlined[::step, ::step],
        opinion=None if opinion is None else opinion(seen, mpp),
        plain=item.organ in _PLAIN,
        soft=item.soft,
    )
    height, width = classes.shape
    tissue = label_tissue(evidence).repeat(step, 0).repeat(step, 1)[:height, :width]
    item = replace(item, has_tissue=True)
    return replace(sample, item=item, classes=classes, instances=instances, tissue=tissue)


def labelled(before: Sample, after: Sample, *, network: bool = True) -> list[str]:
    """Return in words which labels of an image are not of people, for a count of such images."""
    said = []
    if after.item.soft and not before.item.has_nuclei:
        said.append("images whose nuclei were found by a network")
    if after.tissue is not before.tissue:
        how = "rules and a network" if network else "rules"
        said.append(f"images whose tissue was labelled by {how}")
    return said


def _reduced(pixels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return the means of squares, of part ones too."""
    if step == 1:
        return pixels
    pads = [(0, -side % step) for side in pixels.shape[:2]]
    whole = np.pad(pixels, (*pads, (0, 0)), mode="edge")
    height, width = (side // step for side in whole.shape[:2])
    boxes = whole.reshape(height, step, width, step, 3).mean((1, 3))
    means: NDArray[np.uint8] = np.rint(boxes).astype(np.uint8)
    return means


def optical_density(pixels: NDArray[np.uint8]) -> Plane:
    """Return the optical density by channel, (h, w, 3), of light that comes through the glass."""
    white = np.percentile(pixels.reshape(-1, 3), 99.5, axis=0).clip(225, 255)
    density: Plane = -np.log10(np.maximum(pixels, 1) / white).astype(np.float32)
    return density.clip(0, None)


class _Labeller:
    """The rules, in the order in which one gives way to the next."""

    def __init__(self, evidence: Evidence) -> None:
        self._e, self._um = evidence, Microns(evidence.mpp)
        self._shape = evidence.pixels.shape[:2]
        density = optical_density(evidence.pixels)
        self._fine = np.stack([self._um.blur(density[..., c], 0.6) for c in range(3)], -1)
        self._mean = self._fine.mean(-1)
        # By the densest channel: pale pink tissue is as light as glass on average.
        self._white = self._fine.max(-1)
        self._bright = self._um.opened(self._white < 0.065, 1.0)
        self._wide = np.stack([self._um.blur(density[..., c], 3) for c in range(3)], -1)
        self._nuclei = self._densities()

    def labels(self) -> NDArray[np.uint8]:
        """Return the ids."""
        ids = np.zeros(self._shape, np.uint8)
        gland = self._gland()
        if not self._e.plain and self._nuclei:
            ids[self._stroma()] = _ID["stroma"]
            ids[self._muscle()] = _ID["muscle"]
            ids[self._lymphoid() & ~gland] = _ID["lymphoid"]
        if self._e.opinion is not None and self._e.gland is None:
            ids[self._e.opinion > _UNLIKELY] = 0  # in doubt, unless found to be gland
        ids[gland] = _ID["gland"]
        ids[self._blood()] = _ID["blood"]
        ids[self._mucus(gland)] = _ID["mucus"]
        self._put_white(ids, gland)
        return ids

    def _densities(self) -> dict[str, Plane]:
        """Share of the area that nuclei of each kind cover, around every pixel."""
        classes, instances = self._e.classes, self._e.instances
        if classes is None:
            return {}
        whole = (classes > 0) if instances is None else (classes > 0) | (instances > 0)
        kinds = {
            "all": whole,
            "epithelial": classes == _EPITHELIAL,
            "connective": classes == _CONNECTIVE,
            "inflammatory": (classes > 0) & (classes != _EPITHELIAL) & (classes != _CONNECTIVE),
        }
        found = {name: self._um.blur(kind, 7) for name, kind in kinds.items()}
        return found | {f"wide {name}": self._um.blur(kind, 16) for name, kind in kinds.items()}

    def _gland(self) -> Mask:
        if self._e.gland is not None:
            return self._e.gland
        none = np.zeros(self._shape, np.bool_)
        opinion = self._e.opinion
        if self._e.plain:
            return none
        found = self._lined_by_nuclei() if self._nuclei else none
        if opinion is None:
            return found
        return self._um.opened((opinion > _LIKELY) | (found & (opinion > _UNLIKELY)), 4)

    def _lined_by_nuclei(self) -> Mask:
        near, others = self._nuclei["epithelial"], self._others()
        seed = (near > _NEAR) & (near > 1.2 * others) & ~self._bright
        # Apical cytoplasm and lumen hold no nuclei, and epithelium is all that lies around.
        empty = near + others < 0.06
        around, strange = self._nuclei["wide epithelial"], self._others("wide ")
        seed |= empty & (around > 0.05) & (around > 4 * strange)
        seed = self._um.without_small(seed, 500)
        closed = seed | (self._um.closed(seed, 9) & (others < 0.12))
        for hole in _parts(ndimage.binary_fill_holes(closed) & ~closed):
            if others[hole].mean() < 0.08 and hole[0].size < self._um.area(60_000):
                closed[hole] = True
        return self._um.without_small(self._um.opened(closed, 5), 500)

    def _others(self, scale: str = "") -> Plane:
        return self._nuclei[scale + "connective"] + self._nuclei[scale + "inflammatory"]

    def _stroma(self) -> Mask:
        """Everything that is not something else; where a network set the nuclei, near some of it.

        Glands that it overlooked would be stroma otherwise.
        """
        if not self._e.soft:
            return np.ones(self._shape, np.bool_)
        others = self._others("wide ")
        return (others > 0.03) & (others > 2 * self._nuclei["wide epithelial"] - 0.05)

    def _lymphoid(self) -> Mask:
        crowd = self._nuclei["wide inflammatory"]
        rest = self._nuclei["wide epithelial"] + self._nuclei["wide connective"]
        return self._um.without_small((crowd > 0.22) & (crowd > 2 * rest), 2500)

    def _muscle(self) -> Mask:
        """Dense, pink, of one direction, with few and drawn-out nuclei."""
        red, green, _ = np.moveaxis(self._wide, -1, 0)
        compact = self._um.blur(self._mean < 0.1, 12) < 0.1
        pink = self._um.blur((green > 0.2) & (red < 0.5 * green), 12) > 0.6
        sparse = self._nuclei["wide all"] < 0.17
        calm = self._nuclei["wide inflammatory"] < 0.04
        muscle = compact & pink & sparse & calm & (self._coherence() > 0.2)
        return self._um.without_small(self._um.closed(muscle, 8), 8000)

    def _coherence(self) -> Plane:
        """How far the gradients around a place share one direction, 0 to 1."""
        grey = self._um.blur(self._fine[..., 1], 1.0)
        gy, gx = (ndimage.sobel(grey, axis) for axis in (0, 1))
        yy, xx, xy = (self._um.blur(a, 14) for a in (gy * gy, gx * gx, gx * gy))
        spread = np.sqrt((yy - xx) ** 2 + 4 * xy**2)
        coherence: Plane = spread / np.maximum(yy + xx, 1e-6)
        return coherence

    def _nuclei_or_zero(self, name: str) -> Plane:
        return self._nuclei.get(name, np.zeros(self._shape, np.float32))

    def _blood(self) -> Mask:
        """Red cells: they take blue away as strongly as green, unlike eosin."""
        red, green, blue = np.moveaxis(self._fine, -1, 0)
        hue = blue / np.maximum(green, 1e-3)
        eosin = (green > 0.15) & (red < 0.6 * green)
        usual = float(np.median(hue[eosin])) if eosin.any() else 0.5
        bluest = min(max(1.17 * usual, 0.58), 0.66)
        cells = (green > 0.27) & (hue > bluest) & (red < 0.42 * green)
        return self._um.without_small(self._um.closed(cells, _PACKED), 80)

    def _mucus(self, gland: Mask) -> Mask:
        """Pale and bluish to grey, without nuclei: goblets in glands, pools beside them."""
        red, green, _ = np.moveaxis(self._fine, -1, 0)
        empty = self._nuclei_or_zero("all") < 0.12
        pale = (self._mean > 0.04) & (self._mean < 0.2) & (red > _SECRETION * green) & empty
        inside: Mask = self._um.without_small(self._um.opened(pale & gland, 1.5), 30)
        if not self._nuclei:
            return inside
        deserted = self._nuclei["wide all"] < 0.03
        blue = deserted & (self._wide[..., 0] > 0.75 * self._wide[..., 1])
        pools = self._um.opened(self._um.closed(pale & blue, 4), 6)
        return inside | self._um.without_small(pools, 4000)

    def _put_white(self, ids: NDArray[np.uint8], gland: Mask) -> None:
        """Name each white area by its size, its form and what surrounds it."""
        fat = fat_cells(self._white, gland, self._e.mpp) & (self._mean < 0.25)
        areas = label(self._bright & ~fat)
        reach = max(2, round(6 / self._e.mpp))
        for area in regionprops(areas):
            if area.area < self._um.area(25):
                continue
            around = tuple(
                slice(max(0, low - reach), high + reach)
                for low, high in zip(area.bbox[:2], area.bbox[2:], strict=True)
            )
            own = areas[around] == area.label
            ring = ndimage.binary_dilation(own, iterations=reach) & ~own
            lined = float(gland[around][ring].mean()) if ring.any() else 0.0
            name = self._white_name(area, lined, inside=float(gland[around][own].mean()))
            if name is not None:
                ids[around][own] = _ID[name]
        ids[fat] = _ID["fat"]

    def _white_name(self, area: Any, lined: float, inside: float) -> str | None:
        size = area.area / self._um.area(1)
        low, high = area.bbox[:2], area.bbox[2:]
        open_to_border = min(low) == 0 or high[0] == self._shape[0] or high[1] == self._shape[1]
        if (inside > 0.5 or lined > 0.65) and not (open_to_border and size > 20_000):
            return "mucus" if size < 150 else "lumen"
        if open_to_border or size > 20_000:
            return "glass" if size > 400 else None
        if lined > 0.4:
            return "lumen"
        round_enough = area.solidity > 0.85 and area.eccentricity < 0.9
        if round_enough and 150 < size < 20_000:
            return "vessel"
        return "glass" if size > 300 else None


def _parts(mask: Mask) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield the pixels of each connected part."""
    parts = label(mask)
    for part, box in enumerate(ndimage.find_objects(parts), start=1):
        y, x = np.nonzero(parts[box] == part)
        yield y + box[0].start, x + box[1].start
