"""Trains other networks on the same few crops as the model's own, and measures them.

All start at random and are trained side by side on the same crops with the same noise, then draw
the same held-out tiles. "base*" is the model's own network from other random weights: what it
differs by from "base" is noise. Weights and figures are kept in the output folder at every
checkpoint; `--crops 0` only draws with those kept there.

    python -m benchmarks.networks.compare --train PACK --test PACK --crops 10000 --output FOLDER
"""

from __future__ import annotations

import argparse
import json
import logging
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.networks.learning import Learner, budget, learn_together
from benchmarks.networks.measuring import (
    TISSUE_CLASSES,
    HeldOutLoss,
    held_out_of,
    window_milliseconds,
)
from benchmarks.networks.runs import Run, print_table
from benchmarks.networks.variants import VARIANTS, build
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder
from napari_histodiff.diffusion.training.batches import BatchMaker
from napari_histodiff.diffusion.training.crops import CropSampler
from napari_histodiff.diffusion.training.generator import Generator

__all__ = ["main"]

_AGAIN: Final = "base*"


def main() -> None:
    """Train what is asked for, draw with it, and print one row each."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    times = _times(options.output / "window-ms.json")
    runs = {
        name: Run(options.output, f"{name}-{options.seed}", partial(_start, name, options.seed))
        for name in options.variants
    }

    def show() -> None:
        rows = {name: run.row for name, run in runs.items()}
        print_table({n: r | {"window ms": times[n.rstrip("*")]} for n, r in rows.items() if r})

    held_out = held_out_of(options.test, options.tiles)
    if options.crops:
        _train(options, runs, HeldOutLoss(held_out.packed), show)
    if options.tiles:
        for run in runs.values():
            run.draw(held_out)
            show()


def _train(options: Any, runs: dict[str, Run], loss: HeldOutLoss, show: Any) -> None:
    config = budget(options.crops, options.seed)
    sampler = CropSampler(load_pack(options.train), config.seed)
    maker = BatchMaker(sampler, config.drop, config.seed, TISSUE_CLASSES)
    learners = {name: Learner(run.start(), config) for name, run in runs.items()}

    def checkpoint(crops: int) -> None:
        for name, run in runs.items():
            run.save(learners[name], crops, loss)
        show()

    makers = dict.fromkeys(learners, maker)
    learn_together(learners, makers, config, every=options.every, on_checkpoint=checkpoint)


def _options() -> Any:
    names = [*VARIANTS, _AGAIN]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=10_000)
    parser.add_argument("--variants", nargs="+", choices=names, default=names)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=100, help="steps between checkpoints")
    parser.add_argument("--tiles", type=int, default=16, help="0: do not draw")
    return parser.parse_args()


def _start(name: str, seed: int) -> Generator:
    if name == _AGAIN:
        name, seed = "base", seed + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        captions = CaptionEncoder()
    return Generator(build(name, seed), captions)


def _times(path: Path) -> dict[str, float]:
    """Time all variants in turn, once."""
    if not path.is_file():
        networks = {name: build(name, 0) for name in VARIANTS}
        path.write_text(json.dumps(window_milliseconds(networks), indent=2))
    times: dict[str, float] = json.loads(path.read_text())
    return times


if __name__ == "__main__":
    main()
