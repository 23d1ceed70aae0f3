"""Where tissue is unlike what a model draws: a region is drawn again and compared with itself.

Some noise is added to the image, or the noise found that the model would draw it from, and the
model draws from there under the image's own paint. What it knows comes back; ink, folds and tissue
of another kind come back as something nearer to what it was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.json_data import read_json_object
from napari_histodiff.core.maps import in_schema
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.evaluation.maps.tiles import Source, Tile, Tiling
from napari_histodiff.inpainting.stains import TISSUE_DENSITY, stain_vector, too_little_tissue

__all__ = [
    "LEAST_SIDE",
    "NUCLEI_MPP",
    "AnomalyMap",
    "AnomalySettings",
    "Paint",
    "anomaly_request",
    "check_scale",
    "difference",
    "ordinary_of",
    "stain_of",
    "tile_values",
]

#: Smallest side of an image in pixels at the model's scale: less has no context.
LEAST_SIDE: Final = 64

#: Micrometres per pixel beyond which nuclei are too small to be proposed.
NUCLEI_MPP: Final = 0.75

#: Squares in which the stain of an image is measured, so that ink in some does not decide it.
_SQUARES: Final = 4

#: Values that a median is taken of at the most, and rows of a file changed at a time.
_SAMPLE: Final = 4_000_000
_ROWS: Final = 512

#: Share of tissue below which a tile is glass.
_LEAST_TISSUE: Final = 0.002

#: Class, instance and tissue map of a part of an image, each where it is known.
Paint = tuple[NDArray[np.uint8] | None, NDArray[np.int32] | None, NDArray[np.uint8] | None]


@dataclass(frozen=True, slots=True)
class AnomalySettings:
    """How a map is made.

    Attributes
    ----------
    strength : float
        Share of the noise that is added before it is drawn again.
    steps : int or None
        Steps of a whole drawing; None = the model's own. A model that jumps takes one jump.
    draws : int
        Drawings that are averaged, each from other noise.
    smooth : float
        Standard deviation of the Gaussian in which both are compared, in um: a nucleus.
    inverted : bool or None
        Whether the noise is the image's own (inversion) rather than drawn by the seed; None: for
        models of other makers, which predict noise.
    caption : str
        What the model is told besides the paint.
    seed : int
        Of the noise.
    """

    strength: float = 0.2
    steps: int | None = None
    draws: int = 2
    smooth: float = 4.0
    inverted: bool | None = None
    caption: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1.0 <= self.smooth <= 50.0:
            raise InvalidRequest(
                f"expected a smoothing of 1 to 50 um, got {self.smooth}; a nucleus is about 4"
            )

    def inverts(self, info: BackendInfo) -> bool:
        """Return whether a model starts from the noise of the image."""
        return bool(info.kind) if self.inverted is None else self.inverted

    def steps_of(self, info: BackendInfo) -> int:
        """Return the steps of a whole drawing."""
        if self.steps is not None:
            return self.steps
        if self.inverts(info):
            return max(info.steps, 20)  # an inversion of fewer does not lead back
        return 1 if info.jump_steps else info.steps

    def key(self, info: BackendInfo) -> str:
        """Return the name of what was measured on ordinary tissue with these settings."""
        parts = (
            info.revision,
            f"{self.strength:g}",
            str(self.steps_of(info)),
            str(self.draws),
            f"{self.smooth:g}",
            "inverted" if self.inverts(info) else "noise",
        )
        return " ".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyMap:
    """How unlike what the model draws each place is.

    Attributes
    ----------
    values : (h, w) float32
        In `unit`; 0 on glass.
    ordinary : float
        Difference in optical density that counts as 1.
    unit : str
        What 1 is.
    limits : (float, float)
        Values between which colours are told apart: the 99th percentile of a usual tile of ordinary
        tissue, and three times that.
    """

    values: NDArray[np.float32]
    ordinary: float
    unit: str
    limits: tuple[float, float]


HELD_OUT: Final = "times the median of ordinary tissue (held-out slides)"
OWN: Final = "times the median of this image's tissue"


@cache
def _measured() -> dict[str, tuple[float, float]]:
    """Median and 99th percentile of a usual ordinary tile, by `AnomalySettings.key`."""
    data = read_json_object(Path(__file__).with_name("ordinary.json"))
    return {str(key): (float(pair[0]), float(pair[1])) for key, pair in data.items()}


def ordinary_of(
    settings: AnomalySettings, info: BackendInfo, density: NDArray[np.float32]
) -> AnomalyMap:
    """Return a map of differences in optical density in units of ordinary tissue.

    Where nobody measured ordinary tissue with a model and settings, the image's own median counts.

    Parameters
    ----------
    settings : AnomalySettings
    info : BackendInfo
        The model.
    density : (h, w) float32
        As `difference` returns it; 0 on glass. One that lies in a file is changed there, a few rows
        at a time, so that a slide's need not fit into memory.
    """
    found = _measured().get(settings.key(info))
    unit = HELD_OUT
    if found is None:
        step = max(1, math.isqrt(density.size // _SAMPLE))
        some = np.asarray(density[::step, ::step])
        tissue = some[some > 0]
        middle = float(np.median(tissue)) if tissue.size else 1.0
        found = middle, middle * 3
        unit = OWN
    middle, high = found
    values = density
    if isinstance(density, np.memmap):
        for top in range(0, len(density), _ROWS):
            density[top : top + _ROWS] /= np.float32(middle)
    else:
        values = (density / np.float32(middle)).astype(np.float32)
    return AnomalyMap(values, middle, unit, (high / middle, 3 * high / middle))


def check_scale(shape: tuple[int, int], mpp: float | None, info: BackendInfo) -> float:
    """Check that an image can be drawn again, and return its micrometres per pixel.

    Raises
    ------
    InvalidImage
        When it is too small.
    InvalidRequest
        When its scale is not known, or beyond the model's.
    """
    if mpp is None:
        raise InvalidRequest(
            "expected the pixel size of the image, got a file that does not tell it; give mpp, "
            "micrometres per pixel"
        )
    drawn = info.drawn_mpp(mpp)
    low, high = info.frames_mpp
    if drawn is None:
        raise InvalidRequest(
            f"expected {low:g} to {high:g} um per pixel for {info.name}, got {mpp:g}; choose "
            "another level of the slide, or rescale the image"
        )
    least = -(-LEAST_SIDE * max(drawn, mpp) // mpp)
    if min(shape) < least:
        raise InvalidImage(
            f"expected an image of at least {least:g} pixels a side at {mpp:g} um, got "
            f"{shape[0]} x {shape[1]}; give more of the tissue around it"
        )
    return mpp


def stain_of(source: Source, area: Region) -> tuple[float, ...]:
    """Return the stain of an area: the median of those of some squares in it.

    Raises
    ------
    InvalidImage
        When there is too little tissue in all of them.
    """
    side = max(64, min(512, min(area.shape) // _SQUARES))
    rows, columns = (
        np.unique(np.linspace(0, max(0, length - side), 2 * _SQUARES).astype(int))
        for length in area.shape
    )
    found = []
    for top in rows:
        for left in columns:
            square = Region(area.level, area.y + int(top), area.x + int(left), side, side)
            vector = stain_vector(source.read(square.intersect(area)))
            if vector is not None:
                found.append(vector)
    if not found:
        middle = Region(area.level, area.y, area.x, *(min(side, 2048) for side in area.shape))
        raise InvalidImage(
            f"{too_little_tissue(source.read(middle))}; choose a place with tissue in it"
        )
    return tuple(float(value) for value in np.median(np.array(found), axis=0))


def anomaly_request(
    image: NDArray[np.uint8],
    region: Region,
    mpp: float,
    paint: Paint,
    stain: tuple[float, ...] | None,
    settings: AnomalySettings,
    info: BackendInfo,
) -> EditRequest:
    """Return the request that draws an image again under its own paint.

    Parameters
    ----------
    image : (h, w, 3) uint8
    region : Region
        Its place, which decides the noise.
    mpp : float
        Micrometres per pixel.
    paint : Paint
        What is proposed of it; what the model is not told of is left out.
    stain : tuple of float, optional
        As `stain_of` returns it.
    settings : AnomalySettings
    info : BackendInfo
        The model.
    """
    classes, instances, tissue = paint
    told = "nuclei" in info.paint
    known = None
    if tissue is not None and "tissue" in info.paint:
        known = in_schema(tissue, info.tissue_names)
    return EditRequest(
        kind=EditKind.INPAINT,
        region=region,
        class_map=classes if told else None,
        instance_map=instances if told else None,
        tissue_map=known if known is not None and known.any() else None,
        image=image,
        edit_mask=np.ones(image.shape[:2], np.bool_),
        caption=settings.caption,
        guidance_scale=info.guidance_scale,
        steps=settings.steps_of(info),
        strength=settings.strength,
        seed=settings.seed,
        # Inversion starts from one noise, the image's own.
        variants=1 if settings.inverts(info) else settings.draws,
        mpp=mpp,
        stain=stain,
        inverted=settings.inverts(info),
        model_name=info.name,
        model_revision=info.revision,
    )


def difference(
    image: NDArray[np.uint8], drawn: NDArray[np.uint8], mpp: float, smooth: float
) -> NDArray[np.float32]:
    """Return how far an image is from its drawings, in optical density, (h, w) float32.

    Drawings do not put the same chromatin into the same pixel, so what is compared is the mean
    around each place: how dark it is, and of which colour.

    Parameters
    ----------
    image : (h, w, 3) uint8
    drawn : (n, h, w, 3) uint8
    mpp : float
        Micrometres per pixel.
    smooth : float
        Standard deviation of what is around a place, in um.
    """
    shift = _density(image) - np.mean([_density(one) for one in drawn], axis=0)
    shift = gaussian_filter(shift, (smooth / mpp, smooth / mpp, 0))
    result: NDArray[np.float32] = np.linalg.norm(shift, axis=-1).astype(np.float32)
    return result


def _density(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    density: NDArray[np.float32] = -np.log(np.maximum(image, 1).astype(np.float32) / 255)
    return density


def tile_values(
    source: Source,
    tiling: Tiling,
    tile: Tile,
    mpp: float,
    stain: tuple[float, ...],
    settings: AnomalySettings,
    info: BackendInfo,
    propose: Callable[[NDArray[np.uint8], float], Paint],
    draw: Callable[[EditRequest], NDArray[np.uint8]],
) -> NDArray[np.float32]:
    """Return the differences of a tile at the map's resolution; glass, which is not drawn, is 0."""
    image = np.ascontiguousarray(source.read(tile.seen))
    if (_density(image).mean(-1) > TISSUE_DENSITY).mean() < _LEAST_TISSUE:
        return tiling.reduced(tile, np.zeros(image.shape[:2], np.float32))
    # A model that is told of no paint needs none proposed.
    paint: Paint = propose(image, mpp) if info.paint else (None, None, None)
    request = anomaly_request(image, tile.seen, mpp, paint, stain, settings, info)
    return tiling.reduced(tile, difference(image, draw(request), mpp, settings.smooth))
