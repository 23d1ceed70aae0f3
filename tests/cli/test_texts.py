"""Words that are typed in any letters, also in a console that knows English ones only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from napari_histodiff.cli.main import main
from napari_histodiff.cli.texts import TEXT

#: What Python makes of the UTF-8 of these letters where its locale is C.
COLON = "结肠".encode().decode("ascii", "surrogateescape")
FRENCH = "c\udcf4lon"  # bytes of Latin-1


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.parametrize(
    ("got", "typed"),
    [("gland, 腺", "gland, 腺"), (COLON, "结肠"), (FRENCH, "c\ufffdlon"), ("\ud800", "?")],
)
def test_letters_are_those_that_were_typed(got: str, typed: str) -> None:
    assert TEXT.convert(got, None, None) == typed


def test_all_options_that_are_words_read_them_so() -> None:
    words = {
        "text",
        "caption",
        "caption_for",
        "guide",
        "organ",
        "title",
        "counts",
        "new_identity",
        "mixes",
    }
    found = {}

    def look(command: click.Command, name: str) -> None:
        for param in command.params:
            if param.name in words:
                found[f"{name} {param.name}".strip()] = param.type is TEXT
        if isinstance(command, click.Group):
            for part, sub in command.commands.items():
                look(sub, f"{name} {part}".strip())

    look(main, "")
    assert {"change text", "invent caption", "slide new caption", "generate guide"} <= set(found)
    assert {"pack organ", "train organ", "study new title", "sign new_identity"} <= set(found)
    assert {"inpaint caption_for", "anomaly caption", "suggest caption"} <= set(found)
    assert [name for name, read in found.items() if not read] == []


@pytest.mark.parametrize(
    ("words", "stem"), [(("suggest", "--caption"), ""), (("invent",), "invented-001.json")]
)
def test_words_that_are_not_known_are_said(
    words: tuple[str, ...], stem: str, tmp_path: Path
) -> None:
    done = run(*words, COLON, "--size", 64, 64, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert '"结肠" is not understood' in done.stderr
    if stem:
        assert json.loads((tmp_path / stem).read_text(encoding="utf-8"))["caption"] == "结肠"


def test_a_number_in_a_caption_is_told_where_it_belongs(tmp_path: Path) -> None:
    done = run("invent", "colon, 12 lymphocytes, glnad", "--size", 64, 64, "-o", tmp_path)
    assert '"12" is not understood (a caption has levels, no numbers: "high ly' in done.stderr
    assert '"glnad" is not understood (did you mean "gland"?)' in done.stderr
    assert "by --count, as --count lymphocyte=120" in done.stderr
    assert (
        "--count" not in run("suggest", "--caption", "12", "--size", 64, 64, "-o", tmp_path).stderr
    )


def test_organs_and_classes_are_said_as_they_were_typed(tmp_path: Path) -> None:
    for typed, word in ((COLON, "结肠"), (FRENCH, "c\ufffdlon")):
        assert f"got '{word}': 3" in run("invent", "--count", f"{typed}=3", "-o", tmp_path).output
    folder = tmp_path / "own"
    for part in ("images", "instances", "classes"):
        (folder / part).mkdir(parents=True)
        picture = np.zeros((64, 64, 3) if part == "images" else (64, 64), np.uint8)
        Image.fromarray(picture).save(folder / part / "a_1.png")
    told = run("pack", folder, tmp_path / "packed", "--mpp", 0.5, "--organ", COLON)
    assert "结肠" in told.output


def test_words_of_a_change_and_of_a_new_slide_are_said(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.full((64, 64), 2, np.uint8))
    paint = ("--tissue", tmp_path / "t.npy", "-o", tmp_path)
    done = run("change", "necrosis at the top", *paint, "--caption", COLON)
    assert done.exit_code == 0, done.output
    assert '"结肠" is not understood' in done.stderr
    assert 'got "变大"' in run("change", "变大", *paint).output
    slide = tmp_path / "new.ome.zarr"
    done = run("slide", "new", slide, "--size", 256, "--caption", COLON)
    assert done.exit_code == 0, done.output
    assert '"结肠" is not understood' in done.stderr
    assert 'caption "结肠"' in run("slide", "info", slide).output


@pytest.mark.skipif(os.name == "nt", reason="Windows gives letters, not bytes")
def test_a_console_of_the_c_locale_needs_no_other(tmp_path: Path) -> None:
    told = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ("invent", "结肠", "--size", "64", "64", "-o", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "napari_histodiff", *words],
        env=os.environ | told,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "invented-001.json").read_text(encoding="utf-8"))
    assert facts["caption"] == "结肠"
