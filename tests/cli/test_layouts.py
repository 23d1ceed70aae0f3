"""`histodiff change`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from skimage.io import imread, imsave
from tifffile import imread as read_tiff

from napari_histodiff.cli.main import main
from napari_histodiff.core.maps import TISSUE_NAMES


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def tissue_file(folder: Path) -> Path:
    tissue = np.full((128, 160), TISSUE_NAMES.index("stroma"), np.uint8)
    tissue[40:90, 50:110] = TISSUE_NAMES.index("gland")
    imsave(folder / "tissue.png", tissue, check_contrast=False)
    return folder / "tissue.png"


def test_paint_is_changed_in_words_and_written_beside_a_picture(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = "grow the tumour by 10 um, then 12 lymphocytes at its border"
    done = run("change", text, "--tissue", tissue_file(tmp_path), "--seed", 4, "-o", out)
    assert done.exit_code == 0, done.output
    assert "grew the gland by 10 µm" in done.output
    names = sorted(path.name for path in out.iterdir())
    stem = "changed-001"
    files = (".json", ".png", "_classes.png", "_instances.tif", "_tissue.png")
    assert names == [stem + end for end in files]
    facts = json.loads((out / f"{stem}.json").read_text(encoding="utf-8"))
    assert facts["seed"] == 4
    assert facts["change"] == text
    assert facts["nuclei"]["lymphocyte"] >= 12
    classes, instances = (
        imread(out / f"{stem}_classes.png"),
        read_tiff(out / f"{stem}_instances.tif"),
    )
    assert ((classes > 0) == (instances > 0)).all()
    assert imread(out / f"{stem}.png").shape == (128, 160, 3)
    assert run("change", text, "--tissue", tissue_file(tmp_path), "-o", out).exit_code == 0
    assert (out / "changed-002_tissue.png").is_file()


def test_tissue_of_a_saved_edit_is_read_by_the_names_of_its_model(tmp_path: Path) -> None:
    names = ["unspecified", "cartilage", "gland"]
    ids = np.repeat(np.arange(3, dtype=np.uint8), 32)[None].repeat(96, axis=0)
    imsave(tmp_path / "edit_tissue.png", ids, check_contrast=False)
    (tmp_path / "edit.json").write_text(json.dumps({"model": {"tissue_names": names}}))
    told = ("--tissue", tmp_path / "edit_tissue.png", "-o", tmp_path / "out")
    done = run("change", "3 lymphocytes at the border of the gland", *told)
    assert done.exit_code == 0, done.output
    assert "has no cartilage, which" in done.stderr
    found = imread(tmp_path / "out" / "changed-001_tissue.png")
    np.testing.assert_array_equal(found, np.where(ids == 2, TISSUE_NAMES.index("gland"), 0))
    done = run("suggest", *told)
    assert done.exit_code == 0, done.output
    assert "has no cartilage, which" in done.stderr
    found = imread(tmp_path / "out" / "suggested-001_tissue.png")
    np.testing.assert_array_equal(found[ids == 2], TISSUE_NAMES.index("gland"))
    imsave(tmp_path / "edit_tissue.png", ids + 1, check_contrast=False)
    for command in (("change", "grow the gland"), ("suggest",)):
        done = run(*command, *told)
        assert done.exit_code == 2
        assert "edit_tissue.png" in done.output


def test_words_that_are_not_known_are_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    done = run("change", "gorw the tumour", "--tissue", tissue_file(tmp_path), "-o", tmp_path / "o")
    assert done.exit_code == 2
    assert 'did you mean "grow"' in done.output
    assert not (tmp_path / "o").exists()


def test_layouts_are_invented_with_a_picture_and_what_they_were_made_from(tmp_path: Path) -> None:
    out = tmp_path / "out"
    size = ("--size", 96, 128)
    done = run("invent", "colon, gland", *size, "--count", "lymphocyte=9", "--seed", 5, "-o", out)
    assert done.exit_code == 0, done.output
    facts = json.loads((out / "invented-001.json").read_text(encoding="utf-8"))
    assert (facts["model"], facts["seed"]) == ("layout-sampler-v1", 5)
    assert abs(facts["nuclei"]["lymphocyte"] - 9) <= 4
    assert imread(out / "invented-001.png").shape == (96, 128, 3)
    like = ("--like-classes", out / "invented-001_classes.png")
    like += ("--like-instances", out / "invented-001_instances.tif")
    again = run("invent", *size, *like, "--like-tissue", out / "invented-001_tissue.png", "-o", out)
    assert again.exit_code == 0, again.output
    assert (out / "invented-002.json").is_file()
    for number in ("many", "1.5", "9" * 400, "9" * 5000):
        wrong = run("invent", "--count", f"lymphocyte={number}", "-o", out)
        assert wrong.exit_code == 2
        assert "CLASS=NUMBER" in wrong.output
    twice = run("invent", "--count", "plasma=3", "--count", "plasma=4", "-o", out)
    assert "one count of each class" in twice.output
    crowded = run("invent", *size, "--count", "lymphocyte=1,000,000", "-o", out)
    assert "nuclei per mm²" in crowded.output
