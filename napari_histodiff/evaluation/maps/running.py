"""Maps of images and slides with a model and the segmenters, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.evaluation.maps.anomaly import (
    NUCLEI_MPP,
    AnomalyMap,
    AnomalySettings,
    Paint,
    check_scale,
    ordinary_of,
    stain_of,
    tile_values,
)
from napari_histodiff.evaluation.maps.tiles import (
    OnTile,
    Source,
    Tile,
    TileFolder,
    Tiling,
    map_of,
)
from napari_histodiff.evaluation.metrics.objects import centroids
from napari_histodiff.segmenter.ensemble import Ensemble, UncertainNuclei
from napari_histodiff.segmenter.model import Judge
from napari_histodiff.segmenter.tissue import TissueSegmenter

__all__ = [
    "NucleusTable",
    "Segmenters",
    "anomaly_of",
    "level_near",
    "place_of",
    "tiling_of",
    "uncertainty_of",
]

#: Micrometres per pixel that maps are made at where a slide has a choice.
_BEST: Final = 0.5

#: Pixels a side of a tile, around it, and over which two fade.
_SIDE: Final = 448
_MARGIN: Final = 64
_FADE: Final = 64

#: Pixels a side of a tile of nuclei, and what the segmenter sees around a pixel of 0.5 um.
_WIDE: Final = 512
_SEEN: Final = 144

Draw = Callable[[EditRequest], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Segmenters:
    """What proposes the paint of an image."""

    judge: Judge
    tissue: TissueSegmenter

    @classmethod
    def load(cls, device: str) -> Segmenters:
        """Load those that come with the package."""
        return cls(Judge.load(device=device), TissueSegmenter.load(device=device))

    def paint(self, image: NDArray[np.uint8], mpp: float) -> Paint:
        """Return class, instance and tissue map; nuclei only where pixels are fine enough."""
        if mpp > NUCLEI_MPP:
            return None, None, self.tissue.propose(image, mpp=mpp, nuclei=None)
        nuclei = self.judge.segment(image, mpp=mpp)
        tissue = self.tissue.propose(image, mpp=mpp, nuclei=nuclei)
        return nuclei.class_map, nuclei.instance_map, tissue


def anomaly_of(
    source: Source,
    area: Region,
    mpp: float | None,
    info: BackendInfo,
    draw: Draw,
    propose: Callable[[NDArray[np.uint8], float], Paint],
    settings: AnomalySettings,
    *,
    factor: int = 1,
    folder: Path | None = None,
    on_tile: OnTile | None = None,
) -> AnomalyMap:
    """Return the anomaly map of an area of an image or a level of a slide.

    Parameters
    ----------
    source : Source
        The pixels.
    area : Region
        Which of them.
    mpp : float or None
        Micrometres per pixel.
    info : BackendInfo
        The model.
    draw, propose : callable
        Draws a request, (n, h, w, 3) uint8; proposes the paint of pixels.
    settings : AnomalySettings
    factor : int
        Pixels a side of one value of the map.
    folder : Path, optional
        Keeps finished tiles, so that a stopped run goes on there; the map then lies in it.
    on_tile : callable, optional
        Called after each tile; may raise to stop.

    Raises
    ------
    InvalidImage
        When it is too small, or has no tissue.
    InvalidRequest
        When its scale is not known, or beyond the model's.
    """
    scale = check_scale(area.shape, mpp, info)
    stain = stain_of(source, area)
    tiling = tiling_of(area, factor)
    kept = None
    if folder is not None:
        facts = {"area": repr(area), "mpp": scale, "factor": factor, "stain": stain}
        kept = TileFolder(folder, asdict(settings) | facts | {"model": info.revision})

    def make(tile: Tile) -> dict[str, NDArray[Any]]:
        found = tile_values(source, tiling, tile, scale, stain, settings, info, propose, draw)
        return {"values": found}

    return ordinary_of(settings, info, map_of(tiling, make, kept, on_tile=on_tile))


@dataclass(frozen=True, slots=True, eq=False)
class NucleusTable:
    """Nuclei of an area, one row each; places in pixels of the level it was read at.

    Attributes
    ----------
    y, x : (n,) float64
        Centres.
    class_id : (n,) uint8
    area : (n,) float64
        In square micrometres.
    agreement, uncertainty : (n,) float32
        As `segmenter.ensemble.UncertainNuclei` has them.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    class_id: NDArray[np.uint8]
    area: NDArray[np.float64]
    agreement: NDArray[np.float32]
    uncertainty: NDArray[np.float32]


def uncertainty_of(
    source: Source,
    area: Region,
    mpp: float | None,
    ensemble: Ensemble,
    *,
    factor: int = 1,
    folder: Path | None = None,
    on_tile: OnTile | None = None,
) -> tuple[NDArray[np.float32], NucleusTable]:
    """Return the entropy of each place, (h, w) float32 in 0..1, and the nuclei of an area.

    Parameters and errors are those of `anomaly_of`; nuclei are told up to `NUCLEI_MPP`.
    """
    if mpp is None or mpp > NUCLEI_MPP:
        got = "none" if mpp is None else f"{mpp:g}"
        raise InvalidRequest(
            f"expected at most {NUCLEI_MPP} um per pixel to tell nuclei apart, got {got}; give the "
            "pixel size, or choose a finer level"
        )
    margin = -(-_SEEN * 0.5 // (mpp * _FADE)) * _FADE  # what the network sees around a pixel
    tiling = replace(tiling_of(area, factor), side=_WIDE, margin=int(margin))
    kept = None
    if folder is not None:
        facts = {"area": repr(area), "mpp": mpp, "factor": factor}
        kept = TileFolder(folder, facts | {"model": ensemble.revision})

    def make(tile: Tile) -> dict[str, NDArray[Any]]:
        image = np.ascontiguousarray(source.read(tile.seen))
        found = ensemble.propose(image, mpp=mpp)
        values = tiling.reduced(tile, found.entropy)
        return {"values": values, **_rows(found, tile, mpp)}

    parts: list[dict[str, NDArray[Any]]] = []
    entropy = map_of(tiling, make, kept, take=parts.append, on_tile=on_tile)
    names = [field.name for field in fields(NucleusTable)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return entropy, NucleusTable(**columns)


def _rows(found: UncertainNuclei, tile: Tile, mpp: float) -> dict[str, NDArray[Any]]:
    """The nuclei whose middle lies in what a tile counts for: each of a slide is in one."""
    centres = centroids(found.instance_map)
    y, x = centres[:, 0] + tile.seen.y, centres[:, 1] + tile.seen.x
    own = tile.own
    mine = (y >= own.y) & (y < own.bottom) & (x >= own.x) & (x < own.right)
    sizes = np.bincount(found.instance_map.ravel(), minlength=len(y) + 1)[1:]
    classes = found.probabilities.argmax(1) + 1 if len(y) else np.zeros(0)
    return {
        "y": y[mine],
        "x": x[mine],
        "class_id": classes.astype(np.uint8)[mine],
        "area": (sizes * mpp**2)[mine],
        "agreement": found.agreement[mine],
        "uncertainty": found.uncertainty[mine],
    }


def tiling_of(area: Region, factor: int) -> Tiling:
    """Return how an area is cut; a map of few pixels a value has sides that are multiples of it."""
    if not 1 <= factor <= _FADE or _FADE % factor or _SIDE % factor:
        raise InvalidRequest(
            f"expected a value of the map for 1, 2, 4, 8 ... 64 pixels a side, got {factor}; "
            "choose another size of the map's pixels"
        )
    return Tiling(area, _SIDE, _MARGIN, _FADE, factor)


def level_near(spec: PyramidSpec, wanted: float = _BEST) -> int:
    """Return the level of a slide whose pixels are nearest to a size."""
    sizes = [spec.mpp * 2**level for level in range(spec.levels)]
    return min(range(len(sizes)), key=lambda level: abs(math.log(sizes[level] / wanted)))


def place_of(spec: PyramidSpec, level: int, region: tuple[int, int, int, int] | None) -> Region:
    """Return a place, told in pixels of the finest level, in those of another.

    Raises
    ------
    InvalidRequest
        When it leaves the slide.
    """
    bounds = spec.bounds(0)
    place = bounds if region is None else Region(0, *region)
    if place.is_empty or not bounds.contains(place):
        raise InvalidRequest(
            f"expected a region inside the slide of {spec.height} x {spec.width} pixels, got "
            f"y={place.y}, x={place.x}, {place.height} x {place.width}; choose a part of it with "
            "--region"
        )
    return spec.at_level(place, level).intersect(spec.bounds(level))
