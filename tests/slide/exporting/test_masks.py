"""Instance and class maps as files."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.measure import label

from napari_histodiff.core.errors import Cancelled, InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.slide.exporting import masks
from napari_histodiff.slide.exporting.masks import MaskKind, export_masks
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import ExportProgress
from napari_histodiff.slide.streaming.tile_requests import tissue_at
from tests.slide.exporting.sources import drawn_slide, of_labels


@pytest.mark.parametrize("kind", ["tiff", "png", "npy"])
def test_our_own_reader_reads_the_maps_back(tmp_path: Path, kind: MaskKind) -> None:
    slide = drawn_slide(tmp_path)
    source = ExportSource.of_slide(slide)
    instances, classes, sidecar = export_masks(source, tmp_path / "nuclei", kind=kind)
    assert instances.stem == "nuclei_instances"
    labels = slide.labels(slide.spec.bounds(0))
    assert np.array_equal(read_picture(classes).ids(), np.where(labels, labels % 7, 0))
    found = read_picture(instances).ids()
    assert found.max() == 8
    assert np.array_equal(found > 0, labels > 0)
    assert len(np.unique(np.stack([found, labels]).reshape(2, -1), axis=1).T) == 9
    if kind == "tiff":
        assert read_picture(instances).mpp == pytest.approx(0.5)
    said = json.loads(sidecar.read_text())
    assert said["nuclei"] == 8
    assert said["classes"][2] == "epithelial"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [instances.name, classes.name, sidecar.name, slide.path.name]
    )


@pytest.mark.parametrize("name", ["full.tif", "full.ome.tiff", "full.png", "full"])
def test_the_ending_of_a_picture_is_no_part_of_the_names(tmp_path: Path, name: str) -> None:
    found = export_masks(ExportSource.of_slide(drawn_slide(tmp_path)), tmp_path / name)
    assert [path.name for path in found] == [
        "full_instances.tif",
        "full_classes.tif",
        "full_masks.histodiff.json",
    ]


@pytest.mark.parametrize(("kind", "level"), [("tiff", 0), ("png", 1), ("npy", 0)])
def test_tissue_is_written_where_it_is_asked_for(
    tmp_path: Path, kind: MaskKind, level: int
) -> None:
    slide = drawn_slide(tmp_path)
    source = ExportSource.of_slide(slide)
    *_, tissue, sidecar = export_masks(source, tmp_path / "n", kind=kind, level=level, tissue=True)
    assert tissue.stem == "n_tissue"
    found = read_picture(tissue).ids()
    np.testing.assert_array_equal(found, tissue_at(slide, slide.spec.bounds(level)))
    assert len(np.unique(found)) > 1
    assert json.loads(sidecar.read_text())["tissue"][1] == "gland"
    part = source.part(Region(0, 200, 100, 60, 80))
    told = export_masks(part, tmp_path / "part", kind=kind, tissue=True)[2]
    np.testing.assert_array_equal(
        read_picture(told).ids(), tissue_at(slide, Region(0, 200, 100, 60, 80))
    )


def test_tissue_of_a_slide_that_keeps_none_is_refused(tmp_path: Path) -> None:
    blank = np.zeros((40, 40), np.int32)
    with pytest.raises(InvalidRequest, match="expected a slide with tissue regions"):
        export_masks(of_labels(blank.astype(np.uint8), blank), tmp_path / "n", tissue=True)
    assert list(tmp_path.iterdir()) == []


def test_ids_are_wide_where_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dots = np.zeros((520, 520), np.int32)
    dots[::2, ::2] = 1
    source = of_labels(dots.astype(np.uint8), dots)
    instances, *_ = export_masks(source, tmp_path / "n", kind="npy")
    found = np.load(instances)
    assert found.dtype == np.uint32
    assert len(np.unique(found)) == 1 + 260 * 260
    assert np.array_equal(found > 0, label(dots) > 0)
    with pytest.raises(InvalidRequest, match="at most 65535 nuclei in a PNG, got 67600"):
        export_masks(source, tmp_path / "m", kind="png")
    monkeypatch.setattr(masks, "_MOST_PNG", 1000)
    with pytest.raises(InvalidRequest, match="choose tiff or npy, or a part"):
        export_masks(source, tmp_path / "m", kind="png")


@pytest.mark.parametrize("tissue", [False, True])
def test_room_is_taken_before_the_disk_is_written_to_as_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tissue: bool
) -> None:
    # A full disk behind a map ends the process; behind a file it is an error.
    source = ExportSource.of_slide(drawn_slide(tmp_path / "slides"))
    zeros = iter([masks._Scratch._zero])

    def write(*cell: Any) -> None:
        for zero in zeros:
            return zero(*cell)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(masks._Scratch, "_zero", write)
    with pytest.raises(StorageError, match="No space left"):
        export_masks(source, tmp_path / "n", tissue=tissue)
    assert [path.name for path in tmp_path.iterdir()] == ["slides"]


def test_only_what_holds_something_takes_room(tmp_path: Path) -> None:
    scratch = masks._Scratch(tmp_path / "maps", (2, 300, 3000))
    place = Region(0, 100, 1000, 60, 60)
    scratch.take_room(slice(1, 2), place)
    scratch.maps[1][place.slices] = 7
    scratch.take_room(slice(2), Region(0, 90, 990, 200, 100))
    assert (scratch.maps[1] == 7).sum() == 3600
    assert not scratch.maps[0].any()
    assert (tmp_path / "maps").stat().st_size == 2 * 300 * 3000 * 4


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    def stop(_: ExportProgress) -> None:
        raise Cancelled("enough")

    slide = drawn_slide(tmp_path / "slides")
    source = ExportSource.of_slide(slide).part(Region(0, 0, 0, 500, 500))
    with pytest.raises(Cancelled):
        export_masks(source, tmp_path / "n", on_progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["slides"]
