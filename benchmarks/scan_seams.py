"""Seam and stain of inpainted regions of scans, beside the same measures of the tissue untouched.

    python benchmarks/scan_seams.py SLIDE ... [--edits 6] [--mpp 0.5]

Slides are only read. Each edit is a blob of 40 um in the middle of tissue, drawn with 32 um of
context and a feather of 2 um by the bundled model, without a caption.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import napari_histodiff as hd
from napari_histodiff.core.geometry import Region
from napari_histodiff.inpainting.readouts import seam, stain_shift

SIDE, RADIUS, FEATHER = 256, 40.0, 2.0


def blob(mpp: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A round mask with a wavy edge in the middle of a square."""
    y, x = np.indices((SIDE, SIDE)) - SIDE / 2
    angle, waves = np.arctan2(y, x), rng.uniform(0, 2 * np.pi, 3)
    edge = 1 + sum(0.12 * np.sin((n + 2) * angle + waves[n]) for n in range(3))
    inside: NDArray[np.bool_] = np.hypot(y, x) < RADIUS / mpp * edge
    return inside


def places(slide: hd.OpenedSlide, count: int, rng: np.random.Generator) -> list[Region]:
    """Squares of level 0 that are at least four fifths tissue."""
    found: list[Region] = []
    for _ in range(2000):
        bounds = slide.spec.bounds(0)
        y, x = (int(rng.integers(0, side - SIDE)) for side in bounds.shape)
        region = Region(0, y, x, SIDE, SIDE)
        if (slide.read(region).mean(-1) < 225).mean() > 0.8:
            found.append(region)
            if len(found) == count:
                break
    return found


def shown(values: list[float]) -> str:
    """Median and range."""
    if not values:
        return "none"
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f}, n={len(values)})"


def main() -> None:
    """Print one block a slide."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("slides", nargs="+", type=Path)
    parser.add_argument("--edits", type=int, default=6)
    parser.add_argument("--mpp", type=float, help="of slides whose file does not say")
    options = parser.parse_args()
    model = hd.load_model()
    for path in options.slides:
        rng = np.random.default_rng(0)
        with hd.open_slide(path) as told:
            given = options.mpp if told.mpp is None else None
        with hd.open_slide(path, mpp=given) as slide:
            mpp = slide.mpp or 0.5
            measured: dict[str, list[float]] = {
                name: [] for name in ("seam", "seam before", "stain", "stain before")
            }
            for number, place in enumerate(places(slide, options.edits, rng)):
                image, mask = slide.read(place), blob(mpp, rng)
                given_to = {"mpp": mpp, "feather": FEATHER, "seed": number}
                pixels = model(image=image, edit_mask=mask, **given_to)
                if (pixels != image).any(-1)[~mask].any():
                    raise SystemExit("pixels outside the mask changed")
                for name, one in (("", pixels), (" before", image)):
                    readings = {"seam": seam(one, mask), "stain": stain_shift(one, mask)}
                    for kind, value in readings.items():
                        if value is not None:
                            measured[kind + name].append(value)
            print(f"{path.name}, {mpp:g} um/px")
            for name, values in measured.items():
                print(f"  {name:13} {shown(values)}")


if __name__ == "__main__":
    main()
