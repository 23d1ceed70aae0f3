"""A session that only shows numbers, and recipes to make widgets from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from psygnal import Signal

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.ui.slide.status import SlideStatus
from tests.fakes import FAKE_INFO

__all__ = ["SIDE", "StillSession", "recipe_of", "status_of"]

#: Side of a slide of 16 x 16 tiles; those of 1 um per pixel are the coarsest that are drawn.
SIDE = 4096


def recipe_of(height: int = 4096, width: int = 8192, **settings: Any) -> SlideRecipe:
    return SlideRecipe.plan(FAKE_INFO, height=height, width=width, **settings)


def status_of(**changes: Any) -> SlideStatus:
    busy = SlideStatus(1, 1.0, 12, 2, 0, 9.8, 75.0, generated=40, edited=2)
    return replace(busy, **changes)


@dataclass
class StillSession:
    """What the map reads; counts how often."""

    recipe: SlideRecipe

    changed = Signal()

    def __post_init__(self) -> None:
        self.store = SimpleNamespace(recipe=self.recipe, spec=self.recipe.spec)
        self.status = status_of()
        self.view = Region(0, 1024, 2048, 512, 1024)
        self.overviews = self.coverages = 0

    def overview(self) -> np.ndarray:
        self.overviews += 1
        bounds = self.recipe.spec.bounds(self.recipe.spec.levels - 1)
        return np.full((*bounds.shape, 3), (200, 100, 150), np.uint8)

    def coverage(self) -> np.ndarray:
        self.coverages += 1
        states = np.zeros((16, 32), np.uint8)
        states[:, :8], states[:, 8:16], states[:, 16:24] = 2, 3, 4
        return states

    def view_box(self) -> Region:
        return self.view
