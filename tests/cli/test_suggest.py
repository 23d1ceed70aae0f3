"""Maps that `histodiff suggest`, `change` and `invent` write, whole or not, and what is kept."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from skimage.io import imsave

from napari_histodiff.cli.layouts import write_layout
from napari_histodiff.cli.main import main
from napari_histodiff.slide import export


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def class_file(folder: Path) -> Path:
    classes = np.zeros((96, 112), np.uint8)
    classes[20:30, 20:30] = 2
    imsave(folder / "classes.png", classes, check_contrast=False)
    return folder / "classes.png"


def test_maps_that_somebody_edited_are_not_overwritten(tmp_path: Path) -> None:
    classes, out = class_file(tmp_path), tmp_path / "out"
    first = run("suggest", classes, "--seed", 4, "-o", out)
    assert first.exit_code == 0, first.output
    assert "suggested-001_*: tissue" in first.output
    assert "by seed 4;" in first.output
    (out / "suggested-001_tissue.png").write_text("edited")
    assert run("suggest", classes, "--seed", 4, "-o", out).exit_code == 0
    assert (out / "suggested-001_tissue.png").read_text() == "edited"
    ends = ("_classes.png", "_instances.tif", "_tissue.png")
    assert sorted(path.name for path in out.iterdir()) == [
        f"suggested-{number:03d}{end}" for number in (1, 2) for end in ends
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("suggest", "classes.png"),
        ("change", "necrosis at the top", "--classes", "classes.png"),
        ("invent", "colon", "--size", 96, 96),
    ],
    ids=lambda words: words[0],
)
def test_a_full_disk_is_one_line_and_leaves_no_half_set(
    words: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class_file(tmp_path)
    monkeypatch.setattr(export.tifffile, "imwrite", full)  # after the pictures
    monkeypatch.chdir(tmp_path)
    done = run(*words, "-o", "out")
    assert done.exit_code == 2, done.output
    assert "got 'No space left on device'; free some space" in done.output
    assert list((tmp_path / "out").iterdir()) == []


def test_text_that_is_no_text_is_written_so_that_it_can_be_read_back(tmp_path: Path) -> None:
    facts = {"change": "变大 \udce5", "mpp": 0.5}
    empty = np.zeros((8, 8), np.uint8)
    write_layout(tmp_path, "changed-", (empty, empty.astype(np.int32), empty), facts)
    text = (tmp_path / "changed-001.json").read_text(encoding="utf-8")
    assert "变大" in text
    assert json.loads(text)["change"] == facts["change"]


@pytest.mark.parametrize("command", ["suggest", "invent"])
@pytest.mark.parametrize("many", [0, -3])
def test_no_variants_are_refused(command: str, many: int, tmp_path: Path) -> None:
    done = run(command, "--size", 64, 64, "--variants", many, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "x>=1" in done.output
    assert not (tmp_path / "out").exists()


def test_layouts_of_no_seed_are_refused(tmp_path: Path) -> None:
    packed = tmp_path / "held_out.npz"
    packed.write_bytes(b"")
    done = run("layouts", packed, packed, "--seeds", 0)
    assert done.exit_code == 2
    assert "x>=1" in done.output


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("generate",), "or --size"),
        (("suggest",), "or --size"),
        (("change", "remove the gland"), "give one, whose paint is to be changed"),
    ],
)
def test_what_may_be_given_is_told_in_words_of_the_command_line(
    command: tuple[str, ...], instead: str
) -> None:
    assert instead in run(*command).stderr


def test_too_little_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError("unable to allocate 931 GiB")

    monkeypatch.setattr("napari_histodiff.layout.completion.complete_paint", fails)
    result = run("suggest", "--size", 8, 8)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "Error: expected enough memory, got too little (unable to allocate 931 GiB); ask for less "
        "at a time"
    ]
