"""Every action of the dock as a command with its key; buttons, keys and the manifest run them.

napari ignores the manifest's `keybindings`, so the dock binds `COMMANDS` itself: on the canvas, on
our layers, and inside the dock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Final, Protocol, runtime_checkable

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut

from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.ui.actions import StudioActions
from napari_histodiff.ui.generation.controller import Controller
from napari_histodiff.ui.proposals.proposer import Proposer
from napari_histodiff.ui.slide.part import SlidePart
from napari_histodiff.ui.text import PLUGIN, WIDGET
from napari_histodiff.ui.widgets.palette_box import TOOLS

__all__ = ["COMMANDS", "Command", "Studio", "bind_dock", "bind_keymap", "studio"]


@runtime_checkable
class Studio(Protocol):
    """What a command acts on: the parts of the dock."""

    actions: StudioActions
    controller: Controller
    proposer: Proposer
    slide: SlidePart


def studio(viewer: Any) -> Studio:
    """Return the viewer's dock; opens it when it is not there."""
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, Studio):
            return widget
    dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)[1]
    assert isinstance(dock, Studio)
    return dock


@dataclass(frozen=True, slots=True)
class Command:
    """A command id (without the plugin's name), its title, key, and what it does to the dock."""

    id: str
    title: str
    key: str
    act: Callable[[Studio], None]

    def __call__(self, viewer: Any) -> None:
        """Run on the viewer's dock, opening it when needed."""
        self.act(studio(viewer))


def _tool(name: str, dock: Studio) -> None:
    dock.actions.select_tool(name)


def _nucleus_class(class_id: int, dock: Studio) -> None:
    dock.actions.select_class(class_id)


COMMANDS: Final[tuple[Command, ...]] = (
    Command("generate", "Generate the frame", "Control-Enter", lambda d: d.actions.generate()),
    Command("cancel", "Cancel the running edit", "Control-.", lambda d: d.actions.cancel()),
    Command("next_variant", "Next variant", "Alt-Right", lambda d: d.controller.step_variant(1)),
    Command(
        "previous_variant",
        "Previous variant",
        "Alt-Left",
        lambda d: d.controller.step_variant(-1),
    ),
    Command("apply", "Apply the variant in view", "Alt-Enter", lambda d: d.actions.apply()),
    Command("discard", "Discard the variants", "Alt-Backspace", lambda d: d.controller.discard()),
    Command("compare", "Hide or show the preview", "Shift-B", lambda d: d.actions.compare()),
    Command("undo", "Undo the last Apply", "Shift-Z", lambda d: d.controller.undo()),
    Command("redo", "Redo the last Apply", "Shift-Y", lambda d: d.controller.redo()),
    Command("new_slide", "New slide", "Shift-G", lambda d: d.slide.new_slide()),
    Command("open_slide", "Open slide", "Shift-L", lambda d: d.slide.open_slide()),
    Command("slide_pause", "Pause or resume drawing", "Shift-H", lambda d: d.slide.toggle_pause()),
    Command("slide_view", "Draw all in view", "Shift-K", lambda d: d.slide.draw_view()),
    Command("slide_frame", "Draw all in the frame", "Shift-J", lambda d: d.slide.draw_frame()),
    Command(
        "slide_coverage",
        "Show or hide coverage on the map",
        "Shift-U",
        lambda d: d.slide.toggle_coverage(),
    ),
    Command("new_canvas", "New canvas", "Shift-N", lambda d: d.actions.ask_new_canvas()),
    Command("use_image", "Use the selected image", "Shift-I", lambda d: d.actions.use_selected()),
    Command(
        "resample", "Resample the image for the model", "Shift-Q", lambda d: d.actions.resample()
    ),
    Command("frame_to_view", "Frame to view", "Shift-F", lambda d: d.actions.frame_to_view()),
    Command("import_labels", "Import labels", "Shift-M", lambda d: d.actions.ask_import()),
    Command("outlines", "Paint as outlines", "Shift-O", lambda d: d.actions.toggle_outlines()),
    Command("propose_nuclei", "Propose nuclei", "Shift-P", lambda d: d.proposer.propose()),
    Command(
        "accept_nuclei",
        "Paint the proposed nuclei",
        "Shift-A",
        lambda d: d.actions.accept_proposal(),
    ),
    Command(
        "discard_nuclei", "Discard the proposed nuclei", "Shift-W", lambda d: d.proposer.discard()
    ),
    Command("clear_painting", "Clear painting", "Shift-X", lambda d: d.actions.clear_painting()),
    Command(
        "caption_from_paint",
        "Write the caption from the paint",
        "Shift-C",
        lambda d: d.controller.caption_from_paint(),
    ),
    Command("edit_caption", "Type the caption", "Shift-T", lambda d: d.actions.edit_caption()),
    Command("next_seed", "Next seed", "Shift-R", lambda d: d.controller.next_seed()),
    Command("save", "Save image, maps and request", "Shift-S", lambda d: d.actions.ask_save()),
    Command("copy_python", "Copy as Python", "Shift-D", lambda d: d.actions.copy_python()),
    Command("restart_engine", "Restart the engine", "Shift-E", lambda d: d.controller.restart()),
    *(
        Command(f"class_{i}", f"Paint {name} nuclei", str(i), partial(_nucleus_class, i))
        for i, name in enumerate(CLASS_NAMES, start=1)
    ),
    *(
        Command(f"tool_{name.replace(' ', '_')}", f"Tool: {name}", key, partial(_tool, name))
        for name, key, _ in TOOLS
    ),
)


def bind_keymap(providers: Iterable[Any], commands: Iterable[Command], viewer: Any) -> None:
    """Bind commands on viewers or layers; a layer's own keys win over napari's for its kind."""
    for provider, command in product(providers, commands):
        provider.bind_key(command.key, _bound(command, viewer), overwrite=True)


def bind_dock(dock: Any) -> None:
    """Bind the keys with Ctrl or Alt inside the dock; plain letters belong to its text fields."""
    for command in COMMANDS:
        if command.key.startswith(("Control-", "Alt-")):
            shortcut = QShortcut(QKeySequence(_qt_keys(command.key)), dock)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda c=command: c.act(dock))


def _bound(command: Command, viewer: Any) -> Callable[[Any], None]:
    def run(_: Any) -> None:
        command(viewer)

    run.__name__ = command.id
    run.__doc__ = f"{command.title}."
    return run


def _qt_keys(key: str) -> str:
    modifier, _, name = key.partition("-")
    names = {"Control": "Ctrl", "Enter": "Return"}
    return f"{names.get(modifier, modifier)}+{names.get(name, name)}"
