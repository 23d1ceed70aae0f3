"""What a folder in no format, or in two, is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.folders import detect_format
from tests.datasets.formats import feature, square, write_geojson, write_lizard, write_plain


def test_a_folder_of_folders_says_which_hold_images(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_plain(tmp_path / name)
    (tmp_path / "notes").mkdir()
    (tmp_path / ".hidden").touch()
    said = f"got only folders (notes, one, two); give one of them, as {tmp_path / 'one'} or "
    with pytest.raises(TrainingError, match=re.escape(said)):
        detect_format(tmp_path)
    (tmp_path / "readme.txt").touch()
    with pytest.raises(TrainingError, match=r"got notes, one, readme\.txt, two; put the images"):
        detect_format(tmp_path)


@pytest.mark.parametrize("place", [".", "images"])
def test_a_folder_of_whole_slides_says_so(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    for name in "abcdef":
        (tmp_path / place / f"{name}.SVS").touch()
    with pytest.raises(TrainingError, match=r"got slides \(a\.SVS, .*d\.SVS \.\.\.\), which are"):
        detect_format(tmp_path)


def test_two_label_formats_in_one_folder_are_refused(tmp_path: Path) -> None:
    write_lizard(tmp_path)
    write_geojson(tmp_path, [feature(square(1, 1, 5))])
    with pytest.raises(TrainingError, match="labels in one format"):
        detect_format(tmp_path)
