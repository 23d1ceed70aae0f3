"""Every action of the dock as a command; buttons, keys and the manifest run them by their id."""

from __future__ import annotations

from typing import Final

from napari_histodiff.ui.command import Command, Studio
from napari_histodiff.ui.mask_commands import MASK_COMMANDS
from napari_histodiff.ui.paint_commands import PAINT_COMMANDS
from napari_histodiff.ui.slide_commands import SLIDE_COMMANDS

__all__ = ["COMMANDS", "command", "run"]

_EDITS: Final = (
    Command("generate", "Generate the frame", lambda d: d.actions.generate(), "Control-Enter"),
    Command("cancel", "Cancel the running edit", lambda d: d.actions.cancel(), "Control-."),
    Command(
        "queue_hold",
        "Pause or go on with waiting edits",
        lambda d: d.queue.toggle_hold(),
        "Alt-P",
        "Hold the edits that wait, or go on with them; the one that is drawn is finished",
    ),
    Command(
        "queue_next",
        "Go to the next drawn edit",
        lambda d: d.queue.go_to_next(),
        "Alt-J",
        "Show the variants of an edit that was drawn at another place",
    ),
    Command(
        "live",
        "Live painting on or off",
        lambda d: d.live.toggle(),
        "Alt-L",
        "Show a rough picture of the frame after each stroke; Generate draws the full one",
    ),
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
        "look_below",
        "See before, while held",
        lambda d: d.looks.hold(),
        "B",
        "Hide the variant as long as the key is held",
        held=True,
    ),
    Command(
        "difference",
        "Show or hide the differences",
        lambda d: d.looks.toggle_difference(),
        "Alt-D",
        "Show where, and how much, the variant differs from what lies below",
    ),
    Command(
        "grid",
        "Show the variants side by side",
        lambda d: d.grid.show(),
        "Alt-G",
        "See all variants beside what lies there now, zoomed together, and choose one",
    ),
    Command(
        "vary",
        "Vary one thing",
        lambda d: d.grid.ask(),
        "Alt-V",
        "Draw the frame with several guidance values, structures or stains, side by side",
    ),
    Command(
        "check_nuclei",
        "Look for the painted nuclei",
        lambda d: d.readings.look_for_nuclei(),
        "Alt-N",
        "Let the segmenter look for the painted nuclei, and for training tissue like it",
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
        "propose_nuclei",
        "Propose nuclei",
        lambda d: d.proposer.propose(),
        "Shift-P",
        "Find the nuclei in the pixels under the frame, to look through and paint",
    ),
    Command(
        "doubt_nuclei",
        "Propose nuclei and show where they are in doubt",
        lambda d: d.proposer.propose(ensemble=True),
        tip="Propose nuclei eight times, turned and stained differently, and show where the "
        "proposals disagree",
    ),
    Command(
        "map_anomaly",
        "Show where the frame is unlike the model",
        lambda d: d.anomaly.begin(),
        tip="Draw the frame again under its own proposed paint and show where it differs: ink, "
        "folds, other stains. The image stays as it is",
    ),
    Command(
        "cancel_anomaly",
        "Stop comparing the frame with the model",
        lambda d: d.anomaly.cancel(),
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
        "caption_from_paint",
        "Write the caption from the paint",
        lambda d: d.controller.caption_from_paint(),
        "Shift-C",
        "Describe the painted nuclei",
    ),
    Command("edit_caption", "Type the caption", lambda d: d.actions.edit_caption(), "Shift-T"),
    Command("next_seed", "Next seed", lambda d: d.controller.next_seed(), "Shift-R"),
    Command("keep_preset", "Keep as preset", lambda d: d.actions.ask_keep_preset()),
    Command("save", "Save image, maps and request", lambda d: d.actions.ask_save(), "Shift-S"),
    Command(
        "sample_canvas",
        "Open the sample canvas",
        lambda d: d.actions.open_sample_canvas(),
        tip="A canvas with painted nuclei and a caption, to generate at once",
    ),
    Command(
        "sample_slide",
        "Open the sample slide",
        lambda d: d.actions.open_sample_slide(),
        tip="A synthetic slide of 4096 px, drawn where you look",
    ),
    Command("save_project", "Save project", lambda d: d.project.ask_save()),
    Command("open_project", "Open project", lambda d: d.project.ask_open()),
    Command("resume", "Go on where you stopped", lambda d: d.project.resume()),
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
    Command(
        "hub_model",
        "Draw with a model of the Hugging Face Hub",
        lambda d: d.actions.ask_hub_model(),
    ),
    Command(
        "compare_model",
        "Compare with a model folder",
        lambda d: d.actions.ask_model_folder(d.second.compare_with),
    ),
    Command(
        "compare_bundled",
        "Compare with the bundled model",
        lambda d: d.second.compare_with(None),
    ),
    Command("stop_comparing", "Stop comparing models", lambda d: d.second.stop()),
    Command("remote_engine", "Use an engine on another machine", lambda d: d.actions.ask_remote()),
    Command("model_card", "About the model that draws", lambda d: d.actions.show_model()),
    Command(
        "copy_diagnostics",
        "Copy diagnostics",
        lambda d: d.actions.copy_diagnostics(),
        tip="Versions, model and what was told last, to send to whoever helps",
    ),
    Command("train", "Train a model on your own slides", lambda d: d.actions.open_training()),
)

COMMANDS: Final[tuple[Command, ...]] = (*_EDITS, *SLIDE_COMMANDS, *PAINT_COMMANDS, *MASK_COMMANDS)

_BY_ID: Final = {made.id: made for made in COMMANDS}


def command(command_id: str) -> Command:
    """Return a command by its id."""
    return _BY_ID[command_id]


def run(command_id: str, dock: Studio) -> None:
    """Run a command on a dock."""
    _BY_ID[command_id].act(dock)
