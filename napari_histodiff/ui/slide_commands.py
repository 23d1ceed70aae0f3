"""The commands that make, open, draw and sketch slides."""

from __future__ import annotations

from typing import Final

from napari_histodiff.ui.command import Command

__all__ = ["SLIDE_COMMANDS"]

SLIDE_COMMANDS: Final = (
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
        "export",
        "Export the slide",
        lambda d: d.slide.ask_export(),
        tip="Write the slide, the view or the frame for QuPath, OMERO or training",
    ),
    Command(
        "import_annotations",
        "Paint annotations on the slide",
        lambda d: d.slide.ask_annotations(),
        tip="Paint nuclei and tissue of a GeoJSON or XML file on the whole scan",
    ),
    Command(
        "slide_room",
        "Make room beyond the border of the scan",
        lambda d: d.slide.scans.ask_room(),
        tip="Let the canvas of a scan go beyond its border, to outpaint there",
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
        "Show on the map what is drawn (green), edited (blue hatch) and out of date (amber grid)",
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
