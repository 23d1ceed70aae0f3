"""What lies beside an exported image: what is synthetic in it, as JSON and as outlines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.tracing import Corners, trace
from napari_histodiff.slide.exporting.features import feature, write_features
from napari_histodiff.slide.exporting.provenance import Provenance
from napari_histodiff.slide.exporting.source import ExportSource

__all__ = [
    "SIDECAR",
    "SYNTHETIC_STYLE",
    "Outlines",
    "beside",
    "edited_outlines",
    "sidecar_paths",
    "synthetic_outlines",
]

#: Ends of the names of what lies beside an image.
SIDECAR: Final = ".histodiff.json"
_OUTLINES: Final = ".synthetic.geojson"

# Outlines are traced in blocks of so many pixels a side.
_BLOCK: Final = 4096

#: Name and colour of synthetic pixels.
SYNTHETIC_STYLE: Final = ("Synthetic", (255, 0, 255))


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Where pixels are synthetic: polygons in pixels of full resolution, and what is known then."""

    polygons: list[list[Corners]]
    provenance: Provenance


def sidecar_paths(source: ExportSource, path: Path) -> list[Path]:
    """Return what will lie beside an image: the description, and outlines where it takes any."""
    names = [path.name + SIDECAR]
    if source.provenance.extent == "part":
        names.append(path.name + _OUTLINES)
    return [path.with_name(name) for name in names]


def synthetic_outlines(source: ExportSource) -> Outlines:
    """Find the synthetic pixels of full resolution."""
    provenance, bounds = source.provenance, source.spec.bounds(0)
    if provenance.extent == "part":
        return edited_outlines(source)
    whole = [[0, 0], [bounds.width, 0], [bounds.width, bounds.height], [0, bounds.height]]
    polygons = [[np.array(whole)]] if provenance.extent == "all" else []
    return Outlines(polygons, replace(provenance, share=float(provenance.extent == "all")))


def edited_outlines(source: ExportSource) -> Outlines:
    """Find the edited pixels of full resolution.

    Polygons end at the borders of blocks of 4096 pixels, so that memory is bounded.
    """
    bounds = source.spec.bounds(0)
    polygons = []
    count = 0
    for block, mask in _blocks(source, bounds):
        count += int(mask.sum())
        components = label(mask, connectivity=1).astype(np.int32)
        corner = np.array([block.x, block.y])
        polygons += [[ring + corner for ring in rings] for rings in trace(components)]
    provenance = source.provenance
    if provenance.extent == "part":
        provenance = replace(provenance, share=count / bounds.area)
    return Outlines(polygons, provenance)


def _blocks(source: ExportSource, bounds: Region) -> Iterator[tuple[Region, NDArray[np.bool_]]]:
    """Yield the blocks that hold synthetic pixels, with these."""
    changed = [tile.intersect(bounds) for tile in source.changed()]
    wanted = {(tile.y // _BLOCK, tile.x // _BLOCK) for tile in changed if not tile.is_empty}
    for row, col in sorted(wanted):
        block = Region(0, row * _BLOCK, col * _BLOCK, _BLOCK, _BLOCK).intersect(bounds)
        mask = source.edited(block)
        if mask.any():
            yield block, mask


def beside(parts: list[Path], path: Path, outlines: Outlines, **more: Any) -> None:
    """Write the files of `sidecar_paths`.

    Parameters
    ----------
    parts : list of Path
        Where to write them, in their order.
    path : Path
        The image, by the name it will have.
    outlines : Outlines
        Where it is synthetic.
    **more
        What else is said in the description.
    """
    said = outlines.provenance.to_dict() | {"file": path.name} | more
    parts[0].write_text(json.dumps(said, indent=1), encoding="utf-8")
    if len(parts) > 1:
        mark = {"statement": outlines.provenance.statement, "image": path.name}
        with write_features(parts[1], packed=False, mark=mark) as file:
            for polygon in outlines.polygons:
                key = f"synthetic {polygon[0].tolist()}"
                file.add(feature([polygon], "annotation", SYNTHETIC_STYLE, key, isLocked=True))
