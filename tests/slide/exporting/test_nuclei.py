"""Nuclei as GeoJSON: each once, whole, exactly where it is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.measure import label

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.annotated import class_of
from napari_histodiff.datasets.geojson_objects import read_objects
from napari_histodiff.datasets.outlines import Outline, rasterise
from napari_histodiff.slide.exporting import nuclei
from napari_histodiff.slide.exporting.nuclei import export_geojson, nuclei_of
from napari_histodiff.slide.exporting.source import ExportSource
from tests.slide.exporting.sources import drawn_slide, of_labels, part_synthetic
from tests.slide.slides import edit, make, request


def read_back(path: Path, shape: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    objects, notes = read_objects(path)
    assert not notes
    instances, _ = rasterise([Outline(one.polygons) for one in objects], shape)
    table = np.array([0, *(class_of(one.name) or 0 for one in objects)], np.uint8)
    return instances, table[instances]


@settings(deadline=None)
@given(arrays(np.int32, (26, 31), elements=st.sampled_from([0, 0, 0, 8, 9, 17])))
def test_what_is_read_back_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, labels: NDArray[np.int32]
) -> None:
    """Blocks of 8 pixels with a margin of 2 cut nearly every nucleus."""
    instances, classes = labels // 7, (labels % 7).astype(np.uint8)
    path = tmp_path_factory.mktemp("a") / "n.geojson"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nuclei, "_BLOCK", 8)
        patch.setattr(nuclei, "_MARGIN", 2)
        export_geojson(of_labels(classes, instances), path)
    found, seen = read_back(path, labels.shape)
    assert np.array_equal(seen, classes)
    wanted = label(labels, connectivity=2, background=0)
    pairs = np.unique(np.stack([found.ravel(), wanted.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(found)) == len(np.unique(wanted))


def test_objects_are_what_qupath_takes(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    path = tmp_path / "n.geojson.gz"
    counts = export_geojson(ExportSource.of_slide(slide), path, objects="cell")
    assert counts == {"neutrophil": 2, "epithelial": 2} | dict.fromkeys(
        ("lymphocyte", "plasma", "eosinophil", "connective"), 1
    )
    content = json.loads(gzip.decompress(path.read_bytes()))
    assert content["type"] == "FeatureCollection"
    assert content["histodiff"]["statement"].startswith("All of this image is synthetic")
    one = content["features"][0]
    assert one["properties"] == {
        "objectType": "cell",
        "classification": {"name": "neutrophil", "color": [247, 224, 48]},
    }
    assert one["nucleusGeometry"] == one["geometry"]
    (ring,) = one["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    assert np.array(ring).min(0).tolist() == [110, 210]
    ids = {feature["id"] for feature in content["features"]}
    assert len(ids) == 8
    again = tmp_path / "again.geojson.gz"
    export_geojson(ExportSource.of_slide(slide), again, objects="cell")
    assert again.read_bytes() == path.read_bytes()


def test_coordinates_are_of_full_resolution_at_every_level(tmp_path: Path) -> None:
    instances = np.zeros((64, 64), np.int32)
    instances[8:16, 24:40] = 5
    source = of_labels((instances > 0).astype(np.uint8), instances)
    (nucleus,) = nuclei_of(source)
    assert (nucleus.class_id, nucleus.box.y, nucleus.box.x) == (1, 8, 24)


def test_a_nucleus_with_a_hole_keeps_it(tmp_path: Path) -> None:
    instances = np.zeros((40, 40), np.int32)
    instances[5:30, 5:30] = 1
    instances[10:20, 10:20] = 0
    export_geojson(of_labels((instances * 2).astype(np.uint8), instances), tmp_path / "n.geojson")
    (one,) = json.loads((tmp_path / "n.geojson").read_text())["features"]
    assert len(one["geometry"]["coordinates"]) == 2


def test_a_file_says_what_nuclei_and_tissue_are_of(tmp_path: Path) -> None:
    slide = make(tmp_path)
    edit(slide, Region(0, 0, 0, 64, 64))
    source = ExportSource.of_slide(slide)
    export_geojson(source, tmp_path / "n.geojson", tissue=True)
    said = json.loads((tmp_path / "n.geojson").read_text())["histodiff"]["statement"]
    assert "Nuclei are those of drawn tiles, tissue is that of all." in said
    assert said == source.provenance.statement


def test_tissue_of_edits_is_listed_at_every_level_it_was_painted_at(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    source = ExportSource.of_slide(slide)
    before = export_geojson(source, tmp_path / "before.geojson", tissue=True)
    assert "muscle" not in before
    for level, name in enumerate(("muscle", "blood", "lymphoid")):
        region = Region(level, 64, 32, 32, 32)
        kind = np.full(region.shape, TISSUE_NAMES.index(name), np.uint8)
        slide.write(request(region, tissue_map=kind), np.zeros((*region.shape, 3), np.uint8))
    export_geojson(source, tmp_path / "n.geojson", tissue=True)
    objects = json.loads((tmp_path / "n.geojson").read_text())["features"]
    found = {
        one["properties"]["classification"]["name"]: one["geometry"]["coordinates"][0]
        for one in objects
        if one["properties"]["objectType"] == "annotation"
    }
    for level, name in enumerate(("muscle", "blood", "lymphoid")):
        x, y = np.array(found[name]).T
        box = [y.min(), x.min(), y.max(), x.max()]
        assert box == [side << level for side in (64, 32, 96, 64)]
    slide.close()


def test_a_slide_without_nuclei_or_tissue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="expected a slide with nuclei, got scan 7"):
        export_geojson(part_synthetic(), tmp_path / "n.geojson")
    blank = np.zeros((9, 9), np.int32)
    with pytest.raises(InvalidRequest, match="expected a slide with tissue regions"):
        export_geojson(of_labels(blank.astype(np.uint8), blank), tmp_path / "n", tissue=True)
    assert list(tmp_path.iterdir()) == []
