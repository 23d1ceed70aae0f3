"""The page of a reader study in a headless Chromium, answered by keyboard alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from napari_histodiff.studies.reading.create import new_study
from napari_histodiff.studies.reading.database import ReaderStudy
from napari_histodiff.studies.reading.trials import ReadingOptions
from napari_histodiff.studies.reading.web import StudyServer
from tests.studies.reading.browser import Page, browser, chromium
from tests.studies.reading.pictures import folders

_PROGRAM = chromium()

pytestmark = pytest.mark.skipif(
    _PROGRAM is None, reason="needs Chromium or Chrome; on Debian: apt install chromium"
)

#: The trial in view can be answered, the one of that number, or all are.
_READY = "typeof busy !== 'undefined' && state && state.done === {} && !busy"
_AT_END = "!document.getElementById('end').hidden"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert _PROGRAM is not None
    with browser(_PROGRAM) as opened:
        yield opened


@pytest.fixture
def study(tmp_path) -> ReaderStudy:
    real, synthetic = folders(tmp_path, count=6, side=256)
    options = ReadingOptions(pairs=3, singles=3, catch=1, practice=1, title="Is it real?")
    return new_study(tmp_path / "a.study", [real], [synthetic], options)[0]


@pytest.fixture
def address(study) -> Iterator[str]:
    server = StudyServer(study)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server.address
    server.close()
    thread.join()


def _join(page: Page, address: str, name: str) -> None:
    page.open(address)
    page.wait("document.activeElement.id === 'name' && study")
    page.type(name)
    page.press("Enter")


def _answer(page: Page, number: int, key: str, rating: str) -> dict[str, int]:
    """Answer the trial in view by a key; what was said of it, as the study keeps it."""
    page.wait(_READY.format(number))
    trial = page.eval("state.trial")
    images = trial["images"]
    page.press(key if len(images) == 2 else rating)
    page.wait(f"state.done === {number + 1}")
    if len(images) == 1:
        return {trial["number"]: int(rating)}
    return {trial["number"]: images[key in ("ArrowRight", "2")]}


def test_a_whole_study_is_read_by_keyboard_and_goes_on_after_a_reload(page, study, address) -> None:
    page.resize(1366, 768)
    _join(page, address, "Ann")
    said = {}
    for number, (key, rating) in enumerate((("ArrowLeft", "1"), ("2", "6"), ("1", "4"))):
        said |= _answer(page, number, key, rating)
    _join(page, address, "ann ")  # the page was closed; a name is known in any spelling
    page.wait(_READY.format(3))
    page.press("/")
    page.wait("document.activeElement.id === 'reason'")
    page.type("1 crisp")  # a number in a reason is no answer
    page.press("Enter")
    page.wait("document.activeElement.id !== 'reason' && state.done === 3")
    reasoned = page.eval("state.trial.number")
    for number in range(3, 8):
        said |= _answer(page, number, "ArrowRight", "5")
    page.wait(_AT_END)
    assert "Thank you" in page.text
    kept = study.answers(practice=True)
    assert len(kept) == len(said) == 8
    found = {a.trial: a.rating or a.images[a.chosen or 0] for a in kept}
    assert found == said
    assert {a.trial: a.reason for a in kept if a.reason} == {reasoned: "1 crisp"}
    assert all(answer.seconds > 0 for answer in kept)
    assert len(study.readers()) == 1


@pytest.mark.parametrize(
    ("width", "height", "phone"), [(1366, 768, False), (1280, 720, False), (390, 844, True)]
)
def test_a_trial_is_seen_whole_without_scrolling(
    page, study, address, width, height, phone
) -> None:
    page.resize(width, height, phone=phone)
    _join(page, address, f"{width}")
    shown = set()
    for number in range(8):
        page.wait(_READY.format(number))
        kind = page.eval("document.getElementById('images').className")
        shown.add(kind)
        root = page.eval(
            "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        assert root[0] <= width
        assert root[1] <= height
        widths = page.eval("[...document.querySelectorAll('figure img')].map(i => i.offsetWidth)")
        assert min(widths) > 0.55 * min(width, height)
        _answer(page, number, "ArrowLeft", "3")
    assert shown == {"one", "two"}


def test_an_answer_that_does_not_arrive_is_told_and_can_be_given_again(
    page, study, address
) -> None:
    page.resize(1366, 768)
    _join(page, address, "Bo")
    page.wait(_READY.format(0))
    page.offline(True)
    page.press("1")
    page.wait("document.querySelector('.error').textContent")
    assert "does not answer" in page.text
    assert study.answers(practice=True) == []
    page.offline(False)
    _answer(page, 0, "1", "1")
    page.wait(_READY.format(1))
    assert not page.eval("document.querySelector('.error').textContent")
    assert len(study.answers(practice=True)) == 1
