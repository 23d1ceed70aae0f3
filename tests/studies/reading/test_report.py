"""The report of a reader study."""

from __future__ import annotations

import json

import pytest

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.studies.reading.create import new_study
from napari_histodiff.studies.reading.database import ReaderStudy
from napari_histodiff.studies.reading.report import write_reading_report
from tests.studies.reading.pictures import folders, read_all


@pytest.fixture
def study(tmp_path) -> ReaderStudy:
    real, synthetic = folders(tmp_path)
    return new_study(tmp_path / "a.study", [real], [synthetic])[0]


def test_the_report_of_two_opposite_readers_shows_that_they_cancel(study, tmp_path) -> None:
    read_all(study, "Ann", right=True, seconds=2)
    read_all(study, "<b>Bob", right=False, seconds=4)
    tables = {t.key: t for t in write_reading_report(study, tmp_path / "out", draws=50)}
    column = tables["whole"].columns[0]
    assert tables["whole"].get("p, drawn called real", column) == 0.5
    assert tables["whole"].get("|p - 0.5| by reader, weighted", column) == 0.5
    assert tables["singles"].get("Ann", "AUC") == 1
    assert tables["singles"].get("<b>Bob", "AUC") == 0
    assert tables["times"].get("all", "right") == 2
    assert tables["times"].get("all", "wrong") == 4
    assert {"organ colon", "organ kidney"} <= set(tables["strata"].rows)
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<b>Bob" not in page
    assert page.count("<img") > 3
    assert "http://" not in page.replace("http://www.w3.org", "")
    figures = json.loads((tmp_path / "out" / "figures.json").read_text("utf-8"))
    assert set(figures["tables"]) == set(tables)
    lines = (tmp_path / "out" / "answers.csv").read_text("utf-8").splitlines()
    assert len(lines) == 1 + len(study.answers())


def test_one_reader_has_a_report_without_agreement(study, tmp_path) -> None:
    read_all(study, "Ann", right=False)
    tables = {t.key: t for t in write_reading_report(study, tmp_path / "out", draws=20)}
    assert "agreement" not in tables
    assert list(tables["pairs"].rows) == ["Ann"]


def test_a_study_without_answers_or_with_practice_alone_is_told(study, tmp_path) -> None:
    with pytest.raises(InvalidRequest, match="expected answers"):
        write_reading_report(study, tmp_path / "out")
    seat = study.join("Ann")
    trial = study.next_trial(seat.reader)
    assert trial.practice
    study.answer(seat.reader, trial.trial, chosen=trial.images[0], seconds=1)
    with pytest.raises(InvalidRequest, match="besides practice"):
        write_reading_report(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_told(study, tmp_path) -> None:
    read_all(study, "Ann", right=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_reading_report(study, tmp_path / "file" / "out", draws=5)
