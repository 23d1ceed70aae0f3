"""What to tell the model about nuclei known only to be of some inflammatory class.

CoNSeP calls them "inflammatory": a lymphocyte, plasma cell, neutrophil or eosinophil. The model is
fine-tuned on the same crops with the same noise, these nuclei given without a class, with one of
the four at random as often as Lizard has it, or all as lymphocytes. Weights and figures are
kept in the output folder at every checkpoint; `--crops 0` only draws with those kept there.

    python -m benchmarks.networks.inflammatory --train PACK --test PACK --model FOLDER \
        --crops 6000 --output FOLDER
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.networks.learning import Learner, budget, learn_together
from benchmarks.networks.measuring import (
    FIDELITY,
    TISSUE_CLASSES,
    HeldOut,
    HeldOutLoss,
    difference,
    held_out_of,
)
from benchmarks.networks.runs import Run, print_table
from napari_histodiff.core.maps import CLASS_NAMES, instance_edges
from napari_histodiff.datasets.packing import LAYERS, Pack, class_counts, load_pack
from napari_histodiff.diffusion.training.batches import BatchMaker
from napari_histodiff.diffusion.training.crops import CropSampler
from napari_histodiff.diffusion.training.flow_matching import initial_generator
from napari_histodiff.evaluation.fidelity import TileScore

__all__ = ["POLICIES", "Policy", "class_odds", "labelled_sampler", "main"]

Policy = Literal["unknown", "mixed", "lymphocyte"]

#: The ways such nuclei are labelled; "unknown" is what the package does.
POLICIES: Final[tuple[Policy, ...]] = ("unknown", "mixed", "lymphocyte")

_FOUR: Final = ("lymphocyte", "plasma", "neutrophil", "eosinophil")
_CLASS, _EDGES = LAYERS.index("class"), LAYERS.index("edges")
_FINE: Final[dict[str, Any]] = {"learning_rate": 1.5e-4, "warmup": 40, "ema": 0.995}


def main() -> None:
    """Fine-tune under each policy, draw, and print rows and paired differences."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    held_out = held_out_of(options.test, options.tiles)
    start = partial(initial_generator, budget(1, 0, init_from=str(options.model)))
    runs = {
        name: Run(options.output, f"{name}-{options.seed}", start) for name in ("before", *POLICIES)
    }

    def show() -> None:
        print_table({name: run.row for name, run in runs.items() if run.row})

    if options.crops:
        _train(options, runs, HeldOutLoss(held_out.packed), show)
    if options.tiles:
        scores = {}
        for name, run in runs.items():
            scores[name] = run.draw(held_out)
            show()
        print_table(_gains(held_out, scores))


def _train(options: Any, runs: dict[str, Run], loss: HeldOutLoss, show: Any) -> None:
    config = budget(options.crops, options.seed, init_from=str(options.model), **_FINE)
    runs["before"].save_start(loss)
    learners: dict[str, Learner] = {p: Learner(runs[p].start(), config) for p in POLICIES}
    makers: dict[str, BatchMaker] = {
        policy: BatchMaker(
            labelled_sampler(load_pack(options.train), policy, config.seed),
            config.drop,
            config.seed,
            TISSUE_CLASSES,
        )
        for policy in POLICIES
    }

    def checkpoint(crops: int) -> None:
        for policy in POLICIES:
            runs[policy].save(learners[policy], crops, loss)
        show()

    learn_together(learners, makers, config, every=options.every, on_checkpoint=checkpoint)


def class_odds(packed: Pack, source: str = "lizard") -> NDArray[np.float64]:
    """Return how often each of the four classes occurs among them in a source, (4,)."""
    chosen = [i for i, item in enumerate(packed.items) if item.source == source]
    part = Pack(
        [packed.items[i] for i in chosen],
        [packed.pixels[i] for i in chosen],
        [packed.layers[i] for i in chosen],
        [packed.instances[i] for i in chosen],
    )
    counts = class_counts(part)
    found = np.array([counts[name] for name in _FOUR], np.float64)
    odds: NDArray[np.float64] = found / found.sum()
    return odds


def labelled_sampler(packed: Pack, policy: Policy, seed: int) -> CropSampler:
    """Return a sampler of `packed`, whose inflammatory nuclei are labelled in place.

    Where crops are taken is settled before, so that every policy sees the same crops.
    """
    sampler = CropSampler(packed, seed)
    if policy == "unknown":
        return sampler
    ids = np.array([CLASS_NAMES.index(name) + 1 for name in _FOUR], np.uint8)
    odds = class_odds(packed) if policy == "mixed" else np.array([1.0, 0, 0, 0])
    rng = np.random.default_rng(seed)
    for i, item in enumerate(packed.items):
        if not item.unknown_is_inflammatory:
            continue
        layers, instances = packed.layers[i], packed.instances[i]
        classes = layers[..., _CLASS]
        chosen = (instances > 0) & (classes == 0) & ~np.isin(instances, item.other_nuclei)
        by_nucleus = rng.choice(ids, int(instances.max()) + 1, p=odds)
        layers[..., _CLASS] = np.where(chosen, by_nucleus[instances], classes)
        layers[..., _EDGES] = instance_edges(instances.astype(np.int32), layers[..., _CLASS])
    return sampler


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model to tune")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=6_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--tiles", type=int, default=38, help="0: do not draw")
    return parser.parse_args()


def _gains(held_out: HeldOut, scores: dict[str, list[TileScore]]) -> dict[str, dict[str, Any]]:
    """By how much each policy's drawn / real exceeds that of the first, on the same tiles."""
    gains: dict[str, dict[str, Any]] = {}
    first, *others = POLICIES
    for policy in others:
        found = {
            name: difference(held_out, scores[policy], scores[first], name) for name in FIDELITY
        }
        row = {name: [x.value, x.low, x.high] for name, x in found.items()}
        gains[f"{policy} - {first}"] = row
    return gains


if __name__ == "__main__":
    main()
