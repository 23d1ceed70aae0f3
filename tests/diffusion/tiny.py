"""A network of a few thousand random weights: everything but the beauty, in milliseconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchHeunDiscreteScheduler

from napari_histodiff.core.captions import CAPTION_SCHEMA
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder
from napari_histodiff.diffusion.model_folder import ModelInfo
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline

# Threads that wait for each other on a busy machine cost more than so small a network gains.
torch.set_num_threads(1)

#: Windows of 96 px at a stride of 64 px.
WINDOW = 96
TILE = 64
TISSUE_CLASSES = len(TISSUE_NAMES) - 1

INFO: dict[str, Any] = {
    "name": "tiny",
    "version": "1",
    "licence": "none",
    "mpp": [0.25, 1.0],
    "class_counts": {name: 10 * i for i, name in enumerate(CLASS_NAMES)},  # no neutrophils
    "tissue_names": list(TISSUE_NAMES),
    "caption_schema": CAPTION_SCHEMA,
}


def tiny_pipeline(scheduler: Any = None) -> HistoDiffusionPipeline:
    """Random weights, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = HistoUNet(widths=(8, 8, 8, 8), embedding_dim=16, tissue_classes=TISSUE_CLASSES)
        encoder = CaptionEncoder(dim=16)
        for weights in network.parameters():
            torch.nn.init.normal_(weights, std=0.15)
    return HistoDiffusionPipeline(
        network.eval(),
        encoder.eval(),
        FlowMatchHeunDiscreteScheduler() if scheduler is None else scheduler,
        window=WINDOW,
    )


def tiny_info(**changes: Any) -> ModelInfo:
    """The description of the tiny model."""
    known = {k: v for k, v in INFO.items() if k != "caption_schema"} | {"revision": "0"} | changes
    return ModelInfo(**known | {"mpp": tuple(known["mpp"])})


def save_tiny(pipeline: HistoDiffusionPipeline, folder: Path, **changes: Any) -> Path:
    """Write a complete model folder, its description with `changes`."""
    pipeline.save_pretrained(folder)
    (folder / "model_info.json").write_text(json.dumps(INFO | changes))
    return folder
