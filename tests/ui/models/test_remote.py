from __future__ import annotations

from pathlib import Path

import pytest
from qtpy.QtWidgets import QDialog, QLabel

from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.engine.address import make_certificate
from napari_histodiff.engine.remote import RemoteEngine
from napari_histodiff.ui.models import remote
from napari_histodiff.ui.models.remote import ask_remote, remote_form, use_remote
from tests.ui.doubles import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(RemoteEngine, "start", lambda self: None)
    monkeypatch.setattr(remote, "show_info", lambda text: None)
    return Desk(tmp_path)


def test_an_engine_elsewhere_takes_over_and_is_remembered(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "engine.pem"
    make_certificate(file)
    use_remote(desk.controller, "gpu-box", file)
    assert desk.engine.closed
    assert isinstance(desk.controller.engine, RemoteEngine)
    assert desk.controller.engine.address.url == "tls://gpu-box:8786"
    desk.controller.close()
    kept = desk.store.load()
    assert (kept.engine_address, kept.engine_certificate) == ("gpu-box:8786", str(file))
    form = remote_form(desk.controller)
    assert form["address"].value == "gpu-box:8786"
    assert form["certificate"].value == file
    assert not form["allow_unencrypted"].value


@pytest.mark.parametrize(("address", "words"), [("", "an address"), ("gpu-box", "encrypted")])
def test_what_is_refused_leaves_the_engine_that_draws(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    def accept(dialog: remote.FormDialog) -> QDialog.DialogCode:
        assert any("histodiff serve" in label.text() for label in dialog.findChildren(QLabel))
        dialog.form["address"].value = address
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(remote.FormDialog, "exec", accept)
    with pytest.raises(EngineUnavailable, match=words):
        ask_remote(None, desk.controller)
    assert not desk.engine.closed
    assert desk.controller.engine is desk.engine
