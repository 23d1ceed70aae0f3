"""What the window asks of a scan: once, in words, and not again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QInputDialog

import napari_histodiff as hd
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.remembered import RememberedScans
from napari_histodiff.ui.slide.scans.asking import open_asking
from napari_histodiff.ui.slide.scans.view import ScanView, scan_reader
from tests.slide.scans.layouts import tissue, write_pyramid, write_svs


class Answers:
    """Answers the window's questions, and keeps them."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.offered: list[float] = []
        self.mpp: float | None = 0.5
        self.white: int | None = 4000

    def length(self, parent: Any, title: str, text: str, offered: float, *_: Any) -> Any:
        self.questions.append(text)
        self.offered.append(offered)
        return self.mpp or 0.0, self.mpp is not None

    def value(self, parent: Any, title: str, text: str, offered: int, *_: Any) -> Any:
        self.questions.append(text)
        self.offered.append(offered)
        return self.white or 0, self.white is not None


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: Any) -> Answers:
    answers = Answers()
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")
    monkeypatch.setattr(QInputDialog, "getDouble", answers.length)
    monkeypatch.setattr(QInputDialog, "getInt", answers.value)
    return answers


def opened(path: Path) -> Any:
    return open_asking(path, None, RememberedScans())


def test_nothing_is_asked_where_the_file_knows(tmp_path: Path, answers: Answers) -> None:
    opened(write_pyramid(tmp_path / "a.tif", [tissue(300, 400)])).close()
    assert answers.questions == []


def test_the_length_of_a_pixel_is_asked_once(tmp_path: Path, answers: Answers) -> None:
    path = write_svs(tmp_path / "a.svs", [tissue(300, 400)], "AppMag = 40")
    for _ in range(2):
        scan = opened(path)
        assert (scan.facts.mpp, scan.facts.mpp_from) == ((0.5, 0.5), "asked")
        scan.close()
    assert len(answers.questions) == 1
    assert "a.svs does not say how long a pixel is. Its objective was 40×." in answers.questions[0]
    assert answers.offered == [0.25]
    with hd.open_slide(path) as slide:
        assert slide.mpp == 0.5


def test_who_does_not_know_the_length_sees_the_slide_and_is_asked_again(
    tmp_path: Path, answers: Answers
) -> None:
    path = write_pyramid(tmp_path / "a.tif", [tissue(300, 400)], mpp=None)
    answers.mpp = None
    for _ in range(2):
        scan = opened(path)
        assert scan.facts.mpp is None
        scan.close()
    assert len(answers.questions) == 2


def test_the_white_of_16_bits_is_asked_once(tmp_path: Path, answers: Answers) -> None:
    pixels = np.full((300, 400, 3), 2000, np.uint16)
    path = write_pyramid(tmp_path / "a.tif", [pixels])
    for _ in range(2):
        scan = opened(path)
        assert (scan.read(Region(0, 0, 0, 9, 9)) == 128).all()
        scan.close()
    assert len(answers.questions) == 1
    assert "a.tif has 16 bits a colour" in answers.questions[0]


def test_both_questions_of_a_slide_that_says_nothing(tmp_path: Path, answers: Answers) -> None:
    path = write_pyramid(tmp_path / "a.tif", [np.full((300, 400, 3), 2000, np.uint16)], mpp=None)
    for _ in range(2):
        scan = opened(path)
        assert scan.facts.mpp == (0.5, 0.5)
        assert (scan.read(Region(0, 0, 0, 9, 9)) == 128).all()
        scan.close()
    assert len(answers.questions) == 2


def test_a_slide_of_16_bits_that_nobody_wants_is_not_opened(
    tmp_path: Path, answers: Answers
) -> None:
    answers.white = None
    path = write_pyramid(tmp_path / "a.tif", [np.full((300, 400, 3), 2000, np.uint16)])
    assert opened(path) is None


def test_a_view_of_the_answered_slide_is_in_micrometres(tmp_path: Path, answers: Answers) -> None:
    path = write_pyramid(tmp_path / "a.tif", [tissue(1300, 1100)], mpp=None)
    view = ScanView(ViewerModel(), opened(path))
    assert tuple(view.layer.scale) == (0.5, 0.5)
    assert str(view.layer.units[0]) == "micrometer"
    assert view.layer.name == "a"
    assert [level.shape for level in view.layer.data] == [
        (1300, 1100, 3),
        (650, 550, 3),
        (325, 275, 3),
    ]
    view.close()
    view.close()
    read = scan_reader(str(path))
    assert read is not None
    [(levels, arguments, kind)] = read(str(path))
    assert (tuple(arguments["scale"]), kind) == ((0.5, 0.5), "image")
    levels[0].scan.close()
