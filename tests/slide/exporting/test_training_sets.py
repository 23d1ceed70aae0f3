"""Training sets are read back by our own readers, and by the rules of each format."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from skimage.draw import polygon2mask
from skimage.io import imread

from napari_histodiff.core.errors import Cancelled, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.folders import AnnotatedFolder
from napari_histodiff.datasets.sources import Sample
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import ExportProgress
from napari_histodiff.slide.exporting.training_sets import (
    SET_FORMATS,
    Balance,
    export_training_set,
    tiles_of,
)
from tests.slide.exporting.sources import of_labels

SIDE = 64


def tissue(name: str, seed: int = 0) -> ExportSource:
    """A slide of discs, some with a hole, one tile of it without any."""
    random = np.random.default_rng(seed)
    classes = np.zeros((200, 300), np.uint8)
    instances = np.zeros((200, 300), np.int32)
    y, x = np.mgrid[:200, :300]
    for number in range(40):
        cy, cx = random.integers(0, 200), random.integers(70, 300)
        away = (y - cy) ** 2 + (x - cx) ** 2
        disc = (away < 64) & ((away > 6) | (number % 4 > 0))
        instances[disc] = number + 1
        classes[disc] = 1 + number % 5
    source = of_labels(classes, instances)
    caption = replace(source.provenance, caption="colon")
    return replace(source, name=name, provenance=caption)


def read(folder: Path) -> list[Sample]:
    found = AnnotatedFolder(folder)
    assert not {key for key in found.report.unread if not key.startswith(("*.", "captions"))}
    return [sample for entry in found.entries for sample in found.samples(entry)]


def same_nuclei(one: NDArray[np.int32], other: NDArray[np.int32]) -> bool:
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(one)) == len(np.unique(other))


@pytest.mark.parametrize("kind", ["conic", "folder"])
def test_our_own_readers_read_it_back(tmp_path: Path, kind: str) -> None:
    source = tissue("liver-3")
    wanted = {tile.name: tile for tile in tiles_of(source, SIDE)}
    assert 4 < len(wanted) < 12
    balance = export_training_set([source], tmp_path / "set", kind=kind, side=SIDE)
    samples = read(tmp_path / "set")
    assert len(samples) == len(wanted) == balance.tiles["train"]
    for sample, tile in zip(samples, wanted.values(), strict=kind == "conic"):
        if kind == "folder":
            tile = wanted[sample.item.name]
            assert sample.item.caption == "colon"
            assert sample.item.mpp == pytest.approx(0.5)
        assert sample.item.slide == "liver-3"
        assert np.array_equal(sample.pixels, tile.pixels)
        assert np.array_equal(sample.classes, tile.classes)
        assert same_nuclei(sample.instances, tile.instances)


def test_counts_of_conic_are_those_of_its_labels(tmp_path: Path) -> None:
    export_training_set([tissue("a")], tmp_path / "set", kind="conic", side=SIDE)
    labels = np.load(tmp_path / "set" / "labels.npy", mmap_mode="r")
    assert labels.dtype == np.int32
    with (tmp_path / "set" / "counts.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(labels)
    for row, label in zip(rows, labels, strict=True):
        pairs = np.unique(label.reshape(-1, 2), axis=0)
        for class_id, name in enumerate(row, start=1):
            # A disc that another one overlaps may show in pieces of two classes.
            assert abs(int(row[name]) - (pairs[pairs[:, 0] > 0, 1] == class_id).sum()) <= 1


def filled(segmentation: object, shape: Sequence[int]) -> NDArray[np.bool_]:
    """What a COCO segmentation covers, by COCO's own rules."""
    if isinstance(segmentation, dict):
        values = np.arange(len(segmentation["counts"])) % 2 == 1
        flat = np.repeat(values, segmentation["counts"])
        return flat.reshape(segmentation["size"], order="F")
    assert isinstance(segmentation, list)
    mask = np.zeros(shape, np.bool_)
    for corners in segmentation:
        ring = np.array(corners, float).reshape(-1, 2)
        mask |= polygon2mask(tuple(shape), ring[:, ::-1] - 0.5)
    return mask


def test_coco_has_the_same_nuclei(tmp_path: Path) -> None:
    source = tissue("a")
    export_training_set([source], tmp_path / "set", kind="coco", side=SIDE)
    content = json.loads((tmp_path / "set" / "annotations.json").read_text())
    names = {one["id"]: one["name"] for one in content["categories"]}
    assert names[2] == "epithelial"
    kinds = {type(one["segmentation"]) for one in content["annotations"]}
    assert kinds == {list, dict}
    images = {one["file_name"]: one for one in content["images"]}
    for tile in tiles_of(source, SIDE):
        image = images[f"images/{tile.name}.png"]
        assert np.array_equal(imread(tmp_path / "set" / image["file_name"]), tile.pixels)
        found = np.zeros(tile.classes.shape, np.int32)
        mine = [one for one in content["annotations"] if one["image_id"] == image["id"]]
        for one in mine:
            mask = filled(one["segmentation"], found.shape)
            assert mask.sum() == one["area"]
            x, y, width, height = one["bbox"]
            box = Region.of_mask(mask, Region(0, 0, 0, *found.shape))
            assert (box.x, box.y, box.width, box.height) == (x, y, width, height)
            found[mask] = one["id"]
        assert same_nuclei(found, tile.instances)


def test_yolo_and_stardist_pair_every_image(tmp_path: Path) -> None:
    source = tissue("a")
    for kind, folder, suffix in (("yolo", "labels", ".txt"), ("stardist", "masks", ".tif")):
        export_training_set([source], tmp_path / kind, kind=kind, side=SIDE)
        images = sorted((tmp_path / kind / "images").iterdir())
        labels = sorted((tmp_path / kind / folder).iterdir())
        assert [path.stem for path in images] == [path.stem for path in labels]
        assert {path.suffix for path in labels} == {suffix}
    tile = next(tiles_of(source, SIDE))
    masks = tifffile.imread(tmp_path / "stardist" / "masks" / f"{tile.name}.tif")
    assert np.array_equal(masks, tile.instances)
    lines = (tmp_path / "yolo" / "labels" / f"{tile.name}.txt").read_text().splitlines()
    assert len(lines) == tile.instances.max()
    for line in lines:
        class_id, *corners = line.split()
        assert 0 <= int(class_id) <= 6
        assert len(corners) % 2 == 0
        assert all(0 <= float(value) <= 1 for value in corners)


@pytest.mark.parametrize("kind", SET_FORMATS)
def test_no_slide_is_on_both_sides_of_the_split(tmp_path: Path, kind: str) -> None:
    sources = [tissue(f"slide-{number}", number) for number in range(5)]
    balance = export_training_set(sources, tmp_path / "set", kind=kind, side=SIDE, validation=0.4)
    assert set(balance.tiles) == {"train", "validation"}
    with (tmp_path / "set" / "balance.csv").open() as lines:
        rows = {row["split"]: row for row in csv.DictReader(lines)}
    assert int(rows["train"]["lymphocyte"]) == balance.nuclei["train"]["lymphocyte"]
    if kind == "folder":
        slides = {
            side: {sample.item.slide for sample in read(tmp_path / "set" / side)}
            for side in balance.tiles
        }
        assert len(slides["validation"]) == 2
        assert not slides["train"] & slides["validation"]


def test_the_folder_says_what_it_is(tmp_path: Path) -> None:
    balance = export_training_set([tissue("a")], tmp_path / "set", side=SIDE)
    text = (tmp_path / "set" / "README.txt").read_text()
    assert "a: Nothing in this image was drawn by a model" in text
    assert str(balance) in text
    assert "no nucleus of: connective" in text
    (said,) = json.loads((tmp_path / "set" / "histodiff.json").read_text())
    assert said["slide"] == "a"


def test_places_that_are_not_drawn_are_left_out(tmp_path: Path) -> None:
    source = replace(tissue("a"), is_drawn=lambda region: region.x >= 128)
    assert {tile.name.split("-")[2] for tile in tiles_of(source, SIDE)} <= {"128", "192"}
    nothing = replace(source, is_drawn=lambda region: False)
    with pytest.raises(InvalidRequest, match="expected drawn tiles with nuclei, got none"):
        export_training_set([nothing], tmp_path / "set", side=SIDE)
    assert list(tmp_path.iterdir()) == []


def test_arguments_are_checked_and_cancelling_leaves_nothing(tmp_path: Path) -> None:
    source = tissue("a")
    with pytest.raises(InvalidRequest, match="expected a format of conic, coco"):
        export_training_set([source], tmp_path / "set", kind="jpeg")
    with pytest.raises(InvalidRequest, match="tiles of 32 to 4096 pixels a side, got 8"):
        export_training_set([source], tmp_path / "set", side=8)
    with pytest.raises(InvalidRequest, match="got two called a"):
        export_training_set([source, source], tmp_path / "set", side=SIDE)

    def stop(progress: ExportProgress) -> None:
        if progress.done == 6:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        export_training_set([source], tmp_path / "set", side=SIDE, on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_balance_is_told_in_words() -> None:
    balance = Balance()
    for tile in tiles_of(tissue("a"), SIDE):
        balance.add("train", tile)
    first, last = str(balance).splitlines()
    assert first.startswith("train: ")
    assert "epithelial" in first
    assert last == "no nucleus of: connective"
