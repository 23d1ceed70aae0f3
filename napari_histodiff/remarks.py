"""What a model says of a request that it draws all the same, as warnings."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np
from scipy import ndimage

from napari_histodiff.core.captions import ParseReport, parse_caption
from napari_histodiff.core.captions.spelling import hint_for, is_number
from napari_histodiff.core.maps import BARE_TISSUES, CLASS_NAMES, mixed_instances
from napari_histodiff.core.requests import EditRequest

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendInfo

__all__ = [
    "AstrayNuclei",
    "MixedClasses",
    "UnknownCaptionWords",
    "UnseenClass",
    "UnusedInput",
    "remark_on",
    "remark_on_caption",
    "remarking",
]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class UnusedInput(UserWarning):
    """Paint or a caption that the model takes no notice of."""


class UnknownCaptionWords(UserWarning):
    """Part of a caption has no effect; `report` tells which words and why.

    Where numbers of nuclei can be given elsewhere, `counts` tells how.
    """

    def __init__(self, report: ParseReport, counts: str = "") -> None:
        self.report = report
        parts = [f'"{words}" is not understood{hint_for(words)}' for words in report.ignored]
        parts += [f'"{a}" contradicts "{b}"' for a, b in report.contradictory]
        more = ""
        if counts and any(map(is_number, report.ignored)):
            more = f"; say how many nuclei of a class there are to be by {counts}"
        super().__init__(f"{'; '.join(parts)}: these words have no effect{more}")


class UnseenClass(UserWarning):
    """A painted nucleus class the model was never trained on; drawn as of unknown class."""


class MixedClasses(UserWarning):
    """Nuclei that hold pixels of several classes; drawn as painted, though a nucleus has one."""


class AstrayNuclei(UserWarning):
    """Nuclei painted where none are expected, in lumen or glass; drawn as painted."""


def remark_on(request: EditRequest, info: BackendInfo, *modules: str) -> None:
    """Warn of what a model takes no notice of in a request, or never learnt.

    Parameters
    ----------
    request : EditRequest
    info : BackendInfo
        The model.
    modules : str
        Files whose callers are meant: a warning points at the first line outside them.
    """
    level = _caller_level({__file__, *modules})
    if info.captions == "vocabulary":
        for caption in (request.caption, *dict(request.region_captions).values()):
            remark_on_caption(caption, *modules)
    if unused := _unused(request, info):
        text = f"{info.name} takes no {' and no '.join(unused)}; they have no effect"
        warnings.warn(UnusedInput(text), stacklevel=level)
    if request.class_map is not None and request.instance_map is not None:
        mixed, _ = mixed_instances(request.instance_map, request.class_map)
        if mixed:
            text = (
                f"nuclei that hold pixels of several classes: {mixed}; a nucleus has one "
                "class, so check that both maps are of the same image"
            )
            warnings.warn(MixedClasses(text), stacklevel=level)
    if "nuclei" not in info.paint:
        return
    if "tissue" in info.paint and (astray := _astray(request, info)):
        found = " and ".join(f"{count} in {name}" for name, count in astray.items())
        text = f"nuclei painted where none are expected: {found}; they are drawn as painted"
        warnings.warn(AstrayNuclei(text), stacklevel=level)
    painted = () if request.class_map is None else np.unique(request.class_map).tolist()
    names = [CLASS_NAMES[i - 1] for i in painted if i > 0]
    unseen = [name for name in names if not info.class_counts.get(name)]
    if unseen:
        text = (
            f"{info.name} was never shown {', '.join(unseen)} nuclei; they are drawn as "
            "nuclei of unknown class"
        )
        warnings.warn(UnseenClass(text), stacklevel=level)


def remark_on_caption(caption: str, *modules: str, counts: str = "") -> None:
    """Warn of words of a caption that have no effect.

    Parameters
    ----------
    caption : str
    modules : str
        As those of `remark_on`.
    counts : str
        How to give numbers of nuclei, where they can be given.
    """
    report = parse_caption(caption).report
    if report.ignored or report.contradictory:
        level = _caller_level({__file__, *modules})
        warnings.warn(UnknownCaptionWords(report, counts), stacklevel=level)


def remarking(function: Callable[_P, _T], *modules: str, counts: str = "") -> Callable[_P, _T]:
    """Return a function with an argument `caption` that warns of its words without effect.

    Parameters
    ----------
    function : callable
    modules, counts
        As those of `remark_on_caption`.
    """
    takes = signature(function)

    @wraps(function)
    def remarked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        caption = takes.bind_partial(*args, **kwargs).arguments.get("caption")
        remark_on_caption(caption or "", *modules, counts=counts)
        return function(*args, **kwargs)

    return remarked


def _unused(request: EditRequest, info: BackendInfo) -> list[str]:
    """Name what a request gives that a model takes no notice of."""
    nuclei = request.class_map is not None and "nuclei" not in info.paint
    tissue = request.tissue_map is not None and "tissue" not in info.paint
    caption = request.caption.strip() and info.captions == "none"
    regions = request.region_captions and info.captions != "vocabulary"
    given = {
        "nuclei": nuclei,
        "tissue map": tissue,
        "caption": caption,
        "captions of tissues": regions,
    }
    return [name for name, unused in given.items() if unused]


def _astray(request: EditRequest, info: BackendInfo) -> dict[str, int]:
    """Count the nuclei most of whose pixels lie in tissue that holds none, by its name."""
    if request.tissue_map is None or request.class_map is None:
        return {}
    numbers = {n: info.tissue_names.index(n) for n in BARE_TISSUES if n in info.tissue_names}
    nuclei = request.instance_map
    if nuclei is None or not nuclei.any():
        nuclei, _ = ndimage.label(request.class_map > 0)
    sizes = np.unique_counts(nuclei[nuclei > 0])
    counts = {}
    for name, number in numbers.items():
        within = np.unique_counts(nuclei[(nuclei > 0) & (request.tissue_map == number)])
        whole = sizes.counts[np.searchsorted(sizes.values, within.values)]
        counts[name] = int((2 * within.counts > whole).sum())
    return {name: count for name, count in counts.items() if count}


def _caller_level(files: set[str]) -> int:
    """Return the `stacklevel` that makes a warning point at the first line outside some files."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename in files:
        level, frame = level + 1, frame.f_back
    return level
