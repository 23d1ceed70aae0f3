from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from napari_histodiff.cli.main import main
from napari_histodiff.engine import serving
from napari_histodiff.engine.address import EngineAddress
from napari_histodiff.engine.messages import Loaded
from tests.fakes import FAKE_INFO


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[EngineAddress, dict[str, str]]]:
    """What was served, and with which variables; it ends at once, as by Ctrl-C."""
    seen: list[tuple[EngineAddress, dict[str, str]]] = []

    async def serve(address: EngineAddress, factory: str, *, ready: Any) -> None:
        kept = {k: v for k, v in os.environ.items() if k.startswith("HISTODIFF_")}
        seen.append((address, kept))
        ready(Loaded(FAKE_INFO, 0), address.port)
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "serve", serve)
    monkeypatch.setenv("HISTODIFF_MODEL", "")  # put back afterwards
    monkeypatch.setenv("HISTODIFF_DEVICE", "")
    return seen


def test_a_certificate_is_made_once_and_named(
    served: list[tuple[EngineAddress, dict[str, str]]], tmp_path: Path
) -> None:
    file = tmp_path / "engine.pem"
    options = ["serve", "--host", "0.0.0.0", "--port", "9000", "--certificate", str(file)]
    said = CliRunner().invoke(main, [*options, "--device", "cpu", "--model", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert "copy it to the machine with the window" in said.output
    assert "fake on cpu (fake), 0.0.0.0:9000" in said.output
    text = file.read_text()
    again = CliRunner().invoke(main, options)
    assert "copy it" not in again.output
    assert file.read_text() == text
    (address, variables), _ = served
    assert (address.host, address.port, address.protocol) == ("0.0.0.0", 9000, "tls")
    assert variables["HISTODIFF_DEVICE"] == "cpu"
    assert variables["HISTODIFF_MODEL"] == str(tmp_path)


def test_without_a_certificate_only_this_machine_is_served(
    served: list[tuple[EngineAddress, dict[str, str]]],
) -> None:
    refused = CliRunner().invoke(main, ["serve", "--host", "0.0.0.0"])
    assert refused.exit_code == 2
    assert "expected an encrypted connection" in refused.output
    assert not served
    CliRunner().invoke(main, ["serve"])
    here = CliRunner().invoke(main, ["serve", "--host", "::1"])
    assert here.exit_code == 0, here.output
    CliRunner().invoke(main, ["serve", "--host", "0.0.0.0", "--allow-unencrypted"])
    assert [address.host for address, _ in served] == ["127.0.0.1", "::1", "0.0.0.0"]
