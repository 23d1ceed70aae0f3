"""GeoJSON of anyone: read as what it shows, or refused; never a crash, never without a word."""

from __future__ import annotations

import gzip
import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidMap, TrainingError
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.geojson_objects import iter_objects, read_objects
from napari_histodiff.datasets.outlines import Outline, rasterise
from napari_histodiff.datasets.tissue.regions import read_regions

#: `HISTODIFF_FUZZ=20000 pytest ...` tries so many of each kind; a few hundred every day.
EXAMPLES = int(os.environ.get("HISTODIFF_FUZZ", "300"))

hostile = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

#: How many inputs ran, by what became of them; printed with `pytest -s`.
RAN: Counter[str] = Counter()

wild = st.sampled_from(
    [math.nan, math.inf, -math.inf, 1e308, -1e308, 2**70, 10**400, 0, -0.0, 1e-320, 5, 9.5]
)
number = wild | st.floats(-50, 150) | st.integers(-9, 99)
anything = st.recursive(
    st.none() | st.booleans() | number | st.text(max_size=6),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=4), inside),
    max_leaves=8,
)
corner = st.lists(number, min_size=0, max_size=4) | anything
ring = st.lists(st.tuples(number, number).map(list), min_size=3, max_size=30) | st.lists(
    corner, max_size=6
)
polygon = st.lists(ring, max_size=3) | anything
geometry = st.deferred(
    lambda: (
        st.fixed_dictionaries({"type": st.just("Polygon"), "coordinates": polygon})
        | st.fixed_dictionaries(
            {
                "type": st.just("MultiPolygon"),
                "coordinates": st.lists(polygon, max_size=4) | anything,
            }
        )
        | st.fixed_dictionaries(
            {
                "type": st.just("GeometryCollection"),
                "geometries": st.lists(geometry, max_size=2) | anything,
            }
        )
        | st.fixed_dictionaries({"type": st.sampled_from(["Point", "LineString", "Ring", 7])})
        | anything
    )
)
name = st.sampled_from(["gland", "Stroma", "epithelial", "Ignore*", "", "Tumor: Positive"]) | (
    anything
)
feature = st.fixed_dictionaries(
    {"type": st.just("Feature"), "geometry": geometry},
    optional={
        "id": anything,
        "nucleusGeometry": geometry,
        "properties": anything
        | st.fixed_dictionaries(
            {},
            optional={
                "objectType": st.sampled_from(["cell", "detection", "annotation", "tile", 3]),
                "classification": name
                | st.fixed_dictionaries({}, optional={"name": name, "names": anything}),
                "childObjects": anything,
                "label": name,
            },
        ),
    },
)
document = (
    st.fixed_dictionaries(
        {"type": st.just("FeatureCollection"), "features": st.lists(feature, max_size=5)}
    )
    | st.lists(feature | anything, max_size=4)
    | feature
    | geometry
    | anything
)


def check(path: Path) -> None:
    """Read a file in all ways; whatever comes of it is told in our words."""
    RAN["inputs"] += 1
    try:
        objects, notes = read_objects(path)
    except TrainingError:
        RAN["refused"] += 1
        with pytest.raises(InvalidMap, match=r"export (it|them) again"):
            read_regions(path)
        return
    RAN["read"] += 1
    assert all(isinstance(note, str) and n > 0 for note, n in notes.items())
    outlines = [Outline(found.polygons) for found in objects if found.polygons]
    instances, lost = rasterise(outlines, (64, 80))
    assert instances.max(initial=0) <= len(outlines)
    assert len(np.unique(instances[instances > 0])) + sum(lost.values()) == len(outlines)
    try:
        regions = read_regions(path)
    except InvalidMap:
        return
    assert regions.within(Region(1, 3, 5, 20, 30)).shape == (20, 30)


@hostile
@given(document)
def test_whatever_json_says(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(document))
    check(path)


@hostile
@given(document, st.data())
def test_damaged_files(tmp_path: Path, document: Any, data: st.DataObject) -> None:
    body = bytearray(json.dumps(document).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1)) if body else 0
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    packed = data.draw(st.booleans())
    path = tmp_path / ("a.geojson.gz" if packed else "a.geojson")
    path.write_bytes(gzip.compress(bytes(body), 1) if packed else bytes(body))
    check(path)


@hostile
@given(st.binary(max_size=200))
def test_what_is_no_text(tmp_path: Path, body: bytes) -> None:
    for name in ("a.geojson", "a.geojson.gz"):
        path = tmp_path / name
        path.write_bytes(body)
        check(path)


@pytest.mark.parametrize("depth", [50, 900, 1100, 100_000])
def test_nesting(tmp_path: Path, depth: int) -> None:
    texts = {
        "lists": "[" * depth + "]" * depth,
        "collections": '{"type":"GeometryCollection","geometries":[' * depth + "]}" * depth,
        "children": '{"geometry":null,"childObjects":[' * depth + "]}" * depth,
        "features": '{"features":[' * depth + "]}" * depth,
        "open": '{"features":[{"geometry":' * depth,
    }
    for name, text in texts.items():
        path = tmp_path / f"{name}.geojson"
        path.write_text(text)
        check(path)


def test_a_long_number_and_a_long_name(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text('[{"geometry": {"type": "Point", "coordinates": [' + "9" * 100_000 + "]}}]")
    check(path)
    path.write_text(json.dumps({"geometry": None, "properties": {"label": "x" * 5_000_000}}))
    check(path)


def test_objects_before_the_damage_are_no_promise(tmp_path: Path) -> None:
    sound = {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9]]]}}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([sound] * 3)[:-20])
    found = iter_objects(path, Counter())
    next(found)
    with pytest.raises(TrainingError, match=r"export (it|them) again"):
        list(found)


def test_how_many_ran() -> None:
    print(dict(RAN))  # noqa: T201 - asked for with -s
    assert RAN["inputs"] == RAN["read"] + RAN["refused"]
