"""What a caption means for the architecture of a slide: how often and how large things are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from napari_histodiff.core.captions import Caption, parse_caption
from napari_histodiff.core.maps import CLASS_NAMES

__all__ = ["Plan", "plan_of"]

NEUTROPHIL, EPITHELIAL, LYMPHOCYTE, PLASMA, EOSINOPHIL, CONNECTIVE = range(6)


@dataclass(frozen=True, slots=True)
class Plan:
    """Architecture of a slide; lengths in micrometres, shares in 0-1, densities per mm^2.

    Attributes
    ----------
    glands : float
        Share of the tissue whose stroma carries glands.
    pitch : float
        Distance of neighbouring glands.
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
    aggregates : float
        Share of aggregate sites that carry a lymphoid aggregate.
    vessels : float
        Share of stroma sites that carry a vessel.
    densities : tuple of float
        Of each nucleus class in stroma, in the order of `CLASS_NAMES` (epithelial is 0).
    crowd : tuple of float
        The same in a lymphoid aggregate.
    """

    glands: float = 0.55
    pitch: float = 150.0
    thickness: float = 26.0
    nests: float = 0.06
    layers: float = 1.3
    fat: float = 0.08
    bubble: float = 62.0
    aggregates: float = 0.3
    vessels: float = 0.3
    densities: tuple[float, ...] = (40.0, 0.0, 1000.0, 600.0, 100.0, 2500.0)
    crowd: tuple[float, ...] = (0.0, 0.0, 9500.0, 500.0, 0.0, 350.0)


_ORGANS: Final[dict[str, Plan]] = {
    "colon": Plan(glands=0.68, pitch=135.0, fat=0.06, aggregates=0.4),
    "stomach": Plan(glands=0.65, pitch=105.0, thickness=22.0, fat=0.04),
    "prostate": Plan(glands=0.6, pitch=190.0, thickness=20.0, nests=0.02, fat=0.02),
    "breast": Plan(glands=0.2, pitch=105.0, thickness=18.0, nests=0.2, fat=0.42),
    "kidney": Plan(glands=0.95, pitch=62.0, thickness=15.0, nests=0.03, fat=0.01, aggregates=0.1),
    "liver": Plan(glands=0.96, pitch=85.0, thickness=60.0, nests=1.0, fat=0.02, aggregates=0.1),
    "lung": Plan(glands=0.1, pitch=150.0, fat=0.6, bubble=120.0),
    "bladder": Plan(glands=0.12, pitch=170.0, nests=0.7, fat=0.12),
    "brain": Plan(
        glands=0.0, fat=0.0, aggregates=0.0, densities=(0.0, 0.0, 250.0, 0.0, 0.0, 1300.0)
    ),
    "lymph node": Plan(
        glands=0.0, fat=0.06, aggregates=1.0, densities=(20.0, 0.0, 9500.0, 900.0, 40.0, 700.0)
    ),
    "skin": Plan(glands=0.1, pitch=150.0, nests=0.6, fat=0.2),
    "head and neck": Plan(glands=0.3, pitch=190.0, thickness=60.0, nests=0.9, fat=0.06),
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


def plan_of(text: str) -> Plan:
    """Return the architecture a caption asks for."""
    caption = parse_caption(text).caption
    plan = Plan() if caption.organ is None else _ORGANS[caption.organ]
    plan = _with_words(plan, caption)
    return _with_levels(plan, caption)


def _with_words(plan: Plan, caption: Caption) -> Plan:
    words = caption.tissue
    if "tumour" in words:
        plan = replace(
            plan, glands=max(plan.glands, 0.8), nests=max(plan.nests, 0.35), layers=plan.layers + 1
        )
    if "gland" in words:
        plan = replace(plan, glands=max(plan.glands, 0.75))
    if "fat" in words:
        plan = replace(plan, fat=max(plan.fat, 0.4))
    if "vessel" in words:
        plan = replace(plan, vessels=0.9)
    if "smooth muscle" in words:
        plan = replace(plan, glands=min(plan.glands, 0.25))
    if "inflammation" in words:
        more = (6.0, 1.0, 3.0, 3.0, 3.0, 1.0)
        densities = tuple(d * m for d, m in zip(plan.densities, more, strict=True))
        plan = replace(plan, densities=densities, aggregates=max(plan.aggregates, 0.7))
    return plan


def _with_levels(plan: Plan, caption: Caption) -> Plan:
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
        return replace(plan, glands=min(plan.glands, 0.25), nests=0.0, layers=1.0)
    if epithelial == 3:
        return replace(plan, glands=max(plan.glands, 0.9), layers=max(plan.layers, 2.2))
    return plan
