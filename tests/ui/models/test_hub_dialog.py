"""The dialog that names, accepts and downloads a model of the hub."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qtpy.compat import isalive

from napari_histodiff.hub.lookup import look_up
from napari_histodiff.hub.places import HubName
from napari_histodiff.ui.models.hub_dialog import HubDialog
from tests.hub.server import NAME

WAIT = 60_000


@pytest.fixture
def open_dialog(qapp) -> Iterator[Callable[[], HubDialog]]:
    """Opens dialogs; those that did not close themselves are closed at the end."""
    made: list[HubDialog] = []

    def opened() -> HubDialog:
        made.append(HubDialog())
        made[-1].show()
        return made[-1]

    yield opened
    for dialog in made:
        if isalive(dialog):
            dialog.close()


@pytest.fixture
def dialog(open_dialog) -> HubDialog:
    return open_dialog()


def find(dialog: HubDialog, name: str):
    from qtpy.QtWidgets import QWidget

    return dialog.findChild(QWidget, name)


def look(dialog: HubDialog, qtbot, name: str = NAME) -> None:
    dialog.name.setText(name)
    find(dialog, "hub_look_up").click()
    qtbot.waitUntil(find(dialog, "hub_look_up").isEnabled, timeout=WAIT)


def test_size_licence_files_and_place_are_shown_before_anything_is_fetched(
    dialog, qtbot, hub
) -> None:
    assert not find(dialog, "hub_download").isEnabled()
    look(dialog, qtbot)
    text = find(dialog, "hub_details").text()
    for words in ("DDIMPipeline", "openrail", "unet/config.json", str(Path("models") / "lab")):
        assert words in text
    assert not find(dialog, "hub_download").isEnabled()
    find(dialog, "hub_accept").click()
    assert find(dialog, "hub_download").isEnabled()
    assert [path for path in hub.asked if "safetensors" in path] == []
    dialog.name.clear()
    qtbot.keyClicks(dialog.name, "lab/other")  # what was accepted is accepted of that model alone
    assert not find(dialog, "hub_accept").isChecked()
    assert not find(dialog, "hub_download").isEnabled()


def test_a_model_is_downloaded_and_used_and_the_next_time_it_is_here(
    open_dialog, dialog, qtbot, hub
) -> None:
    look(dialog, qtbot)
    find(dialog, "hub_accept").click()
    with qtbot.waitSignal(dialog.chosen, timeout=WAIT) as chosen:
        find(dialog, "hub_download").click()
        assert not dialog.name.isEnabled()
    (folder,) = chosen.args
    assert (folder / "model_index.json").is_file()
    hub.models.clear()
    again = open_dialog()
    again.name.setText(NAME)
    with qtbot.waitSignal(again.chosen, timeout=WAIT) as chosen:
        find(again, "hub_look_up").click()
    assert chosen.args == [folder]


def test_a_download_that_is_stopped_keeps_what_arrived(dialog, qtbot, hub) -> None:
    hub.hold = threading.Event()
    look(dialog, qtbot)
    find(dialog, "hub_accept").click()
    find(dialog, "hub_download").click()
    qtbot.waitUntil(hub.held.is_set, timeout=WAIT)
    qtbot.waitUntil(lambda: dialog.bar.value() > 0, timeout=WAIT)
    find(dialog, "hub_stop").click()
    qtbot.waitUntil(find(dialog, "hub_download").isEnabled, timeout=WAIT)
    assert "kept for the next time" in dialog.progress.text()
    look(dialog, qtbot)
    assert "goes on from there" in find(dialog, "hub_details").text()
    assert not look_up(HubName(NAME)).folder.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lab/nothing", "Found: none"),
        ("no name at all", "as owner/name"),
        ("/tmp", "as owner/name"),
    ],
)
def test_what_is_wrong_is_said_in_the_dialog(dialog, qtbot, hub, name, words) -> None:
    look(dialog, qtbot, name)
    assert words in find(dialog, "hub_details").text()
    assert not find(dialog, "hub_download").isEnabled()
