"""Lymph nodes are closed ovals in fat, with a capsule, follicles at the rim and a paler medulla."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout.fields import Pixels
from napari_histodiff.layout.tissues.kinds import FAT, LYMPHOID, SEPTUM, STROMA
from tests.layout.slides import layout


@pytest.mark.parametrize(("side", "seed"), [(8192, 1), (16_384, 2), (32_768, 1)])
def test_nodes_are_closed_and_lie_in_fat(side: int, seed: int) -> None:
    anatomy = layout("lymph node", side=side, seed=seed)._anatomy
    step = side // 512
    pixels = Pixels(0, 0, step, 512, 512)
    parts = anatomy.parts(pixels)
    assert anatomy.wall is not None
    depth, _, _ = anatomy.wall.on(pixels)
    inside = depth > anatomy.wall.edges[1]
    nodes, count = ndimage.label(inside)
    assert 1 <= count <= 9
    assert np.bincount(nodes.ravel())[1:].max() * (step * 0.5 / 1000) ** 2 > 0.8  # mm^2
    around = ndimage.binary_dilation(inside, iterations=2) & ~inside
    # Nothing of a node is cut off, and all around is fat or its fibres.
    assert not inside[[0, -1]].any()
    assert not inside[:, [0, -1]].any()
    assert anatomy.outline.tissue(pixels)[inside].mean() > 0.99
    assert np.isin(parts[around], (FAT, SEPTUM, STROMA)).mean() > 0.9
    assert np.isin(parts[around], (FAT, SEPTUM)).mean() > 0.6
    assert (parts[inside] == LYMPHOID).mean() > 0.7


def test_follicles_lie_at_the_rim_and_sinuses_in_the_middle() -> None:
    anatomy = layout("lymph node", side=16_384, seed=2)._anatomy
    pixels = Pixels(0, 0, 16, 1024, 1024)
    parts, crowd = anatomy.parts(pixels), anatomy.aggregates.on(pixels)
    assert anatomy.wall is not None
    depth, _, _ = anatomy.wall.on(pixels)
    layer = anatomy.wall.layer(depth)
    follicles = crowd > 0.5
    assert ndimage.label(follicles)[1] > 8
    assert np.isin(layer[follicles], (3, 4, 5)).mean() > 0.9
    assert (anatomy.germinal.on(pixels)[~follicles] == 0).all()
    medulla, cortex = layer == 6, layer == 4
    assert 0.08 < (parts[medulla] == STROMA).mean() < 0.5
    assert (parts[cortex] == STROMA).mean() < 0.05


def test_a_node_is_paler_in_the_middle_and_in_germinal_centres() -> None:
    slide = layout("lymph node", side=16_384, seed=2)
    anatomy, region = slide._anatomy, Region(4, 0, 0, 1024, 1024)
    green = slide.colours(region)[..., 1].astype(float)
    pixels = Pixels(8, 8, 16, 1024, 1024)
    assert anatomy.wall is not None
    layer = anatomy.wall.layer(anatomy.wall.on(pixels)[0])
    crowd, core = anatomy.aggregates.on(pixels), anatomy.germinal.on(pixels)
    mantle, centre = green[(crowd > 0.9) & (core == 0)].mean(), green[core > 0.9].mean()
    cortex = green[(layer == 4) & (crowd == 0)].mean()
    assert mantle < cortex < np.median(green[layer == 6])
    assert centre > mantle + 15


def test_a_small_slide_shows_the_border_of_a_node() -> None:
    for seed in range(4):
        anatomy = layout("lymph node", side=4096, seed=seed)._anatomy
        assert anatomy.wall is not None
        depth, _, _ = anatomy.wall.on(Pixels(0, 2048, 8, 512, 1))
        inside = depth[:, 0] > anatomy.wall.edges[1]
        assert abs(int(np.argmax(inside)) * 8 - 410) < 200
        assert inside.mean() > 0.3
