"""An ensemble of proposals: the same image turned, mirrored and stained a little differently.

Where its members disagree, a proposal is to be looked at first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from napari_histodiff.segmenter.model import Judge, ProposedNuclei
from napari_histodiff.segmenter.postprocess import FoundNuclei, Maps, find_nuclei, resize_nuclei
from napari_histodiff.segmenter.prediction import VIEWS, Disagreement, OnView, views

__all__ = ["Ensemble", "UncertainNuclei", "agreement"]

#: Outcomes of a pixel: no nucleus, or one of six classes.
_OUTCOMES: Final = 7

#: How much darker or lighter red, green and blue absorb in each member: one of two stains of two
#: laboratories differs from the other by about as much.
_STAINS: Final = (
    (1.0, 1.0, 1.0),
    (1.12, 1.0, 1.0),
    (0.9, 1.0, 1.0),
    (1.0, 1.12, 1.08),
    (1.0, 0.9, 0.92),
    (1.1, 1.1, 1.1),
    (0.9, 0.9, 0.9),
    (1.08, 0.95, 1.0),
)

#: Share of their common area that the nuclei of two members have to share to be one.
_OVERLAP: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class UncertainNuclei(ProposedNuclei):
    """Nuclei of the mean of all members, and how far the members agree.

    Attributes
    ----------
    agreement : (n,) float32
        Of each nucleus in 0..1: the share of members that find it, at its place and of its class.
    entropy : (h, w) float32
        Of each pixel in 0..1: the entropy of what it is, no nucleus or one of six classes, in the
        mean of all members; 1 = each as likely.
    """

    agreement: NDArray[np.float32]
    entropy: NDArray[np.float32]


class Ensemble:
    """Proposes nuclei eight times and says where the proposals disagree.

    Parameters
    ----------
    judge : Judge
        Finds the nuclei.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @property
    def revision(self) -> str:
        """Hash of the weights."""
        return self._judge.info.revision

    def propose(
        self, image: NDArray[np.uint8], *, mpp: float, on_step: OnView | None = None
    ) -> UncertainNuclei:
        """Find the nuclei of an image; parameters and errors are those of `Judge.propose`."""
        scaled = self._judge.at_its_scale(image, mpp)
        members = Disagreement()
        for done, maps in enumerate(self._members(scaled), start=1):
            members.add(maps)
            if on_step is not None:
                on_step(done, VIEWS)
        mean = members.mean()
        found = find_nuclei(mean)
        shares = agreement(found, [find_nuclei(maps) for maps in members.views])
        uncertainty = members.of(found.instance_map)
        nuclei, left = resize_nuclei(found, image.shape[:2])
        return UncertainNuclei(
            nuclei.instance_map,
            nuclei.class_map,
            nuclei.probabilities,
            uncertainty[left],
            shares[left],
            _at_shape(_entropy(mean), image.shape[:2]),
        )

    def _members(self, image: NDArray[np.uint8]) -> Iterator[Maps]:
        for (seen, back), stain in zip(views(image), _STAINS, strict=True):
            maps = self._judge.maps(_stained(seen, stain))
            yield Maps(back(maps.interior), back(maps.distance), back(maps.classes))


def agreement(found: FoundNuclei, members: list[FoundNuclei]) -> NDArray[np.float32]:
    """Return which share of members finds each nucleus, (n,) float32.

    A member finds one when a nucleus of its own has the same class and shares half of the area that
    both cover together.
    """
    count = len(found.probabilities)
    classes = found.probabilities.argmax(1) if count else np.zeros(0, np.intp)
    sizes = np.bincount(found.instance_map.ravel(), minlength=count + 1)
    votes = np.zeros(count)
    for member in members:
        theirs = len(member.probabilities)
        if not (count and theirs):
            continue
        both = (found.instance_map > 0) & (member.instance_map > 0)
        pairs = found.instance_map[both].astype(np.int64) * (theirs + 1) + member.instance_map[both]
        numbers, shared = np.unique(pairs, return_counts=True)
        mine, other = numbers // (theirs + 1), numbers % (theirs + 1)
        other_sizes = np.bincount(member.instance_map.ravel(), minlength=theirs + 1)
        same = member.probabilities.argmax(1)[other - 1] == classes[mine - 1]
        overlap = shared / (sizes[mine] + other_sizes[other] - shared)
        votes[np.unique(mine[same & (overlap >= _OVERLAP)]) - 1] += 1
    return (votes / max(len(members), 1)).astype(np.float32)


def _entropy(maps: Maps) -> NDArray[np.float32]:
    """Entropy of each pixel's outcome, in units of the largest."""
    outcomes = np.concatenate([1 - maps.interior[None], maps.interior * maps.classes])
    entropy = -(outcomes * np.log(np.maximum(outcomes, 1e-9))).sum(0) / math.log(_OUTCOMES)
    return entropy.clip(0, 1).astype(np.float32)


def _stained(image: NDArray[np.uint8], strength: tuple[float, ...]) -> NDArray[np.uint8]:
    """The image with optical densities multiplied by channel."""
    values = np.maximum(np.arange(256), 1) / 255
    table = np.stack([np.rint(values**power * 255) for power in strength], -1).astype(np.uint8)
    stained: NDArray[np.uint8] = np.stack([table[image[..., i], i] for i in range(3)], -1)
    return stained


def _at_shape(values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    if values.shape == shape:
        return values
    sized: NDArray[np.float32] = resize(values, shape, order=1, preserve_range=True)
    return sized.astype(np.float32)
