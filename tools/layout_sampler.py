"""Train the layout sampler's network on packed files with annotated nuclei, and measure it.

    python tools/layout_sampler.py train sampler.safetensors train.npz soft.npz --minutes 25
    python tools/layout_sampler.py fields fields.json train.npz soft.npz

`fields` writes what is told of each training field: from these, captions are made into shares and
densities. Packs are made by `histodiff pack --label`. What is learnt is in
`napari_histodiff/weights/layout-sampler-v1/README.md`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.numpy import save_file
from skimage.measure import regionprops_table
from tissue_sampler import Network, areas

from napari_histodiff.core.captions import TISSUE_WORDS, parse_caption
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.nucleus_shapes import nucleus_statistics
from napari_histodiff.datasets.packing import LAYERS
from napari_histodiff.layout.completion.cells import CELL, CellGrid
from napari_histodiff.layout.invention.network import (
    CONTEXT,
    INPUTS,
    N_TISSUES,
    OUTPUTS,
    TOKENS,
    Told,
)

RATE = 3e-3
CHANNELS = (24, 48, 64)
BATCH = 16
SIDE = 48
#: How often a crop of each set is drawn.
SHARES = {
    "lizard": 3.0,
    "consep": 3.0,
    "monuseg": 1.0,
    "glas": 0.7,
    "atlas": 1.2,
    "atlas_wide1": 0.8,
    "tcga_sbu_unannotated": 0.5,
}
#: Classes that a nucleus may be of which CoNSeP calls inflammatory.
INFLAMMATORY = (1, 3, 4, 5)
LATTICE = 6
WORD_OF = {"muscle": "smooth muscle"}


class Field(NamedTuple):
    """One image in cells.

    `tissue` (h, w) uint8, 0 = not known. `may` (7, h, w): which tokens a cell may hold; none where
    nobody looked. `shape` (4, h, w): see `network.OUTPUTS`; NaN where there is no whole nucleus.
    `several`: share of cells with more than one middle.
    """

    item: dict[str, Any]
    tissue: NDArray[np.uint8]
    may: NDArray[np.bool_]
    shape: NDArray[np.float32]
    several: float


def fields_of(paths: list[Path]) -> Iterator[Field]:
    """Read the images of packs whose nuclei are all outlined, or were found by the judge."""
    for path in paths:
        with np.load(path, allow_pickle=False) as archive:
            for i, item in enumerate(json.loads(str(archive["index"]))):
                if item["has_nuclei"] and item["source"] in SHARES and item["mpp"] <= 1.2:
                    yield _field(
                        item,
                        archive[f"pixels_{i}"],
                        archive[f"layers_{i}"],
                        archive[f"instances_{i}"],
                    )


def _field(
    item: dict[str, Any],
    pixels: NDArray[np.uint8],
    layers: NDArray[np.uint8],
    instances: NDArray[np.uint16],
) -> Field:
    plane = {name: layers[..., n] for n, name in enumerate(LAYERS)}
    # The white squares of Lizard's mosaics are no glass.
    valid = (plane["valid"] > 0) & ~((pixels.min(axis=-1) == 255) & (item["source"] == "lizard"))
    mpp = item["mpp"]
    grid = CellGrid(Region(0, 0, 0, *valid.shape), mpp)
    seen = grid.share(valid) >= 0.7
    tissue = grid.tissue(np.where(valid, plane["tissue"], 0).astype(np.uint8))
    tissue[~seen] = 0
    may = np.zeros((TOKENS, *tissue.shape), np.bool_)
    may[0] = seen
    shape = np.full((4, *tissue.shape), np.nan, np.float32)
    found = regionprops_table(
        instances.astype(np.int32),
        plane["class"],
        properties=(
            "label",
            "centroid",
            "area",
            "orientation",
            "axis_major_length",
            "axis_minor_length",
            "bbox",
            "intensity_max",
        ),
    )
    taken = several = 0
    others = set(item["other_nuclei"])
    for n in range(len(found["label"])):
        y, x = found["centroid-0"][n], found["centroid-1"][n]
        row, col = int((y + 0.5) * mpp / CELL), int((x + 0.5) * mpp / CELL)
        row, col = min(row, tissue.shape[0] - 1), min(col, tissue.shape[1] - 1)
        if not seen[row, col]:
            continue
        taken += 1
        if not may[0, row, col]:
            several += 1
            continue
        class_id = int(found["intensity_max"][n])
        unknown = range(1, TOKENS)
        if class_id == 0 and item["unknown_is_inflammatory"]:
            unknown = range(1, TOKENS) if int(found["label"][n]) in others else INFLAMMATORY
        may[:, row, col] = False
        may[[class_id] if class_id else list(unknown), row, col] = True
        top, left, bottom, right = (int(found[f"bbox-{k}"][n]) for k in range(4))
        around = valid[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1]
        whole = around.all() and top > 0 and left > 0
        whole &= bottom < valid.shape[0] and right < valid.shape[1]
        major, minor = found["axis_major_length"][n], found["axis_minor_length"][n]
        if whole and class_id and minor > 0:
            statistics = nucleus_statistics(class_id)
            size = math.log(found["area"][n] * mpp**2) - statistics.log_area_mean
            stretch = 1 - minor / major
            # skimage: from the direction of y towards that of x.
            angle = math.pi / 2 - found["orientation"][n]
            shape[:, row, col] = (
                math.cos(2 * angle) * stretch,
                math.sin(2 * angle) * stretch,
                np.clip(size / statistics.log_area_sd, -3, 3),
                stretch,
            )
    return Field(item, tissue, may, shape, several / max(1, taken))


def told_of(field: Field, part: tuple[slice, slice] = (slice(None), slice(None))) -> Told:
    """Return what is true of a field, or of a part of it."""
    tissue, may = field.tissue[part], field.may[(slice(None), *part)]
    counts = np.bincount(tissue[tissue > 0], minlength=N_TISSUES)
    shares = (counts / max(1, counts.sum())).astype(np.float32)
    area = may.any(axis=0).sum() * (CELL / 1000) ** 2
    densities = np.full(TOKENS, np.nan, np.float32)
    nuclei = may.any(axis=0) & ~may[0]
    if area > 0:
        densities[0] = nuclei.sum() / area
        sure = nuclei & (may.sum(axis=0) == 1)
        vague = may[:, nuclei & ~sure].any(axis=1)
        for token in range(1, TOKENS):
            if not vague[token] and not (
                field.item["source"] == "consep" and token in INFLAMMATORY
            ):
                densities[token] = (sure & may[token]).sum() / area
    words = [WORD_OF.get(TISSUE_NAMES[t], TISSUE_NAMES[t]) for t in np.flatnonzero(shares > 0.01)]
    words += [w for w in parse_caption(field.item["caption"]).caption.tissue if w not in words]
    return Told(
        field.item["organ"],
        tuple(word for word in words if word in TISSUE_WORDS),
        shares,
        densities,
    )


class Example(NamedTuple):
    """A crop: what is shown, what is told, what is asked."""

    x: NDArray[np.float32]
    told: NDArray[np.float32]
    tissue: NDArray[np.uint8]
    may: NDArray[np.bool_]
    shape: NDArray[np.float32]


def _window(rng: np.random.Generator, field: Field) -> Field:
    height, width = field.tissue.shape
    y, x = (int(rng.integers(min(0, s - SIDE), max(0, s - SIDE) + 1)) for s in (height, width))
    rows = slice(max(0, y), min(height, y + SIDE))
    cols = slice(max(0, x), min(width, x + SIDE))
    place = np.s_[:, rows.start - y : rows.stop - y, cols.start - x : cols.stop - x]
    out = []
    for array, empty in ((field.tissue[None], 0), (field.may, False), (field.shape, np.nan)):
        target = np.full((len(array), SIDE, SIDE), empty, array.dtype)
        target[place] = array[:, rows, cols]
        out.append(target)
    tissue, may, shape = out
    if rng.random() < 0.5:  # angles turn with the picture
        tissue, may, shape = (a.transpose(0, 2, 1).copy() for a in (tissue, may, shape))
        shape[0] *= -1
    for axis in (1, 2):
        if rng.random() < 0.5:
            tissue, may, shape = (np.flip(a, axis).copy() for a in (tissue, may, shape))
            shape[1] *= -1
    return field._replace(tissue=tissue[0], may=may, shape=shape)


def _told(rng: np.random.Generator, field: Field) -> NDArray[np.float32]:
    whole = told_of(field)
    organ = whole.organ if rng.random() < 0.7 else None
    keep = rng.random() if rng.random() < 0.6 else 0.0
    words = tuple(w for w in whole.words if rng.random() < keep)
    shares = None
    if rng.random() < 0.55 and whole.shares is not None and whole.shares.sum() > 0:
        shares = whole.shares * np.exp(rng.normal(0, 0.1, N_TISSUES)).astype(np.float32)
        shares /= shares.sum()
    densities = whole.densities * np.exp(rng.normal(0, 0.07, TOKENS)).astype(np.float32)
    if rng.random() < 0.3:
        densities[1:] = np.nan
    hidden = rng.random(TOKENS) < (1.0 if rng.random() < 0.2 else 0.15)
    densities[hidden] = np.nan
    return Told(organ, words, shares, densities).vector


def _example(
    rng: np.random.Generator, fields: list[Field], chances: NDArray[np.float64]
) -> Example:
    while True:
        field = _window(rng, fields[int(rng.choice(len(fields), p=chances))])
        tissue, may = field.tissue, field.may
        known = may.any(axis=0)
        counts = np.bincount(tissue[tissue > 0], minlength=N_TISSUES)
        plain = max(counts[2], counts[4]) > 0.92 * counts.sum() and rng.random() < 0.7
        if known.mean() >= 0.2 and not plain:
            break
    stage = rng.random()
    # First tissue without nuclei, then nuclei on tissue; also any mixture of both.
    shown_tissue = rng.random(tissue.shape) >= math.cos(math.pi / 2 * rng.random())
    if rng.random() < 0.35:
        shown_tissue |= areas(rng, int(rng.integers(4, 20)), SIDE) > rng.uniform(-0.3, 1.5)
    shown_tokens = np.zeros(tissue.shape, np.bool_)
    if stage >= 0.35:
        if rng.random() < 0.6:
            order = rng.permutation(LATTICE**2)[: rng.integers(0, LATTICE**2)]
            y, x = np.mgrid[:SIDE, :SIDE] + rng.integers(0, LATTICE, 2)[:, None, None]
            shown_tokens = np.isin(y % LATTICE * LATTICE + x % LATTICE, order)
        else:
            shown_tokens = rng.random(tissue.shape) < rng.random()
        if rng.random() < 0.25:
            shown_tokens |= areas(rng, int(rng.integers(6, 24)), SIDE) > rng.uniform(-0.3, 1.5)
        if stage < 0.85:
            shown_tissue[:] = True
    shown_tissue &= tissue > 0
    shown_tokens &= known
    x = np.zeros((INPUTS, SIDE, SIDE), np.float32)
    seen = np.where(shown_tissue, tissue, 0)
    x[:N_TISSUES] = seen[None] == np.arange(N_TISSUES)[:, None, None]
    x[N_TISSUES:] = may / np.maximum(may.sum(axis=0), 1) * shown_tokens
    return Example(
        x,
        _told(rng, field),
        np.where(shown_tissue, 0, tissue),
        may & ~shown_tokens,
        np.where(shown_tokens, field.shape, np.nan).astype(np.float32),
    )


def train(output: Path, packs: list[Path], minutes: float, seed: int) -> None:
    """Train on one thread for so many minutes of processor time, and write averaged weights."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    fields = list(fields_of(packs))
    sizes = np.array([np.sqrt(field.may.any(axis=0).sum()) for field in fields])
    sources = np.array([field.item["source"] for field in fields])
    totals = {name: sizes[sources == name].sum() for name in set(sources)}
    print({name: int((sources == name).sum()) for name in totals})
    hard = [field.several for field in fields if not field.item["soft"]]
    print(f"nuclei that share a cell: {np.mean(hard):.1%}", flush=True)
    chances = np.array(
        [SHARES[s] * size / totals[s] for s, size in zip(sources, sizes, strict=True)]
    )
    chances /= chances.sum()
    network = Network(INPUTS, CONTEXT, OUTPUTS, CHANNELS).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    mean = {name: value.clone() for name, value in network.state_dict().items()}
    start, step, seen = time.process_time(), 0, np.zeros(3)
    while (done := (time.process_time() - start) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            warm = min(1.0, step / 100)
            group["lr"] = RATE * warm * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5
        batch = [_example(rng, fields, chances) for _ in range(BATCH)]
        x, told, tissue, may, shape = (
            torch.from_numpy(np.stack(arrays)) for arrays in zip(*batch, strict=True)
        )
        out = network(x.contiguous(memory_format=torch.channels_last), told)
        parts = torch.stack(losses(out, tissue, may, shape))
        optimizer.zero_grad(set_to_none=True)
        parts.sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        seen += (parts.detach().numpy() - seen) * max(0.02, 1 / step)
        keep = min(0.998, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            mean[name].lerp_(value, 1 - keep)
        if step % 50 == 0:
            told_losses = ", ".join(f"{value:.3f}" for value in seen)
            print(f"{step * BATCH} crops, losses {told_losses}, {done:.0%}", flush=True)
        if step % 500 == 0:
            _save(mean, output)
    _save(mean, output)


def losses(out: Any, tissue: Any, may: Any, shape: Any) -> tuple[Any, Any, Any]:
    """Return what is wrong with tissue, tokens (any that a cell may hold is right) and shapes."""
    last = N_TISSUES + TOKENS
    wrong = F.cross_entropy(out[:, :N_TISSUES], tissue.long(), reduction="none", ignore_index=0)
    asked = (tissue > 0).sum((1, 2))
    of_tissue = (wrong.sum((1, 2)) / (asked + SIDE)).mean()
    likely = F.log_softmax(out[:, N_TISSUES:last], dim=1)
    asked = may.any(1)
    right = torch.logsumexp(likely.masked_fill(~may, -1e4), dim=1)
    of_tokens = (-(right * asked).sum((1, 2)) / (asked.sum((1, 2)) + SIDE)).mean()
    known = torch.isfinite(shape[:, :1])
    weight = torch.tensor([4.0, 4.0, 0.3, 2.0])[:, None, None]
    apart = F.smooth_l1_loss(out[:, last:], torch.nan_to_num(shape), reduction="none")
    of_shape = (apart * weight * known).sum() / (known.sum() + 100)
    return of_tissue, 3 * of_tokens, 0.3 * of_shape


def _save(mean: dict[str, Any], output: Path) -> None:
    weights = {n: v.contiguous().numpy().astype(np.float16) for n, v in mean.items()}
    save_file(weights, output)


def write_fields(output: Path, packs: list[Path]) -> None:
    """Write what is told of each field of about 250 um, one line each."""
    lines = []
    for field in fields_of(packs):
        height, width = field.tissue.shape
        for y in range(0, max(1, height - SIDE // 2), SIDE):
            for x in range(0, max(1, width - SIDE // 2), SIDE):
                part = slice(y, y + SIDE), slice(x, x + SIDE)
                looked = field.may[(slice(None), *part)].any(axis=0)
                if looked.sum() < 0.25 * SIDE**2:
                    continue
                told = told_of(field, part)
                shares = [] if told.shares is None else [round(float(s), 3) for s in told.shares]
                densities = [None if math.isnan(d) else round(d) for d in told.densities.tolist()]
                lines.append([told.organ, list(told.words), shares, densities, field.item["soft"]])
    text = ",\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    output.write_text(f"[\n{text}\n]\n", encoding="utf-8")
    print(f"{len(lines)} fields")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("output", type=Path)
    training.add_argument("packs", type=Path, nargs="+")
    training.add_argument("--minutes", type=float, default=25)
    training.add_argument("--seed", type=int, default=0)
    telling = commands.add_parser("fields")
    telling.add_argument("output", type=Path)
    telling.add_argument("packs", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "train":
        train(options.output, options.packs, options.minutes, options.seed)
    else:
        write_fields(options.output, options.packs)


if __name__ == "__main__":
    main()
