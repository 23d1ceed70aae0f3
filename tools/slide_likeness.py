"""Measure whether slides look like real tissue: held-out tiles, drawn from 2 um down as slides are.

    python tools/slide_likeness.py test.npz --tiles 40

Draws tiles of 256 px, about 0.5 um per pixel, from their nuclei, tissue, caption and stain: at once
as frames are; level by level; and with levels above the finest drawn one finer, as new slides are.
Real pixels at twice the size, given detail, show what the finest level does by itself. For each it
prints a critic's AUC, the distance of the judge's features, and Dice and PQ of the nuclei that the
judge finds, of those on real tissue.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import block_means, box_down, repeat_up
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.evaluation.fidelity import figure, tile_scores
from napari_histodiff.evaluation.panels import ImageSet
from napari_histodiff.evaluation.realism import critic_score, distance
from napari_histodiff.evaluation.tiles import Tile, study_tiles
from napari_histodiff.inpainting.projection import project_on_coarse
from napari_histodiff.inpainting.stains import stain_vector
from napari_histodiff.segmenter.model import Judge

SIDE: Final = 256
CROP: Final = 64

Pixels = NDArray[np.uint8]


class Drawer:
    """Draws levels of one tile; level 0 is the tile's own."""

    def __init__(self, backend: DiffusionBackend, tile: Tile, seed: int, guidance: float) -> None:
        self._backend, self._tile = backend, tile
        self._settings: dict[str, Any] = {
            "seed": seed, "guidance_scale": guidance, "caption": tile.caption, "steps": 2,
        }  # fmt: skip

    def draw(self, level: int, coarse: Pixels | None = None, coarse_levels: int = 1) -> Pixels:
        """Draw a level, from an image of `coarse_levels` above it or from paint alone."""
        tile, real = self._tile, self._tile.image
        for _ in range(level):
            real = box_down(real)
        maps: dict[str, Any] = {
            name: np.ascontiguousarray(getattr(tile, name)[:: 2**level, :: 2**level])
            for name in ("class_map", "instance_map", "tissue_map")
        }
        if coarse is not None:
            maps["coarse"] = repeat_up(coarse, 2**coarse_levels)
        request = EditRequest(
            kind=EditKind.GENERATE if coarse is None else EditKind.ZOOM,
            region=Region(level, 0, 0, *real.shape[:2]),
            mpp=tile.mpp * 2**level,
            stain=stain_vector(real),
            coarse_levels=coarse_levels,
            **maps,
            **self._settings,
        )
        return np.asarray(self._backend.render([request])[0][0])

    def at_once(self) -> Pixels:
        """As frames are drawn."""
        return self.draw(0)

    def level_by_level(self) -> Pixels:
        """As slides of before were."""
        return self.draw(0, self.draw(1, self.draw(2)))

    def one_finer(self) -> Pixels:
        """As slides are drawn."""
        top = box_down(self.draw(1))
        means = block_means(self.draw(0, top, 2), 2) / 127.5 - 1
        place = Region(1, 0, 0, *means.shape[:2])
        return self.draw(0, project_on_coarse(means[None], repeat_up(top, 2), place)[0])

    def of_real(self) -> Pixels:
        """Detail of real pixels."""
        return self.draw(0, box_down(self._tile.image))


WAYS: Final[dict[str, Callable[[Drawer], Pixels]]] = {
    "at once": Drawer.at_once,
    "level by level": Drawer.level_by_level,
    "one finer": Drawer.one_finer,
    "detail of real": Drawer.of_real,
}


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--tiles", type=int, default=40)
    parser.add_argument("--guidance", type=float, default=1.0)
    given = parser.parse_args()
    backend, judge = DiffusionBackend.load(), Judge.load()
    every = study_tiles(load_pack(given.pack), 10_000, SIDE, "all")
    fits = [t for t in every if t.tissue_map is not None and t.image.shape[0] == SIDE]
    tiles = [tile for tile in fits if tile.mpp < 0.7][: given.tiles]
    real = ImageSet("real", tiles, [tile.image for tile in tiles], judge)
    on_real = tile_scores(tiles, real.nuclei)
    for name, way in WAYS.items():
        images = [way(Drawer(backend, t, i, given.guidance)) for i, t in enumerate(tiles)]
        drawn = ImageSet(name, tiles, images, judge)
        found = tile_scores(tiles, drawn.nuclei)
        dice, pq = (figure(found, key) / figure(on_real, key) for key in ("Dice", "PQ"))
        auc = critic_score(real, drawn, CROP).auc
        far = distance(drawn, real, CROP, real.everything, real.everything)
        print(f"{name:16} AUC {auc:.3f} distance {far:.2f} Dice {dice:.2f} PQ {pq:.2f}", flush=True)


if __name__ == "__main__":
    main()
