"""A small data folder in the layout the packing step reads, drawn from a seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.draw import disk
from skimage.io import imsave


def write_data_folder(root: Path) -> Path:
    """Write one lizard mosaic and one CoNSeP, MoNuSeg, brain and GlaS tile per split."""
    rng = np.random.default_rng(0)
    names = {split: f"{split}_1" for split in ("train", "test")}
    names_of = {
        "lizard": names,
        "consep": names,
        "monuseg": names,
        "tcga_lgg36": names,
        "glas": names,
    }
    splits = {source: {s: [n] for s, n in by.items()} for source, by in names_of.items()}
    (root / "splits.json").write_text(json.dumps(splits))
    for source in names_of:
        for name in names.values():
            _write_tile(root / source, name, rng)
    rows = [f"{name},200,200,0.5" for name in names.values()]
    _lines(root / "lizard/mosaics.csv", "mosaic,width,height,um_per_px", rows)
    rows = [f'{name},"colorectal carcinoma, inflamed stroma"' for name in names.values()]
    _lines(root / "consep/captions.csv", "name,caption", rows)
    rows = [f"{name},kidney (papillary carcinoma)" for name in names.values()]
    _lines(root / "monuseg/index.csv", "name,organ", rows)
    return root


def _write_tile(folder: Path, name: str, rng: np.random.Generator) -> None:
    size = 200 if folder.name in {"lizard", "glas"} else 400
    inst = np.zeros((size, size), np.uint16)
    kind = np.zeros((size, size), np.uint8)
    for i in range(1, 25):
        rows, columns = disk(tuple(rng.integers(0, size, 2)), size / 30, shape=inst.shape)
        inst[rows, columns] = i
        kind[rows, columns] = 1 + i % 6
    pixels = rng.integers(180, 256, (size, size, 3), np.uint8)
    pixels[inst > 0] = (90, 60, 140)
    valid = np.full((size, size), 255, np.uint8)
    valid[: size // 20] = 0
    images: dict[str, NDArray[Any]] = {
        "images": pixels,
        "inst": inst,
        "type": kind,
        "type_orig": np.where(kind == 3, 2, 0).astype(np.uint8),
        "valid": valid,
        "tissue": (kind > 0).astype(np.uint8),
    }
    for part, image in images.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        imsave(folder / part / f"{name}.png", image, check_contrast=False)


def _lines(path: Path, header: str, rows: list[str]) -> None:
    path.write_text("\n".join([header, *rows]) + "\n")
