"""Nuclei that the judge found in the frame, before they are painted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.core.maps import N_CLASSES, as_class_map, as_instance_map

__all__ = ["UNCERTAIN", "Proposal", "make_proposal"]

#: Nuclei at or above this uncertainty are counted as uncertain and marked with a ring. Views seldom
#: disagree more: of 533 nuclei in a real image, 36 did.
UNCERTAIN: Final = 0.2

_BASE: Final = N_CLASSES + 1


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """Nuclei numbered 1 to n in the order of the other arrays.

    Attributes
    ----------
    instance_map : (h, w) int32
        0 = background.
    classes : (n,) uint8
        Class of each nucleus, 0-6; 0 = unknown.
    uncertainty : (n,) float32
        0 = every view of the tissue agreed, 1 = none did.
    centres : (n, 2) float64
        Mean y, x in pixels of the frame.
    diameters : (n,) float64
        Of the disc of the same area, in pixels.
    """

    instance_map: NDArray[np.int32]
    classes: NDArray[np.uint8]
    uncertainty: NDArray[np.float32]
    centres: NDArray[np.float64]
    diameters: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        """Which nuclei are uncertain, (n,) bool."""
        marked: NDArray[np.bool_] = self.uncertainty >= UNCERTAIN
        return marked

    def shown(self, least: float) -> NDArray[np.bool_]:
        """Return which nuclei are at least that certain, (n,) bool; certainty = 1 - uncertainty."""
        # Certainties come as float32, the limit from a slider in steps of 0.01.
        chosen: NDArray[np.bool_] = 1 - self.uncertainty >= least - 1e-6
        return chosen

    def maps(self, least: float) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Return instance map and class map, (h, w), of the nuclei at least that certain."""
        ids = np.arange(1, len(self) + 1, dtype=np.int32) * self.shown(least)
        kept = np.concatenate((np.zeros(1, np.int32), ids.astype(np.int32)))[self.instance_map]
        classes = np.concatenate((np.zeros(1, np.uint8), self.classes))
        return kept, classes[kept]

    def text(self, least: float = 0.0) -> str:
        """Return what there is in words: "143 nuclei proposed (12 uncertain), 9 hidden"."""
        shown = self.shown(least)
        noun = "nucleus" if len(self) == 1 else "nuclei"
        line = f"{len(self)} {noun} proposed ({int(self.uncertain.sum())} uncertain)"
        hidden = len(self) - int(shown.sum())
        return f"{line}, {hidden} hidden" if hidden else line


def make_proposal(arrays: Mapping[str, Any], coverage: NDArray[np.bool_]) -> Proposal:
    """Check what the judge wrote, leave out what lies on no pixels, and number the rest from 1.

    Parameters
    ----------
    arrays : mapping
        `instance_map`, `class_map`, `ids` and `uncertainty` as `segmenter.propose` writes them.
    coverage : (h, w) bool
        Where the frame has pixels.

    Raises
    ------
    InvalidMap
        When an array is missing or invalid, or they do not belong together.
    """
    wanted = ("instance_map", "class_map", "ids", "uncertainty")
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise _unexpected(f"no {', '.join(missing)}")
    found = as_instance_map(arrays["instance_map"])
    classes = as_class_map(arrays["class_map"])
    ids, uncertainty = np.asarray(arrays["ids"]), np.asarray(arrays["uncertainty"], np.float32)
    if not found.shape == classes.shape == coverage.shape:
        raise _unexpected(f"maps of {found.shape} and {classes.shape} for {coverage.shape} px")
    if ids.ndim != 1 or uncertainty.shape != ids.shape or not np.isin(found[found > 0], ids).all():
        raise _unexpected(f"{len(uncertainty)} uncertainties for other nuclei")
    if not ((uncertainty >= 0) & (uncertainty <= 1)).all():
        raise _unexpected("uncertainties outside 0-1")
    found = np.where(coverage, found, 0)
    present, numbered = np.unique(found, return_inverse=True)
    if not present.size or present[0] != 0:
        present, numbered = np.concatenate(([0], present)), numbered + 1
    instances = numbered.reshape(found.shape).astype(np.int32)
    order = np.argsort(ids)
    of_present = order[np.searchsorted(ids, present[1:], sorter=order)]
    return _measured(instances, classes, uncertainty[of_present])


def _measured(
    instances: NDArray[np.int32], classes: NDArray[np.uint8], uncertainty: NDArray[np.float32]
) -> Proposal:
    n = len(uncertainty) + 1
    votes = np.bincount((instances * _BASE + classes).ravel(), minlength=n * _BASE)
    areas = np.bincount(instances.ravel(), minlength=n)[1:]
    sums = [
        np.bincount(instances.ravel(), axis.ravel(), n)[1:] for axis in np.indices(instances.shape)
    ]
    return Proposal(
        instances,
        votes.reshape(n, _BASE).argmax(axis=1)[1:].astype(np.uint8),
        uncertainty,
        np.stack(sums, axis=1) / areas[:, None],
        2 * np.sqrt(areas / np.pi),
    )


def _unexpected(got: str) -> InvalidMap:
    return InvalidMap(
        f"expected nuclei with one uncertainty each from the judge, got {got}; "
        "propose again, and report it when it stays"
    )
