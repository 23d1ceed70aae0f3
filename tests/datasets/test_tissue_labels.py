"""Tissue maps by rule, on tissue of a few flat colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import disk, ellipse

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.sources import PackItem, Sample
from napari_histodiff.datasets.tissue_labels import Evidence, label_sample, label_tissue

PINK, WHITE, RED, PURPLE, GREY = (
    np.array(colour, np.uint8)
    for colour in (
        (215, 150, 195),
        (244, 244, 244),
        (190, 60, 75),
        (110, 70, 150),
        (185, 195, 212),
    )
)
EPITHELIAL, LYMPHOCYTE, CONNECTIVE = 2, 3, 6
SIDE = 240  # 120 um


class Scene:
    """A field of stroma with fibroblasts, to be drawn upon."""

    def __init__(self) -> None:
        self.pixels = np.tile(PINK, (SIDE, SIDE, 1))
        self.classes = np.zeros((SIDE, SIDE), np.uint8)
        for y in range(8, SIDE, 24):
            for x in range(8, SIDE, 24):
                self.nucleus(y, x, CONNECTIVE)

    def nucleus(self, y: float, x: float, kind: int, radius: int = 5) -> None:
        place = disk((y, x), radius, shape=self.classes.shape)
        self.pixels[place] = PURPLE
        self.classes[place] = kind

    def fill(self, place: tuple[NDArray[np.int64], ...] | tuple[slice, ...], colour) -> None:
        self.pixels[place] = colour
        self.classes[place] = 0

    def labels(self, **more) -> NDArray[np.uint8]:
        return label_tissue(Evidence(self.pixels, 0.5, self.classes, **more))


def share(labels: NDArray[np.uint8], name: str, place) -> float:
    return float((labels[place] == TISSUE_NAMES.index(name)).mean())


@pytest.fixture
def scene() -> Scene:
    return Scene()


def crypt(scene: Scene, inside: NDArray[np.uint8]) -> None:
    scene.fill(disk((120, 120), 66, shape=(SIDE, SIDE)), PINK)
    for angle in np.linspace(0, 2 * np.pi, 30, endpoint=False):
        scene.nucleus(120 + 52 * np.sin(angle), 120 + 52 * np.cos(angle), EPITHELIAL)
    scene.fill(disk((120, 120), 28), inside)


def test_a_ring_of_epithelial_nuclei_is_a_gland_around_its_lumen(scene: Scene) -> None:
    crypt(scene, WHITE)
    labels = scene.labels()
    assert share(labels, "lumen", disk((120, 120), 24)) == 1
    assert share(labels, "gland", (slice(64, 72), slice(112, 128))) > 0.9
    assert share(labels, "stroma", (slice(0, 30), slice(0, 30))) == 1


def test_white_that_reaches_the_border_is_glass(scene: Scene) -> None:
    scene.fill((slice(0, 60), slice(None)), WHITE)
    labels = scene.labels()
    assert share(labels, "glass", (slice(0, 56), slice(None))) > 0.99
    assert share(labels, "stroma", (slice(70, None), slice(None))) > 0.99


def test_round_cells_side_by_side_are_fat_and_a_plain_field_is_not(scene: Scene) -> None:
    for y in range(40, 240, 80):
        for x in range(40, 240, 80):
            scene.fill(disk((y, x), 36, shape=(SIDE, SIDE)), WHITE)
    assert share(scene.labels(), "fat", disk((120, 120), 60)) > 0.6
    scene.fill((slice(None), slice(None)), WHITE)
    assert share(scene.labels(), "glass", (slice(None), slice(None))) == 1


def test_fat_cells_are_parted_by_walls_that_are_nearly_white(scene: Scene) -> None:
    cells = slice(20, 220)
    scene.fill((cells, cells), WHITE)
    for wall in range(20, 221, 50):
        for place in ((slice(wall, wall + 2), cells), (cells, slice(wall, wall + 2))):
            scene.fill(place, WHITE - 25)
    labels = scene.labels()
    assert share(labels, "fat", (cells, cells)) > 0.9
    assert share(labels, "stroma", (slice(0, 14), slice(None))) > 0.9


def test_clefts_side_by_side_are_not_fat(scene: Scene) -> None:
    for y in range(30, 240, 45):
        for x in range(60, 240, 120):
            scene.fill(ellipse(y, x, 19, 46, shape=(SIDE, SIDE)), WHITE)
    assert share(scene.labels(), "fat", (slice(None), slice(None))) == 0


def test_red_cells_are_blood_and_pink_is_not(scene: Scene) -> None:
    scene.fill(disk((120, 120), 30), RED)
    labels = scene.labels()
    assert share(labels, "blood", disk((120, 120), 26)) == 1
    assert share(labels, "blood", (slice(0, 60), slice(None))) == 0


def test_narrow_gaps_between_red_cells_are_blood_and_wide_ones_are_not(scene: Scene) -> None:
    for y in range(50, 200, 24):
        for x in range(50, 200, 24):
            scene.fill(disk((y, x), 9), RED)
    labels = scene.labels()
    assert share(labels, "blood", (slice(50, 190), slice(50, 190))) > 0.95
    assert share(labels, "blood", (slice(0, 30), slice(None))) == 0


def test_grey_within_a_gland_is_mucus(scene: Scene) -> None:
    crypt(scene, GREY)
    scene.fill((slice(0, 20), slice(None)), WHITE)  # what light without tissue looks like
    assert share(scene.labels(), "mucus", disk((120, 120), 20)) > 0.9


def test_a_crowd_of_lymphocytes_is_lymphoid(scene: Scene) -> None:
    for y in range(7, SIDE, 13):
        for x in range(7, SIDE, 13):
            scene.nucleus(y, x, LYMPHOCYTE)
    assert share(scene.labels(), "lymphoid", (slice(None), slice(None))) > 0.95


def test_outlined_glands_stay_and_doubt_is_left_open(scene: Scene) -> None:
    gland = np.zeros((SIDE, SIDE), np.bool_)
    gland[100:140, 100:140] = True
    assert share(scene.labels(gland=gland), "gland", np.nonzero(gland)) > 0.9
    doubtful = np.where(gland, 0.4, 0.0).astype(np.float32)
    labels = scene.labels(opinion=doubtful, soft=True)
    assert share(labels, "unspecified", np.nonzero(gland)) == 1
    assert share(labels, "stroma", (slice(0, 60), slice(60, 180))) > 0.9


def test_without_nuclei_only_what_colour_tells_is_labelled(scene: Scene) -> None:
    scene.fill((slice(0, 60), slice(None)), WHITE)
    labels = label_tissue(Evidence(scene.pixels, 0.5))
    assert set(np.unique(labels)) == {0, TISSUE_NAMES.index("glass")}


def test_a_sample_without_nuclei_gets_soft_ones(scene: Scene) -> None:
    item = PackItem("a", "set", 0.5, "colon", "", False, False, False)
    blank = np.zeros((SIDE, SIDE), np.uint8)
    sample = Sample(item, scene.pixels, blank, blank.astype(np.int32), blank, blank + 1)

    class Found:
        class_map = scene.classes
        instance_map = (scene.classes > 0).astype(np.int32)

    asked = []

    def segment(image, *, mpp):
        asked.append(mpp)
        return Found

    labelled = label_sample(sample, segment=segment)
    assert asked == [0.5]
    assert labelled.item == replace(item, has_nuclei=True, has_tissue=True, soft=True)
    assert np.array_equal(labelled.classes, scene.classes)
    assert labelled.tissue.any()
    coarse = label_sample(replace(sample, item=replace(item, mpp=2.0)), segment=segment)
    assert not coarse.item.has_nuclei
    assert asked == [0.5]


def test_fine_images_are_labelled_at_a_micrometre(scene: Scene) -> None:
    item = PackItem("a", "set", 0.25, None, "", True, True, False)
    blank = np.zeros((SIDE - 1, SIDE), np.uint8)
    scene.fill((slice(0, 60), slice(None)), WHITE)
    pixels, classes = scene.pixels[1:], scene.classes[1:]
    sample = Sample(item, pixels, classes, blank.astype(np.int32), blank, blank + 1)
    tissue = label_sample(sample).tissue
    assert tissue.shape == blank.shape
    assert share(tissue, "glass", (slice(0, 56), slice(None))) > 0.99
