"""How much several looks at one image disagree on each nucleus."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.judge.postprocess import Maps, class_shares

__all__ = ["Disagreement"]


@dataclass(slots=True)
class Disagreement:
    """Collects the maps of several views of one image."""

    views: list[Maps] = field(default_factory=list)

    def add(self, maps: Maps) -> None:
        """Take in one more view; all are of one shape."""
        self.views.append(maps)

    def mean(self) -> Maps:
        """Return the mean of the maps."""
        return Maps(
            np.mean([view.interior for view in self.views], 0),
            np.mean([view.distance for view in self.views], 0),
            np.mean([view.classes for view in self.views], 0),
        )

    def of(self, instances: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the uncertainty of each nucleus of an instance map, (n,) float32 in 0..1.

        With a, twice the standard deviation between views of the interior probability, averaged
        over the nucleus, and b, the mean total variation of a view's class probabilities from the
        mean's, it is 1 - (1 - a)(1 - b): 0 where all views agree, 1 where they contradict.
        """
        n = int(instances.max(initial=0))
        inside = instances > 0
        ids = instances[inside]
        interiors = np.stack([view.interior[inside] for view in self.views])
        spread = 2 * interiors.std(0, dtype=np.float64)
        sizes = np.bincount(ids, minlength=n + 1)[1:]
        outline = np.bincount(ids, spread, n + 1)[1:] / np.maximum(sizes, 1)
        shares = np.stack([class_shares(view.classes, instances) for view in self.views])
        classes = np.abs(shares - shares.mean(0)).sum(2).mean(0) / 2
        unsure = 1 - (1 - outline) * (1 - classes)
        return unsure.clip(0, 1).astype(np.float32)
