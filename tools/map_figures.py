"""Measure what anomaly maps and the uncertainty of proposals find, on tissue held out of training.

    python tools/map_figures.py ordinary DATA    # the unit of anomaly maps: writes ordinary.json
    python tools/map_figures.py anomaly DATA     # AUC of the map for pen, tint, blur, other tissue
    python tools/map_figures.py uncertainty DATA # AUC of wrong nuclei and wrong pixels

DATA is the folder that tests marked `data` read. A plain alternative stands beside each figure.
AUC: 0.5 = no better than chance, 1 = every such pixel (or nucleus) lies above every other one.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, find_objects, gaussian_filter
from scipy.stats import rankdata
from skimage.draw import ellipse

import napari_histodiff as hd
from napari_histodiff.evaluation.maps import anomaly
from napari_histodiff.inpainting.stains import TISSUE_DENSITY

#: Tiles of slides that no network of the package was trained on.
CONSEP = tuple(f"consep/images/test_{i}.jpg" for i in range(1, 8))
ATLAS = (
    "acute-appendicitis_HE_x50800_y35052",
    "acute-appendicitis_HE_x10414_y11176",
    "acute-appendicitis_HE_x45212_y37084",
    "tubularadenoma-flat_HE_x8128_y6096",
    "tubularadenoma-flat_HE_x3556_y10414",
    "tubularadenoma-flat_HE2_x9652_y9906",
    "tubularadenoma-flat_HE2_x4318_y17272",
)
#: Tissue of other kinds, to paste.
OTHERS = ("pilocytic-astrocytoma", "anthracosis", "congestion-spleen")
SIDE = 320
PEN_MPP = 2.0  # of the pictures of whole slides with pen; their own pixels are several times larger


def picture(path: Path, half: bool = False) -> NDArray[np.uint8]:
    """Read a picture, at half its size where told."""
    image = Image.open(path).convert("RGB")
    return np.asarray(image.reduce(2) if half else image)


def tiles(data: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Held-out tiles at about 0.5 um per pixel."""
    for name in CONSEP:
        yield name, picture(data / name, half=True)
    for name in ATLAS:
        yield name, picture(data / "atlas" / "half" / f"{name}.jpg")


def density(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return optical density by channel."""
    return -np.log(np.maximum(image, 1) / 255)


def auc(wrong: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Chance that a wrong one scores above a right one; ties count half."""
    ranks = rankdata(score.ravel())
    bad = wrong.ravel()
    count = int(bad.sum())
    if not 0 < count < bad.size:
        return float("nan")
    return float((ranks[bad].sum() - count * (count + 1) / 2) / (count * (bad.size - count)))


# ---------------------------------------------------------------------- anomaly
@dataclass(frozen=True)
class Case:
    """An image and where its artefact is."""

    kind: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    mpp: float = 0.5


def blob(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a random ellipse in a tile."""
    mask = np.zeros((SIDE, SIDE), bool)
    y, x = rng.integers(100, SIDE - 100, 2)
    mask[ellipse(y, x, 50, 70, shape=mask.shape)] = True
    return mask


def cases(data: Path, count: int) -> Iterator[Case]:
    """Yield real pen marks, and artefacts put on held-out tiles."""
    pens = []
    for colour in ("green", "red"):
        stem = data / "wsi" / "artefacts" / f"histoqc_pen_1k_version_pen_{colour}"
        image = picture(stem.with_suffix(".png"))
        mask = np.asarray(Image.open(f"{stem}_mask.png").convert("L")) > 0
        pens.append(np.median(density(image)[mask], 0))
        yield Case(f"pen ({colour}, whole slide)", image, mask, PEN_MPP)
    others = [picture(sorted((data / "atlas" / "half").glob(f"{n}*"))[0]) for n in OTHERS]
    rng = np.random.default_rng(0)
    for number, (_, tile) in enumerate(list(tiles(data))[:: max(1, 14 // count)][:count]):
        tile = tile[:SIDE, :SIDE]
        mask = blob(rng)
        plain = density(tile)
        for share in (0.5, 0.15):
            ink = plain + share * np.where(mask, 1, 0)[..., None] * pens[number % 2]
            inked = np.rint(255 * np.exp(-ink)).astype(np.uint8)
            yield Case(f"pen ink, {share:.0%}", inked, mask)
        soft = gaussian_filter(tile.astype(float), (4, 4, 0)).astype(np.uint8)
        yield Case("out of focus", np.where(mask[..., None], soft, tile), mask)
        other = density(others[number % len(others)][:SIDE, :SIDE])
        like = (other - other.mean((0, 1))) / other.std((0, 1))
        matched = 255 * np.exp(-(like * plain.std((0, 1)) + plain.mean((0, 1))))
        pasted = np.where(mask[..., None], matched.clip(0, 255).astype(np.uint8), tile)
        yield Case("other tissue, stain matched", pasted, mask)


def floor_of(image: NDArray[np.uint8], mpp: float) -> NDArray[np.float64]:
    """The plain alternative: how far the local stain is from that of the image's tissue."""
    od = gaussian_filter(density(image), (4 / mpp, 4 / mpp, 0))
    tissue = od.mean(-1) > TISSUE_DENSITY
    return np.linalg.norm(od - np.median(od[tissue], 0), axis=-1)


def measure_anomaly(data: Path, count: int, settings: hd.AnomalySettings) -> None:
    """Print the AUC of the map beside that of the plain alternative."""
    model = hd.load_model()
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for case in cases(data, count):
        values = model.anomaly_map(case.image, case.mpp, settings=settings).values
        pair = auc(case.mask, values), auc(case.mask, floor_of(case.image, case.mpp))
        found[case.kind].append(pair)
        print(f"{case.kind}: map {pair[0]:.3f}, stain alone {pair[1]:.3f}", flush=True)
    print(f"\n{settings}\n\n| what | images | map | stain alone |\n|---|---|---|---|")
    for kind, pairs in found.items():
        means = np.mean(pairs, 0)
        print(f"| {kind} | {len(pairs)} | {means[0]:.2f} | {means[1]:.2f} |")


def measure_ordinary(data: Path, settings: hd.AnomalySettings) -> None:
    """Keep the median and 99th percentile of the map of the middle one of held-out tiles."""
    model = hd.load_model()
    values = []
    for name, image in tiles(data):
        found = model.anomaly_map(image[:448, :448], 0.5, settings=settings)
        tissue = gaussian_filter(density(image[:448, :448]).mean(-1), 8) > TISSUE_DENSITY
        values.append((found.values * found.ordinary)[tissue])
        print(
            name, np.median(values[-1]).round(4), np.percentile(values[-1], 99).round(4), flush=True
        )
    # Tiles count alike, however much of them is tissue.
    middle = float(np.median([np.median(one) for one in values]))
    high = float(np.median([np.percentile(one, 99) for one in values]))
    path = Path(anomaly.__file__).with_name("ordinary.json")
    known = json.loads(path.read_text("utf-8"))
    known[settings.key(model.info)] = [round(middle, 4), round(high, 4)]
    path.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
    print(f"median {middle:.4f}, 99 % {high:.4f}: {path}")


# ------------------------------------------------------------------ uncertainty
#: Classes that CoNSeP calls inflammatory.
INFLAMMATORY = (1, 3, 4, 5)


@dataclass(frozen=True)
class Labelled:
    """A tile with nuclei that people labelled; `pooled`: inflammatory classes are one."""

    name: str
    image: NDArray[np.uint8]
    mpp: float
    ids: NDArray[np.integer]
    types: NDArray[np.integer]
    valid: NDArray[np.bool_]
    pooled: bool


def labelled(data: Path) -> Iterator[Labelled]:
    """Yield held-out tiles with their labels."""
    for name in CONSEP:
        stem = Path(name).stem
        ids = np.asarray(Image.open(data / "consep" / "inst" / f"{stem}.png"))[::2, ::2]
        types = np.asarray(Image.open(data / "consep" / "type" / f"{stem}.png"))[::2, ::2]
        image = picture(data / name, half=True)
        yield Labelled(stem, image, 0.55, ids, types, np.ones(ids.shape, bool), pooled=True)
    folder = data / "lizard"
    for path in sorted((folder / "images").glob("dpath_66*")):
        layers = [
            np.asarray(Image.open(next((folder / kind).glob(f"{path.stem}*"))))
            for kind in ("inst", "type", "valid")
        ]
        yield Labelled(path.stem, picture(path), 0.5, *layers[:2], layers[2] > 0, pooled=False)


def is_class(found: int, labelled_as: int, pooled: bool) -> bool:
    """Return whether a class is what the label says."""
    if labelled_as == 0:
        return True  # nobody says
    if pooled and labelled_as == 3:
        return found in INFLAMMATORY
    return found == labelled_as


def measure_uncertainty(data: Path) -> None:
    """Print the AUC of wrong nuclei and wrong pixels."""
    model = hd.load_model()
    nuclei: dict[str, list[NDArray[np.floating]]] = defaultdict(list)
    pixels: dict[str, list[NDArray[np.floating]]] = defaultdict(list)
    for tile in labelled(data):
        found = model.proposal_uncertainty(tile.image, tile.mpp)
        ids, count = found.instance_map, len(found.probabilities)
        sizes, their_sizes = (
            np.bincount(ids.ravel(), minlength=count + 1),
            np.bincount(tile.ids.ravel()),
        )
        wrong, kept = np.ones(count, bool), np.zeros(count, bool)
        for number, place in enumerate(find_objects(ids), start=1):
            inside = ids[place] == number
            kept[number - 1] = tile.valid[place][inside].mean() > 0.9
            labels = tile.ids[place]
            theirs, shared = np.unique(labels[inside & (labels > 0)], return_counts=True)
            if not len(theirs):
                continue
            best = int(theirs[shared.argmax()])
            overlap = shared.max() / (sizes[number] + their_sizes[best] - shared.max())
            kind = int(np.bincount(tile.types[place][inside & (labels == best)]).argmax())
            mine = int(found.probabilities[number - 1].argmax()) + 1
            wrong[number - 1] = overlap < 0.5 or not is_class(mine, kind, tile.pooled)
        entropy = np.bincount(ids.ravel(), found.entropy.ravel(), count + 1)[1:] / sizes[1:]
        scores = {
            "wrong": wrong,
            "members that disagree": 1 - found.agreement,
            "spread of views (as ringed)": found.uncertainty,
            "mean entropy": entropy,
            "small": -sizes[1:].astype(float),
            "class probability": 1 - found.probabilities.max(1),
        }
        for name, values in scores.items():
            nuclei[name].append(np.asarray(values)[kept])
        inside = tile.ids > 0
        pooled = np.isin(tile.types, (3,)) & np.isin(found.class_map, INFLAMMATORY) & tile.pooled
        same = (found.class_map == tile.types) | (tile.types == 0) | pooled
        bad = ((ids > 0) != inside) | ((ids > 0) & inside & ~same)
        rim = (ids > 0) ^ binary_dilation(ids > 0, iterations=2)
        for name, values in {"wrong": bad, "entropy": found.entropy, "rim": rim}.items():
            pixels[name].append(np.asarray(values)[tile.valid][::5])
        print(f"{tile.name}: {count} nuclei, {wrong[kept].mean():.0%} wrong", flush=True)
    for what, parts in (("nuclei", nuclei), ("pixels", pixels)):
        bad = np.concatenate(parts.pop("wrong")).astype(bool)
        print(f"\n{what}: {bad.size}, {bad.mean():.1%} wrong\n\n| score | AUC |\n|---|---|")
        for name, values in parts.items():
            print(f"| {name} | {auc(bad, np.concatenate(values)):.2f} |")
        for name in ("members that disagree", "entropy"):
            if name in parts:
                score = np.concatenate(parts[name])
                order = np.argsort(-score, kind="stable")[: len(score) // 5]
                print(
                    f"the fifth highest in {name} holds {bad[order].sum() / bad.sum():.0%} of them"
                )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["ordinary", "anomaly", "uncertainty"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=6, help="tiles that artefacts are put on")
    parser.add_argument("--strength", type=float, default=0.2)
    parser.add_argument("--draws", type=int, default=2)
    chosen = parser.parse_args()
    settings = hd.AnomalySettings(strength=chosen.strength, draws=chosen.draws)
    if chosen.what == "ordinary":
        measure_ordinary(chosen.data, settings)
    elif chosen.what == "anomaly":
        measure_anomaly(chosen.data, chosen.count, settings)
    else:
        measure_uncertainty(chosen.data)


if __name__ == "__main__":
    main()
