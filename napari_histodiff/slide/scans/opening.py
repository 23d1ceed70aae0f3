"""Opens a scan with whatever reads it, by what is in the file and not by how it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from napari_histodiff.core.errors import HistodiffError, InvalidRequest, ScanInvalid
from napari_histodiff.datasets.tiff import COARSEST_STATED, plausible
from napari_histodiff.slide.scans.brightfield import Window, check_window
from napari_histodiff.slide.scans.colour_profile import ProfiledSource
from napari_histodiff.slide.scans.openslide_reader import (
    OpenSlideSource,
    check_light,
    open_aperio,
    vendor_of,
)
from napari_histodiff.slide.scans.picture_reader import PictureSource
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from napari_histodiff.slide.scans.source import ScanSource
from napari_histodiff.slide.scans.tiff_reader import TiffSource
from napari_histodiff.slide.scans.zarr_reader import ZarrSource

__all__ = ["is_slide_folder", "is_synthetic", "open_scan"]

_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ZIP: Final = b"PK\x03\x04"
_ZARR_MARKS: Final = ("zarr.json", ".zattrs", ".zgroup")
_MRXS_MARK: Final = "Slidedat.ini"

#: What DICOM files may be instead of a slide, by the name of their class.
_DICOM: Final = {
    b"1.2.840.10008.5.1.4.1.1.91.1": "annotations",
    b"1.2.840.10008.5.1.4.1.1.66.": "a segmentation",
    b"1.2.840.10008.5.1.4.1.1.88.": "a report",
}


def is_synthetic(path: str | Path) -> bool:
    """Return whether a folder is a slide of this package, of whatever version; not a scan."""
    return (Path(path) / "histodiff" / "zarr.json").is_file()


def is_slide_folder(path: Path) -> bool:
    """Return whether a folder is one slide, not a place where slides are kept."""
    marked = any((path / mark).is_file() for mark in (*_ZARR_MARKS, _MRXS_MARK))
    return marked or any(path.glob("*.dcm"))


def open_scan(
    path: str | Path,
    *,
    mpp: float | tuple[float, float] | None = None,
    window: Window | None = None,
    icc: bool = False,
) -> PyramidScan:
    """Open a scanned slide for reading; nothing is ever written to it.

    Parameters
    ----------
    path : path
        SVS, NDPI, MRXS, SCN, BIF, DICOM (one file of the slide, or its folder), TIFF, OME-TIFF,
        OME-Zarr (folder or zip), PNG or JPEG.
    mpp : float or (y, x), optional
        Micrometres per pixel of level 0, where the file does not say them or says wrong ones.
    window : (low, high), optional
        Which values become black and white, of a slide with 16 bits a colour.
    icc : bool
        Whether colours are brought to sRGB as the file's colour profile says.

    Returns
    -------
    PyramidScan
        A `Scan`.

    Raises
    ------
    ScanInvalid
        When it cannot be read as a slide of bright-field colours; the message says the way out.
    InvalidRequest
        When `mpp` is no length of a pixel, `window` is empty, or there is no colour profile.
    """
    path = Path(path).expanduser()
    lengths = _lengths(mpp)
    check_window(window)
    if not (path.is_file() or path.is_dir()):
        got = "no file" if path.exists() else "nothing there"
        raise ScanInvalid(f"expected a slide in {path}, got {got}; check the path")
    source = _in_folder(path, window) if path.is_dir() else _in_file(path, window)
    if 0 in source.shapes[0]:
        source.close()
        raise ScanInvalid(
            f"expected a slide with pixels in {path}, got one of {source.shapes[0]}; the file is "
            "damaged: copy it again from where it came"
        )
    if icc:
        try:
            source = ProfiledSource(source, path)
        except HistodiffError:
            source.close()
            raise
    return PyramidScan(path, source, mpp=lengths, variant=repr((window, icc)))


def _in_folder(path: Path, window: Window | None) -> ScanSource:
    if is_synthetic(path):
        raise ScanInvalid(
            f"expected a scan, got {path}, a slide of this package; open it with open_slide"
        )
    if any((path / mark).is_file() for mark in _ZARR_MARKS):
        return ZarrSource(path, window)
    beside = path.with_suffix(".mrxs")
    if (path / _MRXS_MARK).is_file() and beside.is_file():
        return OpenSlideSource(beside)
    parts = sorted(file for file in path.glob("*.dcm") if file.is_file())
    if not parts:
        raise ScanInvalid(
            f"expected a slide, got the folder {path}, which holds neither OME-Zarr nor DICOM; "
            "choose the file of a slide"
        )
    return _dicom(parts)


def _dicom(parts: list[Path]) -> ScanSource:
    """Return the one slide that DICOM files are of."""
    found: OpenSlideSource | None = None
    refusal: ScanInvalid | None = None
    for part in parts:
        if found is not None and part in found.header.files:
            continue
        try:
            source = OpenSlideSource(part)
        except ScanInvalid as error:
            refusal = refusal or _refused(part, error)
            continue
        if found is not None:
            found.close()
            source.close()
            raise ScanInvalid(
                f"expected the files of one slide in {part.parent}, got those of several, as of "
                f"{found.header.files[0].name} and {part.name}; choose one of these files"
            )
        found = source
    if found is None:
        assert refusal is not None
        raise refusal
    return found


def _in_file(path: Path, window: Window | None) -> ScanSource:
    try:
        with path.open("rb") as data:
            head = data.read(132)
    except OSError as error:
        raise ScanInvalid(
            f"expected to read {path}, got '{error.strerror or error}'; check its permissions"
        ) from error
    if head.startswith(_ZIP):
        return ZarrSource(path, window)
    if head[128:] == b"DICM":
        try:
            return OpenSlideSource(path)
        except ScanInvalid as error:
            raise _refused(path, error) from error
    vendor = vendor_of(path)
    if vendor not in ("", "generic-tiff"):
        check_light(path, vendor)
        return open_aperio(path) if vendor == "aperio" else OpenSlideSource(path)
    if head.startswith(_TIFF):
        return TiffSource(path, window)
    return PictureSource(path, window)


def _refused(path: Path, error: ScanInvalid) -> ScanInvalid:
    """Return why a DICOM file is no slide, in clearer words where it is of another kind."""
    with path.open("rb") as data:
        head = data.read(4096)
    for name, kind in _DICOM.items():
        if name in head:
            return ScanInvalid(
                f"expected a DICOM slide, got {kind} in {path}; choose a file of the slide itself"
            )
    return error


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
