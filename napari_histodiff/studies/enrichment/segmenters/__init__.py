"""What is trained in an enrichment study: our segmenter, cellpose, StarDist or InstanSeg.

Each of the others is read in its own module and only when it is asked for; its weights are a file
or folder of this machine, and nothing is ever fetched.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.studies.enrichment.segmenters.base import Segmenter
from napari_histodiff.studies.enrichment.segmenters.ours import OwnSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SEGMENTERS", "load_segmenter"]

#: Names of the segmenters, ours first.
SEGMENTERS: Final = ("ours", "cellpose", "stardist", "instanseg")


def load_segmenter(name: str = "ours", weights: Path | None = None) -> Segmenter:
    """Return the segmenter of a name, of the weights given.

    Parameters
    ----------
    name : str
        One of `SEGMENTERS`.
    weights : Path, optional
        Of the other segmenters: what every training starts from. Ours starts from nothing.

    Raises
    ------
    InvalidRequest
        When there is none of this name, its package is not installed, or weights are missing, are
        not its own, or are given to ours.
    """
    if name not in SEGMENTERS:
        raise InvalidRequest(
            f"expected a segmenter of {', '.join(SEGMENTERS)}, got {name!r}; choose one"
        )
    if name != "ours" and weights is None:
        raise InvalidRequest(
            f"expected weights for {name}, got none; name its file or folder with "
            "--segmenter-weights (nothing is fetched), or use ours"
        )
    if name == "ours" and weights is not None:
        raise InvalidRequest(
            f"expected no weights for our segmenter, got {weights}; it is trained from nothing, "
            "so leave them out or choose another segmenter"
        )
    if weights is None:
        return OwnSegmenter()
    if not weights.exists():
        raise InvalidRequest(
            f"expected weights at {weights}, got nothing there; give the file or folder of {name}"
        )
    module = import_module(f"{__name__}.{name}")
    load = cast("Callable[[Path], Segmenter]", module.load)
    return load(weights)
