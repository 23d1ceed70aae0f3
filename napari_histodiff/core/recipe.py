"""What a synthetic slide is a function of; kept with it and checked before it is drawn on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec
from napari_histodiff.core.json_data import from_json
from napari_histodiff.core.maps import FIRST_TISSUE_NAMES
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS, LIMITS, STAIN_NUMBERS
from napari_histodiff.core.stain_bank import choose_glass, stains_of_levels

__all__ = ["LAYOUT", "MAX_SIDE", "MIN_SIDE", "TILE", "SlideRecipe"]

#: Limits of a side of a synthetic slide in pixels of the finest level it was made with.
MIN_SIDE: Final = 256
MAX_SIDE: Final = 131_072

#: Side of a tile in pixels of its level.
TILE: Final = 256

#: The layout of new slides: since 2 crypts sway, and tears of small slides are small.
LAYOUT: Final = 2

# What slides of before do not say.
_LATER: Final = {"refined", "tissue_names", "fibres", "drawn_finer", "tinted", "layout", "glass"}

# How far a pixel size may be from what a model was trained on and still be taken for it.
_ROUNDING: Final = 0.001

# The coarsest level of a pyramid fits one screen.
_COARSEST_SIDE: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideRecipe:
    """What decides every generated pixel of a slide, besides its sketch and the edits made on it.

    Parameters
    ----------
    height, width : int
        Pixels of level 0.
    mpp : float
        Micrometres per pixel of level 0.
    seed : int
        Of noise and layout, 0 .. 2**31 - 1.
    caption : str
        See `core.captions`.
    guidance_scale, steps : float, int
        As in `EditRequest`.
    model, revision : str
        Name and weights of the model; tiles of another one are never mixed in.
    coarsest : int
        The coarsest level the model draws; coarser ones are box averages of it, and show the
        layout's colours where nothing was drawn yet.
    margin : int
        `BackendInfo.margin` of the model.
    stains : tuple of tuple of float
        Stain of each level from 0 to `coarsest`.
    origin : tuple of int
        Position (y, x) on the endless plane of the slide's first pixel, in pixels of level 0. It
        moves when the slide grows at its top or left; noise, windows and layout lie on the plane.
    home : tuple of int
        Height and width of the slide when it was new, which its pieces of tissue are fitted to; by
        default those it has.
    refined : int
        How many finer levels were added below the one that was the finest when the slide was new.
        A level keeps its tissue, its noise and its folder when finer ones are added.
    tissue_names : tuple of str
        Tissue schema of the model. The slide is laid out in what of it is in `TISSUE_NAMES`; slides
        that do not say it were laid out in the first few.
    fibres : bool
        Whether it is drawn of noise that suits its tissue and goes along the layout's fibres, see
        `EditRequest.fibres`. Slides that do not say it are drawn of white noise.
    drawn_finer : bool
        Whether levels above the one that was the finest when the slide was new are drawn with
        pixels half as large, and are the means of these: where a nucleus is four pixels wide the
        model draws it ragged, and no finer level could mend it. Slides that do not say it, and
        quick ones, are drawn level by level.
    tinted : bool
        Whether the noise leans to the colour of its tissue, see `EditRequest.tinted`.
    glass : (int, int, int)
        Red, green and blue of bare glass, as the model draws it beside tissue of this stain.
    layout : int
        Which layout it has, see `LAYOUT`; slides that do not say it have the first. What is drawn
        of one would not join what is drawn of another.

    Raises
    ------
    InvalidRequest
        When a number is out of range.
    """

    height: int
    width: int
    mpp: float = 0.5
    seed: int = 0
    caption: str = ""
    guidance_scale: float = DEFAULT_GUIDANCE
    steps: int = DEFAULT_STEPS
    model: str
    revision: str
    coarsest: int
    margin: int
    stains: tuple[tuple[float, ...], ...]
    origin: tuple[int, int] = (0, 0)
    home: tuple[int, int] = (0, 0)
    refined: int = 0
    tissue_names: tuple[str, ...] = FIRST_TISSUE_NAMES
    fibres: bool = False
    drawn_finer: bool = False
    tinted: bool = False
    layout: int = 1
    glass: tuple[int, int, int] = GLASS_COLOUR

    def __post_init__(self) -> None:
        for name in ("mpp", "guidance_scale"):  # one form in JSON, whoever gave them
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.home == (0, 0):
            object.__setattr__(self, "home", (self.height, self.width))
        if not 0 <= self.refined <= self.coarsest:
            raise InvalidRequest(
                f"expected 0 to {self.coarsest} added levels, got {self.refined}; use SlideRecipe."
                "finer"
            )
        if not 1 <= self.layout <= LAYOUT:
            raise InvalidRequest(
                f"expected layout 1 to {LAYOUT}, got {self.layout}; open the slide with the "
                "version of napari-histodiff that made it, or a newer one"
            )
        largest = MAX_SIDE << self.refined
        for name in ("height", "width"):
            side = getattr(self, name)
            if not MIN_SIDE <= side <= largest:
                raise InvalidRequest(
                    f"expected a slide {name} of {MIN_SIDE} to {largest} pixels, got {side}; "
                    "choose one in that range"
                )
        for name in ("seed", "steps", "guidance_scale"):
            (low, high), value = LIMITS[name], getattr(self, name)
            if not low <= value <= high:
                raise InvalidRequest(
                    f"expected {name} from {low} to {high}, got {value}; choose one in that range"
                )
        if len(self.stains) != self.coarsest + 1 or self.margin < 0:
            raise InvalidRequest(
                f"expected a stain for each of {self.coarsest + 1} levels and a margin, got "
                f"{len(self.stains)} stains and {self.margin} pixels; use SlideRecipe.plan"
            )

    @classmethod
    def plan(
        cls,
        info: BackendInfo,
        *,
        height: int,
        width: int,
        mpp: float = 0.5,
        quick: bool = False,
        **settings: Any,
    ) -> SlideRecipe:
        """Return the recipe of a new slide for a model.

        Parameters
        ----------
        info : BackendInfo
            The model that will draw it.
        height, width, mpp
            Of level 0.
        quick
            Whether every level is drawn with its own pixels: a third of the work for a view, and
            plainer nuclei and glands.
        settings
            `seed`, `caption`, and `guidance_scale` and `steps`, by default (None) the model's own.

        Raises
        ------
        InvalidRequest
            When the model does not draw at this resolution or a number is out of range.
        """
        low, high = info.mpp
        if not low * (1 - _ROUNDING) <= mpp <= high * (1 + _ROUNDING):
            raise InvalidRequest(
                f"expected {low:g} to {high:g} um per pixel for {info.name}, got {mpp:g}; "
                "choose one in that range"
            )
        own = {"guidance_scale": info.guidance_scale, "steps": info.steps}
        settings = {**own, **{name: value for name, value in settings.items() if value is not None}}
        coarsest = 0
        levels = _levels(height, width)
        while mpp * 2 ** (coarsest + 1) <= high * (1 + _ROUNDING) and coarsest + 1 < levels:
            coarsest += 1
        caption = parse_caption(settings.get("caption", "")).caption
        mpps = [mpp * 2**level for level in range(coarsest + 1)]
        stains = stains_of_levels(info.stains, caption, mpps, settings.get("seed", 0))
        return cls(
            height=height,
            width=width,
            mpp=mpp,
            model=info.name,
            revision=info.revision,
            tissue_names=info.tissue_names,
            fibres=info.fibres,
            tinted=info.fibres,
            layout=LAYOUT,
            glass=choose_glass(info.stains, caption, mpp, settings.get("seed", 0)),
            drawn_finer=info.coarse_levels > 1 and not quick,
            coarsest=coarsest,
            margin=info.margin,
            stains=stains or ((0.37, 0.75, 0.35, 0.24, 0.34, 0.16, -0.95),) * (coarsest + 1),
            **settings,
        )

    def level_drawn(self, level: int) -> int:
        """Return the level whose pixels the model draws for a level: one finer, or itself."""
        return level - (self.drawn_finer and level > self.refined)

    @property
    def spec(self) -> PyramidSpec:
        """The pyramid: levels until one fits a screen."""
        levels = max(self.coarsest + 1, _levels(self.height, self.width))
        return PyramidSpec(self.height, self.width, TILE, levels, self.mpp)

    def grown(self, *, top: int = 0, left: int = 0, bottom: int = 0, right: int = 0) -> SlideRecipe:
        """Return the recipe of the slide with rows and columns of level 0 added at its borders."""
        return replace(
            self,
            height=self.height + top + bottom,
            width=self.width + left + right,
            origin=(self.origin[0] - top, self.origin[1] - left),
        )

    def check_finer(self, info: BackendInfo) -> None:
        """Check that a model can draw one more level of the slide, of half the pixel size.

        Raises
        ------
        InvalidRequest
            When it is not the slide's model, or does not draw so finely.
        """
        mpp = self.mpp / 2
        if info.revision != self.revision:
            raise InvalidRequest(
                f"expected the model of this slide, {self.model} ({self.revision}), got "
                f"{info.name} ({info.revision}); choose that model, or start a new slide"
            )
        if mpp < info.mpp[0] * (1 - _ROUNDING):
            raise InvalidRequest(
                f"expected a model that draws {mpp:g} um per pixel, got {info.name}, which draws "
                f"{info.mpp[0]:g} and coarser; choose a finer model for a new slide"
            )

    def finer(self, info: BackendInfo) -> SlideRecipe:
        """Return the recipe of the slide with one more level, of half the pixel size.

        What was level k is level k + 1 then; the slide covers the same part of the plane.

        Parameters
        ----------
        info : BackendInfo
            The slide's model, which tells how fine it draws and what stains look like there.

        Raises
        ------
        InvalidRequest
            As `check_finer`.
        """
        self.check_finer(info)
        mpp = self.mpp / 2
        # Seen from the first level, so that the colour is the one that was chosen for it.
        scales = (self.mpp * 2**self.refined, mpp)
        caption = parse_caption(self.caption).caption
        found = stains_of_levels(info.stains, caption, scales, self.seed)
        return replace(
            self,
            height=2 * self.height,
            width=2 * self.width,
            mpp=mpp,
            coarsest=self.coarsest + 1,
            stains=(found[1] if found else self.stains[0], *self.stains),
            origin=(2 * self.origin[0], 2 * self.origin[1]),
            home=(2 * self.home[0], 2 * self.home[1]),
            refined=self.refined + 1,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> SlideRecipe:
        """Rebuild a recipe from `to_dict`.

        Raises
        ------
        InvalidRequest
            When it lacks something or has a number out of range.
        """
        try:
            recipe = from_json(cls, data, optional=_LATER)
            if any(len(stain) not in STAIN_NUMBERS for stain in recipe.stains):
                raise ValueError("stains of other than {} or {} numbers".format(*STAIN_NUMBERS))
        except InvalidRequest:
            raise
        except ValueError as error:
            raise InvalidRequest(
                f"expected a complete recipe, got {error}; the slide is damaged or of a newer "
                "version"
            ) from error
        return recipe


def _levels(height: int, width: int) -> int:
    levels = 1
    while max(height, width) > _COARSEST_SIDE << (levels - 1):
        levels += 1
    return levels
