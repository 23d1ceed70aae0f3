"""Whatever became of the files of edits, they show right pixels, or one of our errors says why."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from tests.slide.overlays.fake_scan import FakeScan, levels_of, make_scan, random_edit, request

#: How many damaged folders each test opens; HISTODIFF_FUZZ makes it more.
COUNT = int(os.environ.get("HISTODIFF_FUZZ", "40"))

OUTCOMES: Counter[str] = Counter()

damage = settings(max_examples=COUNT, suppress_health_check=[HealthCheck.too_slow])


class Made:
    """Edits of a scan, as they were written, and what they show, now and one step before."""

    def __init__(self, folder: Path) -> None:
        self.scan: FakeScan = make_scan(folder / "slide.svs", 400, 330)
        self.path = folder / "edits"
        rng = np.random.default_rng(0)
        with ScanOverlay.create(self.path, self.scan) as overlay:
            for _ in range(4):
                region, new, mask = random_edit(self.scan.spec, rng)
                self.before = levels_of(overlay)
                overlay.write(request(region), new, mask)
            self.shown = levels_of(overlay)
        self.files = sorted(file for file in self.path.rglob("*") if file.is_file())
        self.names = [file.relative_to(self.path) for file in self.files]


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    with tempfile.TemporaryDirectory() as name:
        yield Made(Path(name))
    print(dict(OUTCOMES))  # noqa: T201  shown with `pytest -s`


def outcome(folder: Path, made: Made) -> str:
    """Open a folder, look at all of it, and take a step back; errors of others go through."""
    try:
        with ScanOverlay.open(folder, made.scan, read_only=False) as overlay:
            try:
                shown = levels_of(overlay)
            except HistodiffError as error:
                return told(error, "damaged")
            wrong = [not np.array_equal(a, b) for a, b in zip(shown, made.shown, strict=True)]
            overlay.verify()
            list(overlay.requests())
            if overlay.can_undo:
                overlay.undo()
            if any(wrong):
                return "other pixels"
            return "whole"
    except HistodiffError as error:
        return told(error, "refused")


def told(error: HistodiffError, what: str) -> str:
    assert str(error).startswith("expected ")
    return what


@damage
@given(data=st.data())
def test_changed_bytes(made: Made, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(made.path, Path(name) / "edits"))
        file = folder / data.draw(st.sampled_from(made.names))
        content = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, max(0, len(content) - 1)))
            content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if data.draw(st.booleans()):
            content = content[: data.draw(st.integers(0, len(content)))]
        file.write_bytes(content)
        found = outcome(folder, made)
        OUTCOMES[f"changed {file.suffix or file.parent.name}: {found}"] += 1
        assert found != "other pixels", file.relative_to(folder)


@damage
@given(data=st.data())
def test_files_that_are_gone(made: Made, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(made.path, Path(name) / "edits"))
        for lost in data.draw(st.lists(st.sampled_from(made.names), min_size=1, max_size=3)):
            (folder / lost).unlink(missing_ok=True)
        OUTCOMES[f"gone: {outcome(folder, made)}"] += 1
