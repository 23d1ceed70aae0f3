from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from napari_histodiff.cli.training import train
from napari_histodiff.ui.training.form import found_in
from napari_histodiff.ui.training.settings import (
    BUNDLED,
    RunFolder,
    TrainingSettings,
    TrainingStore,
    problem_of,
    suggested_output,
    training_command,
)


@pytest.fixture
def settings(tmp_path: Path) -> TrainingSettings:
    (tmp_path / "slides").mkdir()
    for name in ("a.png", "a.geojson"):
        (tmp_path / "slides" / name).touch()
    return TrainingSettings(data=str(tmp_path / "slides"), output=str(tmp_path / "run"))


def _changed(settings: TrainingSettings, **changes: object) -> TrainingSettings:
    return TrainingSettings.from_dict(
        {name: getattr(settings, name) for name in settings.__dataclass_fields__} | changes
    )


def test_the_command_says_everything_the_form_does() -> None:
    settings = TrainingSettings(data="/d", mpp=0.25, organ="lymph node", output="/o", minutes=90)
    assert training_command(settings) == [
        *(sys.executable, "-P", "-m", "napari_histodiff", "train", "--from", BUNDLED),
        *("--data", "/d", "--mpp", "0.25", "--organ", "lymph node"),
        *("--hours", "1.5", "--samples", "100000000"),
        *("--device", "auto", "-o", "/o"),
    ]
    by_crops = _changed(settings, by_time=False, samples=5000, organ="")
    command = training_command(by_crops, resume=True)
    assert command[-1] == "--resume"
    assert command[command.index("--samples") + 1] == "5000"
    assert command[command.index("--hours") + 1] == "168"
    assert "--organ" not in command


def test_the_command_line_understands_the_command() -> None:
    settings = TrainingSettings(data="/d", organ="lung", output="/o", start="/m", device="cpu")
    _, _, _, package, name, *arguments = training_command(settings, resume=True)
    assert (package, name) == ("napari_histodiff", "train")
    read = train.make_context("train", arguments).params
    assert (read["data"], read["output"], read["init_from"]) == (Path("/d"), Path("/o"), "/m")
    assert (read["mpp"], read["hours"], read["organ"]) == (0.5, 2.0, "lung")
    assert (read["device"], read["resume"], read["config"]) == ("cpu", True, None)


def test_nothing_keeps_a_good_run_from_starting(settings: TrainingSettings) -> None:
    assert problem_of(settings) == ""
    assert found_in(settings.data) == "Found QuPath annotations: 1 .geojson, 1 .png"


def test_what_keeps_a_run_from_starting_is_said(settings: TrainingSettings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for changes, words in (
        ({"data": ""}, "Choose the folder with your images"),
        ({"data": str(tmp_path / "none")}, "Expected a folder of images"),
        ({"data": str(tmp_path / "empty")}, "got nothing"),
        ({"start": ""}, "Choose the model folder"),
        ({"start": str(tmp_path)}, "model_index.json"),
        ({"output": ""}, "Choose an output folder"),
        ({"output": "runs/one"}, "full path"),
        ({"output": settings.data}, "of its own"),
        ({"output": str(tmp_path)}, "of its own"),
        ({"output": str(tmp_path / "file")}, "which is a file"),
    ):
        assert words in problem_of(_changed(settings, **changes)), changes
    assert found_in(str(tmp_path / "empty")) == found_in("") == ""


def test_a_full_disk_is_said_before_the_start(
    settings: TrainingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 3e6})())
    assert "got 3.0 MB" in problem_of(settings)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"minutes": 0, "mpp": "fine", "x": 1}'])
def test_a_garbled_file_means_defaults(tmp_path: Path, text: str) -> None:
    store = TrainingStore(tmp_path / "training.json")
    store.path.write_text(text)
    assert store.load() == TrainingSettings()


def test_whole_numbers_pass_for_real_ones_but_not_for_switches(tmp_path: Path) -> None:
    store = TrainingStore(tmp_path / "training.json")
    store.path.write_text(json.dumps({"mpp": 1, "by_time": 1, "minutes": True}))
    assert store.load() == TrainingSettings(mpp=1.0)


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = TrainingStore(tmp_path / "file" / "training.json")
    store.save(TrainingSettings(minutes=3))
    assert store.load() == TrainingSettings()


def test_a_new_output_is_one_no_run_has_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    first = Path(suggested_output("/data/colon"))
    assert first == tmp_path / "histodiff-models" / "colon-1"
    first.mkdir(parents=True)
    assert suggested_output("/data/colon") == str(first.with_name("colon-2"))


def test_the_newest_sheet_is_the_one_of_most_crops(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.newest_sheet() is None
    (tmp_path / "sheets").mkdir()
    for samples in (90, 1200, 400):
        (tmp_path / "sheets" / f"sheet_{samples:08d}.png").touch()
    assert folder.newest_sheet() == tmp_path / "sheets" / "sheet_00001200.png"
