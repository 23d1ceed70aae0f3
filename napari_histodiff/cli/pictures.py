"""Pictures given on the command line: which are nuclei, and how large their pixels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.maps import TISSUE_NAMES

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendInfo
    from napari_histodiff.datasets.pictures import Picture

__all__ = [
    "MAPS",
    "check_is_painted",
    "mask_of",
    "nuclei_of",
    "pictures_of",
    "region_captions_of",
    "scale_of",
    "tissue_for",
    "tissue_of",
]

#: What names the maps of a frame.
MAPS: Final = ("classes", "instances", "labels", "tissue")

#: Micrometres per pixel where neither the user nor a file says.
_MPP: Final = 0.5


def pictures_of(settings: Mapping[str, Any], *names: str) -> dict[str, Picture]:
    """Read the pictures that were given of those that may be, in this order."""
    from napari_histodiff.datasets.pictures import read_picture

    given = {name: settings.get(name) for name in names}
    return {name: read_picture(path) for name, path in given.items() if path is not None}


def check_is_painted(settings: Mapping[str, Any], instead: str) -> None:
    """Refuse to go on without a map, and say what may be given instead of one.

    Raises
    ------
    InvalidRequest
        When none was given.
    """
    if all(settings.get(name) is None for name in MAPS):
        raise InvalidRequest(
            "expected a class map, an instance map, labels or a tissue map, got none; give one, "
            f"{instead}"
        )


def nuclei_of(pictures: dict[str, Picture]) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Return class map and instance map of what was given as classes, instances or labels."""
    from napari_histodiff.core.maps import N_CLASSES, decode_labels, plain_ids

    if "labels" not in pictures:
        classes, instances = (pictures.get(name) for name in ("classes", "instances"))
        return (
            None if classes is None else classes.ids(),
            None if instances is None else instances.ids(),
        )
    if "classes" in pictures or "instances" in pictures:
        raise click.UsageError("give --labels, or --classes and --instances, not both")
    picture = pictures["labels"]
    labels = picture.ids()
    instance_map, class_map = picture.checked(decode_labels, labels)
    if plain_ids(labels):
        raise InvalidMap(
            f"expected labels of 7 * instance + class, got what looks like plain nucleus ids in "
            f"{picture.path}; give the file as --instances, and classes, if known, as --classes"
        )
    if labels.any() and labels.max() <= N_CLASSES:
        click.echo(
            f"Warning: labels 1-{labels.max()} of {picture.path} are read as classes without "
            "instances; if they number nuclei, give the file as --instances",
            err=True,
        )
    return class_map, instance_map


def mask_of(pictures: dict[str, Picture]) -> dict[str, NDArray[Any]]:
    """Return where pixels may change, and how strongly where that was given."""
    found: dict[str, NDArray[Any]] = {}
    if "edit_mask" in pictures:
        found["edit_mask"] = pictures["edit_mask"].edit_mask()
    if "strength_map" in pictures:
        found["strength_map"] = pictures["strength_map"].strengths()
    return found


def tissue_of(
    picture: Picture | None,
    names: Sequence[str] = TISSUE_NAMES,
    *,
    of: str | None = "napari-histodiff",
    told: Sequence[str] | None = None,
) -> NDArray[np.integer[Any]] | None:
    """Return a tissue map in the schema `names`, by name where the file's own names are known.

    They are those of the model that drew the edit that the file was saved with, else `told`; where
    neither is there, ids are what the file says. What has no name in the schema is warned of, as
    none of the tissues of `of`, unless that is None.
    """
    from napari_histodiff.datasets.tissue.maps import by_name, names_beside

    if picture is None:
        return None
    known = names_beside(picture.path) or told
    if known is None:
        return picture.ids()
    found, lost = picture.checked(lambda ids: by_name(ids, known, names), picture.ids())
    if lost and of is not None:
        click.echo(
            f"Warning: {of} has no {', '.join(lost)}, which {picture.path} holds; these places "
            "are unspecified",
            err=True,
        )
    return found


def tissue_for(
    info: BackendInfo, picture: Picture | None, told: Sequence[str] | None = None
) -> NDArray[np.integer[Any]] | None:
    """Return a tissue map in a model's schema, see `tissue_of`; one without tissue says so."""
    knows = "tissue" in info.paint
    return tissue_of(picture, info.tissue_names, of=info.name if knows else None, told=told)


def region_captions_of(settings: dict[str, Any]) -> dict[str, str]:
    """Return the captions of single tissues, as `--caption-for gland="..."` gives them."""
    found = {}
    for said in settings["caption_for"]:
        name, equals, caption = said.partition("=")
        if not equals:
            raise click.UsageError(f'give --caption-for as gland="high neutrophil", not {said!r}')
        found[name.strip()] = caption.strip().strip('"')
    return found


def scale_of(told: float | None, pictures: dict[str, Picture]) -> float:
    """Return micrometres per pixel: what was told, else what the first file states, else 0.5."""
    from napari_histodiff.datasets.pictures import same_scale

    stated = [(p.path, p.mpp) for p in pictures.values() if p.mpp is not None]
    mpp = told if told is not None else stated[0][1] if stated else _MPP
    for path, other in stated:
        if not same_scale(mpp, other):
            click.echo(
                f"Warning: {path} states {other:.4g} um per pixel; {mpp:.4g} is taken"
                + (" as told" if told is not None else f" from {stated[0][0]}"),
                err=True,
            )
    return mpp
