"""Makes the index of a model's training crops that the Studio compares drawings with.

    python tools/training_index.py train.npz test.npz -o MODEL/training-index --model MODEL

Features only, no pixels: 128 numbers for each random crop of 128 px at 0.5 um. `train.npz` is what
the model learnt from and `test.npz` what it never saw, both written by `histodiff pack`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from napari_histodiff.datasets.packing import LAYERS, Pack, load_pack
from napari_histodiff.diffusion.model_folder import bundled_model_path, check_folder
from napari_histodiff.segmenter.images import rescaled
from napari_histodiff.segmenter.model import Judge
from napari_histodiff.segmenter.nearest import CROP, MPP, TrainingIndex, crops_of

#: Scales of images that are compared at 0.5 um per pixel.
_SCALES = (0.45, 0.85)


def random_crops(packed: Pack, count: int, seed: int) -> NDArray[np.uint8]:
    """Up to `count` crops of tissue, images by their valid area, at 0.5 um."""
    rng = np.random.default_rng(seed)
    valid = LAYERS.index("valid")
    sides = [round(CROP * MPP / item.mpp) for item in packed.items]
    known = [
        i
        for i, item in enumerate(packed.items)
        if _SCALES[0] <= item.mpp <= _SCALES[1] and min(packed.pixels[i].shape[:2]) > sides[i]
    ]
    areas = np.array([packed.layers[i][..., valid].sum() for i in known], np.float64)
    crops: list[NDArray[np.uint8]] = []
    for i in rng.choice(known, 3 * count, p=areas / areas.sum()):
        side = sides[i]
        y, x = (int(rng.integers(0, n - side + 1)) for n in packed.pixels[i].shape[:2])
        place = slice(y, y + side), slice(x, x + side)
        if packed.layers[i][place][..., valid].mean() < 0.9:
            continue
        found = rescaled(packed.pixels[i][place], packed.items[i].mpp, MPP)
        crops.extend(crops_of(found[:CROP, :CROP]))
        if len(crops) == count:
            break
    return np.stack(crops)


def main() -> int:
    """Make an index."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="its folder; default: the bundled one")
    parser.add_argument("--count", type=int, default=6000, help="training crops")
    options = parser.parse_args()
    judge = Judge.load()
    features = []
    for path, count, seed in ((options.train, options.count, 0), (options.test, 1500, 1)):
        crops = random_crops(load_pack(path), count, seed)
        parts = [crops[i : i + 32] for i in range(0, len(crops), 32)]
        features.append(np.concatenate([judge.features(part) for part in tqdm(parts)]))
    revision = check_folder(options.model or bundled_model_path()).revision
    index = TrainingIndex.of(*features, models=[revision], judge=judge.info.revision)
    index.save(options.output)
    sys.stdout.write(f"{options.output}: {index.info}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
