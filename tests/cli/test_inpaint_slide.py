"""`histodiff inpaint SLIDE --region`: the scan stays, the edit is kept and shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from napari_histodiff import open_slide
from napari_histodiff.cli.main import main
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.slide.overlays.growing import enlarge, margin_step
from napari_histodiff.slide.overlays.places import open_overlay
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.padded import Margins
from tests.diffusion.tiny import save_tiny, tiny_pipeline

PLACE = Region(0, 300, 200, 64, 80)


@pytest.fixture
def slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")
    pixels = np.random.default_rng(0).integers(0, 256, (700, 600, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    return tmp_path / "slide.png"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    model = save_tiny(tiny_pipeline(), tmp_path / "model")

    def run(*arguments: object) -> Result:
        words = [
            "inpaint",
            *map(str, arguments),
            "--model",
            str(model),
            "--steps",
            "1",
            "--device",
            "cpu",
        ]
        return CliRunner().invoke(main, words)

    return run


def test_a_region_of_a_scan_is_redrawn_under_a_mask(run, slide, tmp_path) -> None:
    before = hashlib.sha256(slide.read_bytes()).digest()
    mask = np.random.default_rng(1).random(PLACE.shape) < 0.5
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    place = (PLACE.y, PLACE.x, PLACE.height, PLACE.width)
    with open_slide(slide) as opened:
        whole = opened.read(opened.spec.bounds(0))
    result = run(slide, "--region", *place, "--mask", tmp_path / "mask.png", "--mpp", 0.5)
    assert result.exit_code == 0, result.output
    assert "slide.histodiff.ome.zarr" in result.output
    assert hashlib.sha256(slide.read_bytes()).digest() == before
    with open_slide(slide, mpp=0.5) as opened:
        found = opened.read(opened.spec.bounds(0))
        dask = np.asarray(opened.to_dask(0)[PLACE.slices])
    changed = np.zeros(whole.shape[:2], np.bool_)
    changed[PLACE.slices] = mask
    np.testing.assert_array_equal(found[~changed], whole[~changed])
    assert (found[changed] != whole[changed]).any()
    np.testing.assert_array_equal(dask, found[PLACE.slices])
    scan = open_scan(slide, mpp=0.5)
    with open_overlay(scan) as overlay:
        assert overlay.can_undo
        (kept,) = overlay.requests()
        assert (kept["model_name"], len(kept["model_revision"])) == ("tiny 1", 12)
        overlay.undo()
        np.testing.assert_array_equal(overlay.read(overlay.spec.bounds(0)), whole)
    scan.close()


def test_parts_of_a_region_have_a_strength_each(run, slide, tmp_path) -> None:
    gray = np.zeros(PLACE.shape, np.uint8)
    gray[8:30, 8:70], gray[30:50, 8:70] = 255, 128
    Image.fromarray(gray).save(tmp_path / "gray.png")
    place = (PLACE.y, PLACE.x, PLACE.height, PLACE.width)
    told = ("--region", *place, "--mpp", 0.5, "--strength-map", tmp_path / "gray.png")
    told = (*told, "--fill", "border")
    with open_slide(slide) as opened:
        whole = opened.read(opened.spec.bounds(0))
    result = run(slide, *told)
    assert result.exit_code == 0, result.output
    with open_slide(slide, mpp=0.5) as opened:
        found = opened.read(opened.spec.bounds(0))
    changed = np.zeros(whole.shape[:2], np.bool_)
    changed[PLACE.slices] = gray > 0
    np.testing.assert_array_equal(found[~changed], whole[~changed])
    with closing(open_scan(slide, mpp=0.5)) as scan, open_overlay(scan) as overlay:
        (kept,) = (EditRequest.from_dict(said) for said in overlay.requests())
    assert kept.strength_map is not None
    assert kept.fill is Fill.BORDER
    inside = PLACE.relative_to(kept.region).slices
    np.testing.assert_array_equal(
        kept.strength_map[inside], np.select([gray == 255, gray > 0], [1, np.float32(0.5)])
    )
    Image.fromarray(gray[:9]).save(tmp_path / "gray.png")
    assert "crop it to the region" in run(slide, *told).output
    Image.fromarray(gray * 0).save(tmp_path / "gray.png")
    assert "with pixels in the region, got none" in run(slide, *told).output


def test_outlines_say_where_and_the_edits_lie_where_one_wants(run, slide, tmp_path) -> None:
    ring = [[300, 200], [340, 200], [340, 250], [300, 250], [300, 200]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation"},
    }
    (tmp_path / "fold.geojson").write_text(json.dumps(feature))
    out = tmp_path / "elsewhere"
    result = run(slide, "--geojson", tmp_path / "fold.geojson", "--out", out, "--mpp", 0.5)
    assert result.exit_code == 0, result.output
    assert "50 x 40 pixels at y=200, x=300" in result.output
    assert [path.name for path in out.iterdir()] == ["slide.histodiff.ome.zarr"]


@pytest.mark.parametrize("room", [False, True])
def test_outlines_exported_of_a_part_lie_where_that_is(run, slide, tmp_path, room) -> None:
    whole, part = (600, 700), (90, 150)
    if room:  # the part is told on the canvas then
        with closing(open_scan(slide, mpp=0.5)) as scan, open_overlay(scan) as overlay:
            step = margin_step(overlay)
            enlarge(overlay, Margins(step, step, 0, 0)).close()
        whole, part = ((a + step for a in pair) for pair in (whole, part))
    (width, height), (x, y) = whole, part
    ring = [[10, 20], [50, 20], [50, 70], [10, 70], [10, 20]]
    mark = {
        "part": {"y": y, "x": x, "height": 128, "width": 128, "level": 0},
        "whole": {"height": height, "width": width},
    }
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    feature["properties"] = {"objectType": "annotation"}
    said = {"type": "FeatureCollection", "histodiff": mark, "features": [feature]}
    (tmp_path / "part.geojson").write_text(json.dumps(said))
    result = run(slide, "--geojson", tmp_path / "part.geojson", "--mpp", 0.5)
    assert result.exit_code == 0, result.output
    assert "50 x 40 pixels at y=170, x=100" in result.output


def test_the_model_sees_what_lies_around_a_region(run, slide, tmp_path) -> None:
    place = ("--region", PLACE.y, PLACE.x, PLACE.height, PLACE.width, "--mpp", 0.5)
    kept = []
    for context in (0, 8):
        out = tmp_path / f"edits {context}"
        result = run(slide, *place, "--context", context, "--out", out)
        assert result.exit_code == 0, result.output
        assert "changed 64 x 80 pixels at y=300, x=200" in result.output
        with closing(open_scan(slide, mpp=0.5)) as scan, open_overlay(scan, out) as overlay:
            kept.append(next(iter(overlay.requests())))
    assert kept[0]["region"] == [0, 300, 200, 64, 80]
    assert kept[1]["region"] == [0, 284, 184, 96, 112]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--region", 300, 200, 64, 80), "give --mpp"),
        (("--region", 690, 200, 64, 80, "--mpp", 0.5), "choose a part of it"),
        (("--out", "x", "--mpp", 0.5), "give --region, or --geojson"),
        ((), "give --edit-mask"),
    ],
)
def test_what_lacks_is_told(run, slide, options, says) -> None:
    result = run(slide, *options)
    assert result.exit_code != 0
    assert says in result.output
