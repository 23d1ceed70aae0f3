"""Train the tissue sampler's network on packed files, or measure it on held-out ones.

    python tools/tissue_sampler.py train train.npz sampler.safetensors --minutes 25
    python tools/tissue_sampler.py measure test.npz test_soft.npz

Packs with tissue maps are made by `histodiff pack --label`. What is learnt is in
`napari_histodiff/weights/tissue-sampler-v1/README.md`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn

from napari_histodiff.core.captions import ORGANS, Caption
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import N_CLASSES, TISSUE_NAMES
from napari_histodiff.datasets.packing import LAYERS
from napari_histodiff.layout.completion.cells import CellGrid
from napari_histodiff.layout.completion.network import context_of, tissue_network
from napari_histodiff.layout.completion.sampler import KnownCells, sample_tissue

SIDE = 64
BATCH = 24
RATE = 2e-3
CHANNELS = (40, 64, 96)
TISSUES = len(TISSUE_NAMES)
CONTEXT = len(ORGANS) + 1 + TISSUES
#: How often a crop of each set is drawn.
SHARES = {
    "lizard": 2.0,
    "consep": 1.5,
    "glas": 2.0,
    "tcga_sbu_unannotated": 0.5,
    "atlas": 3.0,
    "atlas_wide1": 2.5,
    "monusac": 0.8,
    "camelyon_tiles": 0.7,
    "monuseg": 0.1,
}


class Field(NamedTuple):
    """One image in cells: tissue ids, nuclei shares, where anything is known of it."""

    item: dict[str, Any]
    tissue: NDArray[np.uint8]
    nuclei: NDArray[np.float32]
    valid: NDArray[np.bool_]


def fields_of(path: Path) -> Iterator[Field]:
    """Read the images of a pack that have nuclei and, for a fifth at least, tissue."""
    with np.load(path, allow_pickle=False) as archive:
        for i, item in enumerate(json.loads(str(archive["index"]))):
            if not item["has_nuclei"] or item["source"] not in SHARES:
                continue
            layers = archive[f"layers_{i}"]
            plane = {name: layers[..., n] for n, name in enumerate(LAYERS)}
            # The white squares of Lizard's mosaics are no glass.
            valid = (plane["valid"] > 0) & ~(
                (archive[f"pixels_{i}"].min(axis=-1) == 255) & (item["source"] == "lizard")
            )
            grid = CellGrid(Region(0, 0, 0, *valid.shape), item["mpp"])
            tissue = grid.tissue(np.where(valid, plane["tissue"], 0).astype(np.uint8))
            seen = grid.share(valid) >= 0.5
            nuclei = grid.nuclei(plane["class"], plane["union"] > 0)
            tissue[~seen] = 0
            if (tissue > 0).mean() >= 0.2:
                yield Field(item, tissue, nuclei, seen)


class Network(nn.Module):
    """What `layout.completion.unet` runs in numpy."""

    def __init__(
        self,
        planes: int = TISSUES + N_CLASSES + 2,
        told: int = CONTEXT,
        out: int = TISSUES,
        channels: tuple[int, ...] = CHANNELS,
    ) -> None:
        super().__init__()
        wide = [*channels, channels[-1]]
        self.stem = nn.Conv2d(planes, wide[0], 3, padding=1)
        self.cond1 = nn.Linear(told, 64)
        self.down = nn.ModuleList([_block(c) for c in wide])
        self.pool = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in pairwise(wide)])
        self.up = nn.ModuleList([nn.Conv2d(b, a, 1) for a, b in pairwise(wide)])
        self.mid = nn.ModuleList([_block(c) for c in channels])
        self.head = nn.Conv2d(wide[0], out, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the scores of each tissue, or what else it was made for, (b, out, h, w)."""
        told = F.relu(self.cond1(context))
        x = self.stem(x)
        kept = []
        for block, pool in zip(self.down, self.pool, strict=False):
            x = _through(block, x, told)
            kept.append(x)
            x = F.avg_pool2d(pool(x), 2)
        x = _through(self.down[-1], x, told)
        for scale in reversed(range(len(self.mid))):
            x = F.interpolate(self.up[scale](x), scale_factor=2) + kept[scale]
            x = _through(self.mid[scale], x, told)
        return self.head(F.relu(x))


def _block(channels: int) -> nn.ModuleDict:
    block = nn.ModuleDict(
        {
            "a": nn.Conv2d(channels, channels, 3, padding=1),
            "b": nn.Conv2d(channels, channels, 3, padding=1),
            "film": nn.Linear(64, channels),
        }
    )
    nn.init.zeros_(block["b"].weight)
    nn.init.zeros_(block["b"].bias)
    return block


def _through(block: Any, x: Tensor, told: Tensor) -> Tensor:
    h = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-4)
    return x + block["b"](F.relu(block["a"](h) + block["film"](told)[:, :, None, None]))


def areas(rng: np.random.Generator, side: int, size: int = SIDE) -> NDArray[np.float32]:
    """Return smooth noise, (size, size), to show or hide whole areas."""
    noise = rng.standard_normal((1, 1, size // side + 3, size // side + 3)).astype(np.float32)
    wide = F.interpolate(torch.from_numpy(noise), size=size + 2 * side, mode="bicubic")[0, 0]
    return wide[side : side + size, side : side + size].numpy()


def _window(rng: np.random.Generator, field: Field) -> tuple[NDArray[Any], ...]:
    whole = (field.tissue[None], field.nuclei, field.valid[None])
    out = [np.zeros((len(a), SIDE, SIDE), a.dtype) for a in whole]
    height, width = field.tissue.shape
    y, x = (int(rng.integers(min(0, s - SIDE), max(0, s - SIDE) + 1)) for s in (height, width))
    rows = slice(max(0, y), min(height, y + SIDE))
    cols = slice(max(0, x), min(width, x + SIDE))
    for target, source in zip(out, whole, strict=True):
        place = np.s_[:, rows.start - y : rows.stop - y, cols.start - x : cols.stop - x]
        target[place] = source[:, rows, cols]
    if rng.random() < 0.5:
        out = [a.transpose(0, 2, 1) for a in out]
    flips = [slice(None, None, -1) if rng.random() < 0.5 else slice(None) for _ in range(2)]
    tissue, nuclei, valid = (a[:, flips[0], flips[1]].copy() for a in out)
    return tissue[0], nuclei, valid[0]


def _example(
    rng: np.random.Generator, fields: list[Field], chances: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    while True:
        field = fields[int(rng.choice(len(fields), p=chances))]
        tissue, nuclei, known = _window(rng, field)
        counts = np.bincount(tissue[tissue > 0], minlength=TISSUES)
        share = counts / max(1, counts.sum())
        plain = max(share[2], share[4]) > 0.92 and rng.random() < 0.8
        if counts.sum() >= 0.1 * SIDE**2 and not plain:
            break
    hidden = rng.random()
    if hidden < 0.2:
        known[:] = False
    elif hidden < 0.4:
        known &= areas(rng, int(rng.integers(8, 24))) > 0.5 * rng.standard_normal()
    if rng.random() < 0.25:
        nuclei[-1], nuclei[:-1] = nuclei.sum(axis=0), 0
    shown = rng.random((SIDE, SIDE)) >= math.cos(math.pi / 2 * rng.random())
    if rng.random() < 0.35:
        shown |= areas(rng, int(rng.integers(4, 20))) > rng.uniform(-0.3, 1.5)
    shown &= (tissue > 0) & (rng.random() >= 0.1)
    context = np.zeros(CONTEXT, np.float32)
    organ = field.item["organ"]
    named = organ in ORGANS and rng.random() < 0.6
    context[ORGANS.index(organ) if named else len(ORGANS)] = 1
    if rng.random() < 0.5:
        told = (share > 0.01) & (rng.random(TISSUES) < rng.random())
        context[len(ORGANS) + 1 :] = told
    seen = np.where(shown, tissue, 0)
    one_hot = (seen[None] == np.arange(TISSUES)[:, None, None]).astype(np.float32)
    x = np.concatenate([one_hot, np.sqrt(np.minimum(nuclei, 1) * known), known[None]])
    return x.astype(np.float32), context, np.where(shown, 0, tissue)


def train(pack: Path, output: Path, minutes: float) -> None:
    """Train on one thread for so many minutes of processor time, and write averaged weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    fields = list(fields_of(pack))
    sizes = np.array([np.sqrt((field.tissue > 0).sum()) for field in fields])
    sources = np.array([field.item["source"] for field in fields])
    totals = {name: sizes[sources == name].sum() for name in set(sources)}
    chances = np.array(
        [SHARES[s] * size / totals[s] for s, size in zip(sources, sizes, strict=True)]
    )
    chances /= chances.sum()
    network = Network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    mean = {name: value.clone() for name, value in network.state_dict().items()}
    start, step = time.process_time(), 0
    while (done := (time.process_time() - start) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            warm = min(1.0, step / 100)
            group["lr"] = RATE * warm * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5
        batch = [_example(rng, fields, chances) for _ in range(BATCH)]
        x, context, wanted = (torch.from_numpy(np.stack(a)) for a in zip(*batch, strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(x.contiguous(memory_format=torch.channels_last), context)
        loss = F.cross_entropy(scores.float(), wanted.long(), reduction="none", ignore_index=0)
        asked = (wanted > 0).sum((1, 2))
        mean_loss = (loss.sum((1, 2)) / (asked + SIDE)).mean()
        optimizer.zero_grad(set_to_none=True)
        mean_loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        keep = min(0.998, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            mean[name].lerp_(value, 1 - keep)
        if step % 50 == 0:
            print(f"{step * BATCH} crops, loss {float(mean_loss):.3f}, {done:.0%}", flush=True)
    weights = {n: v.contiguous().numpy().astype(np.float16) for n, v in mean.items()}
    save_file(weights, output)


def _borders(tissue: NDArray[np.uint8], asked: NDArray[np.bool_]) -> float:
    down, right = asked[1:] & asked[:-1], asked[:, 1:] & asked[:, :-1]
    changes = ((tissue[1:] != tissue[:-1]) & down).sum()
    changes += ((tissue[:, 1:] != tissue[:, :-1]) & right).sum()
    return float(changes / (down.sum() + right.sum()))


def _show(name: str, pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> None:
    drawn = np.concatenate([a[b > 0] for a, b in pairs])
    real = np.concatenate([b[b > 0] for _, b in pairs])
    ious = []
    for number in range(1, TISSUES):
        either = ((drawn == number) | (real == number)).sum()
        if (real == number).sum() > 100:
            both = ((drawn == number) & (real == number)).sum()
            ious.append(f"{TISSUE_NAMES[number]} {both / either:.2f}")
    shares = [np.bincount(a, minlength=TISSUES) / a.size for a in (drawn, real)]
    apart = 0.5 * np.abs(shares[0] - shares[1]).sum()
    borders = np.mean([_borders(a, b > 0) for a, b in pairs])
    print(
        f"{name:32s} agree {(drawn == real).mean():.3f}  IoU {', '.join(ious)}  "
        f"borders {borders:.3f}  shares apart {apart:.3f}",
        flush=True,
    )


def measure(packs: list[Path]) -> None:
    """Compare drawn maps with the real ones, beside a floor and the likeliest map."""
    network = tissue_network()
    fields = [field for pack in packs for field in fields_of(pack)]
    fields = [field for field in fields if field.item["source"] not in ("monuseg", "tcga_lgg36")]
    real = [field.tissue for field in fields]
    print(f"{len(fields)} images")
    _show("real", [(t, t) for t in real])
    _show("floor: stroma everywhere", [(np.full_like(t, 2), t) for t in real])
    others = [np.resize(np.tile(real[i - 7], (4, 4)), t.shape) for i, t in enumerate(real)]
    _show("floor: another image", list(zip(others, real, strict=True)))

    def known(field: Field, *, nuclei: bool) -> KnownCells:
        seen = field.valid & nuclei
        context = context_of(Caption(organ=field.item["organ"]))
        empty = np.zeros_like(field.tissue)
        return KnownCells(Region(0, 0, 0, *empty.shape), empty, field.nuclei, seen, context)

    for words, nuclei in (("nuclei given", True), ("nuclei hidden", False)):
        asked = [known(field, nuclei=nuclei) for field in fields]
        likeliest = [
            network(k.tissue, k.nuclei * k.surveyed, k.surveyed, k.context).argmax(0) for k in asked
        ]
        _show(f"likeliest map, {words}", list(zip(likeliest, real, strict=True)))
        draws = [[sample_tissue(network, k, seed) for k in asked] for seed in (0, 1)]
        _show(f"drawn, {words}", list(zip(draws[0], real, strict=True)))
        beside = [
            np.where(t > 0, d, 0).astype(np.uint8) for d, t in zip(draws[1], real, strict=True)
        ]
        _show(f"one seed beside another, {words}", list(zip(draws[0], beside, strict=True)))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("pack", type=Path)
    training.add_argument("output", type=Path)
    training.add_argument("--minutes", type=float, default=25)
    commands.add_parser("measure").add_argument("packs", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "train":
        train(options.pack, options.output, options.minutes)
    else:
        measure(options.packs)


if __name__ == "__main__":
    main()
