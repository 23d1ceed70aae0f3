"""A slide opened to be read by a script, be it a scan or one of this package."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.slide.lazy_levels import LazyLevel, LevelArray
from napari_histodiff.slide.overlays.attaching import is_edits, scan_beside
from napari_histodiff.slide.overlays.edited_scan import EditedLevel, EditedScan
from napari_histodiff.slide.overlays.places import open_overlay
from napari_histodiff.slide.overlays.recipe import read_scan_recipe
from napari_histodiff.slide.scans.opening import is_synthetic
from napari_histodiff.slide.scans.pyramid_scan import PyramidScan
from napari_histodiff.slide.scans.remembered import open_known
from napari_histodiff.slide.scans.scan_levels import ScanLevel
from napari_histodiff.slide.store import SlideStore

if TYPE_CHECKING:
    import dask.array as da

    from napari_histodiff.slide.scans.scan import ScanFacts

__all__ = ["OpenedSlide", "open_slide"]


class OpenedSlide:
    """A slide that can be read anywhere and is never written; use it in a `with`.

    Parameters
    ----------
    slide : SlideStore or PyramidScan
        Closed with it.
    edits : Path, optional
        The folder of a scan's edits; they are looked for without it.
    """

    def __init__(self, slide: SlideStore | PyramidScan, edits: Path | None = None) -> None:
        self._slide = slide
        self._edited: EditedScan | None = None
        if isinstance(slide, PyramidScan):
            self._edited = EditedScan(slide, edits, read_only=True)
            if self._edited.trouble:
                warnings.warn(self._edited.trouble, stacklevel=3)

    @property
    def path(self) -> Path:
        """The file, or the folder."""
        return self._slide.path

    @property
    def spec(self) -> PyramidSpec:
        """The slide as a pyramid: level 0 is the finest, each level half of the one below."""
        return self._slide.spec if self._edited is None else self._edited.scan.spec

    @property
    def origin(self) -> tuple[int, int]:
        """Where the first pixel of a scan lies, (y, x): (0, 0) unless it was drawn beyond it."""
        return (0, 0) if self._edited is None else self._edited.margins[:2]

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel of level 0; None for a scan whose file does not say."""
        if self.facts is not None and self.facts.mpp is None:
            return None
        return self.spec.mpp

    @property
    def facts(self) -> ScanFacts | None:
        """What the header of a scan says; None for a slide of this package."""
        return self._slide.facts if isinstance(self._slide, PyramidScan) else None

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels of a region of any place and level, (h, w, 3) uint8, edits included.

        Raises
        ------
        ScanError
            When a part of a scan cannot be decoded.
        InvalidRequest
            When the slide has no such level.
        """
        return (self._edited or self._slide).read(region)

    def associated(self, name: str) -> NDArray[np.uint8]:
        """Return another picture of a scan's file, as "macro"; a label may name a patient.

        Raises
        ------
        InvalidRequest
            When there is none of that name; `facts.associated` lists them.
        """
        if not isinstance(self._slide, PyramidScan):
            raise InvalidRequest(
                f"expected a scan, got {self.path}, a slide of this package, which has no other "
                "picture; read the slide itself"
            )
        return self._slide.associated(name)

    def to_dask(self, level: int = 0) -> da.Array:
        """Return a level as a dask array, (h, w, 3) uint8 in chunks of 256 pixels."""
        array: LevelArray
        if isinstance(self._slide, PyramidScan):
            assert self._edited is not None
            array = EditedLevel(ScanLevel(self._slide, level), self._edited)
        else:
            array = LazyLevel(self._slide, level)
        return array.to_dask()

    def close(self) -> None:
        """Let go of the files."""
        if self._edited is not None:
            self._edited.close()
        self._slide.close()

    def __repr__(self) -> str:
        return repr(self._slide)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_slide(
    path: str | Path,
    *,
    mpp: float | tuple[float, float] | None = None,
    window: tuple[float, float] | None = None,
    icc: bool = False,
    edits: str | Path | None = None,
) -> OpenedSlide:
    """Open a slide for reading: a scan, with its edits laid over it, or one of this package.

    Parameters
    ----------
    path : path
        SVS, NDPI, MRXS, SCN, BIF, DICOM, TIFF, OME-TIFF, OME-Zarr, PNG, JPEG, or the folder of a
        slide that this package made; or the folder of a scan's edits, with the scan beside it.
    mpp : float or (y, x), optional
        Micrometres per pixel of level 0 of a scan whose file does not say them, or wrong ones.
        Without it, what was answered in the window about a scan that does not say.
    window : (low, high), optional
        Which values become black and white, of a scan with 16 bits a colour; without it, what was
        answered in the window.
    icc : bool
        Whether colours are brought to sRGB as the scan's colour profile says.
    edits : path, optional
        The folder of a scan's edits, `NAME.histodiff.ome.zarr`, wherever it lies; they are looked
        for without it.

    Raises
    ------
    ScanInvalid
        When it cannot be read as a slide of bright-field colours.
    StorageError
        When the edits are those of another scan, or their scan does not lie beside them.
    InvalidRequest
        When `mpp` is no length of a pixel, or one of these is given for a slide of this package,
        which knows them.
    """
    folder = None if edits is None else Path(edits)
    if edits is None and is_edits(Path(path)):
        folder, path = Path(path), _scan_of(Path(path))
    if not is_synthetic(path):
        scan = open_known(path, mpp=mpp, window=window, icc=icc)
        try:
            if folder is not None:
                open_overlay(scan, folder, read_only=True).close()
        except StorageError:
            scan.close()
            raise
        return OpenedSlide(scan, folder)
    if mpp is not None or window is not None or icc or edits is not None:
        raise InvalidRequest(
            f"expected no mpp, window, icc or edits for {path}, a slide of this package, which "
            "knows its own; leave them out"
        )
    return OpenedSlide(SlideStore.open(Path(path), read_only=True))


def _scan_of(edits: Path) -> Path:
    found = scan_beside(edits)
    if found is None:
        raise StorageError(
            f"expected the scan of these edits, {read_scan_recipe(edits).describe()}, beside "
            f"{edits}, got none there; give open_slide the scan, and these as edits="
        )
    return found
