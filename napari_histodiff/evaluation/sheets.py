"""Contact sheets: what a model draws beside what was there, real tissue under its own licence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import center_of_mass

from napari_histodiff.core.colours import colour_nuclei
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.requests import EditKind
from napari_histodiff.evaluation.consistency import centre_mask
from napari_histodiff.evaluation.drawing import TileDrawer
from napari_histodiff.evaluation.metrics.objects import object_classes
from napari_histodiff.evaluation.panels import ImageSet
from napari_histodiff.evaluation.tiles import Tile

__all__ = ["RARE", "contact_sheet", "editing_sheet", "frame_sheet", "rare_sheet", "sweep_sheet"]

#: Classes of the sheet of rare nuclei.
RARE: Final = ("neutrophil", "eosinophil", "plasma")

_GAP: Final = 6
_LABEL: Final = 16
_RARE_CROP: Final = 48
_RARE_COUNT: Final = 12
_OUTLINE: Final = (47, 107, 255)

Picture = NDArray[np.uint8]


def sweep_sheet(real: ImageSet, drawn: Sequence[ImageSet], rows: int, size: int) -> Picture:
    """Return one row per tile: nuclei, real tissue, then each image set under its name."""
    labels = ["nuclei", "real", *(image_set.name for image_set in drawn)]
    cells = [
        [_nuclei(tile), tile.image, *(image_set.images[i] for image_set in drawn)]
        for i, tile in enumerate(real.tiles[:rows])
    ]
    return contact_sheet(labels, cells, size)


def editing_sheet(drawer: TileDrawer, tiles: Sequence[Tile], size: int) -> Picture:
    """Return one row per tile: nuclei, real, inpainted centre, right half outpainted.

    The edited areas are outlined; the fourth and sixth columns show them without the outline.
    """
    labels = ["nuclei", "real", "inpainted, where", "inpainted", "outpainted, where", "outpainted"]
    return contact_sheet(labels, [_edits(drawer, i, t) for i, t in enumerate(tiles)], size)


def frame_sheet(drawer: TileDrawer, frames: Sequence[Tile], size: int) -> Picture:
    """Return one row per large frame: nuclei, real (mirrored at its edges), drawn."""
    rows = [[_nuclei(f), f.image, drawer.generate(f, offset=i)] for i, f in enumerate(frames)]
    return contact_sheet(["nuclei", "real, mirrored at its edges", "drawn"], rows, size)


def rare_sheet(real: ImageSet, drawn: ImageSet) -> Picture | None:
    """Return crops around painted nuclei of rare classes, real above drawn, 12 of each class.

    None when the tiles hold no such nucleus.
    """
    strips = []
    for name in RARE:
        places = _places(real.tiles, CLASS_NAMES.index(name) + 1)[:_RARE_COUNT]
        if not places:
            continue
        for image_set in (real, drawn):
            crops = [_crop(image_set.images[i], centre) for i, centre in places]
            blank = [np.full_like(crops[0], 255)] * (_RARE_COUNT - len(crops))
            labels = [f"{name}, {image_set.name}"] + [""] * (_RARE_COUNT - 1)
            strips.append(contact_sheet(labels, [[*crops, *blank]], 2 * _RARE_CROP))
    return np.concatenate(strips) if strips else None


def contact_sheet(labels: Sequence[str], rows: Sequence[Sequence[Picture]], size: int) -> Picture:
    """Return a grid of pictures under its column labels; pictures are enlarged to `size` px."""
    columns = len(labels)
    sheet = np.full((_LABEL + len(rows) * (size + _GAP), columns * (size + _GAP), 3), 255, np.uint8)
    for j, row in enumerate(rows):
        for i, picture in enumerate(row):
            y, x = _LABEL + j * (size + _GAP), i * (size + _GAP)
            enlarged = _enlarged(picture, size)
            sheet[y : y + enlarged.shape[0], x : x + enlarged.shape[1]] = enlarged
    canvas = Image.fromarray(sheet)
    draw = ImageDraw.Draw(canvas)
    for i, label in enumerate(labels):
        draw.text((i * (size + _GAP) + 2, 2), label, fill=(0, 0, 0))
    return np.array(canvas)


def _edits(drawer: TileDrawer, i: int, tile: Tile) -> list[Picture]:
    side = len(tile.image)
    half = np.zeros((side, side), np.bool_)
    half[:, side // 2 :] = True
    row = [_nuclei(tile), tile.image]
    for kind, edit_mask in ((EditKind.INPAINT, centre_mask(side)), (EditKind.OUTPAINT, half)):
        image = drawer.draw(tile, kind, i, image=tile.image, edit_mask=edit_mask)
        row += [_outlined(image, edit_mask), image]
    return row


def _nuclei(tile: Tile) -> Picture:
    return colour_nuclei(tile.class_map, tile.instance_map)


def _enlarged(picture: Picture, size: int) -> Picture:
    factor = max(1, size // len(picture))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)[:size, :size]


def _places(tiles: Sequence[Tile], class_id: int) -> list[tuple[int, tuple[int, int]]]:
    """Return tile and centre of every nucleus of a class."""
    places = []
    for i, tile in enumerate(tiles):
        ids = np.unique(tile.instance_map[tile.instance_map > 0])
        of_class = ids[object_classes(tile.instance_map, tile.class_map) == class_id]
        centres = center_of_mass(tile.instance_map > 0, tile.instance_map, of_class)
        places += [(i, (round(y), round(x))) for y, x in centres]
    return places


def _crop(image: Picture, centre: tuple[int, int]) -> Picture:
    y, x = (
        min(max(0, c - _RARE_CROP // 2), max(0, side - _RARE_CROP))
        for c, side in zip(centre, image.shape[:2], strict=True)
    )
    return image[y : y + _RARE_CROP, x : x + _RARE_CROP]


def _outlined(image: Picture, edit_mask: NDArray[np.bool_]) -> Picture:
    inner = edit_mask.copy()
    inner[1:-1, 1:-1] &= (
        edit_mask[2:, 1:-1] & edit_mask[:-2, 1:-1] & edit_mask[1:-1, 2:] & edit_mask[1:-1, :-2]
    )
    inner[[0, -1]] = inner[:, [0, -1]] = False
    outlined = image.copy()
    outlined[edit_mask & ~inner] = _OUTLINE
    return outlined
