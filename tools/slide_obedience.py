"""Measure whether drawn slides follow their layout, level by level and each level drawn one finer.

    python tools/slide_obedience.py

Draws small slides down to 1 um per pixel, each twice, and prints intersection over union of what
the tissue segmenter finds there with the layout, by class, and how many of its nuclei the judge
finds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import napari_histodiff as hd
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.evaluation.fidelity import figure, tile_scores
from napari_histodiff.evaluation.tiles import Tile
from napari_histodiff.evaluation.tissue import tissue_overlap
from napari_histodiff.rendering import render_slide
from napari_histodiff.segmenter.model import Judge
from napari_histodiff.segmenter.tissue import TissueSegmenter
from napari_histodiff.slide.store import SlideStore

CAPTIONS: Final = ("colon, gland", "stomach", "bladder")
LEVEL: Final = 1
PART: Final = 512


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    judge, segmenter = Judge.load(), TissueSegmenter.load()
    info = hd.load_model().info
    for finer in (False, True):
        tiles: list[Tile] = []
        found: list[Any] = []
        nuclei: list[Any] = []
        for caption in CAPTIONS:
            recipe = SlideRecipe.plan(
                info, height=given.side, width=given.side, caption=caption, seed=given.seed
            )
            for tile in drawn(replace(recipe, drawn_finer=finer), given.workers):
                nuclei.append(judge.segment(tile.image, mpp=tile.mpp))
                tiles.append(tile)
                found.append(segmenter.propose(tile.image, mpp=tile.mpp, nuclei=nuclei[-1]))
        scores = " ".join(f"{k} {v:.2f}" for k, v in tissue_overlap(tiles, found).items())
        met = tile_scores(tiles, nuclei)
        way = "one finer" if finer else "level by level"
        print(
            f"{way:16} {scores}; nuclei Dice {figure(met, 'Dice'):.2f} PQ {figure(met, 'PQ'):.2f}",
            flush=True,
        )


def drawn(recipe: SlideRecipe, workers: int) -> Iterator[Tile]:
    """Draw a slide and return its parts with the tissue of the layout."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "slide.ome.zarr"
        SlideStore.create(path, recipe).close()
        render_slide(path, levels=range(LEVEL, recipe.coarsest + 1), workers=workers)
        with SlideStore.open(path, read_only=True) as slide:
            rows, columns = (range(0, side >> LEVEL, PART) for side in recipe.home)
            for y in rows:
                for x in columns:
                    yield _part(slide, Region(LEVEL, y, x, PART, PART))


def _part(slide: SlideStore, region: Region) -> Tile:
    classes, instances = slide.layout.nuclei(region)
    recipe = slide.recipe
    return Tile(
        name=f"{recipe.caption} {region}",
        source="slide",
        image=slide.read(region),
        class_map=classes,
        instance_map=instances,
        mpp=recipe.mpp * 2**region.level,
        caption=recipe.caption,
        has_classes=True,
        tissue_map=slide.layout.tissue(region),
    )


if __name__ == "__main__":
    main()
