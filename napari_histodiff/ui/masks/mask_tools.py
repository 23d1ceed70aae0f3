"""What the buttons of the edit mask do: each is one step that Ctrl+Z takes back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Labels, Shapes
from numpy.typing import NDArray

from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.inpainting.artefacts import find_pen_marks
from napari_histodiff.inpainting.masks import around_nuclei, grow, nuclei_under, shrink
from napari_histodiff.inpainting.strokes import around_stroke
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.masks.outlines import area_of_shapes
from napari_histodiff.ui.workspace.pending import StepReader

if TYPE_CHECKING:
    from napari_histodiff.core.geometry import Region
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.generation.settings import Settings
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.pending import PendingStep
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["MaskTools", "Unchanged"]

_EMPTY: Final = "The edit mask is empty; paint where pixels may change first."
_STROKE: Final = "Draw a line over the fold or tear, or around the bubble, with the brush first."

#: Finds a place in pixels under the frame, of the mask that is there and the um per pixel.
Look = Callable[[NDArray[np.uint8], NDArray[np.bool_], float], NDArray[np.bool_]]


class MaskTools:
    """Changes the edit mask in the frame as a whole.

    No Qt here; what cannot be done is told as a notice of the controller.

    Parameters
    ----------
    viewer : napari ViewerModel
        Whose selection is meant.
    workspace : Workspace
        The frame and its paint.
    controller : Controller
        Keeps the lengths that are used.
    """

    def __init__(self, viewer: Any, workspace: Workspace, controller: Controller) -> None:
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._reader = StepReader()
        self._take_in_hand(controller.settings)
        controller.settings_changed.connect(self._take_in_hand)

    def invert(self) -> None:
        """Let pixels change where they may not, and the other way round."""
        self.change(lambda document, mask: ~mask)

    def whole(self) -> None:
        """Let every pixel of the frame change."""
        self.change(lambda document, mask: np.ones_like(mask))

    def clear(self) -> None:
        """Let no pixel change; nuclei and tissue stay."""
        self.change(lambda document, mask: np.zeros_like(mask))

    def grow(self) -> None:
        """Push the edge of the mask out by the length chosen."""
        self.change(self._grown)

    def shrink(self) -> None:
        """Pull the edge of the mask in by the length chosen."""
        self.change(self._shrunk)

    def add_selection(self) -> None:
        """Add the selected shapes, or a selected Labels layer, to the mask."""
        self.change(self._with_selection)

    def these_nuclei(self) -> None:
        """Let the mask be the nuclei it touches, with what is around them."""
        self.change(self._nuclei_touched)

    def add_nuclei(self, class_id: int | None = None) -> None:
        """Add all nuclei of a class, 1-6, or of any, with what is around them."""
        self.change(lambda document, mask: self._with_nuclei(document, mask, class_id))

    def add_pen_marks(self) -> None:
        """Look for ink in the frame, in a thread, and add it to the mask."""
        self._look_for(
            "Looking for pen marks…",
            lambda image, mask, mpp: find_pen_marks(image, mpp),
            nothing="No green, blue or red pen mark was found in the frame.",
        )

    def grow_to_artefact(self) -> None:
        """Grow the mask, a stroke, to the fold, tear or bubble that it lies on; in a thread."""
        self._look_for("Looking how far it goes…", around_stroke, needs=_STROKE)

    def change(self, make: Callable[[Document, NDArray[np.bool_]], NDArray[np.bool_]]) -> bool:
        """Put what `make` makes of the mask in its place; return whether it could be made."""
        try:
            document = self._workspace.document
            mask = document.framed("edit mask", document.edit_mask.mask)
            document.edit_mask.put(make(document, mask))
        except (HistodiffError, Unchanged) as error:
            self._controller.noticed.emit(Notice(Level.WARNING, str(error)))
            return False
        if self._workspace.paint.palette != "edit mask":
            self._workspace.select_palette("edit mask")
        return True

    def deliver(self) -> None:
        """Add what was found; call it on a timer."""
        self._reader.deliver()

    # ---------------------------------------------------------------- plumbing
    def _take_in_hand(self, settings: Settings) -> None:
        """Let what is painted next be drawn with the share of the strength chosen."""
        self._workspace.paint.mask_share = settings.mask_strength / 100

    def _look_for(self, doing: str, look: Look, *, nothing: str = "", needs: str = "") -> None:
        """Have a place found in the frame, in a thread, and add it to the mask.

        `nothing` says that there is none, `needs` that the mask is empty where it may not be.
        """
        try:
            document = self._workspace.document
            if problem := document.unready():
                raise Unchanged(problem)
            region = document.region
            mask = document.framed("edit mask", document.edit_mask.mask).copy()
            if needs:
                self._require(mask, needs)
            image = document.target.read(region)
            step = self._reader.begin(
                partial(look, image, mask, document.mpp),
                partial(self._put_found, document, region, nothing),
            )
        except (HistodiffError, Unchanged) as error:
            self._controller.noticed.emit(Notice(Level.WARNING, str(error)))
            return
        self._workspace.doing.follow(doing, step)
        step.then(self._tell)

    def _put_found(
        self, document: Document, region: Region, nothing: str, found: NDArray[np.bool_]
    ) -> Region | None:
        if self._workspace.document is not document or document.region != region:
            raise InvalidRequest(
                "expected frame and image to stay while it was looked for, got other ones; nothing "
                "was added, look again"
            )
        if found.any():
            self.change(lambda document, mask: mask | found)
            return region
        self._controller.noticed.emit(Notice(Level.WARNING, nothing))
        return None

    def _tell(self, step: PendingStep) -> None:
        if step.error is not None:
            self._controller.noticed.emit(Notice(Level.WARNING, str(step.error)))

    def _grown(self, document: Document, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        self._require(mask)
        return grow(mask, self._controller.settings.mask_step, document.mpp)

    def _shrunk(self, document: Document, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        self._require(mask)
        return shrink(mask, self._controller.settings.mask_step, document.mpp)

    def _with_selection(self, document: Document, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        source = self._selected()
        if isinstance(source, Shapes):
            area = area_of_shapes(self._viewer, source, document.edit_mask.layer)
        else:
            area = document.under(source).read() != 0
        if not area.any():
            raise Unchanged(f"Nothing of '{source.name}' lies in the frame; move the frame there.")
        return mask | area

    def _nuclei_touched(self, document: Document, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        self._require(mask)
        _, instances = document.nuclei.maps()
        ids = nuclei_under(instances, mask)
        if not ids:
            raise Unchanged(
                "The edit mask touches no nucleus; paint over some, or propose nuclei first."
            )
        return around_nuclei(instances, ids=ids, around=self._around, mpp=document.mpp)

    def _with_nuclei(
        self, document: Document, mask: NDArray[np.bool_], class_id: int | None
    ) -> NDArray[np.bool_]:
        classes, instances = document.nuclei.maps()
        wanted = None if class_id is None else (class_id,)
        area = around_nuclei(
            instances, classes, classes=wanted, around=self._around, mpp=document.mpp
        )
        if not area.any():
            kind = "nucleus" if class_id is None else f"{CLASS_NAMES[class_id - 1]} nucleus"
            raise Unchanged(f"No {kind} is painted in the frame; propose or paint nuclei first.")
        return mask | area

    @property
    def _around(self) -> float:
        return self._controller.settings.mask_around

    def _selected(self) -> Any:
        """The layer that is meant: the selected one, else the only one with shapes."""
        own = self._workspace.own_layers
        active = self._viewer.layers.selection.active
        if isinstance(active, Shapes | Labels) and active not in own:
            return active
        shapes = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Shapes) and layer not in own and len(layer.data)
        ]
        if len(shapes) != 1:
            raise Unchanged(
                "Select a Shapes or Labels layer in the layer list first, with the shapes that "
                "are meant selected on it."
            )
        return shapes[0]

    def _require(self, mask: NDArray[np.bool_], words: str = _EMPTY) -> None:
        if not mask.any():
            raise Unchanged(words)


class Unchanged(Exception):
    """Why the mask stays as it is, in words for the window."""
