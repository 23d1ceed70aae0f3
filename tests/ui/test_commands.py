from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, create_autospec

import pytest
from npe2 import PluginManager, PluginManifest
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QAbstractButton

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.ui.actions import StudioActions
from napari_histodiff.ui.anomaly.mapper import AnomalyMapper
from napari_histodiff.ui.command import Command, studio
from napari_histodiff.ui.commands import COMMANDS
from napari_histodiff.ui.compare.grid.window import VariantGrid
from napari_histodiff.ui.compare.looks import Looks
from napari_histodiff.ui.compare.readings import Readings
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.generation.second import SecondModel
from napari_histodiff.ui.generation.staged import StagedVariants
from napari_histodiff.ui.layouts.maker import LayoutMaker
from napari_histodiff.ui.live.live import LivePainting
from napari_histodiff.ui.masks.mask_tools import MaskTools
from napari_histodiff.ui.masks.recipes import Recipes
from napari_histodiff.ui.paint_actions import PaintActions
from napari_histodiff.ui.project.part import ProjectPart
from napari_histodiff.ui.proposals.proposer import Proposer
from napari_histodiff.ui.queue.part import QueuePart
from napari_histodiff.ui.slide.part import SlidePart
from napari_histodiff.ui.slide.scans.shown import ShownScans
from napari_histodiff.ui.text import PLUGIN
from napari_histodiff.ui.workspace.tools import PALETTES
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.find import find, press_key

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "napari_histodiff" / "napari.yaml"


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def dock(open_dock: OpenDock, engine: RecordingEngine) -> StudioDock:
    dock = open_dock(engine)
    dock.workspace.new_canvas(128, 128)
    return dock


def test_the_manifest_has_every_command() -> None:
    manifest = PluginManifest.from_file(MANIFEST)
    commands = {c.id: c for c in manifest.contributions.commands or ()}
    widgets = {widget.command for widget in manifest.contributions.widgets or ()}
    readers = {reader.command for reader in manifest.contributions.readers or ()}
    readers |= {writer.command for writer in manifest.contributions.writers or ()}
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
    palettes = {"": PALETTES}
    keys = [
        (command.key, palette)
        for command in COMMANDS
        for palette in palettes.get(command.palette, (command.palette,))
        if command.key
    ]
    assert len(set(keys)) == len(keys)
    documented = re.findall(
        r"^\| (.+?) \| (.+?) \|$", (ROOT / "docs" / "keyboard.md").read_text(), re.MULTILINE
    )
    table = {title: keys.replace("`", "") for keys, title in documented}
    for command in COMMANDS:
        if command.key:
            assert table.get(command.title) == command.key_text


@pytest.fixture(scope="module")
def parts() -> SimpleNamespace:
    """A dock whose parts know their methods, and note which are called."""
    kinds = {
        "actions": StudioActions,
        "anomaly": AnomalyMapper,
        "controller": Controller,
        "grid": VariantGrid,
        "live": LivePainting,
        "layouts": LayoutMaker,
        "looks": Looks,
        "masks": MaskTools,
        "paint": PaintActions,
        "project": ProjectPart,
        "proposer": Proposer,
        "queue": QueuePart,
        "readings": Readings,
        "recipes": Recipes,
        "second": SecondModel,
        "slide": SlidePart,
    }
    dock = SimpleNamespace(
        **{name: create_autospec(kind, instance=True) for name, kind in kinds.items()}
    )
    dock.actions.edit_caption = Mock()
    dock.slide.scans = create_autospec(ShownScans, instance=True)
    dock.controller.staged = create_autospec(StagedVariants, instance=True)
    return dock


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.id)
def test_a_command_calls_one_thing_that_is_there(command: Command, parts: SimpleNamespace) -> None:
    for part in vars(parts).values():
        part.reset_mock()
    command.act(parts)
    calls = [call for part in vars(parts).values() for call in part.method_calls]
    assert len(calls) == 1


def test_every_button_of_the_dock_says_what_its_command_does(dock: StudioDock) -> None:
    names = {made.objectName() for made in dock.findChildren(QAbstractButton)}
    entries = {entry.property("command") for entry in dock.findChildren(QAction)}
    entries |= {made.property("command") for made in dock.findChildren(QAbstractButton)}
    without = {
        "next_seed",
        "copy_python",
        "edit_caption",
        "cancel",
        "cancel_nuclei",
        "cancel_anomaly",
    }
    without |= {"brush_smaller", "brush_larger", "look_below", "cancel_layout"}
    assert {command.id for command in COMMANDS} - names - entries == without
    for command in COMMANDS:
        made = dock.findChild(QAbstractButton, command.id)
        if made is not None and made.isEnabled():
            assert command.tooltip in made.toolTip()


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
    assert studio(dock.viewer) is dock


@pytest.mark.parametrize("layer", ["Nuclei", "Tissue", "Edit mask", "Frame", "Canvas"])
def test_keys_work_whatever_layer_is_selected(
    dock: StudioDock, engine: RecordingEngine, layer: str
) -> None:
    layers = dock.viewer.layers
    layers.selection.active = layers[layer]
    seed = dock.controller.settings.seed
    press_key(dock.viewer, "Shift-R")
    assert dock.controller.settings.seed == seed + 1
    press_key(dock.viewer, "Control-Enter")
    assert len(engine.submitted) == 1
    press_key(dock.viewer, "Control-.")
    assert len(engine.cancelled) == 1


def test_the_restart_key_restarts_a_living_engine(
    dock: StudioDock, engine: RecordingEngine
) -> None:
    press_key(dock.viewer, "Shift-E")
    assert engine.restarted == 1


def test_class_and_tool_keys_win_over_napari_s_on_our_layers(dock: StudioDock) -> None:
    press_key(dock.viewer, "4")
    assert dock.workspace.paint.class_id == 4
    assert find(dock, "class_4", QAbstractButton).isChecked()
    for key, tool in (("S", "stamp"), ("E", "erase"), ("D", "scatter"), ("P", "brush")):
        press_key(dock.viewer, key)
        assert dock.workspace.paint.tool == tool
        assert find(dock, f"tool_{tool.replace(' ', '_')}", QAbstractButton).isChecked()


def test_keys_work_on_a_second_image_too(dock: StudioDock) -> None:
    dock.workspace.new_canvas(64, 64)
    press_key(dock.viewer, "3")
    assert dock.workspace.paint.class_id == 3


def test_workspace_refuses_a_class_that_is_none(dock: StudioDock) -> None:
    with pytest.raises(InvalidRequest):
        dock.workspace.document.nuclei.select_class(7)
