"""What an exported file says of itself, and whether its pixels are still those it speaks of."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
import tifffile
from PIL import Image

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.slide.exporting.credentials import Credentials, credentials_of
from napari_histodiff.slide.exporting.ome_zarr import chunk_digest
from napari_histodiff.slide.exporting.provenance import sha256_of
from napari_histodiff.slide.exporting.sidecar import SIDECAR
from napari_histodiff.slide.exporting.tiff import NAMESPACE, tile_digest

__all__ = ["Inspection", "inspect_file"]

_OWN: Final = "histodiff_provenance"

#: What reading a damaged or foreign file raises.
_DAMAGE: Final = (OSError, LookupError, ValueError, TypeError, ElementTree.ParseError)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a file.

    Attributes
    ----------
    said : dict
        The description; see `Provenance.to_dict`.
    place : str
        Where it was found: "in the file", or the name of the file beside it.
    unchanged : bool, optional
        Whether the pixels are those that were exported; None where that cannot be told.
    credentials : Credentials, optional
        Who signed the file, where somebody did.
    """

    said: dict[str, Any]
    place: str
    unchanged: bool | None
    credentials: Credentials | None = None

    @property
    def statement(self) -> str:
        """What is synthetic, in sentences."""
        return str(self.said.get("statement") or _of_request(self.said))

    def __str__(self) -> str:
        said = self.said
        lines = [self.statement, f"(said {self.place})"]
        models = said.get("models") or []
        lines += [f"model {model['name']}, revision {model['revision']}" for model in models]
        if said.get("caption"):
            lines.append(f'caption "{said["caption"]}"')
        if said.get("seed") is not None:
            lines.append(f"seed {said['seed']}")
        for number, edit in enumerate(said.get("edits") or [], start=1):
            lines.append(
                f"edit {number}: {edit['kind']} at x {edit['x']}, y {edit['y']}, {edit['width']} x "
                f'{edit["height"]} px, caption "{edit["caption"]}", seed {edit["seed"]}, model '
                f"{edit['model']} {edit['revision']}"
            )
            lines += [f"  {name} sha256 {value}" for name, value in edit["masks"].items()]
        lines.append(_VERDICTS[self.unchanged])
        if self.credentials is not None:
            lines.append(str(self.credentials))
        return "\n".join(lines)


_OF_UNKNOWN: Final = "What the file said of itself cannot be read any more."

_VERDICTS: Final = {
    True: "The pixels are those that were exported: the digests match.",
    False: "The pixels were CHANGED since the export: the digests do not match.",
    None: "Whether the pixels were changed since cannot be told: there is no digest of them.",
}


def inspect_file(path: Path | str) -> Inspection:
    """Read what a file, or a folder, says of what is synthetic in it, and check its digests.

    Parameters
    ----------
    path : Path
        An exported TIFF, OME-Zarr, PNG, mask, GeoJSON, folder of changed tiles, or a slide.

    Raises
    ------
    StorageError
        When it cannot be read.
    InvalidRequest
        When neither it nor a file beside it says anything.
    """
    path = Path(path)
    if not path.exists():
        raise StorageError(f"expected a file or folder, got {path}, which is not there; check it")
    try:
        for place, read in (("in the file", _inside), ("beside it", _beside)):
            said = read(path)
            if said is not None:
                return Inspection(said, place, _is_unchanged(path, said), credentials_of(path))
        signed = credentials_of(path)
        if signed is not None and (signed.statement or not signed.valid):
            said = {"statement": signed.statement or _OF_UNKNOWN}
            return Inspection(said, "in its content credentials", None, signed)
    except _DAMAGE as error:
        raise StorageError(
            f"expected an exported image in {path}, got {error}; export it again"
        ) from error
    raise InvalidRequest(
        f"expected an image that napari-histodiff exported, got {path.name}, which says nothing of "
        f"it, and no {path.name}{SIDECAR} beside it; that does not mean that it is real"
    )


def _inside(path: Path) -> dict[str, Any] | None:
    """Return the description that a file carries."""
    if path.is_dir():
        return _in_folder(path)
    readers: dict[str, Callable[[Path], dict[str, Any] | None]] = {
        ".tif": _in_tiff,
        ".tiff": _in_tiff,
        ".geojson": _in_geojson,
        ".gz": _in_geojson,
    }
    read = readers.get(path.suffix.lower())
    return None if read is None else read(path)


def _in_folder(path: Path) -> dict[str, Any] | None:
    changes = path / "histodiff.json"
    if changes.is_file():
        listed = json.loads(changes.read_text(encoding="utf-8"))
        return listed if isinstance(listed, dict) else {"statement": _of_set(listed)}
    for name, key in (("zarr.json", "attributes"), (".zattrs", None)):
        file = path / name
        if file.is_file():
            said = json.loads(file.read_text(encoding="utf-8"))
            mark = (said[key] if key else said).get("histodiff")
            if isinstance(mark, dict):
                found: dict[str, Any] = mark
                return found if _OWN in found else {"statement": _of_slide(found)}
    return None


def _in_tiff(path: Path) -> dict[str, Any] | None:
    with tifffile.TiffFile(path) as tiff:
        text = tiff.pages.first.description
    for candidate in _texts(text):
        try:
            said = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(said, dict) and _OWN in said:
            return said | _digest_in(text)
    return None


def _texts(description: str) -> Iterator[str]:
    yield description.partition("\n")[2]
    if description.lstrip().startswith("<?xml"):
        for note in _annotations(description, "CommentAnnotation"):
            yield "".join(note.itertext())


def _annotations(description: str, kind: str) -> list[ElementTree.Element]:
    if "<!DOCTYPE" in description or "<!ENTITY" in description:  # nothing of ours has them
        return []
    found = ElementTree.fromstring(description).iterfind(f".//{{*}}{kind}")
    return [one for one in found if one.get("Namespace") == NAMESPACE]


def _digest_in(description: str) -> dict[str, Any]:
    if not description.lstrip().startswith("<?xml"):
        return {}
    for table in _annotations(description, "MapAnnotation"):
        for entry in table.iter():
            if entry.get("K") == "Tiles SHA-256":
                return {"tiles_sha256": entry.text}
    return {}


def _in_geojson(path: Path) -> dict[str, Any] | None:
    packed = path.suffix.lower() == ".gz"
    with gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8") as file:
        head = file.read(1 << 16)
    mark = '"histodiff":'
    if mark not in head:
        return None
    found, _ = json.JSONDecoder().raw_decode(head, head.index(mark) + len(mark))
    return found if isinstance(found, dict) else None


def _beside(path: Path) -> dict[str, Any] | None:
    for name in (path.name + SIDECAR, f"{path.stem}.json"):
        file = path.with_name(name)
        if file.is_file() and file != path:
            said = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(said, dict) and (_OWN in said or said.get("synthetic")):
                return said
    return None


def _is_unchanged(path: Path, said: dict[str, Any]) -> bool | None:
    tiles = said.get("tiles")
    if path.is_dir() and isinstance(tiles, list):
        return all(
            sha256_of(np.asarray(Image.open(path / one["file"]))) == one["sha256"] for one in tiles
        )
    digest = said.get("tiles_sha256")
    if digest is None:
        return None
    return str(digest) == (chunk_digest(path) if path.is_dir() else tile_digest(path))


def _of_slide(mark: dict[str, Any]) -> str:
    recipe = mark.get("recipe") or {}
    return (
        f"A synthetic slide of napari-histodiff, drawn by the model {recipe.get('model')} "
        f"({recipe.get('revision')}): it shows the tissue of no patient. Not for diagnosis."
    )


def _of_set(entries: Any) -> str:
    return "\n".join(f"{one['slide']}: {one['statement']}" for one in entries)


def _of_request(said: dict[str, Any]) -> str:
    model = said.get("model") or {}
    return (
        f"This image is synthetic: it was made by napari-histodiff ({said.get('kind')}), with the "
        f"model {model.get('name')} ({model.get('revision')}). Not for diagnosis."
    )
