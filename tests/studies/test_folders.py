"""Folders of anybody's images, measured against real ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.studies import folders
from napari_histodiff.studies.folders import compare_folders
from tests.evaluation.doubles import FakeJudge


def write_images(folder: Path, seed: int, level: float, count: int = 10, side: int = 128) -> Path:
    """Noise around a grey level, its own in each image."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for i in range(count):
        noise = rng.normal(level + rng.normal(0, 10), rng.uniform(10, 20), (side, side, 3))
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def real(tmp_path) -> Path:
    return write_images(tmp_path / "real", 0, 180, count=20)


def test_what_is_like_real_tissue_is_near_and_what_is_not_is_far(real, tmp_path) -> None:
    good = write_images(tmp_path / "good", 1, 180)
    bad = write_images(tmp_path / "bad", 2, 90)
    found = compare_folders(FakeJudge(), real, [good, bad], tmp_path / "out", size=32)
    table = found[0]
    assert list(table.rows) == ["good", "bad", "real, other half"]
    for column in ("FD", "KD", "patch FD", "appearance FD"):
        assert table.get("good", column) < table.get("bad", column)
    assert table.get("bad", "FD") > 50 * table.get("real, other half", "FD")
    assert table.get("bad", "critic's AUC") > 0.95
    assert table.get("real, other half", "critic's AUC") < 0.75
    assert {table.get(row, "crops") for row in table.rows} == {160}
    assert (tmp_path / "out" / "report.html").read_text("utf-8").count("<img") == 1


def test_a_folder_of_whole_slides_is_none_of_images(real, tmp_path) -> None:
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "a.svs").touch()
    with pytest.raises(InvalidRequest, match=r"got slides \(a\.svs\); cut them"):
        compare_folders(FakeJudge(), real, [tmp_path / "slides"], tmp_path / "out", size=32)


def test_a_copy_of_training_tissue_is_found_and_shown(real, tmp_path) -> None:
    train = write_images(tmp_path / "train", 3, 180)
    copies = Path(shutil.copytree(train, tmp_path / "copies"))
    new = write_images(tmp_path / "new", 4, 180)
    out = tmp_path / "out"
    found = compare_folders(FakeJudge(), real, [copies, new], out, size=32, train=train)
    memory = {t.key: t for t in found}["memory"]
    assert memory.get("copies", "ratio") == 0
    assert memory.get("copies", "share nearer than 5 % of real") == 1
    assert memory.get("new", "ratio") > 0.5
    assert (out / "report.html").read_text("utf-8").count("<img") == 4


def test_inception_figures_stand_beside_when_weights_are_given(real, tmp_path, monkeypatch) -> None:
    class Scores:
        fid, kid_mean, is_mean = 3.0, 0.002, 1.5

    monkeypatch.setattr(folders, "inception_scores", lambda *_, **__: Scores)
    good = write_images(tmp_path / "good", 1, 180)
    found = compare_folders(
        FakeJudge(), real, [good], tmp_path / "out", size=32, inception_weights=tmp_path / "w"
    )
    table = {t.key: t for t in found}["inception"]
    assert table.rows["good"] == (3.0, 2.0, 1.5, 3.0, 160)


def test_what_cannot_be_compared_is_refused(real, tmp_path) -> None:
    few = write_images(tmp_path / "few", 1, 180, count=2)
    small = write_images(tmp_path / "small", 1, 180, side=20)
    other = tmp_path / "deep" / "real"
    other.parent.mkdir()
    write_images(other, 1, 180)
    judge, out = FakeJudge(), tmp_path / "out"
    with pytest.raises(InvalidRequest, match="at least 4 images"):
        compare_folders(judge, real, [few], out, size=32)
    with pytest.raises(InvalidImage, match="20 x 20"):
        compare_folders(judge, real, [small], out, size=32)
    with pytest.raises(InvalidRequest, match="multiple of 32"):
        compare_folders(judge, real, [real], out, size=100)
    with pytest.raises(InvalidRequest, match="different names"):
        compare_folders(judge, real, [other, other], out, size=32)
    with pytest.raises(InvalidRequest, match="got none"):
        compare_folders(judge, real, [tmp_path / "none"], out, size=32)
    assert not out.exists()


def test_the_command_takes_folders_and_says_what_it_lacks(real, tmp_path) -> None:
    alone = CliRunner().invoke(main, ["evaluate", str(real)])
    assert alone.exit_code == 2
    assert "--images" in alone.output
    good = write_images(tmp_path / "good", 1, 180)
    out = tmp_path / "out"
    arguments = ["evaluate", str(real), "--images", str(good), "--crop", "64", "-o", str(out)]
    told = CliRunner().invoke(main, [*arguments, "--device", "cpu"])
    assert told.exit_code == 0, told.output
    assert "real, other half" in told.output
    assert (out / "report.html").is_file()
