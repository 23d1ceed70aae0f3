"""The metadata of a slide: OME-Zarr 0.5, so that other programs open it while it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import PyramidSpec
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.slide.base import StoreRecipe
from napari_histodiff.slide.storage.chunks import PLANES, level_folder, metadata

__all__ = ["STORE_VERSION", "metadata_files", "read_mark", "read_recipe", "store_files"]

#: Version of this layout of files; a higher one is refused. The second one knows levels that were
#: added below the first ones, the third one edits of scans; a store that has neither is still of
#: version 1, so that older programs open it.
STORE_VERSION: Final = 3
_REFINED_VERSION: Final = 2

_OME_VERSION: Final = "0.5"

#: The label images of a store: names of the values from 1 on.
_LABELS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {"nuclei": CLASS_NAMES, "tissue": TISSUE_NAMES[1:]}
)


def metadata_files(name: str, recipe: SlideRecipe) -> Iterator[tuple[str, bytes]]:
    """Yield every zarr.json of a slide as (path relative to the slide, contents); the top one last.

    Parameters
    ----------
    name : str
        Shown by other programs.
    recipe : SlideRecipe
        What the slide is; kept in the attributes under "histodiff".
    """
    mark = {
        "version": _REFINED_VERSION if recipe.refined else 1,
        "synthetic": True,
        "made_by": "napari-histodiff",
        "recipe": recipe.to_dict(),
    }
    yield from store_files(name, recipe, mark)


def store_files(
    name: str, recipe: StoreRecipe, mark: Mapping[str, Any]
) -> Iterator[tuple[str, bytes]]:
    """Yield every zarr.json of a store as (path relative to it, contents); the top one last.

    Parameters
    ----------
    name : str
        Shown by other programs.
    recipe : StoreRecipe
        Tells its levels.
    mark : mapping
        Kept in the attributes under "histodiff".
    """
    spec = recipe.spec
    for plane in PLANES:
        top = recipe.coarsest + 1 if plane in ("base", "edits") else spec.levels
        for level in range(top):
            path = level_folder(plane, level, recipe.refined)
            yield f"{path}/zarr.json", _json(metadata(plane, spec, level))
    yield "histodiff/base/zarr.json", _group({})
    yield "histodiff/edits/zarr.json", _group({})
    yield "histodiff/zarr.json", _group({})
    yield "labels/zarr.json", _group({"ome": {"version": _OME_VERSION, "labels": list(_LABELS)}})
    for label, names in _LABELS.items():
        yield f"labels/{label}/zarr.json", _group({"ome": _labels(recipe, label, names)})
    yield "zarr.json", _group({"ome": _image(name, recipe), "histodiff": dict(mark)})


def read_recipe(path: Path) -> SlideRecipe:
    """Return the recipe of a synthetic slide.

    Raises
    ------
    StorageError
        When the folder is not a slide of this package, is damaged, or of a newer version.
    """
    mark = read_mark(path)
    if "scan" in mark:
        raise StorageError(
            f"expected a synthetic slide, got {path}, which holds edits of a scanned slide; "
            "open the scanned slide, and its edits come with it"
        )
    try:
        return SlideRecipe.from_dict(mark.get("recipe"))
    except InvalidRequest as error:
        raise StorageError(
            f"expected the recipe of a slide in {path / 'zarr.json'}, got a damaged one ({error}); "
            "restore this file from a backup"
        ) from error


def read_mark(path: Path) -> dict[str, Any]:
    """Return what a store says of itself, of either kind.

    Raises
    ------
    StorageError
        When the folder is no store of this package, is damaged, or of a newer version.
    """
    try:
        attributes = json.loads((path / "zarr.json").read_bytes())["attributes"]
        mark: dict[str, Any] = dict(attributes["histodiff"])
        version = int(mark["version"])
    except FileNotFoundError:
        raise StorageError(
            f"expected a slide at {path}, got no zarr.json there; choose a folder *.ome.zarr"
        ) from None
    except OSError as error:
        raise StorageError(
            f"expected to read {path}, got '{error.strerror or error}'; "
            "check the folder's permissions"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"expected a slide made by napari-histodiff at {path}, got a zarr.json that lacks or "
            f"garbles {error}; choose another folder, or restore this file from a backup"
        ) from error
    if version > STORE_VERSION:
        raise StorageError(
            f"expected a slide of version {STORE_VERSION} or older, got version {version}; "
            "update napari-histodiff to open it"
        )
    return mark


def _image(name: str, recipe: StoreRecipe) -> dict[str, Any]:
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    colours = {"Red": "FF0000", "Green": "00FF00", "Blue": "0000FF"}
    channels = [
        {"label": label, "color": colour, "active": True, "coefficient": 1, "window": window}
        for label, colour in colours.items()
    ]
    return {
        "version": _OME_VERSION,
        "multiscales": [_multiscale(name, recipe, channels=True)],
        "omero": {"name": name, "channels": channels, "rdefs": {"model": "color"}},
    }


def _labels(recipe: StoreRecipe, label: str, names: Sequence[str]) -> dict[str, Any]:
    # A nucleus is 7 * instance + class: colours per label would be endless, so only say how.
    return {
        "version": _OME_VERSION,
        "multiscales": [_multiscale(label, recipe, channels=False)],
        "image-label": {
            "source": {"image": "../../"},
            "properties": [
                {"label-value": value, "class": name} for value, name in enumerate(names, start=1)
            ],
        },
    }


def _multiscale(name: str, recipe: StoreRecipe, *, channels: bool) -> dict[str, Any]:
    spec = recipe.spec
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] if channels else []
    axes += [{"name": axis, "type": "space", "unit": "micrometer"} for axis in ("y", "x")]
    return {
        "name": name,
        "axes": axes,
        "datasets": [
            {
                "path": level_folder("image", level, recipe.refined),
                "coordinateTransformations": _transforms(spec, level, channels=channels),
            }
            for level in range(spec.levels)
        ],
        "type": "mean" if channels else "nearest",
    }


def _transforms(spec: PyramidSpec, level: int, *, channels: bool) -> list[dict[str, Any]]:
    first = [1.0] if channels else []
    mpp = spec.mpp * 2**level
    # The first pixel of a coarse level covers more than that of level 0: its centre lies farther.
    centre = spec.mpp * (2**level - 1) / 2
    return [
        {"type": "scale", "scale": [*first, mpp, mpp]},
        {"type": "translation", "translation": [0.0 for _ in first] + [centre, centre]},
    ]


def _group(attributes: dict[str, Any]) -> bytes:
    return _json({"zarr_format": 3, "node_type": "group", "attributes": attributes})


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, indent=1).encode()
