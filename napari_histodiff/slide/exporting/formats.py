"""Every format that slides are exported in, by its name; what each takes besides the slide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import OnProgress, without_ending

__all__ = ["FORMATS", "SETS", "WITH_TISSUE", "file_name", "write"]

#: How a file of each format ends; folders end in nothing, masks get names and endings of their own.
FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ome-tiff": ".ome.tif",
        "tiff": ".tif",
        "ome-zarr": ".ome.zarr",
        "ome-zarr-0.4": ".ome.zarr",
        "geojson": ".geojson",
        "changes": "",
        "masks": "",
        "masks-png": "",
        "masks-npy": "",
        "conic": "",
        "coco": "",
        "folder": "",
        "yolo": "",
        "stardist": "",
    }
)

#: Other endings that programs read a format by.
_ALSO: Final = {"ome-tiff": (".ome.tiff",), "tiff": (".tiff",), "geojson": (".geojson.gz",)}

#: Training sets, which take several slides.
SETS: Final = ("conic", "coco", "folder", "yolo", "stardist")

_MASKS: Final = {"masks": "tiff", "masks-png": "png", "masks-npy": "npy"}

#: What tells the tissue: the first where that is asked for, the others wherever there is any.
WITH_TISSUE: Final = ("geojson", *_MASKS, "ome-zarr", "ome-zarr-0.4", "folder")


def file_name(name: str, kind: str) -> str:
    """Return the name of what a format is written to: with its ending, in place of another.

    >>> file_name("a.tif", "ome-tiff"), file_name("a.geojson.gz", "geojson"), file_name("a", "coco")
    ('a.ome.tif', 'a.geojson.gz', 'a')
    """
    if not FORMATS[kind] or name.lower().endswith((FORMATS[kind], *_ALSO.get(kind, ()))):
        return name
    return without_ending(Path(name)).name + FORMATS[kind]


def write(
    kind: str,
    sources: Sequence[ExportSource],
    out: Path,
    settings: Mapping[str, Any],
    on_progress: OnProgress | None = None,
) -> list[str]:
    """Write one format.

    Parameters
    ----------
    kind : str
        A key of `FORMATS`.
    sources : sequence of ExportSource
        One, and several for `SETS`.
    out : Path
        File or folder.
    settings : mapping
        Arguments of the functions that write, by name; those that a format lacks are left alone.
    on_progress : callable, optional
        Told of every step; see `targets.OnProgress`.

    Returns
    -------
    list of str
        Lines that tell what was written.

    Raises
    ------
    InvalidRequest
        When the slide lacks what the format holds, or there is no such format.
    StorageError
        When the target is there, or cannot be written; nothing is left then.
    """
    common = {"overwrite": settings.get("overwrite", False), "on_progress": on_progress}
    if kind in SETS:
        from napari_histodiff.slide.exporting.training_sets import export_training_set

        chosen = _of(settings, "side", "level", "validation")
        return [str(export_training_set(sources, out, kind=kind, **chosen, **common)), str(out)]
    function, chosen = _one_slide(kind, settings)
    found = function(sources[0], out, **chosen, **common)
    if isinstance(found, dict):
        told = ", ".join(f"{name} {count}" for name, count in sorted(found.items()))
        return [told or "no objects", str(out)]
    return [str(one) for one in found]


def _one_slide(kind: str, settings: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what writes a format, and its own arguments."""
    if kind == "geojson":
        from napari_histodiff.slide.exporting.nuclei import export_geojson

        return export_geojson, _of(settings, "level", "objects", "tissue")
    if kind == "changes":
        from napari_histodiff.slide.exporting.changes import export_changes

        return export_changes, {}
    if kind in _MASKS:
        from napari_histodiff.slide.exporting.masks import export_masks

        return export_masks, {"kind": _MASKS[kind], **_of(settings, "level", "tissue")}
    if kind in ("ome-zarr", "ome-zarr-0.4"):
        from napari_histodiff.slide.exporting.ome_zarr import export_ome_zarr

        return export_ome_zarr, {"version": "0.4" if kind == "ome-zarr-0.4" else "0.5"}
    if kind not in ("ome-tiff", "tiff"):
        raise InvalidRequest(f"expected a format of {', '.join(FORMATS)}, got {kind!r}; use one")
    from napari_histodiff.slide.exporting.tiff import export_tiff

    tiff = {"kind": "ome" if kind == "ome-tiff" else "pyramid"}
    return export_tiff, {**tiff, **_of(settings, "compression", "quality")}


def _of(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: settings[name] for name in names if name in settings}
