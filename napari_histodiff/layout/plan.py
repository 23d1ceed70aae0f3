"""What a caption means for the architecture of a slide: how often and how large things are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import Caption, parse_caption
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.recipe import LAYOUT
from napari_histodiff.layout.layers import TUMOUR_STROMA, WALLS, WallPlan

__all__ = ["SPACING", "SlidePlan", "plan_of"]

SPACING: Final = 5.8  # um between neighbours of a row of epithelial nuclei

NEUTROPHIL, EPITHELIAL, LYMPHOCYTE, PLASMA, EOSINOPHIL, CONNECTIVE = range(6)


@dataclass(frozen=True, slots=True)
class SlidePlan:
    """Architecture of a slide; lengths in micrometres, shares in 0-1, densities per mm^2.

    Attributes
    ----------
    glands : float
        Share of the tissue whose stroma carries glands.
    filled : float
        Share of a gland's places there that hold one.
    pitch : float
        Distance of neighbouring glands.
    gap : float
        Least distance of their borders.
    thickness : float
        Height of the epithelium.
    nests : float
        Share of glands without a lumen.
    layers : float
        How many rows of nuclei an epithelium has; a share of glands has the next number.
    fat : float
        Share of the tissue that is fat.
    bubble : float
        Diameter of a fat cell.
    air : bool
        Whether that tissue is not fat but alveoli: spaces of that size with air in them, and thin
        septa between.
    aggregates : float
        Share of aggregate sites that carry a lymphoid aggregate.
    follicles : tuple of float
        Distance of those sites, and smallest and largest radius of an aggregate.
    vessels : float
        Share of stroma sites that carry a vessel.
    densities : tuple of float
        Of each nucleus class in stroma, in the order of `CLASS_NAMES` (epithelial is 0).
    crowd : tuple of float
        The same in lymphoid tissue.
    radii : tuple of float
        Smallest and largest radius of glands as a share of `pitch`.
    skew : int
        See `StarLattice`.
    stretch, roughness : float
        Largest ratio of a gland's axes, and size of its waves as a share of the radius.
    lobules : float
        Share of sites that carry a lobule; glands lie in lobules only. 0: glands are not bundled.
    ducts : float
        Share of sites that carry a duct, apart from the lobules.
    spacing : float
        Distance of neighbouring nuclei around a gland.
    glomeruli : float
        Share of sites, 600 um apart, that carry a glomerulus.
    crypts : float
        Share of a wall's crypts that are there.
    pierced : float
        Share of nests with many small lumina.
    goblets : float
        Share of the places above an epithelium's first nuclei that hold a goblet cell's mucus.
    mucin : float
        Share of glands that are full of mucus.
    muscle : float
        Share of the tissue that is muscle, where no wall says where that lies.
    tumour : bool
        Whether glands grow through everything.
    wall : WallPlan, optional
        The wall that the tissue is part of.
    layout : int
        See `core.recipe.LAYOUT`.
    """

    glands: float = 0.55
    filled: float = 0.93
    pitch: float = 150.0
    gap: float = 13.0
    thickness: float = 26.0
    nests: float = 0.06
    layers: float = 1.3
    fat: float = 0.08
    bubble: float = 62.0
    air: bool = False
    aggregates: float = 0.3
    follicles: tuple[float, float, float] = (1200.0, 108.0, 288.0)
    vessels: float = 0.3
    densities: tuple[float, ...] = (40.0, 0.0, 1000.0, 600.0, 100.0, 2500.0)
    crowd: tuple[float, ...] = (0.0, 0.0, 23000.0, 900.0, 0.0, 500.0)
    radii: tuple[float, float] = (0.3, 0.68)
    skew: int = 1
    stretch: float = 2.3
    roughness: float = 0.2
    lobules: float = 0.0
    ducts: float = 0.0
    spacing: float = SPACING
    glomeruli: float = 0.0
    crypts: float = 0.96
    pierced: float = 0.0
    goblets: float = 0.0
    mucin: float = 0.0
    muscle: float = 0.0
    tumour: bool = False
    wall: WallPlan | None = None
    layout: int = LAYOUT

    def densities_by_layer(self) -> NDArray[np.float32]:
        """Return the densities in each layer of the wall, then those in a tumour's stroma.

        (layers + 1, 6) float32; (1, 6) without a wall.
        """
        if self.wall is None:
            return np.array([self.densities], np.float32)
        layers = self.wall.layers
        many = np.array([*(layer.many for layer in layers), TUMOUR_STROMA])
        crowded = np.array([[layer.tissue == "lymphoid"] for layer in layers] + [[False]])
        densities = many * np.where(crowded, self.crowd, self.densities)
        # More than this would not find a place.
        most = np.where(crowded, _CROWDED, _FULL)
        full = np.minimum(1, most / np.maximum(densities.sum(axis=1, keepdims=True), 1))
        return np.asarray(densities * full, np.float32)


_ORGANS: Final[dict[str, SlidePlan]] = {
    "colon": SlidePlan(
        glands=0.22,
        pitch=88.0,
        fat=0.88,
        aggregates=0.4,
        gap=7.0,
        nests=0.02,
        radii=(0.3, 1.2),  # cut across, obliquely and at their ends
        skew=2,
        stretch=2.4,
        goblets=0.85,
        mucin=0.2,
    ),
    "stomach": SlidePlan(
        glands=0.3,
        pitch=70.0,
        thickness=18.0,
        gap=8.0,
        nests=0.02,
        fat=0.88,
        radii=(0.4, 0.56),
        stretch=1.6,
    ),
    # Wide glands with folds, and small ones.
    "prostate": SlidePlan(
        glands=0.6,
        pitch=170.0,
        gap=9.0,
        thickness=20.0,
        nests=0.02,
        fat=0.02,
        radii=(0.25, 1.1),
        skew=2,
        stretch=2.8,
        roughness=0.5,
    ),
    "breast": SlidePlan(
        glands=0.4,
        pitch=62.0,
        thickness=14.0,
        gap=7.0,
        nests=0.12,
        fat=0.42,
        radii=(0.4, 0.75),
        stretch=1.8,
        densities=(10.0, 0.0, 380.0, 120.0, 20.0, 1700.0),
        lobules=0.75,
        ducts=0.5,
    ),
    # Tubules lie back to back.
    "kidney": SlidePlan(
        glands=0.97,
        filled=1.0,
        pitch=54.0,
        gap=1.5,
        thickness=17.0,
        nests=0.03,
        radii=(0.75, 0.85),
        stretch=2.0,
        roughness=0.08,
        fat=0.01,
        aggregates=0.02,
        spacing=12.0,
        glomeruli=0.7,
    ),
    # Plates of large cells, one or two wide, between sinusoids.
    "liver": SlidePlan(
        glands=0.98,
        filled=1.0,
        pitch=44.0,
        gap=2.5,
        thickness=60.0,
        nests=1.0,
        layers=1.0,
        radii=(0.75, 0.85),
        stretch=3.0,
        roughness=0.12,
        fat=0.01,
        aggregates=0.06,
        spacing=26.0,
        densities=(30.0, 0.0, 400.0, 60.0, 10.0, 2000.0),
    ),
    # Bronchioles among alveoli, whose septa are capillaries and pneumocytes.
    "lung": SlidePlan(
        glands=0.97,
        filled=0.8,
        pitch=330.0,
        gap=60.0,
        thickness=16.0,
        nests=0.0,
        layers=1.0,
        fat=0.85,
        bubble=180.0,
        air=True,
        radii=(0.3, 0.6),
        roughness=0.35,
        aggregates=0.06,
        densities=(60.0, 0.0, 700.0, 150.0, 30.0, 5500.0),
    ),
    "bladder": SlidePlan(glands=0.12, pitch=170.0, nests=0.7, fat=0.8),
    "brain": SlidePlan(
        glands=0.0,
        vessels=0.1,
        fat=0.0,
        aggregates=0.0,
        densities=(0.0, 0.0, 250.0, 0.0, 0.0, 1300.0),
    ),
    "lymph node": SlidePlan(
        glands=0.0,
        follicles=(560.0, 130.0, 230.0),
        fat=0.95,
        aggregates=1.0,
        densities=(20.0, 0.0, 9500.0, 900.0, 40.0, 700.0),
        crowd=(20.0, 0.0, 23000.0, 900.0, 40.0, 700.0),
    ),
    "skin": SlidePlan(
        glands=0.14, pitch=100.0, thickness=18.0, nests=0.4, fat=0.85, aggregates=0.08
    ),
    "head and neck": SlidePlan(glands=0.3, pitch=120.0, thickness=24.0, nests=0.3, fat=0.6),
}

# Nuclei per mm^2 of stroma at the levels none, low, medium and high of a caption.
_LEVELS: Final[dict[int, tuple[float, ...]]] = {
    NEUTROPHIL: (0.0, 80.0, 1100.0, 4200.0),
    LYMPHOCYTE: (0.0, 350.0, 2400.0, 8000.0),
    PLASMA: (0.0, 200.0, 1800.0, 6500.0),
    EOSINOPHIL: (0.0, 80.0, 1100.0, 4200.0),
    CONNECTIVE: (0.0, 700.0, 2300.0, 4300.0),
}

_FULL: Final = 12_500.0  # nuclei per mm^2
_CROWDED: Final = 26_000.0  # the same of lymphoid tissue


def plan_of(text: str, layout: int = LAYOUT) -> SlidePlan:
    """Return the architecture a caption asks for, in a layout, see `core.recipe.LAYOUT`."""
    caption = parse_caption(text).caption
    plan = SlidePlan()
    if caption.organ is not None:
        plan = replace(_ORGANS[caption.organ], wall=WALLS.get(caption.organ))
    plan = replace(_with_words(plan, caption), layout=layout)
    return _with_levels(plan, caption)


def _with_words(plan: SlidePlan, caption: Caption) -> SlidePlan:
    words = caption.tissue
    if "tumour" in words:
        plan = _grown(plan)
    if "gland" in words:
        plan = replace(plan, glands=max(plan.glands, 0.75 if plan.wall is None else 0.3))
    if "fat" in words:
        plan = replace(plan, fat=max(plan.fat, 0.4), air=False)
    if "vessel" in words:
        plan = replace(plan, vessels=0.9)
    if "smooth muscle" in words:
        # Nearer to the surface, so that a small slide shows it.
        plan = _with_wall(plan, 0, 0.6, glands=min(plan.glands, 0.25))
        plan = _with_wall(plan, 2, 0.3)
        plan = replace(plan, muscle=max(plan.muscle, 0.4))
    if "mucus" in words:
        plan = replace(plan, goblets=max(plan.goblets, 0.75), mucin=0.5)
    if "inflammation" in words:
        more = (6.0, 1.0, 3.0, 3.0, 3.0, 1.0)
        densities = tuple(d * m for d, m in zip(plan.densities, more, strict=True))
        plan = replace(plan, densities=densities, aggregates=max(plan.aggregates, 0.7))
    return plan


def _grown(plan: SlidePlan) -> SlidePlan:
    # A tumour's glands are larger and smaller, branched and crowded.
    return replace(
        plan,
        glands=max(plan.glands, 0.8 if plan.wall is None else 0.62),
        pitch=108.0,
        thickness=max(plan.thickness, 30.0),
        nests=max(plan.nests, 0.3),
        layers=plan.layers + 1,
        gap=6.0,
        radii=(0.22, 1.3),
        skew=2,
        stretch=3.2,
        roughness=0.5,
        lobules=0.0,
        ducts=1.0,
        spacing=SPACING,
        glomeruli=0.0,
        pierced=0.8,
        goblets=0.1 * plan.goblets,
        mucin=0.5 * plan.mucin,
        tumour=True,
    )


def _with_wall(plan: SlidePlan, layer: int, factor: float, **more: Any) -> SlidePlan:
    if plan.wall is not None and layer < len(plan.wall.layers):
        plan = replace(plan, wall=plan.wall.thicker(layer, factor))
    return replace(plan, **more)


def _with_levels(plan: SlidePlan, caption: Caption) -> SlidePlan:
    densities, crowd = list(plan.densities), list(plan.crowd)
    for index in range(len(CLASS_NAMES)):
        level = caption.levels[index]
        if level is None or index == EPITHELIAL:
            continue
        densities[index] = _LEVELS[index][level]
        if level == 0:
            crowd[index] = 0.0
    # More than this would not find a place, whatever the caption says.
    full = min(1.0, _FULL / max(sum(densities), 1.0))
    plan = replace(plan, densities=tuple(full * d for d in densities), crowd=tuple(crowd))
    lymphocytes = caption.levels[LYMPHOCYTE]
    if lymphocytes is not None:
        plan = replace(plan, aggregates=(0.0, 0.05, 0.5, 0.9)[lymphocytes])
    epithelial = caption.levels[EPITHELIAL]
    if epithelial == 0:
        return replace(plan, glands=0.0)
    if epithelial == 1:
        return replace(plan, glands=min(plan.glands, 0.25), nests=0.0, layers=1.0, crypts=0.5)
    if epithelial == 3:
        most = 0.9 if plan.wall is None or plan.tumour else plan.glands
        return replace(
            plan, glands=max(plan.glands, most), layers=max(plan.layers, 2.2), crypts=1.0
        )
    return plan
