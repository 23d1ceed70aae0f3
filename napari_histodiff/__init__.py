"""Paint nuclei, get H&E tissue: diffusion models for histology in napari.

Importing this package loads neither torch nor napari nor Qt; names load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from napari_histodiff.core.torch_start import wait_quietly

if TYPE_CHECKING:
    from napari_histodiff.api import BusyThreads, Model, change_paint, invent, load_model
    from napari_histodiff.core.errors import HistodiffError
    from napari_histodiff.core.geometry import Region
    from napari_histodiff.core.requests import EditKind, EditRequest
    from napari_histodiff.datasets.pictures import read_picture
    from napari_histodiff.evaluation.maps.anomaly import AnomalyMap, AnomalySettings
    from napari_histodiff.remarks import (
        AstrayNuclei,
        MixedClasses,
        UnknownCaptionWords,
        UnseenClass,
        UnusedInput,
    )
    from napari_histodiff.slide.opened import open_slide

__all__ = [
    "AnomalyMap",
    "AnomalySettings",
    "AstrayNuclei",
    "BusyThreads",
    "EditKind",
    "EditRequest",
    "HistodiffError",
    "MixedClasses",
    "Model",
    "Region",
    "UnknownCaptionWords",
    "UnseenClass",
    "UnusedInput",
    "__version__",
    "change_paint",
    "invent",
    "load_model",
    "open_slide",
    "read_picture",
]

wait_quietly()  # before torch loads, whichever way in was taken

_MODULES = {
    "AnomalyMap": "evaluation.maps.anomaly",
    "AnomalySettings": "evaluation.maps.anomaly",
    "BusyThreads": "api",
    "EditKind": "core.requests",
    "EditRequest": "core.requests",
    "HistodiffError": "core.errors",
    "AstrayNuclei": "remarks",
    "MixedClasses": "remarks",
    "Model": "api",
    "Region": "core.geometry",
    "UnknownCaptionWords": "remarks",
    "UnseenClass": "remarks",
    "UnusedInput": "remarks",
    "change_paint": "api",
    "invent": "api",
    "load_model": "api",
    "open_slide": "slide.opened",
    "read_picture": "datasets.pictures",
}

__version__: str


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-histodiff")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
