"""Draws a tissue map cell by cell: masked (absorbing-state) diffusion over ids of tissue.

As in D3PM (Austin et al., "Structured denoising diffusion models in discrete state-spaces", 2021)
and MaskGIT (Chang et al., 2022): a cell is either known or masked; each step the network scores
all masked cells, tissue is drawn for each, and the surest of them are kept. Cells drawn in one step
do not see each other, so their random numbers are alike where cells are near: by that, and not
by chance, they agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.core.noise import noise_field

__all__ = ["STEPS", "KnownCells", "ScoresTissue", "sample_tissue"]

#: Evaluations of the network for one map.
STEPS: Final = 12

_VARIANT: Final = 77_000  # of the noise; a frame draws with variants from 0 on
_ALIKE: Final = 2.0  # cells, Gaussian, over which random numbers are alike
_CHANCE: Final = 2.0  # how much of the order in which cells are kept is chance, at first
_TEMPERATURE: Final = 0.9
_CLOSED: Final = (5.0, 6)  # how unlikely painted areas go on beyond their border, and cells of that
_EPITHELIAL: Final = CLASS_NAMES.index("epithelial")
_GLAND, _STROMA, _LUMEN, _GLASS, _MUCUS = (
    TISSUE_NAMES.index(name) for name in ("gland", "stroma", "lumen", "glass", "mucus")
)
_RING: Final = (0.08, 2)  # share of a cell that nuclei cover, and cells that gaps are closed by
#: How unlikely what is not of a gland is, how likely lumen is, and how many cells away.
_RINGED: Final = (8.0, 3.0, 3.0)
_TISSUES: Final = len(TISSUE_NAMES)


class ScoresTissue(Protocol):
    """Scores each tissue in each cell, (tissues, h, w), from what is known, as `TissueNetwork`."""

    def __call__(
        self,
        tissue: NDArray[np.uint8],
        nuclei: NDArray[np.float32],
        known: NDArray[np.bool_],
        context: NDArray[np.float32],
        /,
    ) -> NDArray[np.float32]:
        """Return the scores."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownCells:
    """What a sampled map has to fit, in cells.

    Attributes
    ----------
    region : Region
        Where the cells lie on the plane.
    tissue : (h, w) uint8
        Tissue that stays as it is; 0 where it is to be drawn.
    nuclei : (7, h, w) float32
        Share of each cell that nuclei cover, see `CellGrid.nuclei`.
    surveyed : (h, w) bool
        Where the nuclei are known.
    context : (n,) float32
        See `network.context_of`.
    fixed : (h, w) bool, optional
        Where nothing may change, so that an area that ends beside it was cut there and goes on.
    """

    region: Region
    tissue: NDArray[np.uint8]
    nuclei: NDArray[np.float32]
    surveyed: NDArray[np.bool_]
    context: NDArray[np.float32]
    fixed: NDArray[np.bool_] | None = None


def sample_tissue(
    network: ScoresTissue, known: KnownCells, seed: int, steps: int = STEPS
) -> NDArray[np.uint8]:
    """Return a whole tissue map, (h, w) uint8, by seed; known tissue stays."""
    tissue = known.tissue.copy()
    nuclei = np.where(known.surveyed, known.nuclei, np.float32(0))
    total = int((tissue == 0).sum())
    less = _closed(tissue if known.fixed is None else np.where(known.fixed, 0, tissue))
    less += _ringed(nuclei)
    for step in range(steps):
        masked = tissue == 0
        left = int(masked.sum())
        if left == 0:
            break
        scores = network(tissue, nuclei, known.surveyed, known.context) - less
        chance = _chance(seed, known.region, step)
        drawn = (scores / np.float32(_TEMPERATURE) + chance[:_TISSUES]).argmax(axis=0)
        share = math.cos(math.pi / 2 * (step + 1) / steps)
        keep = left - int(total * share) if step + 1 < steps else left
        log_odds = scores - special.logsumexp(scores, axis=0)
        sure = np.take_along_axis(log_odds, drawn[None], axis=0)[0]
        sure += np.float32(_CHANCE * share) * chance[_TISSUES]
        sure[~masked] = -np.inf
        chosen = np.argpartition(sure.ravel(), -max(1, keep))[-max(1, keep) :]
        tissue.ravel()[chosen] = drawn.ravel()[chosen].astype(np.uint8)
    return tissue


def _closed(tissue: NDArray[np.uint8]) -> NDArray[np.float32]:
    # Who painted a gland painted the whole of it: how much less likely each tissue is beside what
    # is painted of it. Stroma goes on, also around glands; what they enclose is lumen.
    height, reach = _CLOSED
    less = np.zeros((_TISSUES, *tissue.shape), np.float32)
    for number in np.unique(tissue[tissue > 0]).tolist():
        if number != _STROMA:
            away = ndimage.distance_transform_edt(tissue != number)
            less[number] = height * np.clip(1 - (away - 1) / reach, 0, 1)
    enclosed = ndimage.binary_fill_holes(tissue == _GLAND)
    less[_STROMA] -= np.where(enclosed, 0, less[_GLAND])
    less[_LUMEN] -= np.where(enclosed & (tissue == 0), less[_GLAND], 0)
    return less


def _ringed(nuclei: NDArray[np.float32]) -> NDArray[np.float32]:
    # Whoever paints a ring of epithelial nuclei paints a gland: inside there is neither glass nor
    # stroma, unless other nuclei are, its middle is lumen, and it ends soon around the ring.
    share, gap = _RING
    unlike, lumen, reach = _RINGED
    less = np.zeros((_TISSUES, *nuclei.shape[1:]), np.float32)
    epithelial = nuclei[_EPITHELIAL] > share
    wide = np.pad(epithelial, gap + 1)
    ring = ndimage.binary_closing(wide, iterations=gap)[gap + 1 : -gap - 1, gap + 1 : -gap - 1]
    ring |= epithelial
    areas, _ = ndimage.label(ndimage.binary_fill_holes(ring) & ~ring)
    others = np.delete(nuclei, _EPITHELIAL, axis=0).max(axis=0) > 0
    inside = (areas > 0) & ~np.isin(areas, np.unique(areas[others]))
    if not inside.any():
        return less
    away, (rows, cols) = ndimage.distance_transform_edt(~epithelial, return_indices=True)
    glands, _ = ndimage.label(ring | inside)
    ringed = np.isin(glands, np.unique(glands[inside]))
    far, outside = away >= reach, (glands == 0) & ringed[rows, cols]
    less[[_STROMA, _GLASS]] = unlike * inside
    less[_MUCUS] = unlike * outside
    less[_LUMEN] = unlike * outside - lumen * (inside & far)
    less[_GLAND] = unlike * (outside & far)
    return less


def _chance(seed: int, region: Region, step: int) -> NDArray[np.float32]:
    # Gumbel noise: one plane per tissue, alike in near cells, and one of order, which is not.
    halo = math.ceil(3 * _ALIKE)
    normal = noise_field(seed, region.pad(halo), channels=_TISSUES + 1, variant=_VARIANT + step)
    inner = (slice(None), slice(halo, -halo), slice(halo, -halo))
    order = normal[_TISSUES:][inner]
    smooth = ndimage.gaussian_filter(normal[:_TISSUES], (0, _ALIKE, _ALIKE), truncate=3)[inner]
    # Smoothing by a Gaussian of s cells leaves 1 / (2 s sqrt(pi)) of the standard deviation.
    smooth = smooth * np.float32(2 * _ALIKE * math.sqrt(math.pi))
    uniform = special.ndtr(np.concatenate([smooth, order])).clip(1e-6, 1 - 1e-6)
    return np.asarray(-np.log(-np.log(uniform)), np.float32)
