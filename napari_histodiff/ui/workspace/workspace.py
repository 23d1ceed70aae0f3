"""The layers of one viewer: the image worked on, the frame, the painted nuclei and edit mask."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import as_edit_mask, as_rgb
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.ui.workspace.document import TOOLS, Document, check_tool, take_tool
from napari_histodiff.ui.workspace.frame import first_frame, level_in_view, seen_at
from napari_histodiff.ui.workspace.paint_layers import PaintSettings
from napari_histodiff.ui.workspace.pending import PendingOperations, PendingStep
from napari_histodiff.ui.workspace.snapshot import FrameSnapshot
from napari_histodiff.ui.workspace.targets import CanvasTarget, PatchTarget, Target, open_target

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

__all__ = ["TOOLS", "FrameSnapshot", "Workspace"]


class Workspace:
    """What the dock works on: an image layer, a frame on it, and paint in the frame.

    Needs a `ViewerModel` only, no window.

    Parameters
    ----------
    viewer : napari ViewerModel
        Whose layers are meant.
    snap : int
        Sides of the frame are multiples of this many pixels.
    seed : int, optional
        Of the shapes and places that stamp and scatter draw; random when None.
    """

    frame_changed = Signal(Region)
    painting_changed = Signal()
    target_changed = Signal()
    pixels_changed = Signal(Region)
    tool_changed = Signal(str)
    class_changed = Signal(int)

    def __init__(self, viewer: Any, *, snap: int = 16, seed: int | None = None) -> None:
        #: What is being done to the image, while it takes its time.
        self.doing = PendingOperations()
        self._viewer = viewer
        self._snap = snap
        self._rng = np.random.default_rng(seed)
        self._settings = PaintSettings()
        self._places: list[Document] = []
        self._place: Document | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    # ------------------------------------------------------------------- image
    @property
    def target(self) -> Image | None:
        """The image layer worked on."""
        return None if self._place is None else self._place.target.layer

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of the frame; 0.5 when the image does not tell."""
        return self._here().mpp

    @property
    def level_mpps(self) -> tuple[float, ...]:
        """Micrometres per pixel of each level that can be edited, the finest first."""
        return self._here().target.mpps

    @property
    def knows_mpp(self) -> bool:
        """Whether the image told it."""
        return self._here().target.knows_mpp

    @property
    def guidance(self) -> float | None:
        """The guidance scale that a slide was drawn at; None for any other image, or none."""
        return None if self._place is None else self._place.target.guidance

    @property
    def own_layers(self) -> list[Layer]:
        """The layers made by this workspace, besides a canvas."""
        place = self._place
        return [] if place is None else [*place.target.layers, *place.layers]

    def new_canvas(
        self,
        height: int,
        width: int,
        *,
        mpp: float = 0.5,
        background: tuple[int, int, int] = (244, 240, 244),
    ) -> None:
        """Add an empty canvas and work on it.

        Raises
        ------
        InvalidRequest
            When a side is not 64 to 16384 pixels or another number is out of range.
        """
        place = self._new_place(CanvasTarget(height, width, mpp, background, "Canvas"))
        self._viewer.add_layer(place.target.layer)
        self._work_on(place)

    def use_layer(self, image_layer: Any) -> None:
        """Work on an open image layer; its source is never written to.

        Raises
        ------
        InvalidImage
            When it is not a 2-D colour image that reads as 8-bit RGB in one way only.
        """
        if image_layer is self.target:
            return
        known = (place for place in self._places if place.target.layer is image_layer)
        self._work_on(next(known, None) or self._new_place(open_target(image_layer, self._viewer)))

    # ------------------------------------------------------------------- frame
    @property
    def snap(self) -> int:
        """Sides of the frame are multiples of this many pixels."""
        return self._snap

    @snap.setter
    def snap(self, multiple: int) -> None:
        if multiple != self._snap:
            self._snap = multiple
            for place in self._places:
                place.snap = multiple
            if self._place is not None:
                self.set_frame(self._place.region)

    def frame_region(self) -> Region:
        """Return the frame in pixels of its level of the image; 0 unless that is a slide."""
        return self._here().region

    def level_in_view(self) -> int:
        """Return the level that the viewer shows, or the nearest that can be edited."""
        return level_in_view(self._viewer, self._here().target)

    def set_level(self, level: int) -> None:
        """Work at another level; the frame stays where it is on the tissue.

        Raises
        ------
        InvalidRequest
            When the image has no such level, or it cannot be edited.
        """
        self.set_frame(seen_at(self._here().target, self.frame_region(), level))

    def set_frame(self, region: Region) -> None:
        """Move the frame: sides become multiples of `snap`, and it is shifted inside the image.

        Paint belongs to its place and level: it is kept while the frame is elsewhere.

        Raises
        ------
        InvalidRequest
            When it lies outside the image, is larger than 4096 pixels, or of a level that the image
            has not.
        """
        place = self._here()
        place.frame.show(place.move(region))

    # ------------------------------------------------------------------- paint
    @property
    def selected_class(self) -> int:
        """Id of the class that is painted, 1-6."""
        return self._settings.class_id

    @property
    def tool(self) -> str:
        """Name of the tool in use."""
        return self._settings.tool

    @property
    def density(self) -> float:
        """Of scatter, relative to real tissue around nuclei of the class; 1 = the same."""
        return self._settings.density

    @density.setter
    def density(self, value: float) -> None:
        self._settings.density = value

    def select_class(self, class_id: int) -> None:
        """Paint nuclei of class 1-6 from now on.

        Raises
        ------
        InvalidRequest
            When the id is not 1-6.
        """
        self._here().nuclei.select_class(class_id)

    def select_tool(self, name: str) -> None:
        """Take a tool in hand; `TOOLS` has the names. "erase" erases on the layer in use.

        Raises
        ------
        InvalidRequest
            When there is no such tool, or no image to work on.
        """
        check_tool(name)
        place = self._here()
        self._settings.tool = name
        take_tool(name, place, self._viewer)
        self.tool_changed.emit(name)

    def counts(self) -> dict[str, int]:
        """Return how many nuclei of each class, and "unknown", are painted in the frame."""
        return self._here().nuclei.counts()

    def scatter_area(self, area: ArrayLike | None = None) -> int:
        """Fill an area with nuclei of the selected class at `density`, as one undo step.

        Parameters
        ----------
        area : (h, w) bool, optional
            In the frame; None = the painted edit mask, or the whole frame when none is painted.

        Returns
        -------
        int
            How many nuclei were placed.
        """
        return self._here().scatter(None if area is None else as_edit_mask(area))

    def import_labels(self, labels_layer: Labels, class_of: Mapping[int, int] | None) -> None:
        """Take what a Labels layer has under the frame as nuclei; one undo step.

        Parameters
        ----------
        labels_layer : Labels
            Any 2-D one, at its own scale.
        class_of : mapping of int to int, or None
            Class of each id, ids it lacks become class unknown; None = the ids are classes.

        Raises
        ------
        InvalidMap
            When ids or classes are out of range, or the layer is turned against the image.
        """
        self._here().import_labels(labels_layer, class_of)

    def paint_nuclei(
        self, class_map: ArrayLike, instance_map: ArrayLike, *, keep: bool = False
    ) -> NDArray[np.bool_]:
        """Paint nuclei in the frame as one undo step and return which ids were, (top + 1,) bool.

        With `keep`, what is painted stays and nuclei that would touch it are left out; otherwise
        they replace it.

        Raises
        ------
        InvalidMap
            When a map is invalid or has another shape than the frame.
        """
        return self._here().paint_nuclei(class_map, instance_map, keep=keep)

    def clear_painting(self) -> None:
        """Remove nuclei and edit mask from the frame; each layer can undo it."""
        self._here().clear()

    def set_painting(
        self, class_map: ArrayLike, instance_map: ArrayLike, edit_mask: ArrayLike
    ) -> None:
        """Replace the paint in the frame; each layer can undo it.

        Raises
        ------
        InvalidMap
            When a map is invalid or has another shape than the frame.
        """
        self._here().set_painting(class_map, instance_map, edit_mask)

    # ------------------------------------------------------------------ pixels
    def snapshot(self) -> FrameSnapshot:
        """Copy what lies in the frame; reads no pixel outside it.

        Raises
        ------
        InvalidRequest
            When there is no image to work on, or the frame's place on it is not drawn yet.
        InvalidImage
            When the pixels cannot be read as 8-bit RGB.
        """
        return self._here().snapshot()

    def with_slide_conditions(self, request: EditRequest) -> EditRequest:
        """Return a request with what the image adds to it: a slide, for example, its stain."""
        return self._here().target.with_slide_conditions(request)

    def write(
        self,
        region: Region,
        pixels: ArrayLike,
        edit_mask: NDArray[np.bool_] | None = None,
        request: EditRequest | None = None,
    ) -> PendingStep:
        """Put pixels into the image as one undo step, which a slide takes its time for.

        Only the pixels of `edit_mask`, (h, w) bool, change; all of them when it is None. A slide
        keeps `request`, the edit that made them.

        Raises
        ------
        InvalidRequest
            When the region leaves the image or shapes differ.
        """
        step = self._here().write(region, as_rgb(pixels), edit_mask, request)
        return self._follow_step("Writing the edit…", step)

    def edits_under(self, request: EditRequest) -> int:
        """Return how many tiles hold finer edits that writing this one would replace."""
        return self._here().target.edits_under(request)

    @property
    def can_undo(self) -> bool:
        """Whether a write to this image can be taken back."""
        return self._place is not None and self._place.journal.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether a write taken back can be repeated."""
        return self._place is not None and self._place.journal.can_redo

    def undo(self) -> PendingStep:
        """Take the last write back, byte for byte; nothing when there is none."""
        return self._follow_step("Taking the edit back…", self._here().journal.undo())

    def redo(self) -> PendingStep:
        """Repeat the write that was taken back; nothing when there is none."""
        return self._follow_step("Repeating the edit…", self._here().journal.redo())

    # ---------------------------------------------------------------- plumbing
    def _here(self) -> Document:
        if self._place is None:
            raise InvalidRequest(
                "expected an image to work on, got none; make a canvas or use an image layer"
            )
        self._place.mend()
        return self._place

    def _follow_step(self, text: str, step: PendingStep) -> PendingStep:
        self.doing.follow(text, step)
        return step.then(self._tell)

    def _tell(self, step: PendingStep) -> None:
        if step.region is not None:
            self.pixels_changed.emit(step.region)

    def _new_place(self, target: Target) -> Document:
        region = first_frame(self._viewer, target)
        return Document(self._viewer, target, region, self._snap, self._settings, self._rng)

    def _work_on(self, place: Document) -> None:
        # Nobody's place while it closes: a listener would find it broken and open it again.
        old, self._place = self._place, None
        if old is not None:
            old.close()
        if place not in self._places:
            self._places.append(place)
            for name in ("frame_changed", "painting_changed", "class_changed", "pixels_changed"):
                getattr(place, name).connect(getattr(self, name).emit)
            place.target.moved.connect(partial(self._follow, place))
        self._place = place
        place.open()
        self.select_tool(self.tool)
        self.target_changed.emit()
        self.frame_changed.emit(place.region)
        self.painting_changed.emit()

    def _follow(self, place: Document, dy: int, dx: int) -> None:
        was_here = place is self._place
        if was_here:
            self._place = None
        place.follow(dy, dx)
        if was_here:
            self._work_on(place)

    def _on_removed(self, event: Any) -> None:
        for place in list(self._places):
            if place.target.layer is event.value:
                self._places.remove(place)
                if place is self._place:
                    self._place = None
                    place.close()
                    self.target_changed.emit()
            elif isinstance(place.target, PatchTarget):
                place.target.forget(event.value)
