"""Edits of a scan through the workspace: they last, undo works after a restart, as does paint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.slide.lazy_levels import LevelArray
from napari_histodiff.slide.overlays.edited_scan import EditedLevel, EditedScan
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.places import NeedsPlace
from napari_histodiff.ui.generation.history import History
from napari_histodiff.ui.generation.staged import StagedVariants
from napari_histodiff.ui.saving.saving import Saved, Saving
from napari_histodiff.ui.slide.scans.target import EditedScanTarget
from napari_histodiff.ui.workspace.targets import register_target
from napari_histodiff.ui.workspace.workspace import Workspace
from tests.slide.overlays.fake_scan import FakeScan, make_scan, request
from tests.ui.slide.stage import Clock, wait_until

FRAME = Region(0, 256, 192, 128, 192)
NEW = np.random.default_rng(1).integers(0, 256, (*FRAME.shape, 3), np.uint8)
MASK = np.random.default_rng(2).random(FRAME.shape) < 0.5


class Level(LevelArray):
    """A level of a scan as a window shows it."""

    def __init__(self, scan: FakeScan, level: int) -> None:
        super().__init__(scan.spec.bounds(level).shape, level == scan.spec.levels - 1)
        self._scan, self._level = scan, level

    @property
    def level(self) -> int:
        return self._level

    @property
    def name(self) -> str:
        return f"fake-{self._level}"

    def _read(self, region: Region) -> np.ndarray:
        return self._scan.read(region)

    def _load(self) -> np.ndarray:
        self._whole = whole = self._scan.read(self._bounds())
        return whole


@dataclass
class Window:
    """A scan in a viewer without a window."""

    path: Path
    place: Path | None = None
    clock: Clock = field(default_factory=Clock)
    told: list[str] = field(default_factory=list)
    viewer: Any = field(default_factory=ViewerModel)

    def __post_init__(self) -> None:
        self.scan = FakeScan(self.path)
        self.edited = EditedScan(self.scan)
        levels = [EditedLevel(Level(self.scan, level), self.edited) for level in range(3)]
        mpp = self.scan.spec.mpp
        self.layer = Image(levels, multiscale=True, rgb=True, scale=(mpp, mpp), units=("um", "um"))
        self.target = EditedScanTarget(self.layer, self.edited, self._ask, self.clock)
        self.target.told.connect(self.told.append)
        register_target(self.target)
        self.viewer.add_layer(self.layer)
        self.workspace = Workspace(self.viewer)
        self.workspace.use_layer(self.layer)
        self.document = self.workspace.document
        self.document.set_frame(FRAME)

    def _ask(self, needs: NeedsPlace) -> Path | None:
        assert "choose another folder" in str(needs)
        return self.place

    def apply(self, region: Region = FRAME) -> None:
        self.wait(self.document.write(region, NEW, MASK, request(region)))

    def wait(self, step: Any) -> None:
        wait_until(lambda: self.target.pump() or step.is_over)
        assert step.error is None

    def close(self) -> None:
        self.viewer.layers.remove(self.layer)
        self.target.close()


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_scan(tmp_path / "slides" / "slide.svs").path


@pytest.fixture
def window(path: Path):
    window = Window(path)
    yield window
    window.close()


def folders(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


def test_looking_and_moving_the_frame_leave_nothing_on_the_disk(window, path):
    window.document.set_frame(FRAME.translate(64, 64))
    window.clock.now += 60
    window.target.pump()
    assert folders(path) == ["slide.svs"]
    assert not window.workspace.can_undo
    np.testing.assert_array_equal(
        window.document.snapshot().image, window.scan.read(window.document.region)
    )


def test_an_edit_is_shown_and_told_where_it_is_kept(window, path):
    seen = []
    window.document.pixels_changed.connect(seen.append)
    window.apply()
    expected = np.where(MASK[..., None], NEW, window.scan.read(FRAME))
    np.testing.assert_array_equal(window.layer.data[0][256:384, 192:384], expected)
    np.testing.assert_array_equal(window.document.snapshot().image, expected)
    coarse = window.edited.read(window.scan.spec.bounds(2))
    np.testing.assert_array_equal(np.asarray(window.layer.data[-1]), coarse)
    assert (coarse != window.scan.pixels[2]).any()
    assert seen == [FRAME]
    assert window.told == [
        f"The edits of this slide are kept in {path.with_name('slide.histodiff.ome.zarr')}"
    ]


def test_undo_and_redo_work_after_a_restart(path):
    first = Window(path)
    first.apply()
    first.close()
    second = Window(path)
    expected = np.where(MASK[..., None], NEW, second.scan.read(FRAME))
    np.testing.assert_array_equal(second.document.snapshot().image, expected)
    np.testing.assert_array_equal(
        np.asarray(second.layer.data[-1]), second.edited.read(second.scan.spec.bounds(2))
    )
    assert second.workspace.can_undo
    second.wait(second.document.undo())
    np.testing.assert_array_equal(second.document.snapshot().image, second.scan.read(FRAME))
    np.testing.assert_array_equal(np.asarray(second.layer.data[-1]), second.scan.pixels[2])
    second.wait(second.document.redo())
    np.testing.assert_array_equal(second.document.snapshot().image, expected)
    second.close()


def test_paint_comes_back_after_a_restart_at_its_place_and_level(path):
    first = Window(path)
    nuclei = np.zeros(FRAME.shape, np.int32)
    nuclei[30:60, 40:80] = 3
    classes = np.where(nuclei > 0, 2, 0).astype(np.uint8)
    first.document.paint_nuclei(classes, nuclei)
    painted = first.document.nuclei.labels.copy()
    first.document.set_frame(FRAME.translate(128, 0))
    first.close()
    assert any("What you paint" in text for text in first.told)
    second = Window(path)
    second.document.set_frame(FRAME.translate(128, 0))
    assert not second.document.nuclei.labels.any()
    second.document.set_frame(FRAME)
    np.testing.assert_array_equal(second.document.nuclei.labels, painted)
    assert second.document.nuclei.next_instance > painted.max() // 7
    second.close()


def test_paint_is_kept_a_moment_after_the_stroke(window, path):
    nuclei = np.ones(FRAME.shape, np.int32)
    window.document.paint_nuclei(np.ones(FRAME.shape, np.uint8), nuclei)
    window.target.pump()
    assert folders(path) == ["slide.svs"]
    window.clock.now += 3
    wait_until(lambda: window.target.pump() or window.edited.overlay is not None)
    wait_until(lambda: window.edited.overlay.labels(FRAME).any())
    assert not window.workspace.can_undo


def test_where_nothing_can_be_written_a_place_is_asked_for(path, tmp_path, monkeypatch):
    def refuse(scan, place=None, **more):
        if place is None:
            raise NeedsPlace("expected a folder; choose another folder for them")
        return ScanOverlay.create(place / "slide.histodiff.ome.zarr", scan)

    monkeypatch.setattr("napari_histodiff.slide.overlays.edited_scan.open_overlay", refuse)
    window = Window(path)
    window.document.paint_nuclei(np.ones(FRAME.shape, np.uint8), np.ones(FRAME.shape, np.int32))
    window.clock.now += 3
    window.target.pump()  # asks nothing: only an edit does
    with pytest.raises(InvalidRequest, match="nothing was applied"):
        window.apply()
    assert folders(path) == ["slide.svs"]
    window.place = tmp_path
    window.apply()
    window.close()
    with ScanOverlay.open(tmp_path / "slide.histodiff.ome.zarr", FakeScan(path)) as overlay:
        assert overlay.can_undo
        assert overlay.labels(FRAME).any()


def test_a_second_window_looks_on_and_follows(path):
    first = Window(path)
    first.apply()
    second = Window(path)
    assert "open in another window" in second.document.unready()
    assert not second.workspace.can_undo
    first.wait(first.document.undo())
    second.clock.now += 2
    second.target.pump()
    np.testing.assert_array_equal(second.edited.read(FRAME), second.scan.read(FRAME))
    np.testing.assert_array_equal(np.asarray(second.layer.data[-1]), second.scan.pixels[2])
    second.close()
    first.close()


def test_a_scan_that_is_gone_is_told_and_nothing_is_half_written(window, path):
    window.apply()
    before = {file: file.read_bytes() for file in path.parent.rglob("*/c/*") if file.is_file()}
    path.rename(path.with_name("away.svs"))
    step = window.document.undo()
    wait_until(lambda: window.target.pump() or step.is_over)
    assert "put it back or plug its disk in" in str(step.error)
    assert {f: f.read_bytes() for f in path.parent.rglob("*/c/*") if f.is_file()} == before
    path.with_name("away.svs").rename(path)
    window.wait(window.document.undo())
    np.testing.assert_array_equal(window.document.snapshot().image, window.scan.read(FRAME))


def test_levels_of_up_to_four_um_are_edited_and_one_begins_at_the_finest(window):
    assert window.target.levels == 3
    assert window.document.region.level == 0
    window.workspace.document.set_level(1)
    region = window.document.region
    step = window.document.write(
        region, np.zeros((*region.shape, 3), np.uint8), None, request(region)
    )
    window.wait(step)
    below = window.layer.data[0][2 * region.y : 2 * region.y + 4, 2 * region.x : 2 * region.x + 4]
    assert not below.any()


def test_the_frame_of_a_scan_is_saved_with_the_tissue_painted_at_its_level(
    window: Window, tmp_path: Path
) -> None:
    window.document.set_frame(Region(1, 64, 64, 128, 96))
    tissue = np.zeros((128, 96), np.uint8)
    tissue[8:80, 4:50] = 3
    window.document.paint_tissue(tissue)
    staged = StagedVariants(window.viewer, window.workspace, print, lambda: True)
    saving = Saving(window.workspace, staged, History(), lambda _: None)
    step = saving.save(tmp_path / "out", None, what=Saved.FRAME)
    assert step is not None
    wait_until(lambda: saving.deliver() or step.is_over)
    assert step.error is None
    picture = read_picture(tmp_path / "out" / "histodiff_frame_001_tissue.png")
    assert np.array_equal(picture.ids(), tissue)
    assert picture.mpp == pytest.approx(2 * window.scan.spec.mpp, rel=1e-3)
