from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.project.folder import FILE, ProjectFolder, read_project, same_file

ROOT = Path(__file__).resolve().parents[3]
TILE = Region(0, 0, 0, 8, 8)
OTHER = Region(1, -256, 512, 8, 8)


def describe(*keys: str, **more: object) -> dict[str, object]:
    images = [{"key": key, "name": key} for key in keys]
    return {"images": images, "saved": 0.0, **more}


def test_arrays_come_back_at_their_places(tmp_path: Path) -> None:
    folder = ProjectFolder(tmp_path / "new")
    first = np.arange(64, dtype=np.int32).reshape(8, 8)
    second = np.full((8, 8, 4), 9, np.uint8)
    folder.write(describe("a", "b"), {("a", "nuclei", OTHER): first, ("b", "pixels", TILE): second})
    found = read_project(folder.path)
    assert set(found.arrays) == {("a", "nuclei", OTHER), ("b", "pixels", TILE)}
    np.testing.assert_array_equal(found.arrays["a", "nuclei", OTHER], first)
    assert found.arrays["a", "nuclei", OTHER].dtype == np.int32
    assert found.title.startswith("a and 1 more, ")


def test_only_what_changed_is_written_and_what_is_gone_is_dropped(tmp_path: Path) -> None:
    folder = ProjectFolder(tmp_path)
    slot, other = ("a", "nuclei", TILE), ("b", "nuclei", TILE)
    folder.write(describe("a", "b"), {slot: np.ones((8, 8)), other: np.full((8, 8), 2)})
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "arrays").iterdir()}
    assert len(kept) == 2
    folder.write(describe("a", "b"), {slot: np.zeros((8, 8))})
    folder = ProjectFolder(tmp_path)  # as in the next session
    folder.write(describe("a", "b"), {})
    (left,) = (tmp_path / "arrays").iterdir()
    assert left.stat().st_mtime_ns == kept[left]
    folder.write(describe("a"), {})  # b was closed
    assert not list((tmp_path / "arrays").iterdir())
    assert read_project(tmp_path).arrays == {}


def test_a_project_moves_with_all_it_holds(tmp_path: Path) -> None:
    folder = ProjectFolder(tmp_path / "session")
    folder.write(describe("a"), {("a", "nuclei", TILE): np.ones((8, 8))})
    folder.move(tmp_path / "named")
    folder.write(describe("a"), {})
    np.testing.assert_array_equal(
        read_project(tmp_path / "named").arrays["a", "nuclei", TILE], np.ones((8, 8))
    )


def test_what_is_no_project_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="choose a folder"):
        read_project(tmp_path)
    ProjectFolder(tmp_path).write(describe("a"), {("a", "nuclei", TILE): np.ones((8, 8))})
    next((tmp_path / "arrays").iterdir()).write_bytes(b"garbled")
    with pytest.raises(StorageError, match="choose a folder"):
        read_project(tmp_path)
    (tmp_path / FILE).write_text('{"histodiff_project": 99}')
    with pytest.raises(StorageError, match="version"):
        read_project(tmp_path)


def test_a_project_of_a_living_process_is_busy(tmp_path: Path) -> None:
    ProjectFolder(tmp_path).write(describe("a"), {})
    assert not read_project(tmp_path).is_busy  # ours
    code = (
        "import sys; from pathlib import Path; "
        "from tests.ui.project.test_folder import describe; "
        "from napari_histodiff.ui.project.folder import ProjectFolder; "
        "ProjectFolder(Path(sys.argv[1])).write(describe('a'), {}); "
        "print(1, flush=True); sys.stdin.read()"
    )
    other = _python(code, tmp_path)
    assert other.stdout is not None
    other.stdout.readline()
    assert read_project(tmp_path).is_busy
    other.kill()
    other.communicate()
    assert not read_project(tmp_path).is_busy


def test_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bytes(300_000))
    same = same_file(path)
    assert same == same_file(path)
    path.write_bytes(bytes(299_999) + b"1")
    assert same_file(path) != same
    assert same_file(tmp_path) is None


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.project.folder import ProjectFolder
from tests.ui.project.test_folder import describe
folder = ProjectFolder(Path(sys.argv[1]))
tiles = [Region(0, 0, 64 * i, 64, 64) for i in range(20)]
turn = 0
while True:
    turn += 1
    changed = {("a", "nuclei", tile): np.full((64, 64), turn, np.int32) for tile in tiles}
    folder.write(describe("a", turn=turn), changed)
    print(turn, flush=True)
"""


@pytest.mark.parametrize("after", [0.02, 0.07, 0.16, 0.31])
def test_a_kill_leaves_the_project_of_one_moment(after: float, tmp_path: Path) -> None:
    writer = _python(_WRITER, tmp_path)
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(after)
    writer.kill()
    said = writer.communicate()[0].split()
    found = read_project(tmp_path)
    turn = found.description["turn"]
    assert turn >= int(said[-1] if said else 1)  # nothing that was said to be written is lost
    assert len(found.arrays) == 20
    assert {int(value) for array in found.arrays.values() for value in np.unique(array)} == {turn}


def _python(code: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
