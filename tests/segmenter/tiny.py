"""A small judge with random weights."""

from __future__ import annotations

from pathlib import Path

import torch

from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.segmenter.folder import JudgeInfo, write_judge
from napari_histodiff.segmenter.network import JudgeNetwork

CONFIG = {
    "widths": (8, 8, 8, 8),
    "encoder_blocks": (1, 0, 0, 1),
    "decoder_blocks": (1, 0, 0, 0),
}


def tiny_network(seed: int = 0) -> JudgeNetwork:
    torch.manual_seed(seed)
    network = JudgeNetwork(**CONFIG)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return network.eval()


def write_tiny_judge(folder: Path, seed: int = 0) -> Path:
    counts = dict.fromkeys(CLASS_NAMES, 7)
    info = JudgeInfo("tiny", "CC0", (0.4, 0.63), counts, ("set/held",))
    return write_judge(folder, tiny_network(seed), CONFIG, info, "# A card\n")
