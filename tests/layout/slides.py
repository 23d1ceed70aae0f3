"""Recipes and layouts for the tests."""

from __future__ import annotations

from functools import cache
from typing import Any

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.recipe import LAYOUT, SlideRecipe
from napari_histodiff.layout import SlideLayout

STAIN = (0.37, 0.75, 0.35, 0.24, 0.34, 0.16, -0.95)


def recipe(caption: str = "colon", *, side: int = 4096, seed: int = 3, **more: Any) -> SlideRecipe:
    """A recipe whose model does not matter."""
    values: dict[str, Any] = {
        "height": side,
        "width": side,
        "model": "none",
        "revision": "0",
        "coarsest": 2,
        "margin": 64,
        "stains": (STAIN,) * 3,
        "tissue_names": TISSUE_NAMES,
        "layout": LAYOUT,
    }
    return SlideRecipe(caption=caption, seed=seed, **values | more)


@cache
def layout(caption: str = "colon", *, side: int = 4096, seed: int = 3) -> SlideLayout:
    """The layout of `recipe`."""
    return SlideLayout(recipe(caption, side=side, seed=seed))
