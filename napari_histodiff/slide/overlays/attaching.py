"""Edits that come without their scan: which scan they are of, and whether it lies beside them."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

from napari_histodiff.core.errors import HistodiffError, StorageError
from napari_histodiff.slide.overlays.recipe import SUFFIX, ScanRecipe, read_scan_recipe
from napari_histodiff.slide.scans.opening import open_scan

__all__ = ["is_edits", "scan_beside"]


def is_edits(path: Path) -> bool:
    """Return whether a folder holds the edits of a scan."""
    with suppress(StorageError):
        read_scan_recipe(path)
        return True
    return False


def scan_beside(edits: Path) -> Path | None:
    """Return the scan that edits are of, where it lies beside them, whatever it is called by now.

    Raises
    ------
    StorageError
        When the folder holds no edits of a scan, or is damaged.
    """
    recipe = read_scan_recipe(edits)
    named = edits.with_name(recipe.name)
    with suppress(OSError):
        others = sorted(path for path in edits.parent.iterdir() if path != named)
        for path in (named, *others):
            if path.name.endswith(SUFFIX) or not _may_be(path, recipe):
                continue
            with suppress(HistodiffError), closing(open_scan(path)) as scan:
                if scan.identity() == recipe.identity:
                    return path
    return None


def _may_be(path: Path, recipe: ScanRecipe) -> bool:
    """Look at no more than the name or the size: a folder may hold a thousand scans."""
    if path.name == recipe.name:
        return path.exists()
    return path.is_file() and path.stat().st_size == recipe.identity.nbytes
