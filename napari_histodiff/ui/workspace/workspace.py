"""The images of one viewer that are worked on, and which of them is in hand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.document import TOOLS, Document, check_tool, take_tool
from napari_histodiff.ui.workspace.frame import first_frame
from napari_histodiff.ui.workspace.paint_layers import PaintSettings
from napari_histodiff.ui.workspace.pending import PendingOperations, PendingStep, StepReader
from napari_histodiff.ui.workspace.targets import (
    CanvasTarget,
    PatchTarget,
    RawTarget,
    Target,
    open_target,
)

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

__all__ = ["TOOLS", "Workspace"]


class Workspace:
    """What the dock works on: a document for each image, and the tool in the user's hand.

    Needs a `ViewerModel` only, no window. Its signals are those of the document in hand.

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
        #: What is being done to the images, while it takes its time.
        self.doing = PendingOperations()
        #: What is in the user's hand, whatever image is worked on.
        self.paint = PaintSettings()
        self._viewer = viewer
        self._snap = snap
        self._rng = np.random.default_rng(seed)
        self._documents: list[Document] = []
        self._document: Document | None = None
        self._reader = StepReader()
        self.frame_changed.connect(self._leave_import)
        self.target_changed.connect(self._leave_import)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def document(self) -> Document:
        """The image worked on, with its frame and paint; layers the user removed are put back.

        Raises
        ------
        InvalidRequest
            When there is no image to work on.
        """
        if self._document is None:
            raise InvalidRequest(
                "expected an image to work on, got none; make a canvas or use an image layer"
            )
        self._document.mend()
        return self._document

    @property
    def target(self) -> Image | None:
        """The image layer worked on; None when there is none."""
        return None if self._document is None else self._document.target.layer

    @property
    def guidance(self) -> float | None:
        """The guidance scale that a slide was drawn at; None for any other image, or none."""
        return None if self._document is None else self._document.target.guidance

    @property
    def own_layers(self) -> list[Layer]:
        """The layers made by this workspace, besides a canvas."""
        document = self._document
        return [] if document is None else [*document.target.layers, *document.layers]

    @property
    def can_undo(self) -> bool:
        """Whether a write to this image can be taken back."""
        return self._document is not None and self._document.journal.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether a write taken back can be repeated."""
        return self._document is not None and self._document.journal.can_redo

    @property
    def snap(self) -> int:
        """Sides of the frame are multiples of this many pixels."""
        return self._snap

    @snap.setter
    def snap(self, multiple: int) -> None:
        if multiple != self._snap:
            self._snap = multiple
            for document in self._documents:
                document.snap = multiple
            # In three dimensions the frame stays; it is made to fit when it is moved.
            if self._document is not None and self._viewer.dims.ndisplay == 2:
                self.document.set_frame(self._document.region)

    def new_canvas(
        self,
        height: int,
        width: int,
        *,
        mpp: float = 0.5,
        background: tuple[int, int, int] = GLASS_COLOUR,
    ) -> None:
        """Add an empty canvas and work on it.

        Raises
        ------
        InvalidRequest
            When a side is not 64 to 16384 pixels or another number is out of range.
        """
        document = self._new_document(CanvasTarget(height, width, mpp, background, "Canvas"))
        self._viewer.add_layer(document.target.layer)
        self._work_on(document)

    def use_layer(self, image_layer: Any) -> None:
        """Work on an open image layer; its source is never written to.

        Raises
        ------
        InvalidImage
            When it is not a 2-D colour image that reads as 8-bit RGB in one way only.
        """
        if image_layer is self.target:
            return
        known = (document for document in self._documents if document.target.layer is image_layer)
        self._work_on(
            next(known, None) or self._new_document(open_target(image_layer, self._viewer))
        )

    def select_tool(self, name: str) -> None:
        """Take a tool in hand; `TOOLS` has the names. "erase" erases on the layer in use.

        Raises
        ------
        InvalidRequest
            When there is no such tool, or no image to work on.
        """
        check_tool(name)
        document = self.document
        self.paint.tool = name
        take_tool(name, document, self._viewer)
        self.tool_changed.emit(name)

    def import_labels(
        self, labels_layer: Labels, class_of: Mapping[int, int] | int | None
    ) -> PendingStep:
        """Take a Labels layer as nuclei like `Document.import_labels`, but wait for no lazy one.

        That is read in a thread, and put into the frame by `deliver`. The step ends with an error
        when the frame or the image becomes another one meanwhile.

        Raises
        ------
        InvalidMap
            When the layer is turned against the image, or one in memory holds no such labels.
        InvalidRequest
            When there is no image to work on, or a layer is still being read.
        """
        document = self.document
        under = document.under(labels_layer)
        read = document.labels_of(under, class_of)
        if not under.is_lazy:
            document.put_labels(read())
            return PendingStep.carried_out(document.region)
        step = self._reader.begin(read, self._put_labels)
        self.doing.follow("Reading the labels…", step)
        return step

    def cancel_import(self) -> None:
        """Leave the labels that are being read; nothing when none are."""
        self._reader.cancel()

    def deliver(self) -> None:
        """Put labels that were read into the frame; call it on a timer."""
        self._reader.deliver()

    # ---------------------------------------------------------------- plumbing
    def _put_labels(self, labels: NDArray[np.int32]) -> Region:
        document = self.document
        document.put_labels(labels)
        return document.region

    def _leave_import(self, *_: object) -> None:
        self._reader.cancel(
            InvalidRequest(
                "expected frame and image to stay while labels are read, got other ones; nothing "
                "was imported, import the labels again"
            )
        )

    def _new_document(self, target: Target) -> Document:
        region = first_frame(self._viewer, target)
        return Document(self._viewer, target, region, self._snap, self.paint, self._rng, self.doing)

    def _work_on(self, document: Document) -> None:
        # Nobody's document while it closes: a listener would find it broken and open it again.
        old, self._document = self._document, None
        if old is not None:
            old.close()
        if document not in self._documents:
            self._documents.append(document)
            for name in ("frame_changed", "painting_changed", "class_changed", "pixels_changed"):
                getattr(document, name).connect(getattr(self, name).emit)
            document.target.moved.connect(partial(self._follow, document))
            if isinstance(document.target, RawTarget):  # a slide's layer is moved by its session
                for name in ("scale", "units", "translate", "rotate", "shear", "affine"):
                    event = getattr(document.target.layer.events, name)
                    event.connect(partial(self._place_anew, document))
        self._document = document
        document.open()
        self.select_tool(self.paint.tool)
        self.target_changed.emit()
        self.frame_changed.emit(document.region)
        self.painting_changed.emit()

    def _follow(self, document: Document, dy: int, dx: int) -> None:
        was_here = document is self._document
        if was_here:
            self._document = None
        document.follow(dy, dx)
        if was_here:
            self._work_on(document)

    def _place_anew(self, document: Document, _: object = None) -> None:
        document.place_anew()
        if document is self._document:
            self.target_changed.emit()

    def _on_removed(self, event: Any) -> None:
        for document in list(self._documents):
            if document.target.layer is event.value:
                self._documents.remove(document)
                if document is self._document:
                    self._document = None
                    document.close()
                    self.target_changed.emit()
            elif isinstance(document.target, PatchTarget):
                document.target.forget(event.value)
