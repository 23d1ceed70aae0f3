"""A new slide: what is asked for, the function that makes it, and its fields as a form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from magicgui import magicgui
from magicgui.widgets import FunctionGui, LineEdit

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.recipe import MAX_SIDE, MIN_SIDE, TILE, SlideRecipe
from napari_histodiff.core.requests import LIMITS
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.sketch_files import read_sketch
from napari_histodiff.ui.command import studio

if TYPE_CHECKING:
    import pathlib  # magicgui looks names of modules up, not ours

__all__ = ["NewSlide", "new_slide", "new_slide_form"]

#: Side of a slide where nothing is chosen: wide enough to get lost in, and quick to draw whole.
_DEFAULT_SIDE: Final = 16_384


@dataclass(frozen=True, slots=True)
class NewSlide:
    """What the user asked for."""

    path: Path
    recipe: SlideRecipe
    sketch: Sketch | None


def new_slide(
    viewer: Any,
    path: str | pathlib.Path,
    width: int = _DEFAULT_SIDE,
    height: int = _DEFAULT_SIDE,
    mpp: float = 0.5,
    caption: str = "",
    seed: int = 0,
    guidance: float | None = None,
    steps: int | None = None,
    quick: bool = False,
    sketch: str | pathlib.Path | None = None,
) -> None:
    """Make a slide and open it in the viewer's dock, which is opened when it is not there.

    Parameters
    ----------
    viewer : napari Viewer
        Where it is shown.
    path : path
        The folder of the slide, which ends in ".ome.zarr" and does not exist yet.
    width, height : int
        Pixels of the finest level.
    mpp : float
        Micrometres per pixel of the finest level.
    caption : str
        Decides the stain, the mix of nuclei and how tissue is laid out.
    seed : int
        Same seed and settings: the same slide.
    guidance, steps
        How tiles are drawn; by default as the model is meant to.
    quick : bool
        Whether tiles are drawn with a third of the work for a view, and plainer.
    sketch : path, optional
        A PNG of tissue classes that is stretched over the slide.

    Raises
    ------
    InvalidRequest
        When the model is still loading, or a number is out of its limits.
    InvalidImage
        When the sketch is none.
    """
    dock = studio(viewer)
    info = dock.controller.status.info
    if info is None:
        raise InvalidRequest(
            "expected a loaded model, got one that is loading; try again when the dock says Ready"
        )
    recipe = SlideRecipe.plan(
        info,
        height=height,
        width=width,
        mpp=mpp,
        seed=seed,
        caption=caption,
        guidance_scale=guidance,
        steps=steps,
        quick=quick,
    )
    drawn = None if sketch is None else read_sketch(Path(sketch), height, width)
    dock.slide.make(NewSlide(Path(path), recipe, drawn))


def new_slide_form() -> FunctionGui[None]:
    """Return the fields of `new_slide`, with a name and a folder for its path."""
    side = {"min": MIN_SIDE, "max": MAX_SIDE, "step": TILE}
    form = magicgui(
        new_slide,
        call_button=False,
        viewer={"bind": None},
        path={"bind": None},
        width={**side, "label": "width (px)", "tooltip": "Width in pixels"},
        height={**side, "label": "height (px)", "tooltip": "Height in pixels"},
        mpp={"label": "pixel size (µm/px)", "step": 0.05, **_limits("mpp")},
        caption={"tooltip": "Decides the stain, the mix of nuclei and how tissue is laid out"},
        seed={"tooltip": "Same seed and settings: the same slide.", **_limits("seed")},
        guidance={
            "widget_type": "FloatSpinBox",
            "step": 0.1,
            "tooltip": "How strictly the layout is followed: more is plainer, less like life",
            **_limits("guidance_scale"),
        },
        steps={
            "widget_type": "SpinBox",
            "tooltip": "2 is usual; more take longer.",
            **_limits("steps"),
        },
        quick={
            "text": "Quick: a third of the time, plainer nuclei",
            "tooltip": "Views appear in a third of the time. A slide stays as it was made.",
        },
        sketch={
            "widget_type": LineEdit,
            "tooltip": "A PNG of tissue classes that is stretched over the slide",
        },
    )
    form.append(LineEdit(name="name"))
    form.append(LineEdit(name="folder", label="keep in"))
    form.margins = (0, 0, 0, 0)
    return form


def _limits(name: str) -> dict[str, float]:
    low, high = LIMITS[name]
    return {"min": low, "max": high}
