"""Opens a scan for the window, and asks once for what its file does not say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QInputDialog, QWidget

from napari_histodiff.slide.scans.brightfield import SixteenBits, Window
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from napari_histodiff.slide.scans.scan import ScanIdentity
from napari_histodiff.ui.config_file import config_file, read_config, write_config

__all__ = ["RememberedScans", "open_asking"]

#: Micrometres per pixel of usual cameras without an objective: 10 / 20 = 0.5 um at 20x.
_PIXEL_AT_1X: Final = 10.0

_FULL: Final = (0.0, 65535.0)


class RememberedScans:
    """What was asked about scans, remembered by what they are and not by where they lie.

    Parameters
    ----------
    path : Path, optional
        Another file than the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or config_file("scans.json")

    def mpp(self, scan: ScanIdentity) -> float | None:
        """Return the micrometres per pixel that a person gave."""
        kept = self._of(scan).get("mpp")
        return float(kept) if isinstance(kept, int | float) and kept > 0 else None

    def window(self, scan: ScanIdentity) -> Window | None:
        """Return which values of 16 bits a person made black and white."""
        kept = self._of(scan).get("window")
        if isinstance(kept, list) and len(kept) == 2 and kept[0] < kept[1]:
            return float(kept[0]), float(kept[1])
        return None

    def remember(self, scan: ScanIdentity, **values: object) -> None:
        """Keep what a person said."""
        kept = read_config(self._path) or {}
        write_config(self._path, {**kept, scan.sha256: {**self._of(scan), **values}})

    def _of(self, scan: ScanIdentity) -> dict[str, Any]:
        kept = (read_config(self._path) or {}).get(scan.sha256)
        return kept if isinstance(kept, dict) else {}


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
        scan = open_scan(path)
    except SixteenBits:
        scan = open_scan(path, window=_FULL)
        window = remembered.window(scan.identity()) or _ask_window(parent, scan)
        if window is None:
            scan.close()
            return None
        remembered.remember(scan.identity(), window=list(window))
    mpp = scan.facts.mpp
    if mpp is None:
        known = remembered.mpp(scan.identity()) or _ask_mpp(parent, scan)
        if known is not None:
            remembered.remember(scan.identity(), mpp=known)
            mpp = known, known
    if window is None and mpp == scan.facts.mpp:
        return scan
    asked = None if mpp == scan.facts.mpp else mpp
    scan.close()
    return open_scan(path, mpp=asked, window=window)


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
