"""Fills an area of the frame with nuclei, from copies of what is painted: in any thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout.completion.grain import TissueGrain
from napari_histodiff.layout.completion.placing import place_nuclei
from napari_histodiff.layout.plan import plan_of
from napari_histodiff.ui.workspace.placement import Scatter

__all__ = ["Filling", "Nuclei"]

#: Class map, (h, w) uint8, and instance map, (h, w) int32, of the nuclei that are to be added.
Nuclei = tuple[NDArray[np.uint8], NDArray[np.int32]]


@dataclass(frozen=True, slots=True, eq=False)
class Filling:
    """What an area is filled by.

    Painted tissue gets the nuclei it has: rows of epithelium in a gland, fibroblasts along the
    fibres of stroma, crowds of lymphocytes, none in lumen and glass. Where none is painted,
    nuclei of one class are scattered.

    Attributes
    ----------
    area : (h, w) bool
        Pixels to fill.
    labels : (h, w) int32
        Painted nuclei; a copy.
    tissue : (h, w) uint8
        Painted tissue; a copy.
    frame : Region
        Where the frame lies.
    caption : str
        Its organ and levels say how many nuclei tissue has.
    class_id : int
        Class that is scattered.
    factor : float
        Nuclei per nucleus of real tissue.
    density : float
        Of scattered nuclei, per mm^2.
    mpp : float
        Micrometres per pixel.
    seed : int
    """

    area: NDArray[np.bool_]
    labels: NDArray[np.int32]
    tissue: NDArray[np.uint8]
    frame: Region
    caption: str
    class_id: int
    factor: float
    density: float
    mpp: float
    seed: int

    def nuclei(self, is_left: Callable[[], bool] = lambda: False) -> Nuclei:
        """Return the nuclei; fewer when `is_left` says meanwhile that nobody waits for them."""
        known = self.area & (self.tissue > 0)
        classes = np.zeros(self.labels.shape, np.uint8)
        instances = np.zeros(self.labels.shape, np.int32)
        if known.any():
            classes, instances = self._placed(known)
        unknown = self.area & ~known
        if unknown.any() and not is_left():
            self._scatter(unknown, classes, instances, is_left)
        return classes, instances

    def _placed(self, where: NDArray[np.bool_]) -> Nuclei:
        plan = plan_of(self.caption)
        plan = replace(
            plan,
            densities=tuple(self.factor * many for many in plan.densities),
            crowd=tuple(self.factor * many for many in plan.crowd),
        )
        return place_nuclei(
            self.tissue,
            where,
            self.labels != 0,
            plan,
            frame=self.frame,
            mpp=self.mpp,
            seed=self.seed,
        )

    def _scatter(
        self,
        where: NDArray[np.bool_],
        classes: NDArray[np.uint8],
        instances: NDArray[np.int32],
        is_left: Callable[[], bool],
    ) -> None:
        grain = TissueGrain(self.tissue, self.mpp) if self.tissue.any() else None
        taken = np.where(instances > 0, instances, self.labels)
        rng = np.random.default_rng(self.seed)
        scatter = Scatter(taken, self.class_id, self.density, self.mpp, rng, grain)
        first = int(instances.max(initial=0)) + 1
        for number, pixels in enumerate(scatter.fill(where, is_left=is_left), start=first):
            classes[pixels], instances[pixels] = self.class_id, number
