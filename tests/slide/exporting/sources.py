"""Small slides to export, with pixels and nuclei that can be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.maps import encode_labels
from napari_histodiff.slide.exporting.provenance import EditMark, Provenance
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import draw_all, edit, make, request

__all__ = ["drawn_slide", "of_labels", "part_synthetic", "smooth"]


def drawn_slide(folder: Path) -> SlideStore:
    """A slide that is drawn everywhere, with one edit that holds nuclei."""
    slide = make(folder)
    draw_all(slide)
    region = Region(0, 200, 100, 150, 200)
    classes = np.zeros(region.shape, np.uint8)
    instances = np.zeros(region.shape, np.int32)
    for number in range(8):
        y, x = 10 + number // 4 * 60, 10 + number % 4 * 45
        classes[y : y + 12, x : x + 9] = 1 + number % 6
        instances[y : y + 12, x : x + 9] = number + 1
    pixels = np.full((*region.shape, 3), (200, 120, 180), np.uint8)
    made = request(region, class_map=classes, instance_map=instances, caption="colon", seed=7)
    slide.write(made, pixels)
    edit(slide, Region(1, 10, 10, 30, 40))
    return slide


def smooth(region: Region) -> NDArray[np.uint8]:
    """Pixels that JPEG keeps nearly, and that differ from place to place."""
    y = np.arange(region.y, region.bottom)[:, None] << region.level
    x = np.arange(region.x, region.right)[None, :] << region.level
    planes = np.broadcast_arrays(120 + 80 * np.sin(y / 90), 128 + 60 * np.cos(x / 70), y * 0 + 160)
    return np.stack(planes, -1).astype(np.uint8)


def part_synthetic(height: int = 900, width: int = 1300) -> ExportSource:
    """A scan of which a disc was drawn."""
    spec = PyramidSpec(height, width, 256, 3, 0.25)

    def disc(region: Region) -> NDArray[np.bool_]:
        y = np.arange(region.y, region.bottom)[:, None] - 300
        x = np.arange(region.x, region.right)[None, :] - 400
        inside: NDArray[np.bool_] = y**2 + x**2 < 90**2
        return inside

    mark = EditMark(
        kind="inpaint",
        y=200,
        x=300,
        height=200,
        width=200,
        level=0,
        mpp=0.25,
        caption="colon, gland",
        seed=11,
        guidance_scale=1.0,
        steps=2,
        strength=1.0,
        model="fake",
        revision="abc123",
        masks={"edit_mask": "0" * 64},
    )
    return ExportSource(
        name="scan 7",
        spec=spec,
        read=smooth,
        mpp=(0.25, 0.26),
        provenance=Provenance(extent="part", source={"kind": "scan"}, edits=(mark,)),
        edited=disc,
        changed=lambda: [Region(0, 0, 256, 256, 256), Region(0, 256, 256, 256, 256)],
    )


def of_labels(classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> ExportSource:
    """A slide of these nuclei."""
    labels = encode_labels(instances, classes)
    spec = PyramidSpec(*labels.shape, 256, 1, 0.5)
    return ExportSource(
        name="labels",
        spec=spec,
        read=smooth,
        mpp=(0.5, 0.5),
        provenance=Provenance(extent="none", source={}),
        labels=lambda region: labels[region.slices],
    )
