"""A scanned slide in a viewer: its layer, its damage, and how long its pixels are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from napari.layers import Image
from psygnal import Signal

from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.opening import is_synthetic, open_scan
from napari_histodiff.slide.scans.scan import Scan, ScanError, ScanIdentity
from napari_histodiff.slide.scans.scan_levels import scan_levels
from napari_histodiff.ui.config_file import config_file, read_config, write_config

__all__ = ["PixelSizes", "ScanView", "scan_layer", "scan_reader"]

#: Endings that are no part of a slide's name.
_ENDINGS: Final = (".ome.zarr", ".ome.tiff", ".ome.tif", ".zarr.zip", ".zarr")


class PixelSizes:
    """The pixel sizes of scans whose files do not tell them, remembered by what the scans are.

    Parameters
    ----------
    path : Path, optional
        Another file than the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or config_file("scans.json")

    def of(self, scan: ScanIdentity) -> float | None:
        """Return what a person said earlier."""
        kept = (read_config(self._path) or {}).get(scan.sha256)
        return float(kept) if isinstance(kept, int | float) and kept > 0 else None

    def remember(self, scan: ScanIdentity, mpp: float) -> None:
        """Keep what a person said."""
        write_config(self._path, {**(read_config(self._path) or {}), scan.sha256: mpp})


class ScanView:
    """Shows a scan as a layer, until the layer is removed.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layer is added.
    scan : Scan
        Belongs to the view from now on.
    """

    #: A message for the user.
    noticed = Signal(str)
    #: The layer is gone and the scan closed.
    closed = Signal()

    def __init__(self, viewer: Any, scan: Scan) -> None:
        self.scan = scan
        self._viewer = viewer
        self._damaged: set[Region] = set()
        self._is_open = True
        self.layer = scan_layer(scan, self._on_damage)
        viewer.add_layer(self.layer)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Take the layer away and close the scan; idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.scan.close()
        self.closed.emit()

    def _on_damage(self, error: ScanError) -> None:
        if error.region not in self._damaged:
            self._damaged.add(error.region)
            self.noticed.emit(f"{error} It is striped on the slide.")

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.close()


def scan_layer(scan: Scan, on_damage: Callable[[ScanError], object] | None = None) -> Image:
    """Return a layer that shows a scan, in um where the length of its pixels is known."""
    return Image(scan_levels(scan, on_damage), **_layer_arguments(scan))


def scan_reader(path: str) -> Callable[[str], list[Any]] | None:
    """Return what reads a scan as a layer; None for a slide of this package."""
    if is_synthetic(path):
        return None
    return lambda path: [scan_layer(open_scan(path)).as_layer_data_tuple()]


def _layer_arguments(scan: Scan) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "multiscale": True,
        "rgb": True,
        "name": _name(scan.path),
        "metadata": {"scan": str(scan.path)},
    }
    if scan.facts.mpp is not None:
        arguments |= {"scale": scan.facts.mpp, "units": ("um", "um")}
    return arguments


def _name(path: Path) -> str:
    for ending in _ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem
