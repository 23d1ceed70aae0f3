"""Opens a scan with whatever reads it."""

from __future__ import annotations

from pathlib import Path

from napari_histodiff.core.errors import InvalidRequest, ScanInvalid
from napari_histodiff.datasets.tiff import COARSEST_STATED, plausible
from napari_histodiff.slide.scans.openslide_reader import OpenSlideSource
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan

__all__ = ["open_scan"]


def open_scan(path: str | Path, *, mpp: float | tuple[float, float] | None = None) -> PyramidScan:
    """Open a scanned slide for reading; nothing is ever written to it.

    Parameters
    ----------
    path : path
        SVS, NDPI, MRXS, SCN, BIF, DICOM or pyramidal TIFF.
    mpp : float or (y, x), optional
        Micrometres per pixel of level 0, where the file does not say them or says wrong ones.

    Returns
    -------
    PyramidScan
        A `Scan`.

    Raises
    ------
    ScanInvalid
        When it cannot be read as a slide of bright-field colours.
    InvalidRequest
        When `mpp` is no length of a pixel.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise ScanInvalid(f"expected a slide in {path}, got nothing there; check the path")
    return PyramidScan(path, OpenSlideSource(path), mpp=_lengths(mpp))


def _lengths(mpp: float | tuple[float, float] | None) -> tuple[float, float] | None:
    if mpp is None:
        return None
    y, x = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    if plausible(x, y, COARSEST_STATED) is None:
        raise InvalidRequest(
            f"expected micrometres per pixel that a microscope can have, 0.05 to 64 and the same "
            f"along both sides, got {mpp!r}; a 20x objective has about 0.5, a 40x objective 0.25"
        )
    return float(y), float(x)
