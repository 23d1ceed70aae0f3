"""A reader study on disk: made whole, moved, resumed, and what it refuses."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_histodiff.core.errors import InvalidImage, InvalidRequest, StorageError
from napari_histodiff.studies.reading.create import new_study
from napari_histodiff.studies.reading.database import ReaderStudy
from napari_histodiff.studies.reading.trials import ReadingOptions
from tests.studies.reading.pictures import drawn_images, folders, read_all


@pytest.fixture
def study(tmp_path) -> ReaderStudy:
    real, synthetic = folders(tmp_path)
    return new_study(tmp_path / "a.study", [real], [synthetic], ReadingOptions(seed=3))[0]


def test_a_study_moves_as_one_file_and_needs_its_folders_no_more(study, tmp_path) -> None:
    read_all(study, "Ann", right=True)
    shutil.rmtree(tmp_path / "real")
    moved = tmp_path / "elsewhere" / "b.study"
    moved.parent.mkdir()
    shutil.move(study.path, moved)
    again = ReaderStudy(moved)
    assert again.answers()
    media, data = again.image(1)
    assert media == "image/jpeg"
    assert Image.open(BytesIO(data)).size == (72, 72)


def test_a_reader_goes_on_where_they_left_off_under_any_spelling(study) -> None:
    seat = study.join(" Ann  B. ")
    assert (seat.name, seat.done) == ("Ann B.", 0)
    trial = study.next_trial(seat.reader)
    study.answer(seat.reader, trial.trial, chosen=trial.images[0], seconds=2)
    again = ReaderStudy(study.path).join("ann b.")
    assert (again.reader, again.done, again.total) == (seat.reader, 1, seat.total)
    assert study.next_trial(again.reader).position == 1
    assert [s.name for s in study.readers()] == ["Ann B."]


def test_answers_say_what_was_right_and_practice_does_not_count(study) -> None:
    read_all(study, "Ann", right=True, seconds=1.5)
    read_all(study, "Bob", right=False)
    answers = study.answers()
    counts = study.counts()
    assert len(answers) == 2 * (sum(counts.values()) - counts["practice"])
    assert len(study.answers(practice=True)) == 2 * sum(counts.values())
    assert {a.right for a in answers if a.reader == "Ann" and a.kind != "catch"} == {True}
    assert {a.right for a in answers if a.reader == "Bob" and a.kind != "catch"} == {False}
    assert {a.right for a in answers if a.kind == "catch"} == {None}
    assert {a.organ for a in answers} == {"colon", "kidney"}
    assert {a.seconds for a in answers if a.reader == "Ann"} == {1.5}
    for a in answers:
        assert [name.startswith("synthetic") for name in a.names] == list(a.synthetic)


def test_neither_numbers_nor_sides_tell_what_is_drawn(study) -> None:
    drawn = drawn_images(study)
    half = len(drawn) // 2
    low = sum(drawn[i] for i in sorted(drawn)[:half])
    assert 0.2 * half < low < 0.8 * half
    seat = study.join("Ann")
    left = []
    while (trial := study.next_trial(seat.reader)) is not None:
        if len(trial.images) == 2:
            left.append(drawn[trial.images[0]])
            study.answer(seat.reader, trial.trial, chosen=trial.images[0], seconds=1)
        else:
            study.answer(seat.reader, trial.trial, rating=3, seconds=1)
    assert {True, False} == set(left)


def test_what_does_not_fit_the_trial_is_refused_and_nothing_is_kept(study) -> None:
    seat = study.join("Ann")
    pair = study.next_trial(seat.reader)
    for wrong in ({"rating": 3}, {"chosen": 10**6}, {}, {"chosen": pair.images[0], "rating": 2}):
        with pytest.raises(InvalidRequest):
            study.answer(seat.reader, pair.trial, seconds=1, **wrong)
    for seconds in (-1, float("nan")):
        with pytest.raises(InvalidRequest, match="time"):
            study.answer(seat.reader, pair.trial, chosen=pair.images[0], seconds=seconds)
    with pytest.raises(InvalidRequest, match="trial of this reader"):
        study.answer(seat.reader, 10**6, chosen=1, seconds=1)
    with pytest.raises(InvalidRequest, match="reader of the study"):
        study.next_trial(99)
    assert study.next_trial(seat.reader) == pair
    study.answer(seat.reader, pair.trial, chosen=pair.images[0], seconds=1)
    with pytest.raises(InvalidRequest, match="second one"):
        study.answer(seat.reader, pair.trial, chosen=pair.images[1], seconds=1)


@pytest.mark.parametrize("name", ["", "  ", "x" * 81])
def test_a_reader_has_a_name(study, name) -> None:
    with pytest.raises(InvalidRequest, match="name of 1 to 80"):
        study.join(name)


def test_many_readers_answer_at_once(study) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: read_all(study, name, right=True), "ABCD"))
    total = sum(study.counts().values())
    assert sorted((s.name, s.done) for s in study.readers()) == [(n, total) for n in "ABCD"]


def test_other_files_and_newer_studies_are_refused(study, tmp_path) -> None:
    with pytest.raises(InvalidRequest, match="got no file"):
        ReaderStudy(tmp_path / "none.study")
    text = tmp_path / "text.study"
    text.write_text("hello " * 50)
    with pytest.raises(InvalidRequest, match="something else"):
        ReaderStudy(text)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE a (b)")
    with pytest.raises(InvalidRequest, match="another database"):
        ReaderStudy(other)
    with closing(sqlite3.connect(study.path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(InvalidRequest, match="version 7, which a newer"):
        ReaderStudy(study.path)


def test_a_damaged_image_is_told(study) -> None:
    with closing(sqlite3.connect(study.path)) as connection, connection:
        connection.execute("UPDATE images SET data = x'00' WHERE id = 1")
    with pytest.raises(StorageError, match="damaged"):
        study.image(1)
    with pytest.raises(InvalidRequest, match="image of the study"):
        study.image(10**6)


def test_a_new_study_overwrites_nothing_and_leaves_nothing_half_written(study, tmp_path) -> None:
    real, synthetic = tmp_path / "real", tmp_path / "synthetic"
    with pytest.raises(StorageError, match="exists"):
        new_study(study.path, [real], [synthetic])
    with pytest.raises(InvalidRequest, match="99 pairs"):
        new_study(tmp_path / "b.study", [real], [synthetic], ReadingOptions(pairs=99))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="expected to write"):
        new_study(tmp_path / "file" / "c.study", [real], [synthetic])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.study", "file", "real", "synthetic"]


def test_images_of_several_sizes_are_cut_to_one_and_it_is_said(tmp_path) -> None:
    real, synthetic = folders(tmp_path)
    Image.fromarray(np.full((100, 300, 3), 200, np.uint8)).save(real / "colon" / "wide.png")
    made, notes = new_study(tmp_path / "a.study", [real], [synthetic])
    assert "72 to 300 px" in notes[0]
    assert made.facts["size"] == "72"
    sizes = {Image.open(BytesIO(made.image(i)[1])).size for i in drawn_images(made)}
    assert sizes == {(72, 72)}
    with pytest.raises(InvalidImage, match="at least 80 px"):
        new_study(tmp_path / "b.study", [real], [synthetic], ReadingOptions(size=80))


def test_one_image_on_both_sides_is_refused_and_twins_on_one_side_are_left_out(tmp_path) -> None:
    real, synthetic = folders(tmp_path)
    shutil.copy(real / "colon" / "real-colon-0.png", real / "colon" / "twin.png")
    _, notes = new_study(tmp_path / "a.study", [real], [synthetic])
    assert "twin.png" in notes[0]
    shutil.copy(real / "colon" / "real-colon-0.png", synthetic / "colon" / "stolen.png")
    with pytest.raises(InvalidRequest, match="either real or synthetic"):
        new_study(tmp_path / "b.study", [real], [synthetic])


def test_sides_of_different_scale_are_refused(tmp_path) -> None:
    real, synthetic = folders(tmp_path, count=4)
    for folder, dpi in ((real, 50_800), (synthetic, 101_600)):
        for path in folder.rglob("*.png"):
            with Image.open(path) as picture:
                picture.save(path, dpi=(dpi, dpi))
    with pytest.raises(InvalidRequest, match="at one scale"):
        new_study(tmp_path / "a.study", [real], [synthetic])


def test_empty_and_missing_folders_are_refused(tmp_path) -> None:
    real, _ = folders(tmp_path)
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "missing"):
        with pytest.raises(InvalidRequest, match=folder):
            new_study(tmp_path / "a.study", [real], [tmp_path / folder])
    assert not Path(tmp_path / "a.study").exists()
