"""Outlines of a part find their place on the whole image again, or are refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.annotations.placing import first_pixel

PART = {"y": 30, "x": 40, "height": 64, "width": 96}
CANVAS, SCAN = Region(0, 0, 0, 300, 400), Region(0, 20, 10, 200, 300)


def written(path: Path, whole: tuple[int, int] | None) -> Path:
    mark = {"image": 'of "a" {slide}'}
    if whole is not None:
        mark |= {"part": PART, "whole": {"height": whole[0], "width": whole[1]}}
    text = json.dumps({"type": "FeatureCollection", "histodiff": mark, "features": []})
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz"])
@pytest.mark.parametrize(
    ("whole", "canvas", "scan", "first"),
    [
        (None, CANVAS, None, (0, 0)),
        (None, CANVAS, SCAN, (20, 10)),
        ((300, 400), CANVAS, None, (30, 40)),
        ((300, 400), CANVAS, SCAN, (30, 40)),
        ((200, 300), CANVAS, SCAN, (50, 50)),
        ((300, 400), Region(0, 0, 0, 64, 96), None, (0, 0)),
    ],
    ids=["image", "scan", "part", "part of canvas", "part of scan", "the part itself"],
)
def test_outlines_count_from_where_they_were_exported(
    tmp_path: Path,
    name: str,
    whole: tuple[int, int] | None,
    canvas: Region,
    scan: Region | None,
    first: tuple[int, int],
) -> None:
    assert first_pixel(written(tmp_path / name, whole), canvas, scan) == first


def test_those_of_a_part_of_another_image_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.geojson", (300, 500))
    with pytest.raises(InvalidMap, match=r"300 x 400 px, got those of a part of one of 300 x 500"):
        first_pixel(path, CANVAS)


@pytest.mark.parametrize("text", ["", "no json", '{"histodiff": {', '{"histodiff": {"part": 3}}'])
def test_what_says_no_part_counts_from_the_first_pixel(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert first_pixel(path, CANVAS, SCAN) == (20, 10)
    assert first_pixel(tmp_path / "gone.json", CANVAS) == (0, 0)
