"""Tools, tissues and keys of paint work on the sketch of a slide, in a real window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.ui.dock import StudioDock
from napari_histodiff.ui.slide.sketching import SKETCH_NAME
from tests.ui.conftest import OpenDock
from tests.ui.doubles import RecordingEngine
from tests.ui.find import press, press_key
from tests.ui.mouse import click, drag

if TYPE_CHECKING:
    from napari.layers import Labels

STROMA, LUMEN, FAT, LYMPHOID = (
    TISSUE_NAMES.index(name) for name in ("stroma", "lumen", "fat", "lymphoid")
)


@pytest.fixture
def dock(open_dock: OpenDock, slide_path: Path) -> StudioDock:
    engine = RecordingEngine()
    dock = open_dock(engine)
    engine.ready()
    dock.controller.pump()
    dock.slide.open_slide(slide_path)
    press(dock, "sketch_edit")
    return dock


@pytest.fixture
def sketch(dock: StudioDock) -> Labels:
    return dock.viewer.layers[SKETCH_NAME]


def in_hand(dock: StudioDock) -> str:
    return dock.viewer.layers.selection.active.name


def painted(sketch: Labels) -> set[int]:
    return set(np.unique(sketch.data).tolist()) - {0}


def test_the_keys_of_paint_work_on_the_sketch(dock: StudioDock, sketch: Labels) -> None:
    press_key(dock.viewer, "N")  # the frame's palette is that of nuclei; a sketch has tissue alone
    dock.viewer.layers.selection.active = sketch
    for key, tool, mode in (("G", "polygon", "polygon"), ("E", "erase", "erase")):
        press_key(dock.viewer, key)
        assert (in_hand(dock), dock.workspace.paint.tool, str(sketch.mode)) == (
            SKETCH_NAME,
            tool,
            mode,
        )
    press_key(dock.viewer, "2")
    press_key(dock.viewer, "P")
    drag(sketch, [(5, 5), (5, 20)])
    assert painted(sketch) == {STROMA}
    press_key(dock.viewer, "6")
    press_key(dock.viewer, "L")
    drag(sketch, [(20, 20), (20, 30), (30, 30), (30, 20)])
    assert (sketch.data[21:29, 21:29] == FAT).all()
    press_key(dock.viewer, "9")
    press_key(dock.viewer, "F")
    click(sketch, (25, 25))
    assert painted(sketch) == {STROMA, LYMPHOID}
    press_key(dock.viewer, "Control-Z")
    assert painted(sketch) == {STROMA, FAT}
    assert not any(layer.data.any() for layer in dock.workspace.document.paint_layers)


def test_the_brush_of_the_sketch_has_its_own_width(dock: StudioDock, sketch: Labels) -> None:
    document = dock.workspace.document
    before = sketch.brush_size, [layer.brush_size for layer in document.paint_layers]
    press_key(dock.viewer, "]")
    assert sketch.brush_size == before[0] + 1
    for _ in range(20):
        press_key(dock.viewer, "[")
    assert (sketch.brush_size, [layer.brush_size for layer in document.paint_layers]) == (
        1,
        before[1],
    )


def test_buttons_of_the_palette_and_tools_work_on_it_too(dock: StudioDock, sketch: Labels) -> None:
    press(dock, "tissue_3")
    press(dock, "tool_fill")
    assert (in_hand(dock), sketch.selected_label, str(sketch.mode)) == (SKETCH_NAME, LUMEN, "fill")
    tissues = dock.slide.box.sketch.tissues.group
    assert tissues.checkedId() == LUMEN
    tissues.button(0).click()
    assert sketch.selected_label == 0
    sketch.selected_label = 200
    assert sketch.selected_label in range(1, len(TISSUE_NAMES))


@pytest.mark.parametrize(
    ("name", "layer"),
    [("palette_tissue", "Tissue"), ("class_3", "Nuclei"), ("tool_stamp", "Nuclei")],
)
def test_a_palette_a_class_or_a_tool_of_nuclei_leads_back_to_the_frame(
    dock: StudioDock, sketch: Labels, name: str, layer: str
) -> None:
    if layer == "Tissue":
        dock.workspace.select_palette("tissue")  # which is in hand already, then
        dock.viewer.layers.selection.active = sketch
    press(dock, name)
    assert in_hand(dock) == layer
    assert dock.viewer.layers[SKETCH_NAME] is sketch
