"""Edits on disk, one file each, within a budget; written whole, so that a kill loses none before.

Windows may share a folder: names are unique, and nothing but whole files is in it.
"""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import HistodiffError, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.json_data import from_json
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.core.steering.strengths import steering_text
from napari_histodiff.files import write_whole
from napari_histodiff.ui.generation.history import HistoryEntry, thumbnail

__all__ = ["Archive", "Facts", "Kept"]

log = logging.getLogger(__name__)

_SUFFIX: Final = ".edit.zip"
_STAR: Final = ".star"

#: Bytes of the edits that are kept, favourites aside.
_BUDGET: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a kept edit without its pixels.

    Attributes
    ----------
    id : str
        Unique, and sorted by time.
    made : float
        Seconds since 1970.
    image, image_name, image_path : str
        Key, name and file of the image it was made on, empty where there is none.
    region : tuple of int
        Level, y, x, height and width of what the model saw.
    kind, caption, guidance_scale, steps, strength, seed, variants, mpp
        As in `EditRequest`.
    model : str
        Name of the model.
    seconds : float
        How long it took.
    steering : str
        What steered it beside paint and caption, in words; strengths of parts too.
    frame : tuple of int, optional
        Level, y, x, height and width of the frame, where `region` reaches beyond.
    """

    id: str
    made: float
    image: str
    image_name: str
    image_path: str
    region: tuple[int, int, int, int, int]
    kind: str
    caption: str
    guidance_scale: float
    steps: int
    strength: float
    seed: int
    variants: int
    mpp: float
    model: str
    seconds: float
    steering: str = ""
    frame: tuple[int, int, int, int, int] | None = None

    @classmethod
    def of(cls, entry: HistoryEntry) -> Facts:
        """Return what is known of an edit."""
        r = entry.request
        where, frame = r.region, entry.place
        return cls(
            id=entry.id,
            made=entry.made,
            image="" if entry.image is None else str(entry.image),
            image_name=entry.image_name,
            image_path=entry.image_path,
            region=(where.level, where.y, where.x, where.height, where.width),
            kind=str(r.kind),
            caption=r.caption,
            guidance_scale=r.guidance_scale,
            steps=r.steps,
            strength=r.strength,
            seed=r.seed,
            variants=r.variants,
            mpp=r.mpp,
            model=r.model_name,
            seconds=entry.seconds,
            steering=steering_text(r),
            frame=(frame.level, frame.y, frame.x, frame.height, frame.width),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One edit as the list shows it; `thumbnail` is (h, w, 3) uint8."""

    facts: Facts
    thumbnail: NDArray[np.uint8]
    favourite: bool = False

    def summary(self) -> str:
        """Return the settings as lines of text."""
        f = self.facts
        _, y, x, height, width = f.region
        when = datetime.fromtimestamp(f.made).strftime("%d %b %Y, %H:%M")
        star = "★ favourite\n" if self.favourite else ""
        return star + "\n".join(
            (
                f"{f.kind}, {when}, on {f.image_name or 'an image'}",
                f"{width} x {height} px of {f.mpp:g} µm at x {x * f.mpp / 1000:.2f}, "
                f"y {y * f.mpp / 1000:.2f} mm",
                f"caption: {f.caption or '(none)'}",
                f"guidance {f.guidance_scale:g}, {f.steps} steps, strength {f.strength:g}"
                + (f"\n{f.steering}" if f.steering else ""),
                f"seed {f.seed}, {f.variants} variants, {f.seconds:.1f} s",
            )
        )

    def matches(self, words: str) -> bool:
        """Return whether each word is in the caption, the kind or the name of the image."""
        f = self.facts
        text = f"{f.caption} {f.kind} {f.image_name}".casefold()
        return all(word in text for word in words.casefold().split())


class Archive:
    """Edits in a folder; everything may be called in any thread.

    Parameters
    ----------
    folder : Path
        Made when the first edit is kept.
    budget : int
        Bytes of all edits but the favourites; the oldest leave first, the newest always stays.
    """

    def __init__(self, folder: Path, budget: int = _BUDGET) -> None:
        self.folder = folder
        self.budget = budget

    def all(self) -> list[Kept]:
        """Return what is kept, newest first; files that cannot be read are passed over."""
        found = [self.find(one) for one in reversed(self.ids())]
        return [kept for kept in found if kept is not None]

    def find(self, one: str) -> Kept | None:
        """Return an edit by its id; None when it is not there or cannot be read."""
        path = self._path(one)
        if not path.exists():
            return None
        try:
            with zipfile.ZipFile(path) as file:
                facts = from_json(Facts, json.loads(file.read("facts.json")))
                small = _array(file, "thumbnail")
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            log.warning("the edit %s is passed over: %s", path, error)
            return None
        return Kept(facts, small, self._path(one, _STAR).exists())

    def write(self, entry: HistoryEntry) -> None:
        """Keep an edit, and let the oldest go that are beyond the budget.

        Raises
        ------
        StorageError
            When it cannot be written.
        """
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as file:
            file.writestr("facts.json", json.dumps(asdict(Facts.of(entry))))
            file.writestr("request.json", json.dumps(entry.request.to_dict()))
            _put(file, "thumbnail", thumbnail(entry.images[0]))
            _put(file, "images", entry.images)
            if entry.tissue is not None:
                _put(file, "tissue", entry.tissue)
        try:
            write_whole(self._path(entry.id), data.getvalue())
        except OSError as error:
            raise StorageError(
                f"expected to keep the edit in {self.folder}, got '{error.strerror or error}'; "
                "free some space; it is in the history of this session only"
            ) from error
        self.trim()

    def read(self, kept: Kept) -> HistoryEntry:
        """Return an edit whole.

        Raises
        ------
        StorageError
            When its file is gone or damaged.
        """
        path = self._path(kept.facts.id)
        try:
            with zipfile.ZipFile(path) as file:
                request = EditRequest.from_dict(json.loads(file.read("request.json")))
                images = _array(file, "images")
                tissue = _array(file, "tissue") if "tissue.npy" in file.namelist() else None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, HistodiffError) as error:
            raise StorageError(
                f"expected a kept edit in {path}, got '{error}'; it was removed or damaged, so "
                "take it out of the history"
            ) from error
        f = kept.facts
        return HistoryEntry(
            0,
            request,
            images,
            f.seconds,
            f.image or None,
            tissue,
            id=f.id,
            made=f.made,
            image_name=f.image_name,
            image_path=f.image_path,
            frame=None if f.frame is None else Region(*f.frame),
        )

    def star(self, kept: Kept, *, favourite: bool) -> Kept:
        """Keep an edit whatever the budget, or no more; returns it so."""
        path = self._path(kept.facts.id, _STAR)
        with suppress(OSError):
            if favourite:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            else:
                path.unlink(missing_ok=True)
        return replace(kept, favourite=favourite)

    def remove(self, kept: Kept) -> None:
        """Delete an edit."""
        for suffix in (_STAR, _SUFFIX):
            with suppress(OSError):
                self._path(kept.facts.id, suffix).unlink(missing_ok=True)

    def copy_to(self, other: Archive, ids: Sequence[str]) -> None:
        """Copy edits, with their stars, to another archive that lacks them.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        for one in ids:
            source, target = self._path(one), other._path(one)
            if source.exists() and not target.exists():
                write_whole(target, source.read_bytes())
            if self._path(one, _STAR).exists():
                other._path(one, _STAR).touch()

    def ids(self) -> list[str]:
        """Return the ids of what is kept, oldest first."""
        names = sorted(path.name for path in self.folder.glob(f"*{_SUFFIX}"))
        return [name.removesuffix(_SUFFIX) for name in names]

    def trim(self) -> None:
        """Let the oldest edits go that are beyond the budget and no favourites."""
        total = 0
        for place, one in enumerate(reversed(self.ids())):
            if self._path(one, _STAR).exists():
                continue
            with suppress(OSError):
                total += self._path(one).stat().st_size
                if place and total > self.budget:
                    self._path(one).unlink()

    def _path(self, one: str, suffix: str = _SUFFIX) -> Path:
        return self.folder / f"{one}{suffix}"


def _put(file: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    data = io.BytesIO()
    np.lib.format.write_array(data, array, allow_pickle=False)
    file.writestr(f"{name}.npy", data.getvalue())


def _array(file: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    with file.open(f"{name}.npy") as data:
        found: NDArray[np.uint8] = np.lib.format.read_array(data, allow_pickle=False)
    return found
