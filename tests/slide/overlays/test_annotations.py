"""Annotations of a whole scan as paint: what is painted where, once, and taken back as one step."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.annotated import class_of
from napari_histodiff.datasets.annotations import json_stream
from napari_histodiff.datasets.outlines import Outline, rasterise
from napari_histodiff.slide.exporting.nuclei import export_geojson
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.overlays import annotations
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from tests.slide.overlays.fake_scan import FakeScan, make_scan, request
from tests.slide.scans.layouts import tissue, write_svs

CLASSES = ("Tumor", "Immune cells", "Stroma", None)


def cell(x: float, y: float, radius: float, name: str | None, kind: str = "detection") -> dict:
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    ring = np.stack([x + radius * np.cos(turn), y + 0.8 * radius * np.sin(turn)], axis=1).tolist()
    properties = {"objectType": kind, **({"classification": {"name": name}} if name else {})}
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def box(x: float, y: float, side: float, name: str, *holes: list) -> dict:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    geometry = {"type": "Polygon", "coordinates": [ring, *holes]}
    properties = {"objectType": "annotation", "classification": {"name": name}}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(path: Path, features: list[dict]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def many(count: int, seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        cell(*rng.uniform(-10, 720, 2), rng.uniform(3, 14), CLASSES[rng.integers(4)])
        for _ in range(count)
    ]


@pytest.fixture
def scan(tmp_path: Path) -> FakeScan:
    return make_scan(tmp_path / "slide.svs")


@pytest.fixture
def overlay(scan: FakeScan):
    with ScanOverlay.create(scan.path.with_name("slide.histodiff.ome.zarr"), scan) as overlay:
        yield overlay


def whole(overlay: ScanOverlay) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    bounds = overlay.spec.bounds(0)
    return overlay.labels(bounds), overlay.tissue(bounds)


@pytest.mark.parametrize("unpacked", [2, 256])
def test_nuclei_are_those_of_one_map_of_the_whole_slide(
    overlay: ScanOverlay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unpacked: int
) -> None:
    monkeypatch.setattr(annotations, "_UNPACKED", unpacked)
    features = many(300)
    report = overlay.paint_annotations(collection(tmp_path / "a.geojson", features))
    outlines = [Outline([[np.array(f["geometry"]["coordinates"][0], float)]]) for f in features]
    wanted, lost = rasterise(outlines, overlay.spec.bounds(0).shape)
    found = whole(overlay)[0]
    np.testing.assert_array_equal(found // 7, wanted)
    assert report.nuclei.total() == 300 - lost["outside"] - lost["too small"]
    said = [f["properties"].get("classification", {}).get("name", "") for f in features]
    table = np.array([0, *(class_of(name) or 0 for name in said)])
    np.testing.assert_array_equal(found % 7, table[wanted])


def test_regions_are_tissue_and_the_smaller_shows(overlay: ScanOverlay, tmp_path: Path) -> None:
    hole = [[110, 110], [140, 110], [140, 140], [110, 140], [110, 110]]
    features = [
        box(120, 300, 60, "Lumen"),
        box(100, 100, 400, "Tumor", hole),
        box(0, 0, 90, "Ignore*"),
        box(300, 20, 70, "Artefact of the scanner"),
        cell(200, 200, 6, "Immune cells", "annotation"),
    ]
    report = overlay.paint_annotations(collection(tmp_path / "a.geojson", features))
    labels, tissues = whole(overlay)
    assert tissues[150, 150] == 1
    assert tissues[320, 150] == 3
    assert tissues[125, 125] == 0
    assert tissues[:90, :90].max() == 0
    assert (labels > 0).sum() > 50
    assert report.tissue == {"gland": 1, "lumen": 1}
    assert set(report.left_out) == {
        "class Ignore*",
        "class Artefact of the scanner, which names no nucleus of that size and no tissue",
    }
    assert "1 nuclei" in str(report)
    assert "left out: class Ignore*: 1" in str(report)


@pytest.mark.parametrize(
    ("name", "tissue", "nucleus"),
    [
        ("Gland", "gland", "epithelial"),
        ("Tumor", "gland", "epithelial"),
        ("Stroma", "stroma", "connective"),
        ("Crypt", "gland", None),
    ],
)
def test_an_annotation_of_a_tissue_is_a_nucleus_no_larger_than_nuclei_are(
    overlay: ScanOverlay, tmp_path: Path, name: str, tissue: str, nucleus: str | None
) -> None:
    large, small = box(100, 100, 160, name), box(400, 400, 40, name)  # of 40 and 10 um
    report = overlay.paint_annotations(collection(tmp_path / "a.geojson", [large, small]))
    assert report.tissue == {tissue: 2 if nucleus is None else 1}
    assert report.nuclei == ({} if nucleus is None else {nucleus: 1})
    drawn = {**large, "properties": large["properties"] | {"objectType": "detection"}}
    report = overlay.paint_annotations(collection(tmp_path / "b.geojson", [drawn]))
    assert report.nuclei.total() == 1


def multi(name: str, kind: str, *boxes: tuple[int, int, int]) -> dict:
    """One object of several squares, (x, y, side)."""
    parts = [box(*place, name)["geometry"]["coordinates"] for place in boxes]
    properties = {"objectType": kind, "classification": {"name": name}}
    geometry = {"type": "MultiPolygon", "coordinates": parts}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


FAR = "objects of several far parts, each taken for itself"


@pytest.mark.parametrize("kind", ["annotation", "detection"])
def test_far_parts_of_an_object_are_nuclei_of_their_own(
    overlay: ScanOverlay, tmp_path: Path, kind: str
) -> None:
    # Pixels are 0.25 um: 14 of them lie between the near ones.
    features = [multi("Tumor", kind, (20, 20, 8), (500, 400, 8), (42, 20, 8))]
    report = overlay.paint_annotations(collection(tmp_path / "a.geojson", features))
    labels = whole(overlay)[0]
    assert report.nuclei == {"epithelial": 2}
    assert labels[24, 24] == labels[24, 46] != labels[404, 504]
    assert (labels > 0).sum() == 3 * 64
    assert f"{FAR}: 1" in str(report)


def test_a_region_of_far_parts_stays_whole_with_its_islands(
    overlay: ScanOverlay, tmp_path: Path
) -> None:
    features = [
        multi("Tumor", "annotation", (20, 20, 300), (600, 500, 6)),
        multi("Ignore*", "annotation", (20, 400, 6), (600, 400, 6)),
    ]
    report = overlay.paint_annotations(collection(tmp_path / "a.geojson", features))
    labels, tissues = whole(overlay)
    assert (report.tissue, report.nuclei) == ({"gland": 1}, {})
    assert report.left_out == {"class Ignore*": 1}
    assert FAR not in str(report)
    assert tissues[503, 603] == 1
    assert not labels.any()


def test_it_is_one_step_that_is_taken_back_after_a_restart_too(
    overlay: ScanOverlay, scan: FakeScan, tmp_path: Path
) -> None:
    earlier = np.zeros((200, 200), np.int32)
    earlier[20:60, 20:60] = 7 * 5 + 3
    overlay.paint(Region(0, 30, 30, 200, 200), nuclei=earlier)
    before = whole(overlay)
    pixels = overlay.read(overlay.spec.bounds(0))
    told: list[Region] = []
    overlay.subscribe_paint(told.append)
    overlay.paint_annotations(
        collection(tmp_path / "a.geojson", [*many(200), box(20, 20, 300, "stroma")])
    )
    after = whole(overlay)
    assert len(np.unique(after[0][after[0] > 0] // 7)) > 150
    assert not (np.isin(after[0] // 7, 5) & (before[0] == 0)).any(), "numbers are new ones"
    np.testing.assert_array_equal(overlay.read(overlay.spec.bounds(0)), pixels)
    assert overlay.requests() == []
    overlay.close()
    with ScanOverlay.open(overlay.path, scan) as again:
        again.subscribe_paint(told.append)
        assert again.undo() is not None
        for found, wanted in zip(whole(again), before, strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert again.redo() is not None
        for found, wanted in zip(whole(again), after, strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert again.verify().is_whole
    assert len(told) == 3


def test_edits_and_paint_are_taken_back_in_their_order(
    overlay: ScanOverlay, tmp_path: Path
) -> None:
    told: list[Region] = []
    overlay.subscribe_paint(told.append)
    place = Region(0, 100, 100, 64, 64)
    new = np.full((64, 64, 3), 9, np.uint8)
    overlay.paint_annotations(collection(tmp_path / "a.geojson", many(50)))
    overlay.write(request(place), new)
    assert overlay.undo() == place
    assert len(told) == 1, "no paint was changed by that"
    assert whole(overlay)[0].any()
    overlay.undo()
    assert not whole(overlay)[0].any()
    assert len(told) == 2


def test_what_fails_or_is_stopped_leaves_the_paint(overlay: ScanOverlay, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(count: int) -> None:
        raise Stopped

    good = collection(tmp_path / "a.geojson", many(600))
    with pytest.raises(Stopped):
        overlay.paint_annotations(good, stop)
    bad = tmp_path / "b.geojson"
    bad.write_text(good.read_text()[:-30])
    with pytest.raises(InvalidMap, match="export it again"):
        overlay.paint_annotations(bad)
    far = collection(tmp_path / "c.geojson", [cell(9000, 9000, 5, "Tumor")])
    with pytest.raises(InvalidMap, match="outside the slide"):
        overlay.paint_annotations(far)
    assert not whole(overlay)[0].any()
    assert not overlay.can_undo


def test_what_was_exported_comes_back_the_same(overlay: ScanOverlay, tmp_path: Path) -> None:
    overlay.paint_annotations(collection(tmp_path / "a.geojson", many(200)))
    before = whole(overlay)[0]
    source = ExportSource.of_scan(overlay.scan, overlay)
    export_geojson(source, tmp_path / "out.geojson.gz")
    overlay.undo()
    overlay.paint_annotations(tmp_path / "out.geojson.gz")
    after = whole(overlay)[0]
    np.testing.assert_array_equal(after > 0, before > 0)
    np.testing.assert_array_equal(after % 7, before % 7)


def test_what_was_exported_of_a_part_comes_back_where_it_was(
    overlay: ScanOverlay, tmp_path: Path
) -> None:
    overlay.paint_annotations(collection(tmp_path / "a.geojson", many(200)))
    before, bounds = whole(overlay)[0], overlay.spec.bounds(0)
    part = Region(0, bounds.height // 2, bounds.width // 2, bounds.height // 2, bounds.width // 2)
    export_geojson(ExportSource.of_scan(overlay.scan, overlay).part(part), tmp_path / "out.geojson")
    overlay.undo()
    overlay.paint_annotations(tmp_path / "out.geojson")
    after = whole(overlay)[0]
    np.testing.assert_array_equal(after[part.slices] % 7, before[part.slices] % 7)
    assert before[part.slices].any()


def test_memory_does_not_grow_with_the_cells_of_a_place(
    overlay: ScanOverlay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "_PIECE", 1 << 16)
    tracemalloc.start()
    peaks = []
    for count in (100, 500, 2000):  # the first one fills what is kept of the place
        path = collection(tmp_path / f"{count}.geojson", many(count))
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        overlay.paint_annotations(path)
        peaks.append(tracemalloc.get_traced_memory()[1] - held)
    tracemalloc.stop()
    assert peaks[2] < peaks[1] + 5e5, "1,500 cells more have 1.5 MB of numbers in the file"


def test_from_the_command_line(tmp_path: Path) -> None:
    slide = write_svs(tmp_path / "slide.svs", [tissue(600, 700)])
    before = slide.read_bytes()
    path = collection(tmp_path / "a.geojson", [*many(20), box(20, 20, 300, "stroma")])
    result = CliRunner().invoke(main, ["slide", "paint", str(slide), str(path)])
    assert result.exit_code == 0, result.output
    assert "1 regions of tissue (stroma 1)" in result.output
    assert slide.read_bytes() == before
    result = CliRunner().invoke(main, ["slide", "paint", str(slide), str(slide)])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert Counter(p.name for p in tmp_path.iterdir())["slide.histodiff.ome.zarr"] == 1
