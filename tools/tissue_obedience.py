"""Measure whether drawn tissue follows the tissue map, on whole crypts and fields of real slides.

    histodiff pack DATA test.npz --split test --label
    python tools/tissue_obedience.py test.npz --images 30

Of each image of GlaS and the atlas its middle is drawn from its nuclei and tissue (labelled, where
nobody outlined them, by judge and rules) in the measured stain, in two steps. Prints
intersection over union of what the tissue segmenter finds with the map, by class, in drawn and in
the real images, and their ratio. `histodiff evaluate --tissue given` prints the same of tiles whose
nuclei people outlined, which hold less of glands. A lumen that the square cuts may be named glass:
large squares tell more.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_histodiff.datasets.packing import LAYERS, Pack, load_pack
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.evaluation.drawing import TileDrawer
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.pages import plain_lines
from napari_histodiff.evaluation.panels import ImageSet
from napari_histodiff.evaluation.tiles import Tile, tile_at
from napari_histodiff.evaluation.tissue import tissue_section
from napari_histodiff.segmenter.model import Judge
from napari_histodiff.segmenter.tissue import TissueSegmenter

SOURCES = ("glas", "atlas", "atlas_wide1")
LEAST_LABELLED = 0.5


def squares(packed: Pack, count: int, side: int) -> list[Tile]:
    """Return middles of images, of each source in turn; without those that are hardly labelled."""
    queues = [[i for i, item in enumerate(packed.items) if item.source == s] for s in SOURCES]
    found: list[Tile] = []
    for turn in range(max(map(len, queues), default=0)):
        for i in (queue[turn] for queue in queues if turn < len(queue)):
            height, width = packed.layers[i].shape[:2]
            top, left = (height - side) // 2, (width - side) // 2
            if min(top, left) < 0:
                continue
            place = slice(top, top + side), slice(left, left + side)
            labelled = packed.layers[i][place][..., LAYERS.index("tissue")] > 0
            if labelled.mean() >= LEAST_LABELLED:
                found.append(tile_at(packed, i, *place))
    return found[:count]


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="a packed and labelled test file")
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--side", type=int, default=512, help="of a square, pixels")
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--model", type=Path, help="a model folder; the bundled one by default")
    given = parser.parse_args()
    tiles, judge = squares(load_pack(given.data), given.images, given.side), Judge.load()
    options = StudyOptions(tiles=max(4, len(tiles)), tissue="given", guidance=given.guidance)
    with TemporaryDirectory() as folder:
        drawer = TileDrawer(DiffusionBackend.load(given.model, "auto"), Path(folder), options)
        drawn = ImageSet("drawn", tiles, drawer.tiles(tiles), judge)
    real = ImageSet("real tissue", tiles, [tile.image for tile in tiles], judge)
    for table in tissue_section(real, drawn, TissueSegmenter.load()).tables:
        print("\n".join([f"{len(tiles)} squares of {given.side} px", *plain_lines(table)]))


if __name__ == "__main__":
    main()
