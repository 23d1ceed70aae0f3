from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.datasets.tissue.maps import tissue_of_picture
from napari_histodiff.datasets.tissue.regions import read_regions, tissue_of


@pytest.mark.parametrize(
    ("name", "tissue"),
    [
        *((name, name) for name in TISSUE_NAMES[1:]),
        ("Tumor", "gland"),
        ("Crypts", "gland"),
        ("NORM", "gland"),
        ("Tumor: Positive", "gland"),
        ("Lamina propria", "stroma"),
        ("cancer-associated stroma", "stroma"),
        ("Smooth Muscle", "muscle"),
        ("Red blood cells", "blood"),
        ("lymphoid_follicle", "lymphoid"),
        ("Adipose", "fat"),
        ("Blood vessels", "vessel"),
        ("MUC", "mucus"),
    ],
)
def test_names_of_other_programs(name: str, tissue: str) -> None:
    assert tissue_of(name) == TISSUE_NAMES.index(tissue)


@pytest.mark.parametrize("name", ["", "(no class)", "Other", "Bone", "unspecified", "Positive"])
def test_names_of_no_tissue(name: str) -> None:
    assert tissue_of(name) is None


def feature(name: str, *rings: list[list[float]], kind: str = "annotation") -> dict[str, object]:
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": list(rings)},
        "properties": {"objectType": kind, "classification": {"name": name}},
    }


def box(low: float, high: float) -> list[list[float]]:
    return [[low, low], [high, low], [high, high], [low, high], [low, low]]


def written(path: Path, *features: dict[str, object]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_regions_lie_where_they_were_drawn_at_every_level(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.geojson",
        feature("Lumen", box(24, 40)),
        feature("Gland", box(16, 48)),
        feature("Stroma", box(0, 64), box(8, 56)),
    )
    regions = read_regions(path)
    expected = np.full((64, 64), 2, np.uint8)
    expected[8:56, 8:56] = 0
    expected[16:48, 16:48] = 1
    expected[24:40, 24:40] = 3
    np.testing.assert_array_equal(regions.within(Region(0, 0, 0, 64, 64)), expected)
    part = Region(0, 10, 20, 30, 40)
    np.testing.assert_array_equal(regions.within(part), expected[part.slices])
    np.testing.assert_array_equal(regions.within(Region(2, 0, 0, 16, 16)), expected[::4, ::4])
    assert not regions.within(Region(0, 100, 0, 8, 8)).any()


def test_what_is_no_region_is_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.geojson",
        feature("Gland", box(0, 9)),
        feature("Ignore*", box(0, 9)),
        feature("Bone", box(0, 9)),
        feature("Tumor", box(0, 9), kind="detection"),
    )
    assert read_regions(path).left_out == {"class Ignore*": 1, "class Bone": 1, "detections": 1}


def test_a_file_without_tissue_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "r.geojson", feature("Bone", box(0, 9)))
    with pytest.raises(InvalidMap, match=r"got none \(class Bone: 1\); give the annotations"):
        read_regions(path)
    path.write_text("[}")
    with pytest.raises(InvalidMap, match="expected GeoJSON"):
        read_regions(path)


def test_a_picture_may_hold_all_tissue_or_the_first_few(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(ids).save(tmp_path / "t.png")
    np.testing.assert_array_equal(tissue_of_picture(read_picture(tmp_path / "t.png")), ids)
    with pytest.raises(InvalidMap, match="0-4, got"):
        tissue_of_picture(read_picture(tmp_path / "t.png"), TISSUE_NAMES[:5])
    Image.fromarray(ids + 1).save(tmp_path / "t.png")
    with pytest.raises(InvalidMap, match="11 or #05770b for vessel"):
        tissue_of_picture(read_picture(tmp_path / "t.png"))
