"""Changed tiles alone, with their outlines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.geojson_objects import read_objects
from napari_histodiff.datasets.outlines import Outline, rasterise
from napari_histodiff.slide.exporting.changes import export_changes
from napari_histodiff.slide.exporting.source import ExportSource
from tests.slide.exporting.sources import drawn_slide
from tests.slide.slides import make


def test_only_changed_tiles_are_written_and_outlined(tmp_path: Path) -> None:
    slide = drawn_slide(tmp_path)
    (folder,) = export_changes(ExportSource.of_slide(slide), tmp_path / "changes")
    said = json.loads((folder / "histodiff.json").read_text())
    assert [(one["y"], one["x"]) for one in said["tiles"]] == [
        (0, 0),
        (0, 256),
        (256, 0),
        (256, 256),
    ]
    for one in said["tiles"]:
        place = Region(0, one["y"], one["x"], one["height"], one["width"])
        assert np.array_equal(imread(folder / one["file"]), slide.read(place))
    objects, _ = read_objects(folder / "changed.geojson")
    bounds = slide.spec.bounds(0)
    shown, _ = rasterise([Outline(one.polygons) for one in objects], bounds.shape)
    assert np.array_equal(shown > 0, slide.edited(bounds))
    assert "All of this image is synthetic" in (folder / "README.txt").read_text()


def test_a_slide_without_edits_has_none_to_write(tmp_path: Path) -> None:
    source = ExportSource.of_slide(make(tmp_path))
    with pytest.raises(InvalidRequest, match="expected edits at full resolution, got none"):
        export_changes(source, tmp_path / "changes")
    assert not (tmp_path / "changes").exists()
