"""A larger canvas for a scan and its edits, to draw beyond its border.

Tiles do not move by whole tiles, so everything that was done is done again, edit by edit, in a new
folder, which then takes the place of the old one: undo and provenance go with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.scans.padded import Margins, PaddedScan, scan_inside
from napari_histodiff.slide.scans.scan import Scan
from napari_histodiff.slide.storage.transactions import storage_error

__all__ = ["CarryOut", "at_once", "check_margins", "enlarge", "margin_step", "mend"]

#: Calls what takes long, and returns when it is done or raises what it raised.
CarryOut = Callable[[Callable[[], None]], None]

#: The longest side of a canvas, as of synthetic slides, where the scan is not longer itself.
_LONGEST: Final = 1 << 18

#: Beside the folder of the edits while it changes places, after its name and a dot before it.
_OLD: Final = ".before"
_NEW: Final = ".larger"
_COPY: Final = ".copy"


def margin_step(overlay: ScanOverlay) -> int:
    """Return of how many pixels of level 0 margins are a multiple."""
    return 1 << overlay.recipe.coarsest


def check_margins(overlay: ScanOverlay, more: Margins) -> Margins:
    """Return the margins of a canvas with so many more rows and columns.

    Raises
    ------
    InvalidRequest
        When one is below 0 or no multiple of `margin_step`, all are 0, or the canvas is too large.
    """
    step = margin_step(overlay)
    for name, side in more._asdict().items():
        if side < 0 or side % step:
            raise InvalidRequest(
                f"expected to grow the {name} by a multiple of {step} pixels, got {side}; "
                "round it up to one"
            )
    if not any(more):
        raise InvalidRequest("expected a side to grow, got none; say how far it shall go")
    sides = (
        more.top + more.bottom + overlay.spec.height,
        more.left + more.right + overlay.spec.width,
    )
    if max(sides) > max(_LONGEST, overlay.recipe.identity.height, overlay.recipe.identity.width):
        raise InvalidRequest(
            f"expected a canvas of up to {_LONGEST} pixels a side, got {sides[0]} x {sides[1]}; "
            "grow it less"
        )
    return overlay.margins + more


def at_once(work: Callable[[], None]) -> None:
    """Carry out what takes long where it is asked for."""
    work()


def enlarge(overlay: ScanOverlay, more: Margins, carry_out: CarryOut = at_once) -> ScanOverlay:
    """Give the edits of a scan a larger canvas; all of it or nothing.

    What was edited and painted stays where it is on the scan; it can be undone as before, but what
    was undone can not be done again.

    Parameters
    ----------
    overlay : ScanOverlay
        Open for writing, with its scan; closed when it succeeds, and left as it was otherwise.
    more : Margins
        Rows and columns of level 0 to add, multiples of `margin_step`.
    carry_out : callable
        Is given what takes long, as long as all edits took to write, to call it in whatever thread;
        what there is can be read meanwhile, and must not be written.

    Returns
    -------
    ScanOverlay
        The edits on the larger canvas, at the same path. Places on it are `more.top` and
        `more.left` further.

    Raises
    ------
    InvalidRequest
        When the margins are none; see `check_margins`.
    StorageError
        When it is open for reading only, or there is no room to write it.
    """
    margins, scan, path = check_margins(overlay, more), overlay.scan, overlay.path
    if overlay.read_only or scan is None:
        raise StorageError(
            f"expected edits open for writing, got {path} open for reading only; close it where it "
            "is being written, then open it again"
        )
    wide = PaddedScan(scan_inside(scan), margins)
    copy, new, old = (path.with_name(f".{path.name}{end}") for end in (_COPY, _NEW, _OLD))
    for left in (copy, new, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        carry_out(partial(_write_larger, path, scan, copy, wide, new, more))
        overlay.close()
        path.rename(old)
        new.rename(path)
    except OSError as error:  # of which a StorageError is one
        mend(path)
        raise error if isinstance(error, StorageError) else storage_error(path, error) from error
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return ScanOverlay.open(path, scan_inside(scan), read_only=False)


def mend(path: Path) -> None:
    """Put the folder of edits back that was cut off while it changed places with a larger one."""
    old = path.with_name(f".{path.name}{_OLD}")
    if old.is_dir() and not path.exists():
        with suppress(OSError):
            old.rename(path)


def _write_larger(
    path: Path, scan: Scan, copy: Path, wide: PaddedScan, new: Path, more: Margins
) -> None:
    """Write the edits of `path` anew over a wider scan, by way of a copy that is undone on."""
    shutil.copytree(path, copy, ignore=shutil.ignore_patterns("lock"))
    with ScanOverlay.open(copy, scan, read_only=False) as source:
        _refuse_damage(source)
        with ScanOverlay.create(new, wide) as target:
            _do_again(source, target, more)


def _refuse_damage(source: ScanOverlay) -> None:
    report = source.verify()
    if report.damaged or report.missing:
        raise StorageError(
            f"expected whole edits in {source.path}, got damaged ones; restore the folder from a "
            "backup before the canvas grows"
        )


def _do_again(source: ScanOverlay, target: ScanOverlay, by: Margins) -> None:
    """Do all that was done to one store in another, which begins so many pixels before it."""
    count, back = 0, Margins(-by.top, -by.left)
    while source.undo() is not None:
        count += 1
    for request, pixels, mask in _forgotten(source, by):
        target.write(request, pixels, mask)
    target.forget_steps()
    _copy_paint(source, target, by)
    for _ in range(count):
        edit = source.next_redo()
        source.redo()
        if not edit.boxes:
            target.paint_step(
                _moved(edit.region, by),
                lambda part: source.labels(_moved(part, back)),
                lambda part: source.tissue(_moved(part, back)),
            )
            continue
        # Without a request, what an earlier version wrote: it is kept, its making is not known.
        said = edit.request
        request = _nameless(edit.region) if said is None else EditRequest.from_dict(said)
        mask = source.edited(request.drawn)
        if request.edit_mask is not None and request.edit_mask.any():
            mask &= request.edit_mask[request.drawn.relative_to(request.region).slices]
        moved = replace(
            request,
            region=_moved(request.region, by),
            target=None if request.target is None else _moved(request.target, by),
        )
        target.write(moved, source.own_pixels(request.drawn), mask)
    _copy_paint(source, target, by)


def _copy_paint(source: ScanOverlay, target: ScanOverlay, by: Margins) -> None:
    for region in source.painted():
        target.paint(_moved(region, by), source.labels(region), source.tissue(region))


def _forgotten(
    source: ScanOverlay, by: Margins
) -> Iterator[tuple[EditRequest, NDArray[np.uint8], NDArray[np.bool_]]]:
    """Yield the edits that cannot be undone any more, tile by tile, the coarsest first."""
    for level in reversed(range(source.spec.levels)):
        for region in source.edited_tiles(level):
            mask = source.edited(region)
            if mask.any():  # others hold means of finer edits
                yield _nameless(_moved(region, by)), source.own_pixels(region), mask


def _nameless(region: Region) -> EditRequest:
    return EditRequest(kind=EditKind.GENERATE, region=region)


def _moved(region: Region, by: Margins) -> Region:
    return region.translate(by.top >> region.level, by.left >> region.level)
