"""What a project keeps, copied from the window a few megabytes at a time.

A copy is handed over only when nothing changed while it was made, so it is of one moment.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region, WindowGrid
from napari_histodiff.ui.project.folder import Slot, same_file
from napari_histodiff.ui.project.steps import MOST, KeptSteps
from napari_histodiff.ui.queue.edits import EditState
from napari_histodiff.ui.queue.kept import described
from napari_histodiff.ui.viewport import camera_of
from napari_histodiff.ui.workspace.journal import MemoryJournal
from napari_histodiff.ui.workspace.resting_paint import PLANES
from napari_histodiff.ui.workspace.targets import ArrayTarget, CanvasTarget, RawTarget

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["KEPT_HAND", "Capture"]

#: Side of the squares that pixels are kept in.
_TILE: Final = 1024

#: Bytes of an image without a file that are kept whole; a larger one is left out.
_MOST: Final = 2**28

#: What of the user's hand is kept.
KEPT_HAND: Final = ("class_id", "tissue_id", "density", "palette", "tool")


class Capture:
    """Knows what changed since it was copied last.

    Parameters
    ----------
    viewer : napari Viewer
        Whose camera is kept.
    workspace, controller
        Of the dock.
    """

    def __init__(self, viewer: Any, workspace: Workspace, controller: Controller) -> None:
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._grid = WindowGrid(_TILE, _TILE)
        self._dirty: dict[tuple[str, Region], None] = {}
        self._known: set[str] = set()
        self._followed: set[str] = set()
        self._identities: dict[str, dict[str, Any] | None] = {}
        #: Images of the project that are not brought back (yet), by key, as it describes them.
        self.absent: dict[str, dict[str, Any]] = {}
        #: Edits that waited when the project was opened, as it describes them.
        self.absent_edits: list[dict[str, Any]] = []
        #: Whether anything changed since `take` was over.
        self.is_due = False
        self._paint_due = True
        workspace.pixels_changed.connect(self._touch)
        workspace.target_changed.connect(self._target)
        workspace.painting_changed.connect(self._paint)
        workspace.frame_changed.connect(self._paint)
        for signal in (
            controller.settings_changed,
            controller.staging_changed,
            controller.drawing.queue_changed,
        ):
            signal.connect(self._touch)
        camera = camera_of(viewer)
        for event in (camera.events.center, camera.events.zoom):
            event.connect(self._touch)

    @property
    def documents(self) -> list[Document]:
        """The images that are kept."""
        return [document for document in self._workspace.documents if _can_keep(document)]

    def restored(self, document: Document) -> None:
        """Say that an image is as it is kept already."""
        self._known.add(document.target.key)

    def moved(self, document: Document) -> None:
        """Say that an image is kept under another key: what was edited is due again."""
        target = document.target
        if isinstance(target, RawTarget):
            for tile in self._grid.covering(target.bounds):
                tile = tile.intersect(target.bounds)
                if target.edited(tile).any():
                    self._dirty[target.key, tile] = None
        self.is_due = True

    def take(self, into: dict[Slot, NDArray[Any]], budget: int) -> bool:
        """Copy up to about `budget` bytes of what changed; returns whether that was all.

        Parameters
        ----------
        into : dict
            Where copies are put; newer ones replace older ones.
        budget : int
            Bytes; a tile is always copied.
        """
        if self._paint_due:
            self._paint_due = False
            if self._workspace.target is not None:
                self._workspace.document.rest()
        for document in self.documents:
            budget -= self._take_pixels(document, into, budget)
            budget -= _take_paint(document, into, budget)
            if budget <= 0:
                return False
        self.is_due = False
        return True

    def steps(self, there: Iterable[Slot]) -> dict[Slot, NDArray[Any]]:
        """Return what a folder that holds some arrays lacks of what can be undone; copies none."""
        known, found = frozenset(there), dict[Slot, NDArray[Any]]()
        for document in self.documents:
            if not document.target.path:
                found |= KeptSteps.of(document.journal).changed(document.target.key, known)
        return found

    def describe(self) -> dict[str, Any]:
        """Return everything but the arrays."""
        workspace, controller = self._workspace, self._controller
        camera, staged = camera_of(self._viewer), controller.staged.now
        current = None if workspace.target is None else workspace.document.target.key
        shown = {document.target.key: self._image(document) for document in self.documents}
        images = self.absent | shown
        # What is drawn is in the history.
        undrawn = (e for e in controller.drawing.queue.edits if e.state is not EditState.READY)
        waiting = [described(edit) for edit in undrawn if edit.place.key in shown]
        return {
            "made_by": "napari-histodiff",
            "saved": time.time(),
            "images": list(images.values()),
            "queue": waiting + [edit for edit in self.absent_edits if edit["image"] in self.absent],
            "current": current,
            "settings": asdict(controller.settings),
            "hand": {name: getattr(workspace.paint, name) for name in KEPT_HAND},
            "camera": {
                "center": [float(x) for x in camera.center[-2:]],
                "zoom": float(camera.zoom),
            },
            "staged": None if staged is None else [staged.entry.id, staged.index],
        }

    # ---------------------------------------------------------------- plumbing
    def _touch(self, *_: object) -> None:
        self.is_due = True

    def _paint(self, *_: object) -> None:
        self.is_due = self._paint_due = True

    def _target(self) -> None:
        self.is_due = self._paint_due = True
        for document in self.documents:
            if document.target.key not in self._followed:
                self._followed.add(document.target.key)
                # Of each its own: the image in hand may be another than the one that changed.
                document.pixels_changed.connect(partial(self._mark, document))
            if document.target.key not in self._known:
                self._known.add(document.target.key)
                if type(document.target) is ArrayTarget and not document.target.path:
                    self._mark(document, document.target.bounds)  # nowhere else to find it

    def _mark(self, document: Document, region: Region) -> None:
        target = document.target
        if isinstance(target, RawTarget):
            for tile in self._grid.covering(region):
                self._dirty[target.key, tile.intersect(target.bounds)] = None

    def _take_pixels(self, document: Document, into: dict[Slot, NDArray[Any]], budget: int) -> int:
        target, taken = document.target, 0
        if not isinstance(target, RawTarget):
            return 0
        for key, tile in [one for one in self._dirty if one[0] == target.key]:
            if taken >= budget:
                break
            del self._dirty[key, tile]
            pixels = target.read_raw(tile)
            into[key, "pixels", tile] = pixels
            taken += pixels.nbytes
        return taken

    def _image(self, document: Document) -> dict[str, Any]:
        target, region = document.target, document.region
        described: dict[str, Any] = {
            "key": target.key,
            "kind": _kind(document),
            "name": target.name,
            "path": target.path,
            "reader": target.layer.source.reader_plugin,
            "frame": [region.level, region.y, region.x, region.height, region.width],
            "shift": list(document.first),
            "next_instance": document.next_instance,
            "mpp": target.mpp,
            "shape": list(target.bounds.shape),
        }
        if isinstance(target, RawTarget):
            layer = target.layer
            described["scale"] = [float(x) for x in layer.scale[-2:]]
            described["translate"] = [float(x) for x in layer.translate[-2:]]
            described["units"] = [str(unit) for unit in layer.units[-2:]]
            if target.key not in self._identities:
                path = Path(target.path) if target.path else None
                self._identities[target.key] = None if path is None else same_file(path)
            described["identity"] = self._identities[target.key]
        if isinstance(target, CanvasTarget):
            described["background"] = list(target.background)
        if isinstance(document.journal, MemoryJournal):
            # Of a picture's file the steps are kept elsewhere (`lasting`).
            steps = KeptSteps.of(document.journal, 0 if target.path else MOST)
            described |= steps.described()
        return described


def _kind(document: Document) -> str:
    target = document.target
    if isinstance(target, CanvasTarget):
        return "canvas"
    if isinstance(target, RawTarget):
        return "picture" if target.path else "pixels"
    return "slide"


def _can_keep(document: Document) -> bool:
    target = document.target
    if not isinstance(target, RawTarget) or isinstance(target, CanvasTarget) or target.path:
        return True
    return isinstance(target, ArrayTarget) and 4 * target.bounds.area <= _MOST


def _take_paint(document: Document, into: dict[Slot, NDArray[Any]], budget: int) -> int:
    taken = 0
    for name in PLANES:
        if document.target.keeps_paint and name != "edit mask":
            continue  # the image keeps it itself
        plane = document.resting.plane(name)
        for tile in sorted(plane.touched, key=partial(_order)):
            if taken >= budget:
                return taken
            plane.touched.discard(tile)
            stored = plane.tile(tile)
            array = np.zeros((1, 1), np.uint8) if stored is None else stored.copy()
            into[document.target.key, name, tile] = array
            taken += array.nbytes
    return taken


def _order(region: Region) -> tuple[int, int, int]:
    return region.level, region.y, region.x
