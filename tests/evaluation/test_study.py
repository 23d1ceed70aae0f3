from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.colours import CLASS_HEX, colour_nuclei
from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import load_pack, pack
from napari_histodiff.evaluation.study import run_study
from napari_histodiff.evaluation.tiles import choose_tiles
from tests.data_folder import write_data_folder
from tests.fakes import FakeBackend


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    return pack(write_data_folder(folder), folder / "test.npz", split="test")


def test_tiles_come_from_every_set_that_has_nuclei(data: Path) -> None:
    tiles = choose_tiles(load_pack(data), 4, size=128)
    assert len({tile.caption.split(",")[0] for tile in tiles}) == 3  # colon, kidney, brain
    assert all(tile.image.shape == (128, 128, 3) for tile in tiles)


def test_more_tiles_than_images_are_refused(data: Path) -> None:
    with pytest.raises(TrainingError, match="ask for fewer tiles"):
        choose_tiles(load_pack(data), 50, size=128)


def test_a_study_leaves_sheets_figures_and_a_report(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "napari_histodiff.evaluation.study.choose_tiles",
        lambda packed, count: choose_tiles(packed, count, size=64),
    )
    run_study(FakeBackend(), data, tmp_path, tiles=3, edits=2, steps=2)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [entry["guidance"] for entry in figures] == [1.0, 1.5, 2.5]
    assert all(entry["tiles"] == 3 for entry in figures)
    report = (tmp_path / "report.md").read_text()
    assert "nuclear_auc_real" in report
    assert (tmp_path / "generation.png").is_file()
    assert (tmp_path / "editing.png").is_file()


def test_nuclei_have_the_colour_of_their_class_and_dark_edges() -> None:
    class_map = np.zeros((9, 9), np.uint8)
    class_map[2:7, 2:7] = 3
    picture = colour_nuclei(class_map)
    assert "#{:02x}{:02x}{:02x}".format(*picture[4, 4]) == CLASS_HEX[2]
    assert picture[2, 2].sum() < picture[4, 4].sum()
    assert (picture[0, 0] == 255).all()
