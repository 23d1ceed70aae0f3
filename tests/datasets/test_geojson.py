from __future__ import annotations

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
        ([], "expected a FeatureCollection .* got list"),
        ({"type": "Feature"}, "got Feature; in QuPath"),
        ({"type": "FeatureCollection", "features": [feature([[0, 0], [1, 1]])]}, "at least 3"),
        ({"type": "FeatureCollection", "features": [feature([])]}, "feature 0 of"),
        ({"type": "FeatureCollection", "features": [feature(square(900, 900, 9))]}, "64 x 64 px"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: object, match: str) -> None:
    write_geojson(tmp_path, [])
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    with pytest.raises(TrainingError, match=match):
        list(read_folder(tmp_path, mpp=0.5))


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
