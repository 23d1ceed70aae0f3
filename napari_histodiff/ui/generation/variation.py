"""Requests in which one thing varies and all else stays: guidance, structure or stain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.requests import LIMITS, EditKind, EditRequest
from napari_histodiff.core.stain_bank import StainEntry, choose_stain
from napari_histodiff.layout.completion import joined, structure_seed

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendInfo
    from napari_histodiff.ui.generation.history import HistoryEntry
    from napari_histodiff.ui.generation.settings import Settings

__all__ = ["GUIDANCES", "MOST", "Series", "Variation", "Varied", "share_of", "varied"]

#: Guidance values of a sweep where nobody says.
GUIDANCES: Final = (1.0, 1.25, 1.5, 2.0, 2.5)

#: Drawings that one series has at the most: what is seen side by side.
MOST: Final = 12

#: Seeds looked at for stains that differ.
_TRIED: Final = 200

_NOT_SUGGESTED: Final = (
    "There is no structure to vary here, as none is suggested: the frame is painted whole, lies "
    "on a slide, which has its own, is an edit without paint, or suggestions are off in Settings. "
    "Take some paint away, or vary the guidance."
)
_STAIN_KEPT: Final = (
    "An edit keeps the stain around it; to vary the stain, put the frame where it is drawn anew."
)
_NO_STAINS: Final = "This model does not say which stains it knows, so they cannot be varied."


class Varied(StrEnum):
    """What varies; the noise is the same in all."""

    GUIDANCE = "guidance"
    STRUCTURE = "structure"
    STAIN = "stain"


@dataclass(frozen=True, slots=True)
class Variation:
    """One thing to vary.

    Attributes
    ----------
    what : Varied
    values : tuple of float
        The guidance values, when that varies.
    count : int
        How many structures or stains, when those vary.

    Raises
    ------
    InvalidRequest
        When there are fewer than two or more than `MOST`, or a value is out of range.
    """

    what: Varied
    values: tuple[float, ...] = GUIDANCES
    count: int = 4

    def __post_init__(self) -> None:
        low, high = LIMITS["guidance_scale"]
        if self.what is Varied.GUIDANCE and not all(low <= v <= high for v in self.values):
            raise InvalidRequest(
                f"expected guidance from {low:g} to {high:g}, got "
                f"{', '.join(f'{v:g}' for v in self.values)}; choose values in that range"
            )
        if not 2 <= len(self) <= MOST:
            raise InvalidRequest(
                f"expected 2 to {MOST} drawings to compare, got {len(self)}; choose as many"
            )

    def __len__(self) -> int:
        return len(set(self.values)) if self.what is Varied.GUIDANCE else self.count

    @property
    def structures(self) -> int:
        """How many suggestions are needed for what is not painted."""
        return self.count if self.what is Varied.STRUCTURE else 1


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Drawings in which one thing varies: a word for each, and the entries of the history."""

    what: Varied
    labels: tuple[str, ...]
    entries: tuple[HistoryEntry, ...] = field(default=())


def varied(
    requests: Sequence[EditRequest], variation: Variation | None, info: BackendInfo | None
) -> dict[str, EditRequest]:
    """Return the requests that are to be drawn, by what each is called.

    Parameters
    ----------
    requests : sequence of EditRequest
        Of one place, each with a structure of its own where several were suggested.
    variation : Variation or None
        None = all of them are variants of one request.
    info : BackendInfo or None
        The model, which knows the stains.

    Raises
    ------
    InvalidRequest
        When nothing can vary here.
    """
    first = requests[0]
    if variation is None:
        return {"": first if len(requests) == 1 else joined(requests)}
    base = replace(first, variants=1)
    if variation.what is Varied.GUIDANCE:
        values = sorted(set(variation.values))
        return {f"Guidance {v:g}": replace(base, guidance_scale=v) for v in values}
    if variation.what is Varied.STRUCTURE:
        alone = [replace(one, variants=1) for one in requests]
        if len(alone) < 2 or not joined(alone).structures:
            raise InvalidRequest(_NOT_SUGGESTED)
        return {f"Structure {n}": one for n, one in enumerate(alone, 1)}
    if base.kind is not EditKind.GENERATE:
        raise InvalidRequest(_STAIN_KEPT)
    stains = _stains(base, () if info is None else info.stains, variation.count)
    return {f"Stain {n}": replace(base, stain=stain) for n, stain in enumerate(stains, 1)}


def share_of(variation: Variation, settings: Settings, info: BackendInfo) -> float:
    """Return how much work a series is, beside the variants that the main button draws."""
    steps, now = settings.steps, settings.guidance_scale
    one = info.evaluations_per_window(steps, now)
    scales = sorted(set(variation.values))
    if variation.what is not Varied.GUIDANCE:
        scales = [now] * variation.count
    work = sum(info.evaluations_per_window(steps, scale) for scale in scales)
    return work / (one * settings.variants)


def _stains(
    request: EditRequest, bank: Sequence[StainEntry], count: int
) -> list[tuple[float, ...]]:
    """Stains of training slides that the caption may mean, that of the request's seed first."""
    if not bank:
        raise InvalidRequest(_NO_STAINS)
    caption = parse_caption(request.caption).caption
    found: list[tuple[float, ...]] = []
    for number in range(_TRIED):
        seed = structure_seed(request.seed, number)
        stain: Any = choose_stain(bank, caption, request.mpp, seed)
        if stain is not None and stain not in found:
            found.append(stain)
        if len(found) == count:
            break
    if len(found) < 2:
        raise InvalidRequest(_NO_STAINS)
    return found
