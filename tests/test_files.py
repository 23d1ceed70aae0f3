"""Files stay small enough to read in one sitting."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 400


def test_no_file_is_too_long() -> None:
    files = [*(ROOT / "napari_histodiff").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert files
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines()) for file in files
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}
