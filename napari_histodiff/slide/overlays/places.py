"""Where the edits of a scan lie: beside it, or in a folder the user chose, which is remembered."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.files import config_file, read_config, write_config
from napari_histodiff.slide.overlays.growing import mend
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.recipe import SUFFIX, read_scan_recipe
from napari_histodiff.slide.scans.scan import Scan

__all__ = ["NeedsPlace", "canvas_of", "find_overlay", "open_overlay", "overlay_name"]

_FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EROFS)

# Scans remembered in the user's folder; the oldest are forgotten.
_REMEMBERED: Final = 1000


class NeedsPlace(StorageError):
    """The folder of the scan can not be written: a place for its edits has to be chosen."""


def overlay_name(scan: Path) -> str:
    """Return how the folder of a scan's edits is called: `slide.svs` -> `slide.histodiff...`."""
    return _stem(scan) + SUFFIX


def find_overlay(scan: Scan) -> Path | None:
    """Return the folder with the edits of a scan, None where there is none.

    It is looked for beside the scan, whatever either is called by now, and then in the place that
    was chosen for it last.

    Parameters
    ----------
    scan : Scan
        The scan.

    Raises
    ------
    StorageError
        When only edits of another scan of the same name are there.
    """
    stranger = None
    for path in _beside(scan.path):
        with suppress(StorageError):
            recipe = read_scan_recipe(path)
            if recipe.identity == scan.identity():
                return path
            if recipe.name == scan.path.name:
                stranger = path, recipe.describe()
    chosen = _chosen(scan)
    if chosen is not None:
        return chosen
    if stranger is not None:
        path, described = stranger
        raise StorageError(
            f"expected edits of this scan in {path}, got those of another one of that name, "
            f"{described}; move that folder to its scan, or choose another place for the edits"
        )
    return None


def open_overlay(
    scan: Scan, path: Path | str | None = None, *, read_only: bool | None = None
) -> ScanOverlay:
    """Open the edits of a scan, or make a folder for them where there is none.

    Parameters
    ----------
    scan : Scan
        The scan; it stays open, and the caller's.
    path : Path, optional
        Their folder, or the folder to make it in. By default the one `find_overlay` finds, and a
        new one beside the scan.
    read_only : bool, optional
        As `SlideStore.open` has it; nothing is made when True.

    Raises
    ------
    NeedsPlace
        When there are no edits yet and nothing can be written beside the scan.
    StorageError
        When the folder holds edits of another scan, is damaged, or can not be written.
    """
    place = _place_of(scan, path)
    if place is not None and (place / "zarr.json").exists():
        overlay = ScanOverlay.open(place, scan, read_only=read_only)
    elif read_only:
        raise StorageError(
            f"expected edits of {scan.path}, got none yet; open them for writing to make some"
        )
    else:
        overlay = _create(scan, place)
    if overlay.path.parent.absolute() != scan.path.parent.absolute():
        _remember(scan, overlay.path)
    return overlay


def canvas_of(scan: Scan, path: Path | str | None = None) -> Region:
    """Return the canvas of a scan's edits, in pixels of the scan: with the room made around it.

    Parameters
    ----------
    scan : Scan
        The scan.
    path : Path, optional
        As `open_overlay` has it; nothing is made.

    Raises
    ------
    StorageError
        When only edits of another scan are there, or they are damaged.
    """
    bounds, place = scan.spec.bounds(0), _place_of(scan, path)
    if place is None or not (place / "zarr.json").exists():
        return bounds
    top, left, bottom, right = read_scan_recipe(place).margins
    return Region(0, -top, -left, bounds.height + top + bottom, bounds.width + left + right)


def _place_of(scan: Scan, path: Path | str | None) -> Path | None:
    return find_overlay(scan) if path is None else _within(Path(path), scan.path)


def _create(scan: Scan, place: Path | None) -> ScanOverlay:
    beside = place is None
    place = _free(scan.path) if place is None else place
    try:
        if beside and not os.access(place.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "Permission denied")
        return ScanOverlay.create(place, scan)
    except OSError as error:  # of which a StorageError is one
        cause = error.__cause__ if isinstance(error, StorageError) else error
        if beside and isinstance(cause, OSError) and cause.errno in _FORBIDDEN:
            raise NeedsPlace(
                f"expected to keep the edits of {scan.path.name} beside it, got a folder that can "
                f"not be written ({place.parent}); choose another folder for them"
            ) from error
        raise


def _within(path: Path, scan: Path) -> Path:
    """Return the folder of the edits itself, where a folder to keep it in was named."""
    if path.name.endswith(SUFFIX) or (path / "zarr.json").exists():
        return path
    return path / overlay_name(scan)


def _stem(scan: Path) -> str:
    stem = scan.stem if scan.suffix else scan.name
    return stem.removesuffix(".ome") or scan.name


def _free(scan: Path) -> Path:
    """Return a name beside a scan, with its ending when a scan of another kind has the first."""
    first = scan.with_name(overlay_name(scan))
    return scan.with_name(scan.name + SUFFIX) if first.exists() else first


def _beside(scan: Path) -> Iterator[Path]:
    named = [scan.with_name(overlay_name(scan)), scan.with_name(scan.name + SUFFIX)]
    for path in named:
        mend(path)
    yield from (path for path in named if path.is_dir())
    with suppress(OSError):
        others = sorted(scan.parent.glob(f"*{SUFFIX}"))
        yield from (path for path in others if path not in named)


def _chosen(scan: Scan) -> Path | None:
    path = _places().get(scan.identity().sha256)
    if path is None:
        return None
    mend(Path(path))
    with suppress(StorageError):
        if read_scan_recipe(Path(path)).identity == scan.identity():
            return Path(path)
    return None


def _remember(scan: Scan, overlay: Path) -> None:
    places = _places()
    key = scan.identity().sha256
    places.pop(key, None)
    places[key] = str(overlay.absolute())
    kept = dict(list(places.items())[-_REMEMBERED:])
    write_config(_file(), {"overlays": kept})


def _places() -> dict[str, str]:
    found = read_config(_file()).get("overlays")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _file() -> Path:
    return config_file("overlays.json")
