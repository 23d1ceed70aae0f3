"""Layers that come one by one while the window lives, and go together."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histodiff.ui.workspace.transforms import place_on, put_on
from napari_histodiff.ui.workspace.workspace import Workspace


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((128, 128, 3), np.uint8), name="image", rgb=True)
    return viewer


def test_the_window_lives_between_layers_and_meanwhile_there_is_no_image(viewer) -> None:
    workspace = Workspace(viewer, seed=0)
    seen: list[tuple[int, bool]] = []
    workspace.use_layer(viewer.layers["image"], partial(_note, seen, viewer, workspace))
    assert seen == [(1, True), (2, True), (3, True), (4, True), (5, True)]
    assert workspace.target is viewer.layers["image"]
    assert workspace.document.is_whole


def test_an_image_is_left_layer_by_layer_while_the_window_lives(viewer) -> None:
    workspace = Workspace(viewer, seed=0)
    image = viewer.layers["image"]
    workspace.use_layer(image)
    told: list[object] = []
    workspace.target_changed.connect(lambda: told.append(workspace.target))
    seen: list[tuple[int, bool]] = []
    between = partial(_note, seen, viewer, workspace)
    workspace.leave(viewer.add_image(np.zeros((128, 128, 3), np.uint8), rgb=True), between)
    assert workspace.target is image  # not the one that was left
    workspace.leave(image, between)
    assert seen == [(5, True), (4, True), (3, True), (2, True)]
    assert told == [None]


def _note(seen: list[tuple[int, bool]], viewer: ViewerModel, workspace: Workspace) -> None:
    seen.append((len(viewer.layers), workspace.target is None))


def test_who_follows_the_selection_hears_once_of_the_layers_that_come(viewer) -> None:
    workspace = Workspace(viewer, seed=0)
    heard: list[set[object]] = []
    viewer.layers.selection.events.changed.connect(lambda event: heard.append(event.added))
    workspace.use_layer(viewer.layers["image"])
    came = [layer for added in heard for layer in added]
    assert came == [workspace.document.nuclei.layer]  # what the brush works on


@pytest.mark.skipif(not hasattr(ViewerModel().layers, "batched_update"), reason="napari before 0.9")
def test_layers_that_go_together_clean_the_canvas_once(viewer) -> None:
    workspace = Workspace(viewer, seed=0)
    workspace.use_layer(viewer.layers["image"])
    cleaned: list[int] = []
    viewer.layers.events.end_batch.connect(lambda _: cleaned.append(len(viewer.layers)))
    workspace.document.close()
    assert cleaned == [1]


def test_a_layer_that_lies_there_already_is_not_moved() -> None:
    viewer = ViewerModel()
    target, layer = (viewer.add_image(np.zeros((8, 8))) for _ in range(2))
    moved: list[object] = []
    for name in ("scale", "translate", "affine", "rotate", "shear", "units"):
        getattr(layer.events, name).connect(moved.append)
    put_on(layer, place_on(target, 0, 0))
    assert moved == []
    put_on(layer, place_on(target, 2, 3))
    assert tuple(layer.translate) == (2, 3)
    assert len(moved) == 1
