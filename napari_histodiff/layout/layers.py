"""What walls of hollow organs and the skin consist of, from their surface inwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

__all__ = ["MUSCLE_NUCLEI", "TUMOUR_STROMA", "WALLS", "Layer", "WallPlan"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a wall.

    Attributes
    ----------
    thickness : float
        In um; the last layer of a wall goes on.
    many : tuple of float
        How many nuclei of each class there are, in the order of `CLASS_NAMES`, as a share of the
        stroma's densities of the slide.
    tone : float
        How dark fibres are, 1 as those of its tissue are elsewhere.
    along : bool
        Whether fibres and nuclei lie along the wall, as muscle cut lengthwise does.
    round : bool
        Whether nuclei show no direction, as those of muscle cut across.
    fat, vessels, glands : bool
        Whether it holds fat, vessels, and glands besides those of the surface.
    aggregates : bool
        Whether lymphoid aggregates lie in it.
    sinuses : bool
        Whether pale channels part it, as sinuses do the cords of a node's medulla.
    tissue : str
        What it is made of, a name of `TISSUE_NAMES`.
    """

    thickness: float
    many: tuple[float, ...]
    tone: float = 1.0
    along: bool = False
    round: bool = False
    fat: bool = False
    vessels: bool = False
    glands: bool = False
    aggregates: bool = False
    sinuses: bool = False
    tissue: str = "stroma"


@dataclass(frozen=True, slots=True)
class WallPlan:
    """A wall; lengths in micrometres.

    Attributes
    ----------
    layers : tuple of Layer
        From the surface inwards; the first holds the crypts.
    surface : float
        Height of the epithelium on the surface.
    pitch : float
        Distance of neighbouring crypts, or of ridges where there are none.
    crypt : float
        Height of the epithelium of crypts; 0 for a wall without crypts.
    closing : float
        How much higher it is at their ends, as a share: their lumina close.
    ridge : float
        How much deeper the surface's epithelium reaches at ridges.
    gap : float
        Width of the space between two surfaces that face each other.
    closed : bool
        Whether it closes around ovals, see `Ovals`, whose border is where the second layer begins.
    """

    layers: tuple[Layer, ...]
    surface: float
    pitch: float
    crypt: float = 0.0
    closing: float = 0.0
    ridge: float = 0.0
    gap: float = 130.0
    closed: bool = False

    @property
    def ends(self) -> bool:
        """Whether there is an outside, from which a piece is cut out together with some fat."""
        return self.layers[-1].fat

    def thicker(self, index: int, factor: float) -> WallPlan:
        """Return the wall with one layer thicker or thinner."""
        layers = list(self.layers)
        layers[index] = replace(layers[index], thickness=layers[index].thickness * factor)
        return replace(self, layers=tuple(layers))


#: Shares of the densities, as in `Layer.many`, in the stroma between a tumour's glands.
TUMOUR_STROMA: Final = (2.0, 0.0, 1.2, 0.8, 1.0, 1.3)

#: The same in muscle.
MUSCLE_NUCLEI: Final = (0.1, 0.0, 0.05, 0.03, 0.05, 0.85)

_LOOSE: Final = (0.3, 0.0, 0.28, 0.2, 0.3, 0.42)
_FAT: Final = (0.2, 0.0, 0.12, 0.08, 0.1, 0.4)
_PROPRIA: Final = (2.0, 0.0, 2.3, 3.0, 3.0, 0.75)

_COLON: Final = WallPlan(
    surface=24.0,
    pitch=96.0,
    crypt=31.0,
    layers=(
        Layer(660.0, _PROPRIA, glands=True),
        Layer(48.0, (0.1, 0.0, 0.1, 0.05, 0.1, 2.1), along=True, tissue="muscle"),
        Layer(560.0, _LOOSE, tone=0.72, vessels=True, aggregates=True),
        Layer(560.0, MUSCLE_NUCLEI, tone=1.05, along=True, tissue="muscle"),
        Layer(28.0, (0.3, 0.0, 0.3, 0.2, 0.2, 0.9), tone=0.75),
        Layer(400.0, MUSCLE_NUCLEI, round=True, tissue="muscle"),
        Layer(900.0, _FAT, tone=0.8, fat=True, vessels=True),
    ),
)
_STOMACH: Final = WallPlan(
    surface=24.0,
    pitch=64.0,
    crypt=19.0,
    closing=0.6,
    layers=(Layer(760.0, (2.0, 0.0, 1.8, 2.2, 1.5, 0.7), glands=True), *_COLON.layers[1:]),
)
_BLADDER: Final = WallPlan(
    surface=52.0,
    pitch=230.0,
    ridge=26.0,
    layers=(
        Layer(420.0, (1.0, 0.0, 1.0, 0.8, 1.0, 0.8), tone=0.85, vessels=True, aggregates=True),
        Layer(1100.0, MUSCLE_NUCLEI, along=True, tissue="muscle"),
        Layer(900.0, _FAT, tone=0.8, fat=True, vessels=True),
    ),
)
_SKIN: Final = WallPlan(
    surface=48.0,
    pitch=150.0,
    ridge=58.0,
    gap=900.0,
    layers=(
        Layer(220.0, (0.4, 0.0, 0.9, 0.2, 0.2, 0.7), tone=0.9, vessels=True),
        Layer(1700.0, (0.2, 0.0, 0.25, 0.1, 0.1, 0.32), tone=1.15, glands=True, aggregates=True),
        Layer(900.0, _FAT, tone=0.8, fat=True, vessels=True),
    ),
)
_SQUAMOUS: Final = WallPlan(
    surface=110.0,
    pitch=170.0,
    ridge=110.0,
    gap=500.0,
    layers=(
        Layer(420.0, (1.0, 0.0, 1.3, 1.0, 0.5, 0.8), vessels=True, aggregates=True),
        Layer(700.0, _LOOSE, tone=0.85, glands=True, vessels=True, aggregates=True),
        Layer(900.0, MUSCLE_NUCLEI, along=True, tissue="muscle"),
        Layer(900.0, _FAT, tone=0.8, fat=True, vessels=True),
    ),
)

_LYMPH_NODE: Final = WallPlan(
    surface=0.0,
    pitch=100.0,
    closed=True,
    layers=(
        Layer(9000.0, _FAT, tone=0.6, fat=True, vessels=True),
        Layer(45.0, (0.0, 0.0, 0.01, 0.01, 0.0, 4.2), tone=1.2, along=True),
        Layer(24.0, (0.3, 0.0, 0.12, 0.1, 0.5, 0.6), tone=0.5),
        # As dark as the bundled model draws them. Follicles lie at the rim, their middles in the
        # second of these.
        Layer(120.0, (1.0, 0.0, 1.0, 0.5, 1.0, 1.0), tone=1.15, tissue="lymphoid"),
        Layer(340.0, (1.0, 0.0, 1.0, 0.5, 1.0, 1.0), tone=1.15, aggregates=True, tissue="lymphoid"),
        Layer(330.0, (1.0, 0.0, 1.0, 0.6, 1.0, 1.0), tone=1.1, vessels=True, tissue="lymphoid"),
        Layer(
            1500.0,
            (1.0, 0.0, 0.62, 1.8, 1.0, 1.4),
            tone=0.95,
            vessels=True,
            sinuses=True,
            tissue="lymphoid",
        ),
    ),
)
_BRAIN: Final = WallPlan(
    surface=0.0,
    pitch=100.0,
    gap=160.0,
    layers=(
        Layer(280.0, (1.0, 0.0, 0.5, 1.0, 1.0, 0.4), tone=0.92),
        Layer(2300.0, (1.0,) * 6, vessels=True),
        Layer(2400.0, (1.0, 0.0, 1.4, 1.0, 1.0, 1.7), tone=1.12, vessels=True),
    ),
)

#: Walls by organ.
WALLS: Final[Mapping[str, WallPlan]] = MappingProxyType(
    {
        "colon": _COLON,
        "stomach": _STOMACH,
        "bladder": _BLADDER,
        "skin": _SKIN,
        "head and neck": _SQUAMOUS,
        "lymph node": _LYMPH_NODE,
        "brain": _BRAIN,
    }
)
