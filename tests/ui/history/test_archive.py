from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.ui.generation.history import History, HistoryEntry
from napari_histodiff.ui.history.archive import Archive
from tests.recording import edit_request

ROOT = Path(__file__).resolve().parents[3]


def entry_of(history: History, caption: str = "colon", side: int = 32) -> HistoryEntry:
    request = EditRequest(
        kind=EditKind.GENERATE,
        region=Region(0, 16, 32, side, side),
        class_map=np.eye(side, dtype=np.uint8),
        caption=caption,
        seed=7,
        variants=2,
    )
    rng = np.random.default_rng(len(history.entries))
    images = rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    tissue = np.ones((side, side), np.uint8)
    return history.add(request, images, 1.5, "the image", tissue, image_name="Canvas")


def test_an_edit_comes_back_whole(tmp_path: Path) -> None:
    entry = entry_of(History())
    Archive(tmp_path / "new").write(entry)
    archive = Archive(tmp_path / "new")
    (kept,) = archive.all()
    again = archive.read(kept)
    np.testing.assert_array_equal(again.images, entry.images)
    np.testing.assert_array_equal(again.tissue, entry.tissue)
    assert again.request.to_dict() == entry.request.to_dict()
    assert (again.id, again.image, again.image_name) == (entry.id, "the image", "Canvas")
    assert max(kept.thumbnail.shape[:2]) <= 60
    for words in ("colon", "seed 7", "Canvas", "x 0.02, y 0.01 mm"):
        assert words in kept.summary()


def test_the_oldest_leave_but_favourites_stay(tmp_path: Path) -> None:
    history = History()
    entries = [entry_of(history) for _ in range(6)]
    archive = Archive(tmp_path)
    archive.write(entries[0])
    size = next(tmp_path.glob("*.zip")).stat().st_size
    archive.budget = round(2.5 * size)
    starred = archive.star(archive.all()[0], favourite=True)
    for entry in entries[1:]:
        archive.write(entry)
    ids = [entry.id for entry in entries]
    assert archive.ids() == [ids[0], *ids[-2:]]
    assert [kept.favourite for kept in archive.all()] == [False, False, True]
    archive.star(starred, favourite=False)
    archive.trim()
    assert archive.ids() == ids[-2:]


def test_the_newest_stays_whatever_the_budget(tmp_path: Path) -> None:
    archive = Archive(tmp_path, budget=1)
    archive.write(entry_of(History()))
    assert len(archive.all()) == 1


def test_damaged_files_are_passed_over(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.write(entry_of(History()))
    (kept,) = archive.all()
    (tmp_path / "1.edit.zip").write_bytes(b"PK no zip")
    assert [one.facts.id for one in archive.all()] == [kept.facts.id]
    next(tmp_path.glob("0*.zip")).unlink()
    with pytest.raises(StorageError, match="take it out"):
        archive.read(kept)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="this session only"):
        Archive(tmp_path / "file").write(entry_of(History()))


def test_search_takes_words_of_caption_kind_and_image(tmp_path: Path) -> None:
    history, archive = History(), Archive(tmp_path)
    archive.write(entry_of(history, "colon, gland"))
    archive.write(entry_of(history, "Skin"))
    skin, colon = archive.all()
    assert skin.matches("skin")
    assert skin.matches("canvas generate")
    assert not skin.matches("skin gland")
    assert colon.matches("GLAND colon")
    assert colon.matches("")


def test_edits_are_copied_to_another_folder_once(tmp_path: Path) -> None:
    first, second = Archive(tmp_path / "a"), Archive(tmp_path / "b")
    first.write(entry_of(History()))
    first.star(first.all()[0], favourite=True)
    for _ in range(2):
        first.copy_to(second, [*first.ids(), "gone"])
    assert second.ids() == first.ids()
    assert second.all()[0].favourite


_WRITER = """
import sys
from pathlib import Path
from tests.ui.history.test_archive import entry_of
from napari_histodiff.ui.generation.history import History
from napari_histodiff.ui.history.archive import Archive
history, archive = History(), Archive(Path(sys.argv[1]))
entry = entry_of(history, side=256)
print("ready", flush=True)
while True:
    archive.write(entry_of(history, side=256))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.parametrize("after", [0.05, 0.13, 0.29])
def test_a_kill_leaves_whole_files_only(after: float, tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    while not list(tmp_path.glob("*.zip")):
        time.sleep(0.005)
    time.sleep(after)
    writer.kill()
    writer.wait()
    writer.stdout.close()
    archive = Archive(tmp_path)
    kept = archive.all()
    assert len(kept) == len(list(tmp_path.glob("*.zip"))) > 0
    assert all(archive.read(one).images.shape == (2, 256, 256, 3) for one in kept)
    archive.write(replace(entry_of(History()), id="9"))
    assert len(archive.all()) == len(kept) + 1


def test_strengths_of_parts_are_kept_and_told(tmp_path: Path) -> None:
    strengths = np.zeros((32, 48), np.float32)
    strengths[8:12, 12:24], strengths[12:16, 12:24] = 1, 0.4
    request = edit_request(EditKind.INPAINT, strength_map=strengths)
    history, archive = History(), Archive(tmp_path)
    entry = history.add(request, np.zeros((1, 32, 48, 3), np.uint8), 1.0, "image")
    archive.write(entry)
    (kept,) = archive.all()
    assert "parts of strength 0.4 to 1" in kept.summary()
    np.testing.assert_array_equal(archive.read(kept).request.strength_map, request.strength_map)
