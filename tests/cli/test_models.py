"""`--model owner/name`: what is asked, and what is answered without a question."""

from __future__ import annotations

import sys
from io import StringIO

import pytest
from click.testing import CliRunner, Result

from napari_histodiff.cli import models
from napari_histodiff.cli.main import main
from tests.hub.server import NAME


def run(*arguments: object, answer: str = "") -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), input=answer)


def test_a_licence_given_by_name_is_enough(hub) -> None:
    asked = run("info", "--device", "cpu", "--model", NAME)
    assert asked.exit_code == 2
    assert '--accept-licence "openrail"' in asked.output
    assert "size: " in asked.output
    done = run("info", "--device", "cpu", "--model", NAME, "--accept-licence", "openrail")
    assert done.exit_code == 0, done.output
    assert "lab/tiny, revision" in done.output
    assert "licence: openrail" in done.output
    assert run("info", "--device", "cpu", "--model", NAME).exit_code == 0  # it is here now


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("y\n", 0)])
def test_who_sits_at_a_terminal_is_asked(hub, monkeypatch, answer, code) -> None:
    monkeypatch.setattr(models, "_somebody_is_there", lambda: True)
    done = run("info", "--device", "cpu", "--model", NAME, answer=answer)
    assert done.exit_code == code, done.output
    assert "Download it, and accept the licence openrail?" in done.output


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [_Terminal, StringIO])
def test_a_terminal_shows_that_the_model_is_loading(monkeypatch, stream) -> None:
    shown = stream()
    seen: list[str] = []
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr("napari_histodiff.api.load_model", lambda *_: seen.append(shown.getvalue()))
    models.load(None)
    assert ("loading the model" in seen[0]) == (stream is _Terminal)
