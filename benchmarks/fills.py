"""What an edit starts from: how it fits with each fill and strength.

    python benchmarks/fills.py IMAGE ... [--scale 0.5] [--mpp 0.5] [--steps 2] [--sheet out.png]

From each image two crops of 256 px, scaled; a hole of 96 px in the middle of each, or with
`--outside` the right 96 px, white before, as beyond the edge of a picture. Colour is CIEDE2000
between the two sides of the hole's edge, texture the distance of their log gradient energy and log
spread (`evaluation.metrics.borders`), and kept the correlation with what was in the hole.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import napari_histodiff as hd
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.evaluation.metrics.borders import border_distances
from napari_histodiff.inpainting.fills import filled

SIDE, HOLE, WHITE = 256, 96, 235


def crops_of(path: Path, scale: float) -> list[NDArray[np.uint8]]:
    """Return the top left and the bottom right crop of an image."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    size = [round(side * scale) for side in picture.size]
    whole = np.asarray(picture.resize((size[0], size[1]), Image.Resampling.BOX))
    return [whole[:SIDE, :SIDE], whole[-SIDE:, -SIDE:]]


def main() -> None:
    """Print medians, and save a sheet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--mpp", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 0.7, 0.85])
    parser.add_argument("--outside", action="store_true")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    model = hd.load_model()
    mask = np.zeros((SIDE, SIDE), bool)
    low, high = (SIDE - HOLE) // 2, (SIDE + HOLE) // 2
    mask[(slice(None), slice(-HOLE, None)) if options.outside else (slice(low, high),) * 2] = True
    cases = [("noise", 1.0), *((f, s) for s in options.strengths for f in list(Fill)[:3])]
    measured: dict[tuple[str, float], list[tuple[float, ...]]] = {case: [] for case in cases}
    rows = []
    for number, real in enumerate(c for p in options.images for c in crops_of(p, options.scale)):
        image = np.where(mask[..., None], WHITE, real).astype(np.uint8) if options.outside else real
        shown = [image, *(filled(image, mask, fill) for fill in (Fill.BLUR, Fill.BORDER))]
        for fill, strength in cases:
            drawn = model(
                image=image,
                edit_mask=mask,
                fill=fill,
                strength=strength,
                steps=options.steps,
                mpp=options.mpp,
                seed=number,
                suggest=False,
            )
            found = border_distances(drawn, real, mask)
            grey = [one.mean(-1)[mask] for one in (drawn, real)]
            kept = float(np.corrcoef(*grey)[0, 1])
            measured[fill, strength].append(
                (found.colour, found.texture, kept, found.colour_reference, found.texture_reference)
            )
            shown.append(drawn)
        rows.append(np.concatenate(shown, 1))
    print(f"{len(rows)} crops of {options.mpp:g} um/px, {options.steps} steps; medians")
    print(f"{'fill':9} strength  colour  texture  kept")
    for (fill, strength), values in measured.items():
        colour, texture, kept, *reference = np.nanmedian(values, axis=0)
        print(f"{fill:9} {strength:8.2f} {colour:7.2f} {texture:8.2f} {kept:5.2f}")
    print(f"{'untouched':18} {reference[0]:7.2f} {reference[1]:8.2f}")
    if options.sheet:
        Image.fromarray(np.concatenate(rows)).save(options.sheet)


if __name__ == "__main__":
    main()
