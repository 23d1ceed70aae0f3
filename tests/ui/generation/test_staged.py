"""The variants that wait for Apply, and the layer that shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.ui.generation.staged import PREVIEW_NAME
from tests.ui.doubles import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_results_wait_for_apply(desk: Desk) -> None:
    desk.controller.generate()
    desk.finish(shade=100)
    assert desk.workspace.document.written == []
    assert desk.controller.staged.now.count == 2
    desk.controller.staged.step(1)
    assert desk.viewer.layers[PREVIEW_NAME].data[0, 0, 0] == 101
    desk.controller.staged.apply()
    ((region, pixels, _),) = desk.workspace.document.written
    assert region == desk.engine.submitted[0].region
    assert (pixels == 101).all()
    assert desk.controller.staged.now is None
    assert not desk.controller.staged.preview.shown


def test_the_preview_goes_with_whatever_else_its_going_takes_away(desk: Desk) -> None:
    desk.controller.generate()
    desk.finish()
    other = desk.viewer.add_labels(np.zeros((8, 8), np.uint8))
    desk.viewer.layers.events.removed.connect(
        lambda _: other in desk.viewer.layers and desk.viewer.layers.remove(other)
    )
    desk.workspace.target_changed.emit()
    assert len(desk.viewer.layers) == 0


def test_variants_go_round(desk: Desk) -> None:
    desk.controller.generate()
    desk.finish()
    for expected in (1, 0, 1):
        desk.controller.staged.step(-1)
        assert desk.controller.staged.now.index == expected


def test_the_preview_stays_a_layer_and_is_shown_at_the_next_place(desk: Desk) -> None:
    desk.controller.generate()
    desk.finish(shade=100)
    preview = desk.viewer.layers[PREVIEW_NAME]
    desk.controller.staged.discard()
    assert not preview.visible
    desk.viewer.add_labels(np.zeros((8, 8), np.uint8), name="Above")
    region = desk.engine.submitted[0].region.translate(32, 16)
    desk.controller.staged.show(region, np.full((*region.shape, 3), 7, np.uint8))
    assert desk.viewer.layers[-1] is preview
    assert preview.visible
    assert (preview.data == 7).all()
    np.testing.assert_allclose(preview.translate, (24, 24))


def test_the_preview_lies_below_the_paint(desk: Desk) -> None:
    names = ["Tissue", "Nuclei"]
    paint = [desk.viewer.add_labels(np.zeros((8, 8), np.uint8), name=name) for name in names]
    desk.workspace.paint_layers = paint
    desk.controller.generate()
    desk.finish(shade=100)
    assert [layer.name for layer in desk.viewer.layers] == [PREVIEW_NAME, "Tissue", "Nuclei"]
    desk.viewer.layers.move(0, 3)
    desk.controller.staged.step(1)
    desk.controller.staged.discard()
    region = desk.engine.submitted[0].region.translate(32, 16)
    desk.controller.staged.show(region, np.full((*region.shape, 3), 7, np.uint8))
    assert [layer.name for layer in desk.viewer.layers] == [PREVIEW_NAME, "Tissue", "Nuclei"]


def test_discard_changes_nothing_but_the_preview(desk: Desk) -> None:
    desk.controller.generate()
    desk.finish()
    desk.controller.staged.discard()
    assert desk.workspace.document.written == []
    assert not desk.controller.staged.preview.shown
    assert len(desk.controller.history.entries) == 1


@pytest.mark.parametrize("level", [0, 2])
def test_variants_go_along_with_an_image_that_grew(desk: Desk, level: int) -> None:
    desk.controller.generate()
    desk.finish()
    staged = desk.controller.staged.now
    request = replace(staged.entry.request, region=replace(staged.region, level=level))
    staged = replace(staged, entry=replace(staged.entry, request=request), index=1)
    shifted = staged.shifted(64, 128)
    assert shifted.region == staged.region.translate(64 >> level, 128 >> level)
    assert (shifted.index, shifted.entry.number) == (1, staged.entry.number)
