"""What was asked about scans once, so that nobody has to be asked again: pixel sizes, windows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from napari_histodiff.datasets.pictures import same_scale
from napari_histodiff.files import config_file, read_config, write_config
from napari_histodiff.slide.scans.brightfield import SixteenBits, Window
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from napari_histodiff.slide.scans.scan import ScanIdentity

__all__ = ["FULL_WINDOW", "DisputedPixelSize", "RememberedScans", "open_known"]


class DisputedPixelSize(UserWarning):
    """A scan is opened with another pixel size than its file states; the one told is taken."""


#: All values of 16 bits, which any such scan can be opened with to learn what it is.
FULL_WINDOW: Window = (0.0, 65535.0)


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
        """Keep what a person said; where nothing can be written it is asked for again."""
        kept = read_config(self._path)
        kept[scan.sha256] = {**self._of(scan), **values}
        write_config(self._path, kept)

    def _of(self, scan: ScanIdentity) -> dict[str, Any]:
        kept = read_config(self._path).get(scan.sha256)
        return kept if isinstance(kept, dict) else {}


def open_known(
    path: str | Path,
    *,
    mpp: float | tuple[float, float] | None = None,
    window: Window | None = None,
    icc: bool = False,
    remembered: RememberedScans | None = None,
) -> PyramidScan:
    """Open a scan with what its file says, and else what was once answered about it.

    Parameters
    ----------
    path, mpp, window, icc
        As `open_scan` takes them; what is given goes first.
    remembered : RememberedScans, optional
        Another memory than the user's own.

    Raises
    ------
    SixteenBits
        When a window is needed that nobody gave.
    ScanInvalid, InvalidRequest
        As `open_scan`.
    """
    memory = RememberedScans() if remembered is None else remembered
    try:
        scan = open_scan(path, mpp=mpp, window=window, icc=icc)
    except SixteenBits:
        scan = open_scan(path, window=FULL_WINDOW)
        window = memory.window(scan.identity())
        scan.close()
        if window is None:
            raise
        scan = open_scan(path, mpp=mpp, window=window, icc=icc)
    told, stated = scan.facts.mpp, scan.facts.header_mpp
    if told and stated and not all(map(same_scale, told, stated)):
        text = f"{path} states {stated[0]:.4g} um per pixel; {told[0]:.4g} is taken, as told"
        warnings.warn(DisputedPixelSize(text), stacklevel=2)
    known = memory.mpp(scan.identity()) if scan.facts.mpp is None else None
    if known is None:
        return scan
    scan.close()
    return open_scan(path, mpp=known, window=window, icc=icc)
