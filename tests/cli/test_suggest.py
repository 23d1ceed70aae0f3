"""`histodiff suggest`: maps to be edited, which no later command takes away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from skimage.io import imsave

from napari_histodiff.cli.main import main


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
