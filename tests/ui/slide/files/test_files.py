"""Exports and annotations in the window: in a thread, told, stopped; never over a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import tifffile
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtWidgets import QProgressDialog

from napari_histodiff.cli.export import export
from napari_histodiff.core.errors import AlreadyThere, Cancelled, InvalidRequest, StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.exporting.formats import FORMATS
from napari_histodiff.slide.exporting.inspection import inspect_file
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.slide.files.forms import (
    _FORMATS,
    export_form,
    export_slide,
    import_annotations,
    import_annotations_form,
)
from napari_histodiff.ui.slide.files.job import FileJob
from tests.rendering.doubles import make_slide
from tests.slide.overlays.fake_scan import request
from tests.slide.overlays.test_annotations import box, cell, collection
from tests.slide.scans.layouts import tissue, write_pyramid
from tests.ui.conftest import OpenDock, WaitFor
from tests.ui.doubles import RecordingEngine
from tests.ui.find import find

FRAME = Region(0, 128, 192, 128, 192)


@pytest.fixture
def dock(open_dock: OpenDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudioDock:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")
    return open_dock(RecordingEngine())


@pytest.fixture
def scan(dock: StudioDock, tmp_path: Path) -> Path:
    path = write_pyramid(tmp_path / "slide.tif", [tissue(900, 1100)], mpp=0.5)
    dock.slide.open_slide(path)
    dock.workspace.document.set_frame(FRAME)
    return path


def done(job: FileJob, wait_for: WaitFor) -> tuple[object, object]:
    heard: list[tuple[object, object]] = []
    job.ended.connect(lambda *told: heard.append(told))
    wait_for(lambda: bool(heard))
    assert job.is_over
    return heard[0]


def test_every_format_of_the_command_is_offered(dock: StudioDock) -> None:
    [kinds] = [option for option in export.params if option.name == "kind"]
    assert set(_FORMATS) == set(FORMATS) == set(kinds.type.choices)
    form = export_form(dock.viewer)
    assert set(form["kind"].choices) == set(FORMATS)


def test_the_frame_of_a_scan_with_its_edits(
    dock: StudioDock, scan: Path, tmp_path: Path, wait_for: WaitFor
) -> None:
    new = np.full((*FRAME.shape, 3), 77, np.uint8)
    step = dock.workspace.document.write(FRAME, new, None, request(FRAME))
    wait_for(lambda: step.is_over)
    lines, error = done(export_slide(dock.viewer, folder=tmp_path), wait_for)
    assert error is None
    out = tmp_path / "slide_y128_x192_128x192.ome.tif"
    assert (tifffile.imread(out) == 77).all()
    assert str(out) in str(lines)
    assert inspect_file(out).unchanged
    with pytest.raises(AlreadyThere, match=r"choose another name$"):
        export_slide(dock.viewer, folder=tmp_path)


def test_the_whole_of_a_synthetic_slide(
    dock: StudioDock, tmp_path: Path, wait_for: WaitFor
) -> None:
    dock.slide.open_slide(make_slide(tmp_path / "made.ome.zarr", 512, 512))
    job = export_slide(
        dock.viewer, "tiff", part="whole slide", folder=tmp_path, name="out", jpeg=True
    )
    assert done(job, wait_for)[1] is None
    assert tifffile.imread(tmp_path / "out.tif").shape == (512, 512, 3)


def test_maps_that_are_there_are_kept(dock: StudioDock, tmp_path: Path, wait_for: WaitFor) -> None:
    dock.slide.open_slide(make_slide(tmp_path / "made.ome.zarr", 512, 512))
    there = tmp_path / "all_classes.tif"
    there.write_text("mine")
    _, error = done(export_slide(dock.viewer, "masks", folder=tmp_path, name="all.tif"), wait_for)
    assert str(error).endswith(f"got {there}, which exists; choose another name")
    assert there.read_text() == "mine"


def test_what_is_in_view(dock: StudioDock, scan: Path, tmp_path: Path, wait_for: WaitFor) -> None:
    assert export_form(dock.viewer)["folder"].value == scan.parent
    job = export_slide(dock.viewer, part="view", folder=tmp_path, name="seen.tif")
    assert done(job, wait_for)[1] is None
    assert (tmp_path / "seen.ome.tif").exists()


def test_what_lacks_and_what_is_no_slide_is_told(
    dock: StudioDock, tmp_path: Path, wait_for: WaitFor
) -> None:
    with pytest.raises(InvalidRequest, match="Save writes"):
        export_slide(dock.viewer, folder=tmp_path)
    dock.workspace.new_canvas(128, 128)
    with pytest.raises(InvalidRequest, match="Save writes"):
        export_slide(dock.viewer, folder=tmp_path)
    with pytest.raises(InvalidRequest, match="a scan"):
        import_annotations(dock.viewer, tmp_path / "none.geojson")
    dock.slide.open_slide(write_pyramid(tmp_path / "a.tif", [tissue(300, 300)]))
    job = export_slide(dock.viewer, "geojson", folder=tmp_path)
    assert "keeps none" in str(done(job, wait_for)[1])
    with pytest.raises(InvalidRequest, match="choose one"):
        import_annotations(dock.viewer, tmp_path / "none.geojson")
    with pytest.raises(InvalidRequest, match="use these"):
        export_slide(dock.viewer, "bmp")


def test_a_plugin_s_viewer_exports_and_paints(
    dock: StudioDock, scan: Path, tmp_path: Path, wait_for: WaitFor
) -> None:
    viewer = PublicOnlyProxy(dock.viewer)  # all that napari gives a plugin
    lines, error = done(export_slide(viewer, folder=tmp_path, name="out"), wait_for)
    assert error is None
    assert lines
    path = collection(tmp_path / "a.geojson", [cell(280, 190, 8, "Tumor")])
    text, error = done(import_annotations(viewer, path), wait_for)
    assert error is None
    assert "1 nuclei" in str(text)


def test_a_job_is_stopped_by_its_button(qtbot: object, wait_for: WaitFor) -> None:
    begun: list[int] = []

    def work(report) -> None:
        while True:
            report(len(begun), 100, "counting")
            begun.append(1)

    job = FileJob(None, "Counting", work)
    wait_for(lambda: len(begun) > 3)
    job.cancel()
    result, error = done(job, wait_for)
    assert result is None
    assert isinstance(error, Cancelled)


def test_annotations_are_painted_seen_in_the_frame_and_taken_back(
    dock: StudioDock, scan: Path, tmp_path: Path, wait_for: WaitFor
) -> None:
    document = dock.workspace.document
    path = collection(
        tmp_path / "a.geojson", [cell(280, 190, 8, "Tumor"), box(600, 600, 90, "stroma")]
    )
    text, error = done(import_annotations(dock.viewer, path), wait_for)
    assert error is None
    assert "1 nuclei (epithelial 1); 1 regions of tissue (stroma 1)" in str(text)
    wait_for(lambda: bool(document.nuclei.labels.any()))
    assert find(dock, "undo").isEnabled()
    assert not dock.workspace.doing.text
    assert (document.nuclei.labels[190 - 128, 280 - 192] % 7) == 2
    document.set_frame(Region(0, 576, 576, 128, 128))
    assert (document.tissue.tissue[40, 40]) == 2
    step = document.undo()
    wait_for(lambda: step.is_over and not document.tissue.tissue.any())
    document.set_frame(FRAME)
    assert not document.nuclei.labels.any()
    checked = open_scan(scan)
    np.testing.assert_array_equal(checked.read(Region(0, 0, 0, 900, 1100)), tissue(900, 1100))
    checked.close()


def test_a_file_that_is_none_is_told(
    dock: StudioDock, scan: Path, tmp_path: Path, wait_for: WaitFor
) -> None:
    (tmp_path / "b.xml").write_text("<svg/>")
    form = import_annotations_form(dock.viewer)
    form["file"].value = tmp_path / "b.xml"
    error = done(form(), wait_for)[1]
    assert "export them again" in str(error)
    assert not [w for w in dock.findChildren(QProgressDialog) if w.isVisible()]


def test_napari_saves_an_edited_image_with_its_pixel_size_and_mark(
    dock: StudioDock, tmp_path: Path, wait_for: WaitFor
) -> None:
    viewer = dock.viewer
    layer = viewer.add_image(tissue(300, 400), rgb=True, scale=(0.25, 0.25), name="photo")
    layer.units = ("um", "um")
    plain = layer.save(str(tmp_path / "plain.ome.tif"))
    assert plain == [str(tmp_path / "plain.ome.tif"), *plain[1:]]
    np.testing.assert_array_equal(tifffile.imread(plain[0]), tissue(300, 400))
    dock.workspace.use_layer(layer)
    dock.workspace.document.set_frame(Region(0, 0, 0, 128, 128))
    step = dock.workspace.document.write(
        Region(0, 0, 0, 128, 128),
        np.full((128, 128, 3), 5, np.uint8),
        None,
        request(Region(0, 0, 0, 128, 128)),
    )
    wait_for(lambda: step.is_over)
    [edited, *_] = layer.save(str(tmp_path / "edited.ome.tif"))
    scan = open_scan(edited)
    assert scan.facts.mpp == pytest.approx((0.25, 0.25))
    assert (scan.read(Region(0, 0, 0, 128, 128)) == 5).all()
    scan.close()
    assert "synthetic" in str(inspect_file(Path(edited)))
    with pytest.raises(StorageError, match="one channel"):
        viewer.add_image(np.zeros((9, 9)), name="grey").save(str(tmp_path / "grey.ome.tif"))


def test_napari_saves_paint_and_labels_as_geojson(
    dock: StudioDock, scan: Path, tmp_path: Path
) -> None:
    document = dock.workspace.document
    classes = np.zeros(FRAME.shape, np.uint8)
    classes[10:30, 20:40] = 3
    document.paint_nuclei(classes, (classes > 0).astype(np.int32))
    [path] = document.nuclei.layer.save(str(tmp_path / "paint.geojson"))
    [found] = json.loads(Path(path).read_text())["features"]
    ring = np.array(found["geometry"]["coordinates"][0])
    assert ring.min(axis=0).tolist() == [192 + 20, 128 + 10]
    assert found["properties"]["classification"]["name"] == "lymphocyte"
    tissue_map = np.zeros(FRAME.shape, np.uint8)
    tissue_map[5:50, 5:50] = 1
    document.paint_tissue(tissue_map)
    [path] = document.tissue.layer.save(str(tmp_path / "tissue.geojson"))
    [found] = json.loads(Path(path).read_text())["features"]
    assert found["properties"]["classification"]["name"] == "gland"
    labels = np.zeros((50, 60), np.int64)
    labels[2:9, 3:8] = 9
    layer = dock.viewer.add_labels(labels, name="others")
    [path] = layer.save(str(tmp_path / "others.geojson"))
    assert len(json.loads(Path(path).read_text())["features"]) == 1
