"""Bringing back what a project keeps: images, edits, paint, frame, settings, hand and camera."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.generation.settings import Settings
from napari_histodiff.ui.project.capture import KEPT_HAND
from napari_histodiff.ui.project.folder import SavedProject, same_file
from napari_histodiff.ui.project.lasting import lay_over
from napari_histodiff.ui.project.steps import KeptSteps
from napari_histodiff.ui.queue.kept import restored
from napari_histodiff.ui.text import count_text
from napari_histodiff.ui.viewport import camera_of
from napari_histodiff.ui.workspace.journal import MemoryJournal
from napari_histodiff.ui.workspace.resting_paint import PLANES
from napari_histodiff.ui.workspace.targets import (
    CanvasTarget,
    RawTarget,
    open_target,
)

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Opening"]


class Opening:
    """Opens projects in a viewer.

    Parameters
    ----------
    viewer : napari Viewer
        Where images are added.
    workspace, controller
        Of the dock.
    open_slide : callable
        Opens a slide or a scan by its path.
    locate : callable
        Asks where a file is that is not where it was; None when nobody knows.
    opened : callable
        Told of each image that is as it was kept: how the project describes it, and what it is now.
    """

    def __init__(
        self,
        viewer: Any,
        workspace: Workspace,
        controller: Controller,
        open_slide: Callable[[Path], object],
        locate: Callable[[Path], Path | None],
        opened: Callable[[dict[str, Any], Document], object],
    ) -> None:
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._open_slide = open_slide
        self._locate = locate
        self._opened = opened

    def open(self, project: SavedProject) -> list[str]:
        """Bring everything back; returns what could not be, in words.

        Images that are open stay where they are in the layer list; those of the project are added.
        """
        problems: list[str] = []
        keys: dict[str, str] = {}
        for image in project.description["images"]:
            try:
                keys[image["key"]] = self._open_image(project, image)
            except (HistodiffError, OSError, ValueError, KeyError, TypeError) as error:
                problems.append(f"{image.get('name', 'An image')}: {error}")
        self._restore_rest(project.description)
        return problems + self._put_back(project.description, keys)

    def _put_back(self, said: dict[str, Any], keys: dict[str, str]) -> list[str]:
        """Let the edits wait on whose images are open; returns what could not be, in words."""
        edits, lost = [], 0
        for kept in said.get("queue", ()):
            try:
                edits.append(restored(kept, keys[kept["image"]]))
            except (HistodiffError, ValueError, KeyError, TypeError):
                lost += 1
        self._controller.drawing.put_back(edits)
        return [f"{count_text(lost, 'edit')} that waited."] if lost else []

    def _open_image(self, project: SavedProject, image: dict[str, Any]) -> str:
        """Open an image; returns its key."""
        kind = image["kind"]
        if kind in ("canvas", "pixels"):
            document = self._workspace.add(self._made(project, image))
        else:
            path = self._found(Path(image["path"]), image["name"])
            if kind == "picture":
                document = self._open_picture(path, image)
            else:
                document = self._open_store(path)
        target, key = document.target, image["key"]
        if isinstance(target, RawTarget) and kind in ("canvas", "picture"):
            for (one, plane, tile), pixels in project.arrays.items():
                if one == key and plane == "pixels":
                    lay_over(target, tile, pixels)
        if isinstance(document.journal, MemoryJournal):
            steps = KeptSteps.read(image, project.arrays)
            document.journal.begin_with(steps.marks, steps.done, steps.undone)
        self._workspace.refill(document, partial(_fill, project, image))
        self._opened(image, document)
        return str(target.key)

    def _made(self, project: SavedProject, image: dict[str, Any]) -> RawTarget:
        """Return a canvas, or an image that has no file but this one."""
        height, width = image["shape"]
        target: RawTarget
        if image["kind"] == "canvas":
            background = tuple(image["background"])
            target = CanvasTarget(height, width, image["mpp"], background, image["name"])
        else:
            pixels = np.zeros((height, width, 3), np.uint8)
            edited = np.zeros((height, width), np.uint8)
            for (key, plane, tile), stored in project.arrays.items():
                if key == image["key"] and plane == "pixels":
                    pixels[tile.slices], edited[tile.slices] = stored[..., :3], stored[..., 3]
            layer = Image(pixels, rgb=True, name=image["name"], scale=image["scale"])
            layer.units = image["units"]
            made = open_target(layer, self._viewer)
            assert isinstance(made, RawTarget)
            target = made
            if edited.any():
                target.write_raw(target.bounds, np.dstack((pixels, edited)))
        target.layer.scale, target.layer.translate = image["scale"], image["translate"]
        target.key = image["key"]
        return target

    def _found(self, path: Path, name: str) -> Path:
        if path.exists():
            return path
        located = self._locate(path)
        if located is None or not located.exists():
            raise InvalidRequest(f"{path} is not there; its edits and paint stay in the project")
        return located

    def _open_picture(self, path: Path, image: dict[str, Any]) -> Document:
        if image["identity"] is not None and same_file(path) != image["identity"]:
            raise InvalidRequest(
                f"{path} is another file than the one that was edited; its edits and paint stay in "
                "the project"
            )
        layers = self._viewer.open(str(path), plugin=image["reader"] or "napari")
        pictures = [one for one in layers if isinstance(one, Image) and one.rgb]
        if not pictures:
            raise InvalidRequest(f"{path} holds no colour image any more")
        wanted = image["name"].removesuffix(" (edited)")
        layer = next((one for one in pictures if one.name == wanted), pictures[0])
        layer.scale, layer.translate = image["scale"], image["translate"]
        layer.units = image["units"]
        self._workspace.use_layer(layer)
        return self._workspace.document

    def _open_store(self, path: Path) -> Document:
        before = self._workspace.target
        self._open_slide(path)
        if self._workspace.target is before:
            raise InvalidRequest(f"{path} could not be opened")
        return self._workspace.document

    def _restore_rest(self, said: dict[str, Any]) -> None:
        settings = Settings.from_dict(said.get("settings", {})).clipped()
        self._controller.use_settings(settings)
        layer = self._workspace.layer_of(said.get("current"))
        if layer is not None:
            self._workspace.use_layer(layer)
        if self._workspace.target is not None:
            self._workspace.take_in_hand(
                {k: said["hand"][k] for k in KEPT_HAND if k in said["hand"]}
            )
        camera = camera_of(self._viewer)
        camera.center = tuple(said["camera"]["center"])
        camera.zoom = said["camera"]["zoom"]


def _fill(project: SavedProject, image: dict[str, Any], document: Document) -> None:
    y, x = image["shift"]
    for (key, plane, tile), stored in project.arrays.items():
        if key == image["key"] and plane in PLANES:
            place = tile.translate(y >> tile.level, x >> tile.level)
            document.resting.write(plane, place, stored)
            if document.target.key == image["key"] and not (y or x):
                document.resting.plane(plane).touched.clear()
    document.next_instance = max(document.next_instance, image["next_instance"])
    document.region = Region(*image["frame"])
