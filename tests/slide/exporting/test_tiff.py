"""TIFF as other programs open it: equal pixels, micrometres, and what is synthetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import ome_types
import openslide
import pytest
import tifffile

from napari_histodiff.core.errors import Cancelled, InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import ExportProgress
from napari_histodiff.slide.exporting.tiff import export_tiff, tile_digest
from tests.slide.exporting.sources import drawn_slide, part_synthetic


def test_every_level_has_the_pixels_of_the_slide(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    path, sidecar = export_tiff(ExportSource.of_slide(slide), tmp_path / "out.ome.tif")
    assert sidecar.name == "out.ome.tif.histodiff.json"
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
        (series,) = tiff.series
        assert (series.axes, len(series.levels)) == ("YXS", slide.spec.levels)
        assert tiff.pages.first.planarconfig == tifffile.PLANARCONFIG.CONTIG
        for level, shown in enumerate(series.levels):
            assert np.array_equal(shown.asarray(), slide.read(slide.spec.bounds(level)))


def test_the_ome_xml_is_valid_and_says_size_and_what_is_synthetic(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    path, sidecar = export_tiff(ExportSource.of_slide(slide), tmp_path / "out.ome.tif")
    text = tifffile.tiffcomment(path)
    ome_types.validate_xml(text)
    ome = ome_types.from_xml(text)
    pixels = ome.images[0].pixels
    assert (pixels.physical_size_x, pixels.physical_size_y) == (0.5, 0.5)
    assert pixels.physical_size_x_unit is ome_types.model.UnitsLength.MICROMETER
    assert (pixels.size_x, pixels.size_y, pixels.size_c) == (600, 700, 3)
    assert "All of this image is synthetic" in (ome.images[0].description or "")
    table = {m.k: m.value for m in ome.structured_annotations.map_annotations[0].value.ms}
    assert table["Model"] == "test, revision 1"
    assert 'caption "colon"' in table["Edit 1"]
    assert table["Tiles SHA-256"] == tile_digest(path)
    said = json.loads(sidecar.read_text())
    assert said["tiles_sha256"] == tile_digest(path)
    assert [(e["seed"], e["y"], e["x"]) for e in said["edits"]] == [(7, 200, 100), (0, 20, 20)]
    assert set(said["edits"][0]["masks"]) == {"class_map", "instance_map"}


@pytest.mark.parametrize(("compression", "most"), [("deflate", 0), ("jpeg", 6)])
def test_openslide_reads_the_plain_pyramid(tmp_path: Path, compression: str, most: int) -> None:
    source = part_synthetic()
    path, *_ = export_tiff(
        source, tmp_path / "out.tif", kind="pyramid", compression=compression, quality=95
    )
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((1300, 900), (650, 450), (325, 225))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.26, rel=1e-4)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.25, rel=1e-4)
        for level, (width, height) in enumerate(slide.level_dimensions):
            seen = np.asarray(slide.read_region((0, 0), level, (width, height)))[..., :3]
            wanted = source.read(Region(level, 0, 0, height, width))
            assert np.abs(seen.astype(int) - wanted).max() <= most


def test_outlines_of_synthetic_pixels_lie_beside_a_scan(tmp_path: Path) -> None:
    source = part_synthetic()
    _, sidecar, outlines = export_tiff(source, tmp_path / "scan.ome.tif")
    said = json.loads(sidecar.read_text())
    assert said["extent"] == "part"
    bounds = source.spec.bounds(0)
    share = source.edited(bounds).mean()
    assert said["share"] == pytest.approx(share)
    assert f"{share:.2%} of its pixels" in said["statement"]
    (one,) = json.loads(outlines.read_text())["features"]
    assert one["properties"]["classification"]["name"] == "Synthetic"
    corners = np.array(one["geometry"]["coordinates"][0])
    assert corners.min(0).tolist() == [311, 211]
    assert corners.max(0).tolist() == [490, 390]


def test_a_scan_of_unknown_pixel_size_states_none(tmp_path: Path) -> None:
    from dataclasses import replace

    source = replace(part_synthetic(300, 300), mpp=None)
    path, *_ = export_tiff(source, tmp_path / "out.ome.tif")
    assert ome_types.from_tiff(path).images[0].pixels.physical_size_x is None
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages.first.tags["ResolutionUnit"].value == tifffile.RESUNIT.NONE


def test_a_part_is_a_slide_of_its_own(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    source = ExportSource.of_slide(slide).part(Region(0, 190, 90, 200, 260))
    path, sidecar = export_tiff(source, tmp_path / "part.ome.tif")
    assert np.array_equal(tifffile.imread(path), slide.read(Region(0, 190, 90, 200, 260)))
    first, *_ = json.loads(sidecar.read_text())["edits"]
    assert (first["y"], first["x"]) == (10, 10)


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    def stop(progress: ExportProgress) -> None:
        if progress.done == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        export_tiff(part_synthetic(), tmp_path / "out.ome.tif", on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_its_total(tmp_path: Path) -> None:
    told: list[ExportProgress] = []
    export_tiff(part_synthetic(), tmp_path / "out.ome.tif", on_progress=told.append)
    assert [one.done for one in told] == list(range(1, told[-1].total + 1))


def test_the_slide_itself_is_never_written_over(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    source = ExportSource.of_slide(slide)
    for path in (slide.path, slide.path / "inside.tif", tmp_path):
        with pytest.raises(StorageError, match="would write over what is exported"):
            export_tiff(source, path, overwrite=True)


def test_a_quality_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="expected a JPEG quality of 1 to 100, got 0"):
        export_tiff(part_synthetic(), tmp_path / "a.ome.tif", compression="jpeg", quality=0)
