"""Only what was changed on a slide: its tiles, and outlines of the changed pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from PIL import Image

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.slide.exporting.provenance import sha256_of
from napari_histodiff.slide.exporting.sidecar import beside, edited_outlines
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import OnProgress, Steps, staged

__all__ = ["export_changes"]

_README: Final = """\
The changed tiles of {name}, by napari-histodiff.

{statement}

tiles/Y-X.png       a tile whose upper left corner lies at row Y, column X of full resolution
changed.geojson     outlines of the pixels that were changed, for QuPath
histodiff.json      how they were made: model, captions, seeds, masks; and each tile's place and
                    the SHA-256 of its pixels (row by row, RGB)
"""


def export_changes(
    source: ExportSource,
    path: Path | str,
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """Write the tiles of full resolution that hold edited pixels, and the outlines of these.

    Parameters
    ----------
    source : ExportSource
        The slide.
    path : Path
        A new folder.
    overwrite, on_progress
        As in `export_tiff`.

    Returns
    -------
    list of Path
        The folder.

    Raises
    ------
    InvalidRequest
        When nothing was edited.
    StorageError
        When something is there, or cannot be written; nothing is left then.
    """
    path = Path(path)
    source.check_target(path)
    tiles = [tile for tile in source.changed() if source.edited(tile).any()]
    if not tiles:
        raise InvalidRequest(
            f"expected edits at full resolution, got none on {source.name}; export the whole slide "
            "instead, for example as ome-tiff"
        )
    steps = Steps(len(tiles), on_progress)
    with staged(path, overwrite=overwrite) as (folder,):
        (folder / "tiles").mkdir(parents=True)
        known: list[dict[str, Any]] = []
        for tile in tiles:
            steps.step("tiles")
            pixels = source.read(tile)
            name = f"tiles/{tile.y}-{tile.x}.png"
            Image.fromarray(pixels).save(folder / name)
            place = {"y": tile.y, "x": tile.x, "height": tile.height, "width": tile.width}
            known.append({"file": name, **place, "sha256": sha256_of(pixels)})
        outlines = edited_outlines(source)
        beside([folder / "histodiff.json", folder / "changed.geojson"], path, outlines, tiles=known)
        said = {"name": source.name, "statement": outlines.provenance.statement}
        (folder / "README.txt").write_text(_README.format(**said), encoding="utf-8")
    return [path]
