"""What an inpainting of less than the whole strength starts from, beside noise."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest

__all__ = ["Fill", "Started", "as_fill", "settle_start", "start_text"]


class Fill(StrEnum):
    """What lies under the edit mask when a drawing starts there."""

    ORIGINAL = "original"
    BLUR = "blur"
    BORDER = "border"
    NOISE = "noise"


def as_fill(value: str) -> Fill:
    """Return a fill by its name.

    Raises
    ------
    InvalidRequest
        When there is none of that name.
    """
    try:
        return Fill(value)
    except ValueError:
        raise InvalidRequest(
            f"expected a fill, got {value!r}; use one of {', '.join(Fill)}"
        ) from None


class Started(Protocol):
    """What of an `EditRequest` is looked at."""

    @property
    def kind(self) -> str:
        """What kind of edit it is."""

    @property
    def edit_mask(self) -> NDArray[np.bool_] | None:
        """Where pixels may change."""

    @property
    def strength(self) -> float:
        """Share of noise it starts with."""

    @property
    def strength_map(self) -> NDArray[np.float32] | None:
        """That of each part, where they differ."""

    @property
    def fill(self) -> Fill:
        """What it starts from."""

    @property
    def inverted(self) -> bool:
        """Whether it starts from the image's own noise."""


def settle_start(request: Started) -> None:
    """Check what a request that is being made starts from, and settle what it says twice.

    Noise alone is the whole strength, and where that is the strength of all that changes, as in
    everything but inpainting, nothing is started from: then it is the original.

    Raises
    ------
    InvalidRequest
        When it cannot be started from.
    """
    fill = as_fill(request.fill)
    inpaints = str(request.kind) == "inpaint"
    if fill is Fill.NOISE and inpaints:
        object.__setattr__(request, "strength", 1.0)
        object.__setattr__(request, "strength_map", None)
    if not inpaints or (request.strength == 1 and request.strength_map is None):
        fill = Fill.ORIGINAL
    object.__setattr__(request, "fill", fill)
    own: object = request.inverted
    if not isinstance(own, bool) or (own and (not inpaints or request.strength == 1)):
        raise InvalidRequest(
            f"expected an inpainting of strength below 1 to start from the image's own noise, got "
            f"{request.kind} at {request.strength:g}; lower the strength, or leave inverted out"
        )
    if fill is Fill.ORIGINAL:
        return
    if own:
        raise InvalidRequest(
            f"expected the image itself to start from its own noise, got fill {fill}; leave "
            "inverted or the fill out"
        )
    if request.edit_mask is not None and request.edit_mask.all():
        raise InvalidRequest(
            f"expected pixels that stay around the edit for fill {fill}, got an edit mask of the "
            "whole frame; leave some of it out, or start from what is there (original)"
        )


def start_text(fill: Fill) -> str:
    """Return what a drawing started from, in words; empty for the original."""
    return _WORDS.get(fill, "")


_WORDS = {
    Fill.BLUR: "started from the surroundings, blurred",
    Fill.BORDER: "started from the colours of the border",
}
