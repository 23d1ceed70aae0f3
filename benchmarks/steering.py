"""Does a drawing obey its guide and come near its reference? Figures of the bundled model.

    python benchmarks/steering.py                       # about a quarter of an hour on two cores
    python benchmarks/steering.py --reference tissue.png --sheet steering.png

The nuclei are counted by the segmenter whose gradient guides, in eight turned and mirrored views
(`Judge.propose`): a picture that fooled it upright would hardly fool it turned. Look at the sheet.
Texture is measured by what does not guide: the spectrum of the optical density and local binary
patterns.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.feature import local_binary_pattern
from skimage.io import imsave

import napari_histodiff as hd
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.inpainting.stains import stain_vector
from napari_histodiff.segmenter.model import Judge


def density(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean optical density of the colours."""
    return -np.log(np.maximum(image, 1) / 255).mean(-1)


def spectrum(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logarithm of the power of twelve bands of frequency, 1/128 to 1/2 a pixel."""
    plane = density(image)
    window = np.hanning(plane.shape[0])[:, None] * np.hanning(plane.shape[1])
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2 / plane.size
    frequency = np.hypot(np.fft.fftfreq(plane.shape[0])[:, None], np.fft.fftfreq(plane.shape[1]))
    band = np.digitize(frequency, np.geomspace(1 / 128, 0.5, 13))
    return np.log(np.array([power[band == number].mean() for number in range(1, 13)]))


def patterns(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Histograms of local binary patterns at three radii."""
    plane = (100 * density(image)).clip(0, 255).astype(np.uint8)
    found = [local_binary_pattern(plane, 8, radius, "uniform") for radius in (1, 2, 4)]
    return np.stack([np.histogram(f, np.arange(11), density=True)[0] for f in found])


def texture(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> str:
    """How far two images are apart: nepers of the spectrum, shares of pixels of other patterns."""
    apart = np.abs(spectrum(image) - spectrum(reference)).mean()
    other = np.abs(patterns(image) - patterns(reference)).sum() / 6
    return f"spectrum {apart:.2f}, patterns {other:.3f}"


def guided(options: argparse.Namespace, model: hd.Model, judge: Judge) -> list[Any]:
    """Print how many nuclei are found under each guide, and return the drawings."""
    rows = []
    for steps in options.steps:
        for paint in (False, True):
            for name in options.guides:
                for strength in options.strengths:
                    row, counts, sizes, seconds = [], [], [], 0.0
                    for seed in range(options.seeds):
                        request = model.request(
                            shape=(options.side,) * 2,
                            caption="colon",
                            steps=steps,
                            seed=seed,
                            suggest=paint,
                            guide={name: strength},
                        )
                        start = time.perf_counter()
                        row.append(model.draw(request)[0])
                        seconds += time.perf_counter() - start
                        found = judge.propose(row[-1])
                        classes = found.probabilities.argmax(1)
                        is_class = name in CLASS_NAMES
                        mine = classes == CLASS_NAMES.index(name) if is_class else classes >= 0
                        counts.append(int(mine.sum()))
                        areas = np.bincount(found.instance_map.ravel())[1:]
                        sizes.append(float(np.median(areas) / 4) if len(areas) else 0.0)
                    rows.append(np.concatenate(row, 1))
                    print(
                        f"{steps} steps, {'painted' if paint else 'free':7}, {name:>10}:"
                        f"{strength:+g}: {np.mean(counts):6.1f} nuclei {counts}, median "
                        f"{np.mean(sizes):4.1f} um2, {seconds / options.seeds:5.1f} s",
                        flush=True,
                    )
    return rows


def likened(options: argparse.Namespace, model: hd.Model) -> list[Any]:
    """Print how near drawings come to a reference, with its stain alone and with its texture."""
    rows = []
    for path in options.reference:
        picture = read_picture(path)
        pixels = picture.rgb()[: 2 * options.side, : 2 * options.side]
        row = []
        for seed in range(options.seeds):
            request = model.request(shape=(options.side,) * 2, caption="colon", seed=seed)
            request = replace(request, stain=stain_vector(pixels))
            for strength in (0.0, 2.0, 4.0):
                steering = Steering(
                    reference=pixels, reference_mpp=picture.mpp, reference_strength=strength
                )
                row.append(model.draw(replace(request, steering=steering))[0])
                said = texture(row[-1], pixels)
                print(f"{path.name}, seed {seed}, strength {strength:g}: {said}", flush=True)
        shown = np.full_like(row[0], 255)
        part = pixels[: options.side, : options.side]
        shown[: part.shape[0], : part.shape[1]] = part
        rows.append(np.concatenate([shown, *row], 1))
    return rows


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--guides", nargs="*", default=["lymphocyte", "epithelial", "size"])
    parser.add_argument("--strengths", type=float, nargs="*", default=[-2, 0, 1, 2, 4])
    parser.add_argument("--reference", type=Path, nargs="*", default=[])
    parser.add_argument("--sheet", type=Path, help="Where a picture of all drawings is written.")
    options = parser.parse_args()
    model = hd.load_model(device="cpu")
    rows = guided(options, model, Judge.load(device="cpu")) if options.guides else []
    rows += likened(options, model) if options.reference else []
    if options.sheet is not None and rows:
        width = max(row.shape[1] for row in rows)
        filled = [
            np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
            for row in rows
        ]
        imsave(options.sheet, np.concatenate(filled), check_contrast=False)


if __name__ == "__main__":
    main()
