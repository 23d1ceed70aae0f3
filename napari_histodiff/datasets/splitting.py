"""Keeps a slide on one side of a split."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from napari_histodiff.core.errors import TrainingError

__all__ = ["held_out_slides", "slide_of"]

_TCGA: Final = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}", re.IGNORECASE)


def slide_of(name: str) -> str:
    """Return what images of one person share in their names.

    Of a TCGA barcode the first 12 characters, which name the patient; any other name as it is.
    """
    found = _TCGA.search(name)
    return name if found is None else found.group().upper()


def held_out_slides(slides: Iterable[str], share: float) -> frozenset[str]:
    """Choose the slides of the validation set: the same ones whenever the names are the same.

    About `share` of the slides, at least one and never all; none when `share` is 0 or there is
    one slide only.

    Raises
    ------
    TrainingError
        When `share` is not in 0-0.5.
    """
    if not 0 <= share <= 0.5:
        raise TrainingError(
            f"expected a validation share from 0 to 0.5, got {share:g}; give 0.1 for a tenth"
        )
    names = sorted(set(slides), key=lambda name: sha256(name.encode()).digest())
    if share == 0 or len(names) < 2:
        return frozenset()
    return frozenset(names[: max(1, round(share * len(names)))])
