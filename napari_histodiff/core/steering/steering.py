"""What steers a drawing beside paint and caption; part of the request."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.steering.guides import as_guides

__all__ = ["STEERING_LIMITS", "Steering"]

#: Inclusive limits of the numbers, shared by validation and widgets.
STEERING_LIMITS: Final[dict[str, tuple[int, int]]] = {"repaint": (1, 20), "jump_length": (1, 50)}


@dataclass(frozen=True, slots=True, kw_only=True)
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

    Raises
    ------
    InvalidRequest
        When a number is no whole number or out of range, or a guide is not known.
    """

    repaint: int = 1
    jump_length: int = 1
    guide: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
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
        return len(self.guide)

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
        return cls(**data)


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
