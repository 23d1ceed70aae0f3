"""OME-Zarr of both versions as other libraries read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr_models import open_ome_zarr

from napari_histodiff.core.errors import Cancelled
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.exporting.ome_zarr import ZarrVersion, chunk_digest, export_ome_zarr
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import ExportProgress
from tests.slide.exporting.sources import drawn_slide, part_synthetic

VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


def attributes(group: zarr.Group, version: str) -> dict[str, Any]:
    found = dict(group.attrs)
    return found if version == "0.4" else found["ome"]


@VERSIONS
def test_every_level_has_the_pixels_and_the_labels_of_the_slide(
    tmp_path: Path, version: ZarrVersion
) -> None:
    slide = drawn_slide(tmp_path)
    path, _ = export_ome_zarr(
        ExportSource.of_slide(slide), tmp_path / "out.ome.zarr", version=version
    )
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == (2 if version == "0.4" else 3)
    for level in range(slide.spec.levels):
        shown = np.moveaxis(group[str(level)][:], 0, -1)
        assert np.array_equal(shown, slide.read(slide.spec.bounds(level)))
    labels = slide.labels(slide.spec.bounds(0))
    assert np.array_equal(group["labels/nuclei/0"][:], labels)
    assert np.array_equal(group["labels/classes/0"][:], np.where(labels, labels % 7, 0))
    assert np.array_equal(group["labels/nuclei/1"][:], labels[::2, ::2])


@VERSIONS
def test_the_metadata_is_valid(tmp_path: Path, version: ZarrVersion) -> None:
    source = ExportSource.of_slide(drawn_slide(tmp_path))
    path, _ = export_ome_zarr(source, tmp_path / "out.ome.zarr", version=version)
    group = zarr.open_group(path, mode="r")
    image = open_ome_zarr(group, version=version)
    assert image.ome_zarr_version == version
    open_ome_zarr(group["labels/classes"], version=version)
    (multiscale,) = attributes(group, version)["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["c", "y", "x"]
    scales = [one["coordinateTransformations"][0]["scale"] for one in multiscale["datasets"]]
    assert scales == [[1.0, 0.5 * 2**k, 0.5 * 2**k] for k in range(source.spec.levels)]
    label = attributes(group["labels/classes"], version)["image-label"]
    assert label["source"] == {"image": "../../"}
    assert label["colors"][0] == {"label-value": 1, "rgba": [247, 224, 48, 255]}
    assert label["properties"][1] == {"label-value": 2, "class": "epithelial"}


@VERSIONS
def test_napari_reads_it_through_the_ome_zarr_library(tmp_path: Path, version: ZarrVersion) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    source = part_synthetic()
    path, *_ = export_ome_zarr(source, tmp_path / "out.ome.zarr", version=version)
    location = parse_url(path)
    assert location is not None
    image, *others = Reader(location)()
    assert [level.shape for level in image.data] == [(3, 900, 1300), (3, 450, 650), (3, 225, 325)]
    assert any("synthetic" in str(node.zarr) for node in others)


def test_attributes_and_sidecar_say_what_is_synthetic(tmp_path: Path) -> None:
    source = part_synthetic()
    path, sidecar, outlines = export_ome_zarr(source, tmp_path / "out.ome.zarr")
    group = zarr.open_group(path, mode="r")
    said = dict(group.attrs)["histodiff"]
    assert said["statement"].startswith("Parts of this image are synthetic")
    assert said["tiles_sha256"] == chunk_digest(path)
    assert json.loads(sidecar.read_text())["tiles_sha256"] == said["tiles_sha256"]
    assert outlines.exists()
    mask = group["labels/synthetic/0"][:]
    assert np.array_equal(mask > 0, source.edited(source.spec.bounds(0)))


def test_the_digest_changes_with_any_chunk(tmp_path: Path) -> None:
    path, *_ = export_ome_zarr(part_synthetic(), tmp_path / "out.ome.zarr")
    before = chunk_digest(path)
    zarr.open_group(path)["0"][0, 899, 1299] = 3
    assert chunk_digest(path) != before


def test_without_labels_there_are_none(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    source = ExportSource.of_slide(slide).part(Region(0, 0, 0, 300, 300))
    path, _ = export_ome_zarr(source, tmp_path / "out.ome.zarr", labels=False)
    assert not (path / "labels").exists()


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    def stop(progress: ExportProgress) -> None:
        if progress.done == progress.total // 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        export_ome_zarr(part_synthetic(), tmp_path / "out.ome.zarr", on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_its_total(tmp_path: Path) -> None:
    told: list[ExportProgress] = []
    export_ome_zarr(part_synthetic(), tmp_path / "out.ome.zarr", on_progress=told.append)
    assert [one.done for one in told] == list(range(1, told[-1].total + 1))
