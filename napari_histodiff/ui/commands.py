"""Every action of the dock as a command; buttons, keys and the manifest run them by their id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, runtime_checkable

from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.ui.text import PLUGIN, WIDGET

__all__ = ["COMMANDS", "TOOLS", "Command", "Studio", "command", "run", "studio"]


@runtime_checkable
class Studio(Protocol):
    """What a command acts on: the parts of the dock."""

    actions: Any
    controller: Any
    proposer: Any
    slide: Any
    workspace: Any


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
    """An action of the dock.

    Attributes
    ----------
    id : str
        Without the plugin's name; also the object name of its button.
    title : str
        What the command palette calls it.
    act : callable
        Runs it on a dock.
    key : str
        In napari's spelling, empty when it has none.
    tip : str
        What its button says of it; the title where that says enough.
    """

    id: str
    title: str
    act: Callable[[Studio], object]
    key: str = ""
    tip: str = ""

    def __call__(self, viewer: Any) -> None:
        """Run on the viewer's dock, opening it when needed."""
        self.act(studio(viewer))

    @property
    def key_text(self) -> str:
        """The key as people read it: "Ctrl+Enter"."""
        return self.key.replace("Control", "Ctrl").replace("-", "+")

    @property
    def tooltip(self) -> str:
        """What a button says of it, with the key."""
        said = self.tip or self.title
        return f"{said} ({self.key_text})" if self.key else said


#: Name of a tool of the workspace, key, what it does.
TOOLS: Final = (
    ("brush", "P", "Paint nuclei freely; each stroke is one nucleus"),
    ("polygon", "G", "Outline one nucleus; Enter or double-click closes it"),
    ("stamp", "S", "Click places one nucleus of natural size and shape"),
    ("scatter", "D", "Drag fills an area with nuclei at the density below"),
    ("erase", "E", "Erase nuclei, or the edit mask when that is selected"),
    ("fill", "F", "Give a whole nucleus another class"),
    ("edit mask", "K", "Paint where pixels may change, for inpainting"),
    ("frame", "R", "Move and resize the frame with the mouse"),
    ("pan", "Z", "Move the view; hold Space for the same with any tool"),
)


def _tool(name: str, dock: Studio) -> None:
    dock.actions.select_tool(name)


def _nucleus_class(class_id: int, dock: Studio) -> None:
    dock.actions.select_class(class_id)


_EDITS: Final = (
    Command("generate", "Generate the frame", lambda d: d.actions.generate(), "Control-Enter"),
    Command("cancel", "Cancel the running edit", lambda d: d.actions.cancel(), "Control-."),
    Command("next_variant", "Next variant", lambda d: d.controller.staged.step(1), "Alt-Right"),
    Command(
        "previous_variant", "Previous variant", lambda d: d.controller.staged.step(-1), "Alt-Left"
    ),
    Command(
        "apply",
        "Apply the variant in view",
        lambda d: d.actions.apply(),
        "Alt-Enter",
        "Write this variant into the image",
    ),
    Command(
        "discard",
        "Discard the variants",
        lambda d: d.controller.staged.discard(),
        "Alt-Backspace",
        "Drop the variants; the history keeps them",
    ),
    Command(
        "compare",
        "Hide or show the preview",
        lambda d: d.actions.compare(),
        "Shift-B",
        "Hide or show the preview to compare",
    ),
    Command(
        "undo",
        "Undo the last Apply",
        lambda d: d.controller.staged.undo(),
        "Shift-Z",
        "Take back the last Apply",
    ),
    Command(
        "redo",
        "Redo the last Apply",
        lambda d: d.controller.staged.redo(),
        "Shift-Y",
        "Apply again",
    ),
    Command(
        "new_canvas",
        "New canvas",
        lambda d: d.actions.ask_new_canvas(),
        "Shift-N",
        "Start on an empty slide",
    ),
    Command(
        "use_image",
        "Use the selected image",
        lambda d: d.actions.use_selected(),
        "Shift-I",
        "Work on the selected image layer",
    ),
    Command(
        "resample",
        "Resample the image for the model",
        lambda d: d.actions.resample(),
        "Shift-Q",
        "Make a copy at a pixel size that the model knows",
    ),
    Command(
        "frame_to_view",
        "Frame to view",
        lambda d: d.actions.frame_to_view(),
        "Shift-F",
        "Put the frame in the middle of the view, as fine as that shows",
    ),
    Command(
        "import_labels",
        "Import labels",
        lambda d: d.actions.ask_import(),
        "Shift-M",
        "Take a Labels layer as nuclei",
    ),
    Command(
        "outlines",
        "Paint as outlines",
        lambda d: d.actions.toggle_outlines(),
        "Shift-O",
        "Paint as outlines or filled",
    ),
    Command(
        "fill_area",
        "Fill the area with nuclei",
        lambda d: d.actions.fill_area(),
        tip="Scatter over the edit mask; without one, the frame",
    ),
    Command(
        "propose_nuclei",
        "Propose nuclei",
        lambda d: d.proposer.propose(),
        "Shift-P",
        "Find the nuclei in the pixels under the frame, to look through and paint",
    ),
    Command("cancel_nuclei", "Stop proposing nuclei", lambda d: d.proposer.cancel()),
    Command(
        "accept_nuclei",
        "Paint the proposed nuclei",
        lambda d: d.actions.accept_proposal(),
        "Shift-A",
        "Put the nuclei in view on the Nuclei layer",
    ),
    Command(
        "discard_nuclei",
        "Discard the proposed nuclei",
        lambda d: d.proposer.discard(),
        "Shift-W",
        "Drop the proposal and its rings",
    ),
    Command(
        "clear_painting",
        "Clear painting",
        lambda d: d.actions.clear_painting(),
        "Shift-X",
        "Remove the paint in the frame",
    ),
    Command(
        "caption_from_paint",
        "Write the caption from the paint",
        lambda d: d.controller.caption_from_paint(),
        "Shift-C",
        "Describe the painted nuclei",
    ),
    Command("edit_caption", "Type the caption", lambda d: d.actions.edit_caption(), "Shift-T"),
    Command("next_seed", "Next seed", lambda d: d.controller.next_seed(), "Shift-R"),
    Command("save", "Save image, maps and request", lambda d: d.actions.ask_save(), "Shift-S"),
    Command("copy_python", "Copy as Python", lambda d: d.actions.copy_python(), "Shift-D"),
    Command(
        "restart_engine",
        "Restart the engine",
        lambda d: d.controller.restart(),
        "Shift-E",
        "Start the engine again",
    ),
    Command(
        "bundled_model", "Draw with the bundled model", lambda d: d.actions.use_bundled_model()
    ),
    Command("model_folder", "Draw with a model folder", lambda d: d.actions.ask_model()),
    Command("train", "Train a model on your own slides", lambda d: d.actions.open_training()),
)

_SLIDES: Final = (
    Command(
        "new_slide",
        "New slide",
        lambda d: d.slide.new_slide(),
        "Shift-G",
        "Make a slide of any size, drawn where you look",
    ),
    Command(
        "open_slide",
        "Open slide",
        lambda d: d.slide.open_slide(),
        "Shift-L",
        "Open a slide that was made before",
    ),
    Command(
        "slide_pause",
        "Pause or resume drawing",
        lambda d: d.slide.toggle_pause(),
        "Shift-H",
        "Hold the drawing of tiles, or go on with it",
    ),
    Command(
        "slide_view",
        "Draw all in view",
        lambda d: d.slide.draw_view(),
        "Shift-K",
        "Draw all that is in view, down to the finest level",
    ),
    Command(
        "slide_frame",
        "Draw all in the frame",
        lambda d: d.slide.draw_frame(),
        "Shift-J",
        "Draw all in the frame, down to the finest level",
    ),
    Command(
        "slide_coverage",
        "Show or hide coverage on the map",
        lambda d: d.slide.toggle_coverage(),
        "Shift-U",
        "Show on the map what is drawn (green), edited (blue) and out of date (amber)",
    ),
    Command(
        "slide_all",
        "Draw the whole slide",
        lambda d: d.slide.draw_all(),
        tip="Draw every tile of the slide; says first what it takes",
    ),
    Command(
        "slide_stop",
        "Stop drawing the slide",
        lambda d: d.slide.stop_drawing(),
        tip="Forget what waits; what is drawn stays",
    ),
    Command("slide_retry", "Draw the failed places again", lambda d: d.slide.retry()),
    Command(
        "slide_why", "Say why drawing failed", lambda d: d.slide.tell_why(), tip="What went wrong"
    ),
    Command("slide_finer", "Zoom in further", lambda d: d.slide.refine(), tip="Add a finer level"),
    Command(
        "slide_space",
        "Free disk space of the slide",
        lambda d: d.slide.free_space(),
        tip="Drop tiles that can be drawn again",
    ),
    Command(
        "slide_close",
        "Close the slide",
        lambda d: d.slide.close_slide(),
        tip="Close the slide; everything drawn stays on the disk",
    ),
    Command(
        "sketch_edit",
        "Edit the sketch of the slide",
        lambda d: d.slide.edit_sketch(),
        tip="Paint glands, stroma, lumens and glass over the whole slide",
    ),
    Command(
        "sketch_apply",
        "Apply the sketch",
        lambda d: d.slide.apply_sketch(),
        tip="Lay the slide out after what is painted",
    ),
    Command(
        "sketch_cancel",
        "Cancel the sketch",
        lambda d: d.slide.cancel_sketch(),
        tip="Take the sketch away and leave the slide as it is",
    ),
)

COMMANDS: Final[tuple[Command, ...]] = (
    *_EDITS,
    *_SLIDES,
    *(
        Command(f"class_{i}", f"Paint {name} nuclei", partial(_nucleus_class, i), str(i))
        for i, name in enumerate(CLASS_NAMES, start=1)
    ),
    *(
        Command(f"tool_{name.replace(' ', '_')}", f"Tool: {name}", partial(_tool, name), key, tip)
        for name, key, tip in TOOLS
    ),
)

_BY_ID: Final = {made.id: made for made in COMMANDS}


def command(command_id: str) -> Command:
    """Return a command by its id."""
    return _BY_ID[command_id]


def run(command_id: str, dock: Studio) -> None:
    """Run a command on a dock."""
    _BY_ID[command_id].act(dock)
