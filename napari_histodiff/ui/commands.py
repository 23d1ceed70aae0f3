"""Every action of the dock as a napari command, with its key.

The manifest names these functions; napari gives them the viewer, and the command palette finds
them. napari ignores the manifest's `keybindings`, so the dock binds `COMMANDS` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from napari.viewer import Viewer  # noqa: TC002 - napari reads the annotation to inject it

from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.ui.tools_box import TOOLS

if TYPE_CHECKING:
    from napari_histodiff.ui.panel import StudioDock

__all__ = ["COMMANDS", "PLUGIN", "WIDGET", "Command", "studio"]

PLUGIN: Final = "napari-histodiff"
WIDGET: Final = "Histodiff Studio"


@dataclass(frozen=True, slots=True)
class Command:
    """A command id (without the plugin's name), its title, key, and what it does to the dock."""

    id: str
    title: str
    key: str
    act: Callable[[StudioDock], None]

    def __call__(self, viewer: Viewer) -> None:
        """Run on the viewer's dock, opening it when needed."""
        self.act(studio(viewer))


def studio(viewer: Any) -> StudioDock:
    """Return the viewer's dock; opens it when it is not there."""
    from napari_histodiff.ui.panel import StudioDock

    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, StudioDock):
            return widget
    dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)[1]
    assert isinstance(dock, StudioDock)
    return dock


def _tool(name: str, dock: StudioDock) -> None:
    dock.actions.select_tool(name)


def _nucleus_class(class_id: int, dock: StudioDock) -> None:
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

_BY_ID: Final = {command.id: command for command in COMMANDS}


def _exported(command_id: str) -> Callable[[Viewer], None]:
    command = _BY_ID[command_id]

    def run(viewer: Viewer) -> None:
        command(viewer)

    run.__name__ = run.__qualname__ = command_id
    run.__doc__ = f"{command.title}."
    return run


def __getattr__(name: str) -> Callable[[Viewer], None]:
    """The commands by their id, as the manifest names them."""
    if name in _BY_ID:
        return _exported(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
