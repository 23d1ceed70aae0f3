from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.annotated import SYNONYMS, class_of
from napari_histodiff.datasets.files import ReadReport
from napari_histodiff.datasets.folders import detect_format, read_folder
from napari_histodiff.datasets.sources import Sample
from tests.datasets.formats import feature, square, write_geojson


def _read(folder: Path, features: list[Any], mpp: float = 0.5) -> tuple[Sample, ReadReport]:
    write_geojson(folder, features)
    report = ReadReport()
    (sample,) = read_folder(folder, mpp=mpp, report=report)
    return sample, report


def test_outlines_cover_the_pixels_inside_them(tmp_path: Path) -> None:
    sample, report = _read(tmp_path, [feature(square(10, 20, 8), name="Tumor")])
    expected = np.zeros((64, 64), np.int32)
    expected[20:28, 10:18] = 1
    assert detect_format(tmp_path) == "geojson"
    assert np.array_equal(sample.instances, expected)
    assert np.array_equal(sample.classes, expected * 2)
    assert report.nuclei["epithelial"] == 1


def test_holes_and_several_parts_are_kept(tmp_path: Path) -> None:
    ring = feature(square(4, 4, 12), square(8, 8, 4), name="Stroma")
    parts = feature(name="Lymphocytes")
    parts["geometry"] = {
        "type": "MultiPolygon",
        "coordinates": [[square(30, 30, 4)], [square(40, 30, 4)]],
    }
    sample, report = _read(tmp_path, [ring, parts])
    assert (sample.instances == 1).sum() == 12 * 12 - 4 * 4
    assert sample.instances[9, 9] == 0
    assert sample.instances[31, 31] == sample.instances[31, 41] == 2
    assert (report.nuclei["connective"], report.nuclei["lymphocyte"]) == (1, 1)


def test_a_large_later_nucleus_does_not_erase_a_small_one(tmp_path: Path) -> None:
    small, large = feature(square(10, 10, 4)), feature(square(4, 4, 20))
    sample, _ = _read(tmp_path, [small, large])
    assert (sample.instances == 1).sum() == 16
    assert (sample.instances == 2).sum() == 400 - 16


def test_what_is_lost_is_counted(tmp_path: Path) -> None:
    same = [feature(square(10, 10, 4)), feature(square(10, 10, 4))]
    tiny, outside = feature(square(30.6, 30.6, 0.2)), feature(square(80, 80, 4))
    _, report = _read(tmp_path, [*same, tiny, outside])
    assert report.nuclei["unknown"] == 1
    for line in ("covered", "too small", "outside"):
        assert f"outlines {line}, left out: 1" in str(report)


def test_unknown_names_are_of_unknown_class_and_reported(tmp_path: Path) -> None:
    names = ["Mitosis", "Mitosis", None, "Plasma cells"]
    features = [feature(square(4 + 12 * i, 4, 8), name=name) for i, name in enumerate(names)]
    sample, report = _read(tmp_path, features)
    assert report.unmapped == {"Mitosis": 2, "(no class)": 1}
    assert (report.nuclei["unknown"], report.nuclei["plasma"]) == (3, 1)
    assert "'Mitosis' 2" in str(report)
    assert not sample.item.unknown_is_inflammatory


def test_inflammatory_nuclei_are_marked_as_one_of_four(tmp_path: Path) -> None:
    names = ["Inflammatory", "Tumor"]
    features = [feature(square(4 + 12 * i, 4, 8), name=name) for i, name in enumerate(names)]
    sample, _ = _read(tmp_path, features)
    assert sample.item.unknown_is_inflammatory
    assert set(sample.classes[sample.instances == 1]) == {0}


def test_nuclei_of_no_known_class_are_not_called_classed(tmp_path: Path) -> None:
    sample, _ = _read(tmp_path, [feature(square(4, 4, 8))])
    assert sample.item.has_nuclei
    assert not sample.item.has_classes


def test_of_a_cell_the_nucleus_is_read(tmp_path: Path) -> None:
    nucleus = {"type": "Polygon", "coordinates": [square(12, 12, 4)]}
    cell = feature(square(8, 8, 12), name="Tumor: Positive", kind="cell", nucleusGeometry=nucleus)
    bare = feature(square(40, 40, 8), kind="cell")
    sample, report = _read(tmp_path, [cell, bare])
    assert (sample.instances > 0).sum() == 16
    assert "cells without a nucleus, left out: 1" in str(report)


def test_regions_are_no_nuclei(tmp_path: Path) -> None:
    region = feature(square(0, 0, 60), name="Tumor", kind="annotation")
    sample, report = _read(tmp_path, [region, feature(square(4, 4, 8), name="Tumor")])
    assert (sample.instances > 0).sum() == 64
    assert "taken as regions" in str(report)
    drawn = feature(square(4, 4, 8), name="Tumor", kind="annotation")
    sample, report = _read(tmp_path, [region, drawn], mpp=1.0)
    assert (sample.instances > 0).sum() == 64
    assert "outlines above 2000 square um, left out: 1" in str(report)


def test_names_and_kinds_of_other_qupath_versions_are_read(tmp_path: Path) -> None:
    old = feature(square(4, 4, 8), name="Stroma")
    del old["properties"]["objectType"]
    old["id"] = "PathDetectionObject"
    new = feature(square(20, 20, 8))
    new["properties"]["classification"] = {"names": ["Immune cells", "CD8"], "color": [0, 0, 0]}
    region = feature(square(0, 0, 30)) | {"id": "PathAnnotationObject", "properties": None}
    ignored = feature(square(40, 4, 8), name="Ignore*")
    _, report = _read(tmp_path, [old, new, region, ignored])
    assert (report.nuclei["connective"], report.nuclei["lymphocyte"]) == (1, 1)
    assert sum(report.nuclei.values()) == 2


def test_a_file_without_nuclei_is_no_promise_of_none(tmp_path: Path) -> None:
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}}
    sample, report = _read(tmp_path, [point])
    assert not sample.item.has_nuclei
    assert report.unlabelled == 1
    assert "points" in str(report)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"images": [], "annotations": []}, "expected features or geometries .* got none"),
        ([1, 2, 3], "got none; export it again as GeoJSON"),
        ("text", "got none"),
        ({"type": "FeatureCollection", "features": [feature(square(900, 900, 9))]}, "64 x 64 px"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: object, match: str) -> None:
    write_geojson(tmp_path, [])
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    with pytest.raises(TrainingError, match=match):
        list(read_folder(tmp_path, mpp=0.5))


def multi(*polygons: list[list[list[float]]], name: str = "Tumor", kind: str = "") -> Any:
    made = feature(name=name, kind=kind)
    made["geometry"] = {"type": "MultiPolygon", "coordinates": list(polygons)}
    return made


def small(count: int) -> list[Any]:
    """So many squares of 4 x 4 px that do not touch, as polygons."""
    return [[square(1 + 6 * (i % 10), 1 + 6 * (i // 10), 4)] for i in range(count)]


@pytest.mark.parametrize("key", ["objectType", "object_type"])
def test_kinds_of_every_version_keep_regions_and_tiles_out(tmp_path: Path, key: str) -> None:
    def made(kind: str, side: float, **more: Any) -> Any:
        return feature(square(2, 2, side), **more) | {
            "properties": {key: kind, "isLocked": True, "classification": {"name": "Tumor"}}
        }

    nucleus = {"type": "Polygon", "coordinates": [square(12, 12, 4)]}
    objects = [
        made("annotation", 20),
        made("tile", 20),
        made("tma_core", 20),
        made("cell", 20, nucleusGeometry=nucleus),
    ]
    sample, report = _read(tmp_path, objects)
    assert (sample.instances > 0).sum() == 16
    assert sample.instances[13, 13] == 1
    for line in (
        "taken as regions and left out: 1",
        "tiles, left out: 1",
        "TMA cores, left out: 1",
    ):
        assert line in str(report)


def test_ids_of_the_first_version_name_kinds_too(tmp_path: Path) -> None:
    kinds = ("PathAnnotationObject", "TMACoreObject", "PathTileObject", "PathDetectionObject")
    objects = [
        {**feature(square(2 + 15 * i, 2, 8)), "id": kind, "properties": {}}
        for i, kind in enumerate(kinds)
    ]
    sample, report = _read(tmp_path, objects)
    assert sum(report.nuclei.values()) == 1
    assert sample.instances[4, 50] == 1


@pytest.mark.parametrize("kind", ["annotation", "detection", ""])
def test_a_polygon_each_of_many_nuclei_is_a_nucleus(tmp_path: Path, kind: str) -> None:
    sample, report = _read(tmp_path, [multi(*small(100), kind=kind)])
    assert report.nuclei["epithelial"] == 100
    assert len(np.unique(sample.instances)) == 101
    assert "objects of several polygons, each taken as a nucleus: 1" in str(report)


def test_far_parts_of_a_detection_are_nuclei_of_their_own(tmp_path: Path) -> None:
    parts = ([square(2, 2, 4)], [square(50, 50, 4)], [square(10, 2, 4)])
    sample, report = _read(tmp_path, [multi(*parts, kind="detection")], mpp=0.5)
    assert report.nuclei["epithelial"] == 2
    assert sample.instances[3, 3] == sample.instances[3, 11] != sample.instances[51, 51]
    assert "objects of several polygons, each taken as a nucleus: 1" in str(report)


def test_islands_of_a_region_are_no_nuclei_and_one_region_spoils_no_nuclei(tmp_path: Path) -> None:
    island = multi([square(0, 0, 60)], [square(61, 61, 2)], kind="annotation")
    nuclei = multi(*small(30), [square(0, 30, 21)], kind="annotation")
    _, report = _read(tmp_path, [island, nuclei], mpp=2.5)
    assert report.nuclei["epithelial"] == 30
    assert "outlines above 2000 square um, left out: 3" in str(report)


def test_collections_of_geometries_and_children_are_walked(tmp_path: Path) -> None:
    collection = {
        "type": "GeometryCollection",
        "geometries": [
            {"type": "Polygon", "coordinates": [square(2, 2, 4)]},
            {"type": "Point", "coordinates": [1, 1]},
            {"type": "MultiPolygon", "coordinates": [[square(12, 2, 4)], [square(22, 2, 4)]]},
        ],
    }
    child = feature(square(40, 40, 4), name="Stroma")
    parent = feature(square(30, 30, 30), kind="annotation", childObjects=[child])
    bare = feature(name="Tumor", kind="") | {"geometry": collection}
    _, report = _read(tmp_path, [parent, bare])
    assert (report.nuclei["epithelial"], report.nuclei["connective"]) == (3, 1)
    assert "points, left out: 1" in str(report)
    assert "taken as regions and left out: 1" in str(report)


def test_one_bad_ring_among_good_ones_is_counted(tmp_path: Path) -> None:
    features = [
        feature(square(2, 2, 4), name="Tumor"),
        feature([], name="Tumor"),
        feature([[0, 0], [1, 1]], name="Tumor"),
        feature([[0, 0], [1, None], [2, 2]], name="Tumor"),
        feature([[0, 0], [1, float("nan")], [2, 2]], name="Tumor"),
        feature(square(12, 12, 8), [], name="Tumor"),
        feature(name="Tumor") | {"geometry": None},
        feature(name="Tumor") | {"geometry": {"type": "Polygon", "coordinates": 5}},
        multi([square(32, 2, 4)], [[]]),
        "no object",
    ]
    sample, report = _read(tmp_path, features)
    assert report.nuclei["epithelial"] == 3
    assert (sample.instances > 0).sum() == 16 + 64 + 16
    for line in (
        "outlines of fewer than 3 finite corners, left out: 6",
        "holes of fewer than 3 finite corners, left out: 1",
        "objects without a geometry, left out: 1",
        "entries that are no objects, left out: 1",
    ):
        assert line in str(report)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda made: [made],
        lambda made: made,
        lambda made: made["geometry"],
        lambda made: {"type": "GeometryCollection", "geometries": [made["geometry"]]},
        lambda made: {"type": "FeatureCollection", "features": [made]},
        lambda made: [{"type": "FeatureCollection", "features": [made]}],
    ],
    ids=["array", "feature", "geometry", "geometries", "collection", "array of collections"],
)
@pytest.mark.parametrize("suffix", [".geojson", ".GEOJSON", ".json", ".geojson.gz", ".JSON.GZ"])
def test_any_nesting_and_suffix_will_do(tmp_path: Path, wrap: Any, suffix: str) -> None:
    write_geojson(tmp_path, [])
    (tmp_path / "a.geojson").unlink()
    text = json.dumps(wrap(feature(square(10, 20, 8), name="Tumor"))).encode("utf-8-sig")
    packed = gzip.compress(text) if suffix.lower().endswith("gz") else text
    (tmp_path / f"a{suffix}").write_bytes(packed)
    assert detect_format(tmp_path) == "geojson"
    (sample,) = read_folder(tmp_path, mpp=0.5)
    assert (sample.instances > 0).sum() == 64


def test_json_without_outlines_is_no_label_file(tmp_path: Path) -> None:
    write_geojson(tmp_path, [feature(square(1, 1, 5))])
    (tmp_path / "images" / "request.json").write_text('{"synthetic": true, "kind": "generate"}')
    report = ReadReport()
    assert len(list(read_folder(tmp_path, mpp=0.5, report=report))) == 1
    assert report.unread == {"images/*.json": 1}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"classification": "Stroma"}, "connective"),
        ({"label": "Stroma"}, "connective"),
        ({"structure": "plasma cell"}, "plasma"),
        ({"classification": {"name": None}, "class": "TIL"}, "lymphocyte"),
    ],
)
def test_other_programs_name_classes_elsewhere(
    tmp_path: Path, properties: dict[str, Any], expected: str
) -> None:
    _, report = _read(tmp_path, [feature(square(1, 1, 5)) | {"properties": properties}])
    assert report.nuclei[expected] == 1


@pytest.mark.data
@pytest.mark.parametrize("name", ["dlup_qupath05.geojson", "histoqc_holed.geojson"])
def test_real_regions_of_two_programs_are_left_out_by_name(
    tmp_path: Path, data_root: Path, name: str
) -> None:
    write_geojson(tmp_path, [])
    (tmp_path / "a.geojson").write_bytes((data_root / "wsi" / "geojson" / name).read_bytes())
    report = ReadReport()
    (sample,) = read_folder(tmp_path, mpp=0.25, report=report)
    assert not sample.item.has_nuclei
    assert "outlines above 2000 square um, left out" in str(report)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Neutrophils", 1),
        ("tumor", 2),
        ("Epithelial cell", 2),
        ("Immune cells", 3),
        ("plasma_cells", 4),
        ("EOSINOPHIL", 5),
        ("Fibroblast nuclei", 6),
        ("spindle-shaped", 6),
        ("Inflammatory", 0),
        ("Necrosis", None),
        ("", None),
    ],
)
def test_class_names_are_understood(name: str, expected: int | None) -> None:
    assert class_of(name) == expected


def test_no_name_means_two_classes() -> None:
    words = [word for name, others in SYNONYMS.items() for word in (name, *others)]
    assert len(words) == len(set(words))


def test_the_page_on_training_names_every_synonym() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    rows = page.split("## Class names in GeoJSON")[1].lower().replace("-", " ")
    table = " ".join(rows.replace("(", "").replace(")", "").replace("tumour", "tumor").split())
    words = {word.replace("tumour", "tumor") for words in SYNONYMS.values() for word in words}
    missing = {word for word in words if not all(part in table for part in word.split())}
    assert not missing
