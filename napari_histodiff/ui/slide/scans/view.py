"""A scanned slide in a viewer: its layer, its damage, and how long its pixels are."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.overlays.edited_scan import EditedLevel, EditedScan
from napari_histodiff.slide.overlays.growing import CarryOut, at_once
from napari_histodiff.slide.scans.level_builder import LevelBuilder
from napari_histodiff.slide.scans.opening import is_synthetic
from napari_histodiff.slide.scans.padded import Margins
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from napari_histodiff.slide.scans.remembered import open_known
from napari_histodiff.slide.scans.scan import ScanError
from napari_histodiff.slide.scans.scan_levels import ScanLevel, scan_levels
from napari_histodiff.ui.slide.scans.target import AskPlace, EditedScanTarget
from napari_histodiff.ui.workspace.targets import register_target
from napari_histodiff.ui.workspace.transforms import insert_above

__all__ = ["ScanView", "scan_reader"]

#: Seconds between two redraws while levels are made.
_REDRAW: Final = 1.0

#: Endings that are no part of a slide's name.
_ENDINGS: Final = (".ome.zarr", ".ome.tiff", ".ome.tif", ".zarr.zip", ".zarr")


class ScanView:
    """Shows a scan as a layer, until the layer is removed.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layer is added.
    scan : PyramidScan
        Belongs to the view from now on.
    ask_place : callable
        Asks where edits shall lie that cannot lie beside the scan.
    clock : callable
        Seconds, never running backwards.
    edits : Path, optional
        The folder of its edits; they are looked for without it.
    between : callable, optional
        Called amid adding the layer, which takes napari a while.
    """

    #: A message for the user; from any thread.
    noticed = Signal(str)
    #: The layer is gone and the scan closed.
    closed = Signal()

    def __init__(
        self,
        viewer: Any,
        scan: PyramidScan,
        ask_place: AskPlace = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        edits: Path | None = None,
        between: Callable[[], object] | None = None,
    ) -> None:
        self.scan = scan
        self._viewer = viewer
        self._clock = clock
        self._damaged: set[Region] = set()
        self._is_open = True
        self._unshown = False
        self._due = float("-inf")
        self._builder = LevelBuilder(scan, self._on_made, self._on_damage)
        self._levels, self._overview = scan_levels(scan, self._on_damage, self._builder)
        self.edited = EditedScan(scan, edits)
        self.layer = Image(self._shown(), **_layer_arguments(scan))
        self._shift(*self.edited.margins[:2])
        #: The scan as something edits are made on.
        self.target = EditedScanTarget(self.layer, self.edited, ask_place, clock)
        register_target(self.target)
        insert_above(viewer, self.layer, [], between)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def is_complete(self) -> bool:
        """Whether all that was looked at is shown as it is."""
        return self._builder.is_idle and not self._unshown

    def enlarge(self, more: Margins, carry_out: CarryOut = at_once) -> None:
        """Make room beyond the border of the scan; what is on the screen stays where it is.

        Parameters
        ----------
        more : Margins
        carry_out : callable, optional
            Calls what takes long; see `growing.enlarge`.

        Raises
        ------
        InvalidRequest
            When it cannot be done now, there is no place for edits, or the margins are none.
        StorageError
            When it cannot be written.
        """
        self.target.enlarge(more, carry_out)
        layer, levels = self.layer, self._shown()
        # Data first: napari shows the coarsest level until it draws, and takes these corners of it.
        layer.corner_pixels = np.array([(0, 0), np.subtract(levels[-1].shape[:2], 1)])
        layer.data = levels
        self._shift(more.top, more.left)
        self.target.moved.emit(more.top, more.left)

    def pump(self) -> None:
        """Show what was made meanwhile; call it on a timer."""
        now = self._clock()
        if self._is_open:
            self.target.pump()
        if self._is_open and self._unshown and now >= self._due:
            self._unshown = False
            self._due = now + _REDRAW
            self.layer.refresh(extent=False, highlight=False)

    def close(self) -> None:
        """Take the layer away and close the scan; idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self._builder.close()
        self.target.close()
        self.scan.close()
        self.closed.emit()

    def _shown(self) -> list[EditedLevel]:
        return [EditedLevel(level, self.edited) for level in self._levels]

    def _shift(self, rows: int, columns: int) -> None:
        """Let the layer begin so many pixels before: the scan on it stays where it is."""
        scale = np.asarray(self.layer.scale)
        self.layer.translate = np.asarray(self.layer.translate) - scale * (rows, columns)

    def _on_made(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        self._overview.fill(region, pixels)
        self.target.show_again(self.edited.on_canvas(region))
        self._unshown = True

    def _on_damage(self, error: ScanError) -> None:
        if error.region not in self._damaged:
            self._damaged.add(error.region)
            self.noticed.emit(f"{error} It is striped on the slide.")

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.close()


def scan_layer(scan: PyramidScan) -> Image:
    """Return a layer that shows a scan, in um where the length of its pixels is known."""
    levels = [ScanLevel(scan, level) for level in range(scan.spec.levels)]
    return Image(levels, **_layer_arguments(scan))


def scan_reader(path: str) -> Callable[[str], list[Any]] | None:
    """Return what reads a scan as a layer; None for a slide of this package."""
    if is_synthetic(path):
        return None
    return lambda path: [scan_layer(open_known(path)).as_layer_data_tuple()]


def _layer_arguments(scan: PyramidScan) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "multiscale": True,
        "rgb": True,
        "name": _name(scan.path),
        "metadata": {"scan": str(scan.path), "magnification": scan.facts.magnification},
    }
    if scan.facts.mpp is not None:
        arguments |= {"scale": scan.facts.mpp, "units": ("um", "um")}
    return arguments


def _name(path: Path) -> str:
    for ending in _ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem
