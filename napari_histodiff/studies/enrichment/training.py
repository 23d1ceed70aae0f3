"""Trains the same small segmenter on whatever tiles it is given, for equally many updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_histodiff.core.maps import instance_edges, nuclei_union
from napari_histodiff.datasets.packing import LAYERS, Pack
from napari_histodiff.datasets.sources import PackItem
from napari_histodiff.evaluation.tiles import Tile
from napari_histodiff.optimization import AveragedWeights, cosine_rate, optimizer_step
from napari_histodiff.segmenter.crops import SegmenterCrops, augment
from napari_histodiff.segmenter.losses import TrainingTarget, judge_loss, make_target
from napari_histodiff.segmenter.network import JudgeNetwork
from napari_histodiff.segmenter.postprocess import FoundNuclei, find_nuclei
from napari_histodiff.segmenter.prediction import predict
from napari_histodiff.segmenter.training import class_weights
from napari_histodiff.studies.enrichment.options import EnrichmentOptions

__all__ = ["find_in", "targets_of", "train_segmenter"]

_LEARNING_RATE: Final = 2e-3
_WARM_STEPS: Final = 50
_LOWEST_RATE: Final = 0.01
_WEIGHT_DECAY: Final = 0.02
_CLIP: Final = 1.0
_EMA: Final = 0.99


def targets_of(tiles: Sequence[Tile], images: Sequence[NDArray[np.uint8]]) -> list[TrainingTarget]:
    """Return what the segmenter learns of tiles; `images` may be drawn in the place of theirs."""
    items, layers, instances = [], [], []
    for tile in tiles:
        items.append(
            PackItem(
                name=tile.name,
                source=tile.source,
                mpp=tile.mpp,
                organ=None,
                caption=tile.caption,
                has_nuclei=True,
                has_classes=tile.has_classes,
                has_tissue=False,
            )
        )
        planes = dict.fromkeys(LAYERS, np.zeros(tile.class_map.shape, np.uint8))
        planes["class"] = tile.class_map
        planes["edges"] = instance_edges(tile.instance_map, tile.class_map).astype(np.uint8)
        planes["union"] = nuclei_union(tile.class_map, tile.instance_map).astype(np.uint8)
        planes["valid"] = np.ones(tile.class_map.shape, np.uint8)
        layers.append(np.stack([planes[name] for name in LAYERS], -1))
        instances.append(tile.instance_map.astype(np.uint16))
    packed = Pack(items, list(images), layers, instances)
    return [make_target(packed, i) for i in range(len(items))]


def train_segmenter(
    targets: list[TrainingTarget], options: EnrichmentOptions, seed: int, *, classical: bool
) -> tuple[JudgeNetwork, list[float]]:
    """Train a segmenter from nothing on the processor.

    Parameters
    ----------
    targets : list of TrainingTarget
        Each as likely as its area; crops are turned, mirrored and zoomed in any case.
    options : EnrichmentOptions
    seed : int
        Of the first weights, the crops and their looks.
    classical : bool
        Whether stain, light, focus and grain of the crops change, too.

    Returns
    -------
    JudgeNetwork
        With averaged weights.
    list of float
        The loss of each update.

    Raises
    ------
    TrainingError
        When the loss is no longer finite, or no tile is as large as a crop.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        depth = len(options.widths)
        network = JudgeNetwork(
            widths=options.widths,
            encoder_blocks=(1,) * depth,
            decoder_blocks=(*(1,) * (depth - 1), 0),
        )
    sampler = SegmenterCrops(targets, options.crop, seed)
    looks = torch.Generator().manual_seed(seed)
    weights = class_weights(targets)
    average = AveragedWeights(network, _EMA)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=_WEIGHT_DECAY)
    losses = []
    for step in range(options.updates):
        images, maps = sampler.batch(options.batch)
        if classical:
            images = augment(images, looks)
        loss = judge_loss(network(images), maps, weights)
        rate = cosine_rate(
            *(_LEARNING_RATE, step / options.updates, step),
            warmup=_WARM_STEPS,
            floor=_LOWEST_RATE,
        )
        losses.append(optimizer_step(loss, network, optimizer, clip=_CLIP, rate=rate, step=step))
        optimizer.zero_grad()
        average.update(network, step)
    return average.module, losses


def find_in(network: JudgeNetwork, image: NDArray[np.uint8]) -> FoundNuclei:
    """Return what a segmenter finds in an image at 0.5 um/px."""
    return find_nuclei(predict(network, image))
