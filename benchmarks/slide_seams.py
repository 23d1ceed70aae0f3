"""Do borders of tiles show on a drawn slide? Permutation tests over the lines of its tissue.

    python -m benchmarks.slide_seams colon.ome.zarr --side 4096

Every tile border of each drawn level is compared with the other lines of the network's grid, for
three statistics on both axes; the smallest p of a level is multiplied by their number (Bonferroni).
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Final

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import TILE
from napari_histodiff.evaluation.metrics.seams import Statistic, seam_test
from napari_histodiff.slide.store import SlideStore

STATISTICS: Final[tuple[Statistic, ...]] = ("first", "second", "covariance")
GRID: Final = 16  # the network's coarsest pixel


def main() -> None:
    """Print one row per drawn level and statistic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--side", type=int, default=4096, help="pixels of level 0, in the middle")
    options = parser.parse_args()
    with SlideStore.open(options.slide, read_only=True) as slide:
        for level in range(slide.recipe.coarsest + 1):
            _test(slide, level, options.side >> level)


def _test(slide: SlideStore, level: int, side: int) -> None:
    bounds = slide.spec.bounds(level)
    y, x = ((n - side) // 2 // TILE * TILE for n in bounds.shape)
    image = slide.read(Region(level, y, x, side, side))
    lines = range(TILE, side, TILE)
    found = []
    for axis, statistic in product((0, 1), STATISTICS):
        test = seam_test(image, lines, axis=axis, period=GRID, statistic=statistic)
        found.append(test.p_value)
        print(f"level {level}  axis {axis}  {statistic:10}  p {test.p_value:.3f}")
    print(f"level {level}: {len(lines)} borders an axis, p for all {min(1, 6 * min(found)):.3f}")


if __name__ == "__main__":
    main()
