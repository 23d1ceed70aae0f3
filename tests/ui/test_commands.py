from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from npe2 import PluginManager, PluginManifest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.ui.commands import COMMANDS
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.plugin import studio
from napari_histodiff.ui.text import PLUGIN
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "napari_histodiff" / "napari.yaml"


@pytest.fixture
def dock(open_dock: OpenDock) -> StudioDock:
    dock = open_dock(RecordingEngine())
    dock.workspace.new_canvas(128, 128)
    return dock


def _press(dock: StudioDock, key: str) -> None:
    handler = dock._viewer.window._qt_viewer._key_map_handler
    assert handler.press_key(key), f"nothing is bound to {key}"


def test_the_manifest_has_every_command() -> None:
    manifest = PluginManifest.from_file(MANIFEST)
    commands = {c.id: c for c in manifest.contributions.commands or ()}
    widgets = {widget.command for widget in manifest.contributions.widgets or ()}
    readers = {reader.command for reader in manifest.contributions.readers or ()}
    assert f"{PLUGIN}.studio" in widgets
    assert set(commands) - widgets - readers == {f"{PLUGIN}.{c.id}" for c in COMMANDS}
    for command in COMMANDS:
        contribution = commands[f"{PLUGIN}.{command.id}"]
        assert contribution.title == command.title
        assert contribution.python_name == f"napari_histodiff.ui.plugin:{command.id}"
        module, _, name = str(contribution.python_name).partition(":")
        assert callable(getattr(import_module(module), name))


def test_the_manifest_stands_at_the_top_as_well() -> None:
    assert (ROOT / "napari.yaml").resolve() == MANIFEST.resolve()


def test_keys_are_unique_and_documented() -> None:
    keys = [command.key for command in COMMANDS]
    assert len(set(keys)) == len(keys)
    documented = re.findall(
        r"^\| (.+?) \| (.+?) \|$", (ROOT / "docs" / "keyboard.md").read_text(), re.MULTILINE
    )
    table = {title: keys.replace("`", "") for keys, title in documented}
    for command in COMMANDS:
        shown = command.key.replace("Control", "Ctrl").replace("-", "+")
        assert table.get(command.title) == shown


def test_commands_run_from_the_palette(dock: StudioDock) -> None:
    from napari._app_model import get_app_model

    manager = PluginManager.instance()
    if PLUGIN not in {manifest.name for manifest in manager.iter_manifests()}:
        manager.register(PluginManifest.from_file(MANIFEST), warn_disabled=False)
    seed = dock.controller.settings.seed
    app = get_app_model()
    assert f"{PLUGIN}.next_seed" in app.commands
    app.commands.execute_command(f"{PLUGIN}.next_seed").result()
    assert dock.controller.settings.seed == seed + 1


def test_a_command_finds_the_open_dock(dock: StudioDock) -> None:
    assert studio(dock._viewer) is dock


@pytest.mark.parametrize("layer", ["Nuclei", "Edit mask", "Frame", "Canvas"])
def test_keys_work_whatever_layer_is_selected(dock: StudioDock, layer: str) -> None:
    layers, engine = dock._viewer.layers, dock.controller._engine
    layers.selection.active = layers[layer]
    seed = dock.controller.settings.seed
    _press(dock, "Shift-R")
    assert dock.controller.settings.seed == seed + 1
    _press(dock, "Control-Enter")
    assert len(engine.submitted) == 1
    _press(dock, "Control-.")
    assert len(engine.cancelled) == 1


def test_the_restart_key_restarts_a_living_engine(dock: StudioDock) -> None:
    _press(dock, "Shift-E")
    assert dock.controller._engine.restarted == 1


def test_class_and_tool_keys_win_over_napari_s_on_our_layers(dock: StudioDock) -> None:
    _press(dock, "4")
    assert dock.workspace.paint.class_id == 4
    assert dock.palette_box._group.checkedId() == 4
    for key, tool in (("S", "stamp"), ("K", "edit mask"), ("D", "scatter"), ("P", "brush")):
        _press(dock, key)
        assert dock.workspace.paint.tool == tool
        assert dock.tools._group.checkedButton().text().lower() == tool


def test_keys_work_on_a_second_image_too(dock: StudioDock) -> None:
    dock.workspace.new_canvas(64, 64)
    _press(dock, "3")
    assert dock.workspace.paint.class_id == 3


def test_workspace_refuses_a_class_that_is_none(dock: StudioDock) -> None:
    with pytest.raises(InvalidRequest):
        dock.workspace.document.nuclei.select_class(7)
