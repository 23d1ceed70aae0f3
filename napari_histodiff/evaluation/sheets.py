"""Contact sheets: what a model draws beside what was there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.colours import colour_nuclei
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.protocols import Backend
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, EditKind, EditRequest
from napari_histodiff.evaluation.tiles import Tile

__all__ = ["GUIDANCES", "Generated", "draw_tiles", "editing_sheet", "generation_sheet"]

#: Guidance scales shown side by side.
GUIDANCES: Final = (1.0, 1.5, 2.5)

_GAP: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """A real tile and what the model drew from its nuclei, one image per guidance scale."""

    tile: Tile
    images: dict[float, NDArray[np.uint8]]


def draw_tiles(
    backend: Backend,
    tiles: Sequence[Tile],
    *,
    guidances: Sequence[float] = GUIDANCES,
    steps: int = 6,
    seed: int = 0,
) -> list[Generated]:
    """Draw every tile from its own nuclei and caption at each guidance scale."""
    return [
        Generated(t, {g: _generate(backend, t, g, steps, seed) for g in guidances}) for t in tiles
    ]


def generation_sheet(drawn: Sequence[Generated]) -> NDArray[np.uint8]:
    """Return one row per tile: nuclei, real tissue, then each guidance scale in order."""
    return _grid(
        [
            [colour_nuclei(g.tile.class_map, g.tile.instance_map), g.tile.image, *g.images.values()]
            for g in drawn
        ]
    )


def editing_sheet(
    backend: Backend, tiles: Sequence[Tile], *, guidance: float = DEFAULT_GUIDANCE, steps: int = 6
) -> NDArray[np.uint8]:
    """Return one row per tile: nuclei, real, inpainted centre, right half outpainted.

    The edited areas are outlined; the third and fifth columns show them without the outline.
    """
    return _grid([_edit_row(backend, tile, guidance, steps) for tile in tiles])


def _generate(
    backend: Backend, tile: Tile, guidance: float, steps: int, seed: int
) -> NDArray[np.uint8]:
    request = EditRequest(
        kind=EditKind.GENERATE,
        region=_region(tile),
        class_map=tile.class_map,
        instance_map=tile.instance_map,
        caption=tile.caption,
        guidance_scale=guidance,
        steps=steps,
        seed=seed,
        mpp=tile.mpp,
    )
    return backend.render([request])[0][0]


def _edit_row(backend: Backend, tile: Tile, guidance: float, steps: int) -> list[NDArray[np.uint8]]:
    size = len(tile.image)
    centre = np.zeros((size, size), bool)
    centre[size // 4 : -size // 4, size // 4 : -size // 4] = True
    half = np.zeros((size, size), bool)
    half[:, size // 2 :] = True
    row = [colour_nuclei(tile.class_map, tile.instance_map), tile.image]
    for kind, edit_mask in ((EditKind.INPAINT, centre), (EditKind.OUTPAINT, half)):
        request = EditRequest(
            kind=kind,
            region=_region(tile),
            class_map=tile.class_map,
            instance_map=tile.instance_map,
            image=tile.image,
            edit_mask=edit_mask,
            caption=tile.caption,
            guidance_scale=guidance,
            steps=steps,
            mpp=tile.mpp,
        )
        image = backend.render([request])[0][0]
        row += [_outlined(image, edit_mask), image]
    return row


def _region(tile: Tile) -> Region:
    return Region(0, 0, 0, *tile.class_map.shape)


def _outlined(image: NDArray[np.uint8], edit_mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    inner = edit_mask.copy()
    inner[1:-1, 1:-1] &= (
        edit_mask[2:, 1:-1] & edit_mask[:-2, 1:-1] & edit_mask[1:-1, 2:] & edit_mask[1:-1, :-2]
    )
    inner[[0, -1]] = inner[:, [0, -1]] = False
    outlined = image.copy()
    outlined[edit_mask & ~inner] = (47, 107, 255)
    return outlined


def _grid(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    padded = [
        [np.pad(cell, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255) for cell in row]
        for row in rows
    ]
    return np.concatenate([np.concatenate(row, axis=1) for row in padded])
