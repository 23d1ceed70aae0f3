"""Opens a scan for the window, and asks once for what its file does not say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QInputDialog, QWidget

from napari_histodiff.slide.scans.brightfield import SixteenBits, Window
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from napari_histodiff.slide.scans.remembered import FULL_WINDOW, RememberedScans, open_known
from napari_histodiff.ui.background import in_background

__all__ = ["open_asking"]

#: Micrometres per pixel of usual cameras without an objective: 10 / 20 = 0.5 um at 20x.
_PIXEL_AT_1X: Final = 10.0


def open_asking(
    path: Path, parent: QWidget | None, remembered: RememberedScans
) -> PyramidScan | None:
    """Open a scan with what its file, memory or the user says of it.

    Parameters
    ----------
    path : Path
        The file or folder.
    parent : QWidget, optional
        What questions stand on.
    remembered : RememberedScans
        What was asked earlier.

    Returns
    -------
    PyramidScan or None
        None when the user does not want a slide of 16 bits; one without the length of its pixels
        when the user does not know it.

    Raises
    ------
    ScanInvalid
        When it cannot be read as a slide of bright-field colours.
    """
    window: Window | None = None
    try:
        scan = in_background(lambda: open_known(path, remembered=remembered))
    except SixteenBits:
        with closing(open_scan(path, window=FULL_WINDOW)) as whole:
            window = _ask_window(parent, whole)
            if window is None:
                return None
            remembered.remember(whole.identity(), window=list(window))
        scan = in_background(lambda: open_known(path, window=window, remembered=remembered))
    if scan.facts.mpp is not None:
        return scan
    mpp = _ask_mpp(parent, scan)
    if mpp is None:
        return scan
    remembered.remember(scan.identity(), mpp=mpp)
    scan.close()
    window = window or remembered.window(scan.identity())
    return in_background(lambda: open_scan(path, mpp=mpp, window=window))


def _ask_mpp(parent: QWidget | None, scan: PyramidScan) -> float | None:
    """Ask how long a pixel is, in um; None when the user does not know."""
    power = scan.facts.magnification
    objective = f" Its objective was {power:g}×." if power else ""
    with _pointing():
        mpp, accepted = QInputDialog.getDouble(
            parent,
            "Pixel size",
            f"{scan.path.name} does not say how long a pixel is.{objective}\nScanners at 40× have "
            "about 0.25 µm per pixel, at 20× about 0.5.\n\nMicrometres per pixel:",
            min(max(_PIXEL_AT_1X / power, 0.05), 64.0) if power else 0.5,
            0.05,
            64.0,
            4,
        )
    return float(mpp) if accepted else None


def _ask_window(parent: QWidget | None, scan: PyramidScan) -> Window | None:
    """Ask which value is white, of 16 bits; None when the user does not want the slide."""
    overview = scan.read(scan.spec.bounds(scan.spec.levels - 1))
    with _pointing():
        white, accepted = QInputDialog.getInt(
            parent,
            "16 bits a colour",
            f"{scan.path.name} has 16 bits a colour; tissue is drawn with 8. Bright-field slides "
            "show white glass.\n\nThe value that is white (0 is black):",
            max(1, int(overview.max()) * 257),
            1,
            65535,
        )
    return (0.0, float(white)) if accepted else None


@contextmanager
def _pointing() -> Iterator[None]:
    """Show the usual cursor while something is asked."""
    QApplication.setOverrideCursor(Qt.CursorShape.ArrowCursor)
    try:
        yield
    finally:
        QApplication.restoreOverrideCursor()
