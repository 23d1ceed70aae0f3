"""What is measured of a generator: held-out flow loss, drawn tiles, time of a window.

Only the "choice" part of the test images is used, as for every setting that is chosen.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import FlowMatchHeunDiscreteScheduler
from numpy.typing import NDArray
from torch import nn

from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.datasets.packing import Pack, load_pack
from napari_histodiff.devices import resolve_device, resolve_dtype
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder
from napari_histodiff.diffusion.conditioning import STAIN_FEATURES, spatial_channels
from napari_histodiff.diffusion.flow import add_noise, flow_loss
from napari_histodiff.diffusion.model_folder import ModelInfo
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline
from napari_histodiff.diffusion.training.batches import BatchMaker
from napari_histodiff.diffusion.training.config import Drop
from napari_histodiff.diffusion.training.crops import CropSampler
from napari_histodiff.diffusion.training.generator import Generator
from napari_histodiff.evaluation.drawing import TileDrawer
from napari_histodiff.evaluation.fidelity import TileScore, figure, tile_scores
from napari_histodiff.evaluation.metrics.agreement import Interval, bootstrap
from napari_histodiff.evaluation.metrics.distances import frechet_distance
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.panels import ImageSet, JudgeLike
from napari_histodiff.evaluation.realism import distance, halves
from napari_histodiff.evaluation.tiles import areas_of, study_tiles
from napari_histodiff.segmenter.model import Judge

__all__ = [
    "FIDELITY",
    "TISSUE_CLASSES",
    "HeldOut",
    "HeldOutLoss",
    "choice_pack",
    "difference",
    "distances",
    "drawn_panel",
    "held_out_of",
    "ratio",
    "window_milliseconds",
]

#: Tissue classes that the networks compared are told: those of the bundled model of then.
TISSUE_CLASSES: Final = 4

#: Figures of fidelity that are reported, drawn over real.
FIDELITY: Final = ("Dice", "PQ", *(f"F1 {name}" for name in CLASS_NAMES))

_SHOWN: Final = Drop(prompt=0, nuclei=0, tissue=0, caption=0, slot=0, known=1, coarse=1, stain=0)
_CROPS: Final = 20
_LOSS_SIZE: Final = 128
_TIMES: Final = 9  # three in each third
_SHIFT: Final = 0.6  # of the schedule, as `checkpoints` saves it
_WINDOW: Final = 288
_DRAWS: Final = 500


def choice_pack(packed: Pack) -> Pack:
    """Return the images, or halves of them, on which settings are chosen."""
    areas = areas_of(packed, "choice")
    places = [(area.item, (area.rows, area.columns)) for area in areas]
    return Pack(
        [packed.items[i] for i, _ in places],
        [packed.pixels[i][place] for i, place in places],
        [packed.layers[i][place] for i, place in places],
        [packed.instances[i][place] for i, place in places],
    )


class HeldOutLoss:
    """Flow loss on crops of 128 px with one and the same noise for every generator."""

    def __init__(self, packed: Pack) -> None:
        sampler = CropSampler(choice_pack(packed), seed=0, scales={1: 1.0})
        maker = BatchMaker(sampler, _SHOWN, 0, TISSUE_CLASSES)
        self._batches = [maker.make(_LOSS_SIZE, 1) for _ in range(_CROPS)]

    @torch.no_grad()
    def of(self, generator: Generator) -> tuple[float, float, float]:
        """Return the mean loss for t in the first, second and last third of 0 (clean) .. 1."""
        noise = torch.Generator().manual_seed(0)
        t = (torch.arange(_TIMES) + 0.5) / _TIMES
        dtype = resolve_dtype(resolve_device("cpu"), "auto")
        totals = np.zeros(3)
        for batch in self._batches:
            images = batch.images.expand(_TIMES, -1, -1, -1)
            z = add_noise(images, torch.randn(images.shape, generator=noise), t)
            c = batch.conditions
            parts = [x.expand(_TIMES, *x.shape[1:]) for x in (c.spatial, c.slots, c.mpp, c.stain)]
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                x0 = generator(z, t, *parts).float()
            weight = batch.weight.expand(_TIMES, -1, -1, -1)
            for third, rows in enumerate(torch.arange(_TIMES).chunk(3)):
                loss = flow_loss(x0[rows], images[rows], t[rows], weight[rows])
                totals[third] += float(loss) / _CROPS
        clean, middle, noisy = totals.tolist()
        return clean, middle, noisy


def held_out_of(test: Path, tiles: int) -> HeldOut:
    """Return `tiles` held-out tiles of a pack, 0 for none, to be drawn in six guided steps."""
    count = max(tiles, 4)
    options = StudyOptions(tiles=count, part="choice", guidance=1.5, default_steps=6, steps=(2, 6))
    return HeldOut(load_pack(test), Judge.load(device="cpu"), options)


@dataclass
class HeldOut:
    """Tiles to draw, and what is measured once of the real ones."""

    packed: Pack
    judge: JudgeLike
    options: StudyOptions
    _floors: dict[str, float] = field(default_factory=dict)

    @cached_property
    def real(self) -> ImageSet:
        """The real tiles."""
        tiles = study_tiles(self.packed, self.options.tiles, self.options.size, self.options.part)
        return ImageSet("real tissue", tiles, [tile.image for tile in tiles], self.judge)

    @cached_property
    def real_scores(self) -> list[TileScore]:
        """What the judge makes of the real tiles: how much of an error is its own."""
        return tile_scores(self.real.tiles, self.real.nuclei)

    def scores(self, drawn: ImageSet) -> list[TileScore]:
        """What the judge makes of the drawn tiles."""
        return tile_scores(self.real.tiles, drawn.nuclei)

    def floor(self, name: str) -> float:
        """Return the distance of real from other real tiles, halves against halves."""
        if name not in self._floors:
            splits = halves(len(self.real.tiles), self.options.seed)
            values = [_MEASURES[name](self.real, self.real, a, b) for a, b in splits]
            self._floors[name] = float(np.mean(values))
        return self._floors[name]


def drawn_panel(generator: Generator, held_out: HeldOut, name: str, folder: Path) -> ImageSet:
    """Draw every tile with a generator, or take what was drawn under this name before.

    The generator is left in the number format it draws with.
    """
    pipeline = HistoDiffusionPipeline(
        network=generator.network,
        caption_encoder=generator.captions,
        scheduler=FlowMatchHeunDiscreteScheduler(shift=_SHIFT),
    )
    for module in (pipeline.network, pipeline.caption_encoder):
        _to_draw(module)
    model = ModelInfo(
        name=name,
        version="1",
        licence="none",
        mpp=(0.25, 2.0),
        class_counts=dict.fromkeys(CLASS_NAMES, 1),
        tissue_names=TISSUE_NAMES[:5],
        revision=name,
    )
    drawer = TileDrawer(DiffusionBackend(pipeline, model), folder, held_out.options)
    tiles = held_out.real.tiles
    return ImageSet(name, tiles, drawer.tiles(tiles), held_out.judge)


def ratio(held_out: HeldOut, scores: Sequence[TileScore], name: str) -> Interval:
    """Return a figure on drawn over that on real tiles, with a 95 % bootstrap over tiles."""
    real = held_out.real_scores

    def statistic(indices: NDArray[np.intp]) -> float:
        return _over(scores, real, indices, name)

    return bootstrap(statistic, len(real), draws=_DRAWS, seed=held_out.options.seed)


def difference(
    held_out: HeldOut, scores: Sequence[TileScore], others: Sequence[TileScore], name: str
) -> Interval:
    """Return by how much the ratio of `scores` exceeds that of `others` on the same tiles."""
    real = held_out.real_scores

    def statistic(indices: NDArray[np.intp]) -> float:
        return _over(scores, real, indices, name) - _over(others, real, indices, name)

    return bootstrap(statistic, len(real), draws=_DRAWS, seed=held_out.options.seed)


def distances(held_out: HeldOut, drawn: ImageSet) -> dict[str, float]:
    """Return each distance of drawn from real tiles over that of real from other real tiles."""
    splits = halves(len(held_out.real.tiles), held_out.options.seed)
    return {
        name: float(np.mean([measure(drawn, held_out.real, a, a) for a, _ in splits]))
        / held_out.floor(name)
        for name, measure in _MEASURES.items()
    }


@torch.inference_mode()
def window_milliseconds(networks: Mapping[str, HistoUNet], rounds: int = 12) -> dict[str, float]:
    """Return the least time of the processor for one window of 288 px, the networks in turn."""
    dtype = resolve_dtype(resolve_device("cpu"), "auto")
    for network in networks.values():
        _to_draw(network)
    width = CaptionEncoder().config["dim"]
    call: tuple[Any, ...] = (
        torch.randn(1, 3, _WINDOW, _WINDOW),
        torch.tensor([0.5]),
        torch.zeros(1, spatial_channels(TISSUE_CLASSES), _WINDOW, _WINDOW),
        torch.zeros(1, width, dtype=dtype),
        torch.tensor([0.5]),
        torch.zeros(1, STAIN_FEATURES),
    )
    least = dict.fromkeys(networks, float("inf"))
    for i in range(rounds + 2):
        for name, network in networks.items():
            start = time.process_time()
            network(*call)
            if i >= 2:
                least[name] = min(least[name], 1000 * (time.process_time() - start))
    return least


def _to_draw(module: nn.Module) -> None:
    """As `loading` brings a model to a processor; nn.Module's own `to`, that of diffusers warns."""
    dtype = resolve_dtype(resolve_device("cpu"), "auto")
    nn.Module.to(module.eval(), dtype=dtype)
    nn.Module.to(module, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _over(
    scores: Sequence[TileScore],
    real: Sequence[TileScore],
    indices: NDArray[np.intp],
    name: str,
) -> float:
    under = figure([real[i] for i in indices], name)
    return figure([scores[i] for i in indices], name) / under if under > 0 else float("nan")


def _own(first: ImageSet, second: ImageSet, ours: Sequence[int], theirs: Sequence[int]) -> float:
    return distance(first, second, 64, ours, theirs)


def _looks(first: ImageSet, second: ImageSet, ours: Sequence[int], theirs: Sequence[int]) -> float:
    every = second.appearance(64).of(range(len(second.images)))
    centre, spread = every.mean(0), every.std(0) + 1e-6
    sides = (
        (p.appearance(64).of(t) - centre) / spread for p, t in ((first, ours), (second, theirs))
    )
    return frechet_distance(*sides)


_MEASURES: Final = {"FD": _own, "appearance FD": _looks}
