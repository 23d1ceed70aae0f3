"""The same bytes as ever: windows, noise, conditions, blending and rounding around a network.

A stand-in for the network that multiplies and adds, which every processor does alike, makes the
digests hold on any machine.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.tissue_noise import NOISE_REACH
from tests.diffusion.tiny import TILE, tiny_info, tiny_pipeline

DIGESTS = {
    "generate": "6af63fcbc363434f 0e0e26a953dea882",
    "jump": "dbb2279f3fe6f34c 7e0244e97a0afa4b",
    "inpaint": "1c2320f0ddeada0b 745a39dbbbab66bd",
    "half": "05901ae3fa537f62 dd50894a5b7fbeee",
    "zoom": "fc061beac8564d52 85c1667eb69c107e",
    "tile": "623e9a8f93dc3f65 8cf1862dffa338fe",
    "tile of a zoom": "b5c0a1c99a848886 c9ff26bf15008b10",
    "tile with fibres": "97e486d9d35289d6 68540851f4bc64fa",
}


def arithmetic(sample: Tensor, t: Tensor, spatial: Tensor, *rest: Tensor) -> Tensor:
    """An estimate that depends on the place in the window, its neighbours and every channel."""
    x = sample * (1 - t.view(-1, 1, 1, 1))
    for i in range(spatial.shape[1]):
        x = x + spatial[:, i : i + 1] * (0.03125 * (i % 5 - 2))
    rolled = torch.roll(x, (1, 3), (-2, -1))
    return (x + rolled) * 0.5 + rest[-1].view(-1, 1, 1, 1) * 0.0625


@pytest.fixture(scope="module")
def backend() -> DiffusionBackend:
    pipeline = tiny_pipeline()
    pipeline.network.jumps = True
    pipeline.network.forward = arithmetic
    return DiffusionBackend(pipeline, tiny_info())


def grid(rng: np.random.Generator, shape: tuple[int, int], high: int, cell: int) -> Any:
    cells = rng.integers(0, high, [-(-side // cell) for side in shape])
    return np.kron(cells, np.ones((cell, cell), int))[: shape[0], : shape[1]]


def request(
    kind: EditKind, region: Region, *, fibres: bool = False, **settings: Any
) -> EditRequest:
    rng = np.random.default_rng(3)
    if fibres:
        settings["fibres"] = grid(np.random.default_rng(4), region.shape, 17, 8)
    picture = np.stack([grid(rng, region.shape, 256, 4) for _ in range(3)], -1).astype(np.uint8)
    if kind is EditKind.ZOOM:
        settings["coarse"] = picture
    if kind is EditKind.INPAINT:
        mask = np.zeros(region.shape, bool)
        mask[9:-30, 20:-17] = True
        settings |= {"image": picture, "edit_mask": mask}
    return EditRequest(
        kind=kind,
        region=region,
        class_map=grid(rng, region.shape, 7, 8).astype(np.uint8),
        instance_map=grid(rng, region.shape, 40, 16).astype(np.int32),
        tissue_map=grid(rng, region.shape, 5, 32).astype(np.uint8),
        seed=7,
        **settings,
    )


@pytest.mark.parametrize("name", DIGESTS)
def test_a_drawing_has_the_bytes_it_always_had(backend, name) -> None:
    frame = Region(0, -37, 91, 130, 211)
    tile = Region(0, 64, -64, TILE, TILE)
    around, wide = (tile.pad(backend.info.margin - reach) for reach in (NOISE_REACH, 0))
    drawing = {
        "generate": request(EditKind.GENERATE, frame, steps=6, variants=2),
        "jump": request(EditKind.GENERATE, frame.snap(16), steps=2),
        "inpaint": request(EditKind.INPAINT, frame, steps=3),
        "half": request(EditKind.INPAINT, frame, steps=6, strength=0.5),
        "zoom": request(EditKind.ZOOM, frame, steps=2),
        "tile": request(EditKind.GENERATE, around, steps=2, target=tile),
        "tile of a zoom": request(EditKind.ZOOM, around, steps=6, target=tile),
        "tile with fibres": request(EditKind.GENERATE, wide, steps=2, target=tile, fibres=True),
    }[name]
    seen = hashlib.blake2b(digest_size=8)
    images = backend.render([drawing], on_step=lambda step: seen.update(step.preview().tobytes()))
    found = f"{hashlib.blake2b(images[0].tobytes(), digest_size=8).hexdigest()} {seen.hexdigest()}"
    assert found == DIGESTS[name]
