"""What steers a drawing beside paint and caption; part of the request."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.json_data import array_from_json, array_to_json
from napari_histodiff.core.maps import as_rgb
from napari_histodiff.core.steering.guides import as_guides, guide_text
from napari_histodiff.core.steering.walk import walk

__all__ = [
    "DEFAULT_REFERENCE",
    "REFERENCE_SIDES",
    "REFERENCE_STRENGTH",
    "STEERING_LIMITS",
    "Steering",
    "check_steering",
]

#: Inclusive limits of how strongly a drawing is made like its reference, and what is usual.
REFERENCE_STRENGTH: Final = (0.0, 10.0)
DEFAULT_REFERENCE: Final = 2.0

#: Fewest and most pixels a side of a reference.
REFERENCE_SIDES: Final = (32, 2048)

_MPP: Final = (0.1, 64.0)

#: Inclusive limits of the whole numbers, shared by validation and widgets.
STEERING_LIMITS: Final[dict[str, tuple[int, int]]] = {"repaint": (1, 20), "jump_length": (1, 50)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steering:
    """What steers a drawing beside paint and caption; by default nothing does.

    Attributes
    ----------
    repaint : int
        RePaint (Lugmayr et al., arXiv 2201.09865): how often each piece of the way from noise to
        image is walked, so that drawn and known pixels come to agree; 1 = once. For inpainting and
        outpainting in three steps or more.
    jump_length : int
        How many steps such a piece has, at the most.
    guide : pairs of (str, float)
        What is to be drawn more of and how strongly, by the gradient of a score; below 0 less. See
        `guides.as_guides`. In two steps or more.
    reference : (h, w, 3) uint8, optional
        Tissue whose stain is taken, where the request has none of its own, and whose texture is
        drawn near, by the gradient of its likeness. Texture in two steps or more.
    reference_mpp : float, optional
        Its micrometres per pixel; those of the request where it is not said.
    reference_strength : float
        How strongly its texture is drawn near, 0 to 10; 0 = its stain alone.

    Raises
    ------
    InvalidRequest
        When a number is no whole number or out of range, a guide is not known, or the reference no
        image of 32 to 2048 pixels a side.
    """

    repaint: int = 1
    jump_length: int = 1
    guide: tuple[tuple[str, float], ...] = ()
    reference: NDArray[np.uint8] | None = None
    reference_mpp: float | None = None
    reference_strength: float = DEFAULT_REFERENCE

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", _reference(self.reference))
        if self.reference_mpp is not None:
            mpp = _real("reference_mpp", self.reference_mpp, *_MPP)
            object.__setattr__(self, "reference_mpp", mpp)
        strength = _real("reference_strength", self.reference_strength, *REFERENCE_STRENGTH)
        object.__setattr__(self, "reference_strength", strength)
        object.__setattr__(self, "guide", as_guides(self.guide))
        for name, (low, high) in STEERING_LIMITS.items():
            object.__setattr__(self, name, _whole(name, getattr(self, name), low, high))

    @property
    def resamples(self) -> bool:
        """Whether any piece is walked more than once."""
        return self.repaint > 1

    @property
    def scores(self) -> int:
        """How many scores are climbed."""
        likeness = self.reference is not None and self.reference_strength > 0
        return len(self.guide) + likeness

    @property
    def acts(self) -> bool:
        """Whether anything steers."""
        return self.resamples or bool(self.guide) or self.reference is not None

    @property
    def text(self) -> str:
        """What steers, in words; empty where nothing does."""
        said = [f"guided by {guide_text(self.guide)}"] if self.guide else []
        if self.reference is not None:
            height, width = self.reference.shape[:2]
            said.append(f"like a reference of {width} x {height} px, {self.reference_strength:g}")
        if self.resamples:
            said.append(f"{self.jump_length} steps {self.repaint} times")
        return ", ".join(said)

    def __eq__(self, other: object) -> bool:
        """Tell whether all of both is the same."""
        return isinstance(other, Steering) and self.digest == other.digest

    def __hash__(self) -> int:
        """A number of all of it."""
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it through the constructor: a pickled reference would come back writable."""
        return _rebuild, ({f.name: getattr(self, f.name) for f in fields(self)},)

    def taken(self, steps: int) -> int:
        """Return how many steps a drawing of so many takes, those again included."""
        visited = walk(steps - 1, self.repaint, self.jump_length, top=1)
        return 1 + sum(a < b for a, b in pairwise(visited))

    def without(self, name: str) -> Self:
        """Return the same without a guide."""
        return replace(self, guide=tuple(pair for pair in self.guide if pair[0] != name))

    @property
    def digest(self) -> bytes:
        """A digest of all of it."""
        return digest_of(json.dumps(self.to_dict()).encode())

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        said: dict[str, Any] = {name: getattr(self, name) for name in STEERING_LIMITS}
        if self.guide:
            said["guide"] = dict(self.guide)
        if self.reference is not None:
            said["reference"] = array_to_json(self.reference)
            said["reference_mpp"] = self.reference_mpp
            said["reference_strength"] = self.reference_strength
        return said

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Rebuild it from `to_dict`.

        Raises
        ------
        InvalidRequest
            When the description is no mapping, or garbled.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(data, Mapping) or not set(data) <= set(known):
            raise InvalidRequest(
                f"expected what steers a drawing, {', '.join(known)}, got {data!r}; "
                "open it with the release of napari-histodiff that wrote it"
            )
        given = dict(data)
        try:
            if given.get("reference") is not None:
                given["reference"] = array_from_json(given["reference"])
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise InvalidRequest(
                f"expected a complete reference, got one that lacks or garbles {error}; save the "
                "request again"
            ) from error
        return cls(**given)


def _rebuild(values: dict[str, Any]) -> Steering:
    return Steering(**values)


def check_steering(steering: object, kind: str) -> None:
    """Check that a request of some kind can be steered so.

    Raises
    ------
    InvalidRequest
        When that is no `Steering`, or repaints what has no known pixels.
    """
    if not isinstance(steering, Steering):
        raise InvalidRequest(f"expected a Steering, got {steering!r}; give Steering(...)")
    if steering.resamples and kind not in ("inpaint", "outpaint"):
        raise InvalidRequest(
            f"expected repaint for inpainting or outpainting, got it for {kind}; give an "
            "image and an edit mask, or repaint=1"
        )


def _reference(image: Any) -> NDArray[np.uint8] | None:
    if image is None:
        return None
    pixels = np.array(as_rgb(image), copy=True)
    low, high = REFERENCE_SIDES
    if not all(low <= side <= high for side in pixels.shape[:2]):
        raise InvalidRequest(
            f"expected a reference of {low} to {high} pixels a side, got {pixels.shape[0]} x "
            f"{pixels.shape[1]}; give a part of the tissue"
        )
    pixels.setflags(write=False)
    return pixels


def _real(name: str, value: Any, low: float, high: float) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise InvalidRequest(
            f"expected {name} between {low:g} and {high:g}, got {value!r}; choose one in that range"
        )
    return number


def _whole(name: str, value: Any, low: int, high: int) -> int:
    # numpy's whole numbers compare equal to their int; booleans are no numbers here.
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not number.is_integer() or not low <= number <= high:
        raise InvalidRequest(
            f"expected {name} as a whole number between {low} and {high}, got {value!r}; choose "
            "one in that range"
        )
    return int(number)
