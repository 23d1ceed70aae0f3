"""Parts of different strength in one edit: how it fits, beside other ways to the same.

    python benchmarks/strength_parts.py IMAGE ... [--mpp 0.25] [--steps 2] [--sheet out.png]

An inner disc is drawn anew (strength 1), the ring around it at 0.4. "parts": one edit with a
strength map. "untold": the same, but the model is not told of pixels that wait, as in the paper.
"two edits": the ring after the disc. "one": all at strength 1. Seams at the disc's edge and at the
ring's, beside the untouched tissue; how far the ring is from the image in grey levels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import napari_histodiff as hd
from napari_histodiff.diffusion.steering.parts import Parts
from napari_histodiff.inpainting.readouts import seam

SIDE, INNER, OUTER, WEAK = 256, 40, 80, 0.4


def untold(model: hd.Model, **given: object) -> NDArray[np.uint8]:
    """Draw with a model that is not told which pixels wait: they are only put back."""
    import torch

    from napari_histodiff.diffusion import pipeline

    kept, solver = Parts.waiting, pipeline._WindowSolver
    called = solver.__call__

    def call(self, z, windows):  # type: ignore[no-untyped-def]
        parts, times = self.parts, self.times[self.stretch.steps.start :]
        strengths = torch.stack([parts.strengths.read(w.region) for w in windows])
        image = torch.stack([parts.image.read(w.region) for w in windows])
        eps = torch.stack([self.noise.read(w.region) for w in windows])
        waits = (strengths > 0) & (strengths < times[0] + 1e-3)
        return called(self, torch.where(waits, image + times[0] * (eps - image), z), windows)

    Parts.waiting = lambda self, conditions, windows, t: conditions  # type: ignore[method-assign]
    solver.__call__ = call  # type: ignore[method-assign]
    layout = model._backend._pipeline.layout  # one step a phase, so that each begins with it
    phases = layout.phases
    object.__setattr__(layout, "phases", 8)
    try:
        return model(**given)  # type: ignore[arg-type]
    finally:
        Parts.waiting, solver.__call__ = kept, called  # type: ignore[method-assign]
        object.__setattr__(layout, "phases", phases)


def main() -> None:
    """Print medians, and save a sheet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--mpp", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    model = hd.load_model()
    far = np.hypot(*(np.indices((SIDE, SIDE)) - SIDE / 2))
    disc, whole = far < INNER, far < OUTER
    strengths = np.where(disc, 1.0, np.where(whole, WEAK, 0))
    measured: dict[str, list[tuple[float, ...]]] = {}
    rows = []
    for number, path in enumerate(options.images):
        rgb = np.asarray(Image.open(path).convert("RGB"))
        y, x = ((side - SIDE) // 2 for side in rgb.shape[:2])
        image = rgb[y : y + SIDE, x : x + SIDE]
        given = {"mpp": options.mpp, "seed": number, "steps": options.steps, "suggest": False}
        parts = {"image": image, "edit_mask": whole, "strength_map": strengths, **given}
        first = model(image=image, edit_mask=disc, **given)
        drawn = {
            "before": image,
            "one": model(image=image, edit_mask=whole, **given),
            "parts": model(**parts),
            "untold": untold(model, **parts),
            "two edits": model(image=first, edit_mask=whole & ~disc, strength=WEAK, **given),
        }
        for name, one in drawn.items():
            change = np.abs(one.astype(float) - image)[whole & ~disc].mean()
            found = (seam(one, disc) or np.nan, seam(one, whole) or np.nan, change)
            measured.setdefault(name, []).append(found)
        rows.append(np.concatenate(list(drawn.values()), 1))
    print(f"{len(options.images)} images of {options.mpp:g} um/px, {options.steps} steps; medians")
    print(f"  {'':10} seam of disc  seam of ring  change of ring")
    for name, values in measured.items():
        inner, outer, change = np.nanmedian(values, axis=0)
        print(f"  {name:10} {inner:12.2f} {outer:13.2f} {change:15.1f}")
    if options.sheet:
        Image.fromarray(np.concatenate(rows)).save(options.sheet)


if __name__ == "__main__":
    main()
