from __future__ import annotations

import pytest

from napari_histodiff.core.errors import StorageError, make_folder


def test_a_folder_is_made_with_its_parents_and_may_be_there(tmp_path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_file_in_the_way_is_refused(tmp_path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(StorageError, match="choose another folder"):
        make_folder(tmp_path / "a" / "b")
