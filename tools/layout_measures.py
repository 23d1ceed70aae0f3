"""Measure planned slides beside overviews of real ones, by the same rules on both pictures.

    python tools/layout_measures.py ../shared/data/atlas --glas ../shared/data/glas

Prints, of each section at 16 um/px: share of its box that is tissue, pieces above 1 mm^2, thickness
of the pieces across (10, 50, 90 % of the places along their middle line, mm), share of the tissue
that is rich in haematoxylin (mucosa, lymphoid tissue, tumour), and how thick those bands are; of
planned slides also the shares of tissue. Scale of the atlas is estimated, so lengths are, too.
With annotated glands (GlaS: benign and malignant, 0.62 um/px), the diameters of theirs and of
planned glands in windows of the same size: of circles of the same area, those cut left out.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import skeletonize

import napari_histodiff as hd
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.layout.slide import SlideLayout

MPP = 16.0
LEVEL = 5  # of planned slides at 0.5 um/px
GLAS_MPP = 0.62
WINDOW = (324, 480)  # pixels of level 1, 1 um/px: as large as images of GlaS
LEAST_GLAND = 20.0  # um
WORDS = {"colon": ("colon", "fistula", "enterobius", "adenoma", "polyp", "mucinous"),
         "stomach": ("helicobacter", "metaplasia", "signet"), "kidney": ("kidney",),
         "lymph node": ("lymph-node",)}  # fmt: skip


def measure(picture: NDArray[np.uint8]) -> dict[str, Any]:
    """Measure an overview of 16 um/px, (h, w, 3)."""
    light = ndimage.gaussian_filter(picture.astype(np.float32), (1, 1, 0))
    tissue = (light.min(axis=-1) < 215) & (light.max(axis=-1) - light.min(axis=-1) > 12)
    tissue = ndimage.binary_opening(tissue, iterations=1)
    least = 1e6 / MPP**2
    pieces = [p for p in regionprops(label(tissue)) if p.area >= least]
    if not pieces:
        return {}
    kept = np.isin(label(tissue), [p.label for p in pieces])
    boxes = sum(p.area_bbox for p in pieces)
    red = -np.log10(np.clip(light[..., 0], 1, 250) / 250)
    dark = kept & (red > threshold_otsu(red[kept]))
    dark = ndimage.binary_opening(dark, iterations=1)
    return {
        "tissue of box": kept.sum() / boxes,
        "pieces": len(pieces),
        "thickness mm": _across(kept),
        "haematoxylin": dark.sum() / kept.sum(),
        "bands mm": _across(dark),
    }


def _across(mask: NDArray[np.bool_]) -> list[float]:
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(mask, iterations=2))
    away = ndimage.distance_transform_edt(closed)
    line = skeletonize(closed)
    wide = 2 * away[line] * MPP / 1000
    return [] if not wide.size else np.percentile(wide, [10, 50, 90]).round(2).tolist()


def real(folder: Path, words: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """Measure the overviews whose case has one of some words."""
    found = []
    with (folder / "index.csv").open() as lines:
        for row in csv.DictReader(lines):
            mpp = float(row["mpp_estimate"])
            wanted = row["file"].startswith("overview/") and any(w in row["case"] for w in words)
            if not wanted or not 0 < mpp <= MPP:
                continue
            with Image.open(folder / row["file"]) as image:
                size = tuple(max(1, round(side * mpp / MPP)) for side in image.size)
                picture = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX))
            found.append((row["case"], measure(picture)))
    return found


def planned(caption: str, side: int, seed: int) -> tuple[dict[str, Any], str]:
    """Measure a planned slide of `side` um, and return the shares of its tissue as text."""
    info = hd.load_model().info
    pixels = round(side / 0.5)
    recipe = SlideRecipe.plan(info, height=pixels, width=pixels, caption=caption, seed=seed)
    layout = SlideLayout(recipe)
    region = Region(LEVEL, 0, 0, pixels >> LEVEL, pixels >> LEVEL)
    tissue = layout.tissue(region)
    counts = np.bincount(tissue[tissue != TISSUE_NAMES.index("glass")], minlength=len(TISSUE_NAMES))
    shares = ", ".join(
        f"{name} {share:.0%}"
        for name, share in zip(TISSUE_NAMES, counts / max(1, counts.sum()), strict=True)
        if share >= 0.005
    )
    return measure(layout.colours(region)), shares


def diameters(glands: NDArray[np.integer[Any]], mpp: float) -> list[float]:
    """Return those of circles as large as each gland, um; glands at the border are left out."""
    top, left = glands[[0, -1]], glands[:, [0, -1]]
    cut = np.unique(np.concatenate([top.ravel(), left.ravel()]))
    whole = [p for p in regionprops(glands) if p.label not in cut]
    sizes = [float(p.equivalent_diameter_area) * mpp for p in whole]
    return [size for size in sizes if size >= LEAST_GLAND]


def annotated(folder: Path) -> list[float]:
    """Return the diameters of the glands of GlaS."""
    found = []
    for path in sorted((folder / "gland_inst").glob("*.png")):
        with Image.open(path) as image:
            found += diameters(np.asarray(image).astype(np.int32), GLAS_MPP)
    return found


def planned_glands(caption: str, side: int, seed: int, windows: int = 24) -> list[float]:
    """Return the diameters of planned glands in windows where there are some."""
    info = hd.load_model().info
    pixels = round(side / 0.5)
    recipe = SlideRecipe.plan(info, height=pixels, width=pixels, caption=caption, seed=seed)
    layout = SlideLayout(recipe)
    kinds = [TISSUE_NAMES.index(name) for name in ("gland", "mucus")]
    afar = layout.tissue(Region(6, 0, 0, pixels >> 6, pixels >> 6))
    many = ndimage.uniform_filter(np.isin(afar, kinds).astype(float), (10, 15))
    places = np.argwhere(many > 0.2)
    chosen = np.random.default_rng(seed).permutation(len(places))[:windows]
    found = []
    for y, x in places[chosen]:
        region = Region(1, (int(y) << 5) - WINDOW[0] // 2, (int(x) << 5) - WINDOW[1] // 2, *WINDOW)
        tissue = layout.tissue(region)
        epithelium = np.isin(tissue, kinds)
        spaces = label(tissue == TISSUE_NAMES.index("lumen"))
        beside = np.unique(spaces[ndimage.binary_dilation(epithelium)])
        glands = epithelium | np.isin(spaces, beside[beside > 0])
        found += diameters(label(ndimage.binary_opening(glands)), 1.0)
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("atlas", type=Path)
    parser.add_argument("--side", type=int, default=16_384, help="Of planned slides, in um.")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--glas", type=Path, help="Also compare sizes of glands with these.")
    parser.add_argument("--only-glands", action="store_true")
    options = parser.parse_args()
    if options.glas is not None:
        print("\nglands, um: 10, 25, 50, 75, 90 and 98 % of them are smaller than")
        print(f"  GlaS                 {_quantiles(annotated(options.glas))}", flush=True)
        for caption in ("colon, gland", "colon, tumour"):
            for seed in range(options.seeds):
                sizes = _quantiles(planned_glands(caption, options.side, seed))
                print(f"  {caption:14s} seed {seed} {sizes}", flush=True)
    if options.only_glands:
        return
    for organ, words in WORDS.items():
        print(f"\n{organ}")
        for case, found in real(options.atlas, words):
            print(f"  real {case:32s} {_line(found)}", flush=True)
        for seed in range(options.seeds):
            caption = organ if organ == "lymph node" else f"{organ}, gland"
            found, shares = planned(caption, options.side, seed)
            print(f"  planned, seed {seed:<24d} {_line(found)}; {shares}", flush=True)


def _quantiles(sizes: list[float]) -> str:
    shown = np.percentile(sizes, [10, 25, 50, 75, 90, 98]).round().astype(int).tolist()
    return f"{shown} of {len(sizes)}"


def _line(found: dict[str, Any]) -> str:
    if not found:
        return "no tissue of 1 mm²"
    return ", ".join(
        f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in found.items()
    )


if __name__ == "__main__":
    main()
