"""What the edits of a scan know of their scan, and the files that say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import PyramidSpec
from napari_histodiff.core.json_data import from_json
from napari_histodiff.core.recipe import TILE
from napari_histodiff.slide.scans.padded import Margins, margins_of
from napari_histodiff.slide.scans.scan import Scan, ScanIdentity
from napari_histodiff.slide.storage.ome import STORE_VERSION, read_mark, store_files

__all__ = ["SUFFIX", "ScanRecipe", "overlay_files", "read_scan_recipe"]

#: How the folder of the edits of a scan is called, after the scan's name.
SUFFIX: Final = ".histodiff.ome.zarr"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRecipe:
    """The scan that edits belong to; what a store has to know of it, as of a synthetic slide.

    Parameters
    ----------
    name : str
        Name of the scan's file. Its folder is not kept: it may name a person.
    identity : ScanIdentity
        Tells the scan from others.
    levels : int
        How many it has.
    mpp : float
        Micrometres per pixel of level 0; 1.0 where it is not known.
    format : str
        What the scan is, as "aperio svs".
    margins : tuple of int
        How far the canvas goes beyond the scan: `Margins`.
    """

    name: str
    identity: ScanIdentity
    levels: int
    mpp: float
    format: str
    margins: tuple[int, int, int, int] = Margins()

    @classmethod
    def of(cls, scan: Scan) -> ScanRecipe:
        """Return what is known of a scan.

        Raises
        ------
        StorageError
            When its tiles are not those that edits are kept in.
        """
        spec = scan.spec
        if spec.tile != TILE:
            raise StorageError(
                f"expected a scan read in tiles of {TILE} pixels, got {spec.tile}; open it with "
                "the readers of napari-histodiff"
            )
        return cls(
            name=scan.path.name,
            identity=scan.identity(),
            levels=spec.levels,
            mpp=spec.mpp,
            format=scan.facts.format,
            margins=margins_of(scan),
        )

    @property
    def height(self) -> int:
        """Rows of level 0 of the canvas."""
        return self.identity.height + self.margins[0] + self.margins[2]

    @property
    def width(self) -> int:
        """Columns of level 0 of the canvas."""
        return self.identity.width + self.margins[1] + self.margins[3]

    @property
    def coarsest(self) -> int:
        """Pixels are put into every level."""
        return self.levels - 1

    @property
    def margin(self) -> int:
        """No tile is drawn from others."""
        return 0

    @property
    def origin(self) -> tuple[int, int]:
        """The canvas begins at its first pixel; see `margins` for the scan on it."""
        return (0, 0)

    @property
    def refined(self) -> int:
        """A scan has no finer level than its own."""
        return 0

    @property
    def spec(self) -> PyramidSpec:
        """The canvas as a pyramid."""
        return PyramidSpec(self.height, self.width, TILE, self.levels, self.mpp)

    def follow(self, scan: Scan) -> ScanRecipe:
        """Return the same with what may be said anew of the scan: its name and pixel size.

        Raises
        ------
        StorageError
            When it is another scan, or is read in other levels.
        """
        found = ScanRecipe.of(scan)
        if found.identity != self.identity:
            raise StorageError(
                f"expected the scan that these edits were made on, {self.describe()}, got "
                f"{scan.path}, {found.describe()}; open the edits with their own scan, or choose "
                "another place for the edits of this one"
            )
        if found.levels != self.levels:
            raise StorageError(
                f"expected {self.levels} levels of {scan.path}, as these edits were made on, got "
                f"{found.levels}; open it with the version of napari-histodiff that made them"
            )
        if found.margins != self.margins:
            raise StorageError(
                f"expected the canvas of {scan.path} as large as when it was opened, got one that "
                "was made larger in another window; close the slide here and open it again"
            )
        return replace(self, name=found.name, mpp=found.mpp)

    def describe(self) -> str:
        """Return what a person knows the scan by."""
        shown = f"{self.identity.nbytes / 1e6:,.1f} MB, contents {self.identity.sha256[:8]}"
        size = f"{self.identity.width} x {self.identity.height} pixels"
        return f"'{self.name}' ({size}, {shown})"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        data = asdict(self)
        if not any(self.margins):  # as before a canvas could be larger than its scan
            del data["margins"]
        return data

    @classmethod
    def from_dict(cls, data: Any) -> ScanRecipe:
        """Rebuild it from `to_dict`.

        Raises
        ------
        ValueError
            When something lacks or is out of range.
        """
        recipe = from_json(cls, data, optional={"margins"})
        recipe.spec.bounds(recipe.coarsest)
        if min(recipe.margins) < 0 or any(side % (1 << recipe.coarsest) for side in recipe.margins):
            raise ValueError(f"margins of whole pixels of every level, got {recipe.margins}")
        return recipe


def overlay_files(name: str, recipe: ScanRecipe) -> Iterator[tuple[str, bytes]]:
    """Yield every zarr.json of the edits of a scan; see `ome.metadata_files`."""
    mark = {
        "version": STORE_VERSION,
        "synthetic": "where histodiff/edits is not 0",
        "made_by": "napari-histodiff",
        "scan": recipe.to_dict(),
    }
    yield from store_files(name, recipe, mark)


def read_scan_recipe(path: Path) -> ScanRecipe:
    """Return what the edits in a folder know of their scan.

    Raises
    ------
    StorageError
        When the folder holds no edits of a scan, or is damaged or of a newer version.
    """
    mark = read_mark(path)
    if "scan" not in mark:
        raise StorageError(
            f"expected edits of a scanned slide, got {path}, which is a synthetic slide; "
            "open it as a slide"
        )
    try:
        return ScanRecipe.from_dict(mark["scan"])
    except (ValueError, InvalidRequest) as error:
        raise StorageError(
            f"expected what the edits know of their scan in {path / 'zarr.json'}, got {error}; "
            "restore this file from a backup"
        ) from error
