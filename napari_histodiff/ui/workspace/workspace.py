"""The images of one viewer that are worked on, and which of them is in hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import LIMITS
from napari_histodiff.ui.workspace.document import Document
from napari_histodiff.ui.workspace.frame import first_frame
from napari_histodiff.ui.workspace.import_labels import LabelsUnder
from napari_histodiff.ui.workspace.import_tissue import tissue_from_file, tissue_from_labels
from napari_histodiff.ui.workspace.paint_layers import PaintSettings
from napari_histodiff.ui.workspace.pending import PendingOperations, PendingStep, StepReader
from napari_histodiff.ui.workspace.targets import (
    CanvasTarget,
    PatchTarget,
    RawTarget,
    Target,
    open_target,
)
from napari_histodiff.ui.workspace.tools import (
    brush_layer,
    check_palette,
    check_tool,
    take_tool,
)
from napari_histodiff.ui.workspace.transforms import bring_up

if TYPE_CHECKING:
    from collections import Counter

    from napari.layers import Image, Labels, Layer

    from napari_histodiff.ui.painting.filling import Nuclei

__all__ = ["Workspace"]

#: How much wider a step makes the brush.
_BRUSH_STEP: Final = 1.2


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
    tissue_changed = Signal(int)
    palette_changed = Signal(str)
    #: The brush in hand, or its width in um, is another one.
    brush_changed = Signal(float)

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
        viewer.layers.selection.events.active.connect(self._on_active)

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
    def documents(self) -> tuple[Document, ...]:
        """The images that were worked on and are still open."""
        return tuple(self._documents)

    @property
    def own_layers(self) -> list[Layer]:
        """The layers made by this workspace, besides a canvas."""
        document = self._document
        return [] if document is None else [*document.target.layers, *document.layers]

    @property
    def paint_layers(self) -> list[Layer]:
        """The layers over the image that are painted on, and the frame."""
        return [] if self._document is None else self._document.layers

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
        self.add(CanvasTarget(height, width, mpp, background, "Canvas"))

    def add(self, target: Target) -> Document:
        """Add an image that is not in the viewer yet, and work on it."""
        document = self._new_document(target)
        self._viewer.add_layer(target.layer)
        self._work_on(document)
        return document

    def refill(self, document: Document, fill: Callable[[Document], object]) -> None:
        """Change what rests of an image's paint, and where its frame is; it is worked on then."""
        if document is self._document:
            self._document = None
            document.close()
        fill(document)
        self._work_on(document)

    def take_in_hand(self, hand: Mapping[str, Any]) -> None:
        """Take palette, class, tissue, density and tool in hand, by their names in `PaintSettings`.

        What is none is passed over.
        """
        self.paint.density = hand.get("density", self.paint.density)
        for name, select in (
            ("tissue_id", self.select_tissue),
            ("class_id", self.select_class),
            ("palette", self.select_palette),
            ("tool", self.select_tool),
        ):
            with suppress(InvalidRequest):
                select(hand.get(name, getattr(self.paint, name)))

    def use_layer(self, image_layer: Any, between: Callable[[], object] | None = None) -> None:
        """Work on an open image layer; its source is never written to.

        It comes above the pictures that cover it, with the layers that lie on it.

        Parameters
        ----------
        image_layer : napari Image
            The layer.
        between : callable, optional
            As `Document.open` takes it; meanwhile there is no image to work on.

        Raises
        ------
        InvalidImage
            When it is not a 2-D colour image that reads as 8-bit RGB in one way only.
        """
        known = (document for document in self._documents if document.target.layer is image_layer)
        document = next(known, None)
        if document is None:
            document = self._new_document(open_target(image_layer, self._viewer))
        bring_up(self._viewer, image_layer, [*document.target.layers, *document.layers])
        if document is not self._document:
            self._work_on(document, between)

    def leave(self, image_layer: Any, between: Callable[[], object]) -> None:
        """Work on no image, if it is this one; `between` is called after each layer taken away."""
        document = self._document
        if document is not None and image_layer is self.target:
            self._document = None
            document.close(between)
            self.target_changed.emit()

    def layer_of(self, key: object) -> Image | None:
        """Return the image layer that a target's key names; None when it was not worked on here."""
        targets = (document.target for document in self._documents)
        return next((target.layer for target in targets if target.key == key), None)

    def select_tool(self, name: str) -> None:
        """Take a tool in hand; `TOOLS` has the names. It works on the layer of the palette.

        Raises
        ------
        InvalidRequest
            When there is no such tool, or no image to work on.
        """
        check_tool(name)
        document = self.document
        self.paint.tool = name
        if name in ("stamp", "scatter", "select"):
            self._show_palette("nuclei")
        take_tool(name, document, self._viewer)
        self.tool_changed.emit(name)
        self._tell_brush()

    def select_palette(self, name: str) -> None:
        """Paint one of `PALETTES` from now on, with the tool in hand where it can.

        Raises
        ------
        InvalidRequest
            When there is no such palette, or no image to work on.
        """
        check_palette(name)
        self.document.mend()  # without an image nothing is taken in hand
        changed = name != self.paint.palette
        self._show_palette(name)
        can = self.paint.tool in ("brush", "polygon", "lasso", "fill", "erase")
        can |= self.paint.tool == "select" and name == "nuclei"
        if changed or (name == "edit mask" and not can):
            self.select_tool(self.paint.tool if can else "brush")

    def select_class(self, class_id: int) -> None:
        """Paint nuclei of class 1-6 from now on; selected nuclei become of that class.

        Raises
        ------
        InvalidRequest
            When the id is not 1-6, or there is no image to work on.
        """
        self.document.nuclei.select_class(class_id)
        self.document.tools.selection.set_class(class_id)
        self.select_palette("nuclei")

    def select_tissue(self, tissue_id: int) -> None:
        """Paint a tissue from now on, an id of `core.maps.TISSUE_NAMES`.

        Raises
        ------
        InvalidRequest
            When the id is none of these, or there is no image to work on.
        """
        self.document.tissue.select(tissue_id)
        self.select_palette("tissue")

    def set_brush(self, width: float) -> None:
        """Give what is in hand, brush or eraser or scatter, a width in um; of a pixel at least.

        Raises
        ------
        InvalidRequest
            When there is no image to work on.
        """
        document = self.document
        layer = brush_layer(document)
        if self.paint.tool == "scatter":
            self.paint.radius_um = max(width, document.mpp) / 2
            document.tools.take_over(layer)
            self._tell_brush()
        else:
            layer.brush_size = max(1, round(width / document.mpp))

    def step_brush(self, by: int) -> None:
        """Make the brush in hand a step wider, or narrower for -1: by a fifth, a pixel at least.

        Raises
        ------
        InvalidRequest
            When there is no image to work on.
        """
        document = self.document
        pixels = self._brush_width(document) / document.mpp
        wider = max(pixels * _BRUSH_STEP, pixels + 1)
        narrower = min(pixels / _BRUSH_STEP, pixels - 1)
        self.set_brush((wider if by > 0 else max(narrower, 1.0)) * document.mpp)

    def set_pixel_size(self, mpp: float) -> None:
        """Say how many micrometres a pixel of the image is that does not tell it.

        The image's layer gets that scale; frame, paint and preview go along.

        Raises
        ------
        InvalidRequest
            When it is out of its limits, or there is no image to work on.
        """
        target = self.document.target
        low, high = LIMITS["mpp"]
        if not low <= mpp <= high:
            raise InvalidRequest(
                f"expected {low:g} to {high:g} micrometres per pixel, got {mpp:g}; a scan at 20x "
                "has 0.5, one at 40x 0.25"
            )
        target.is_told = True
        target.layer.scale = (mpp, mpp)
        target.layer.units = ("um", "um")

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
        return self._import(under, read, lambda labels: document.put_labels(labels))

    def fill_area(self, caption: str = "") -> PendingStep:
        """Fill the edit mask, or the frame where none is painted, with nuclei, in a thread.

        `deliver` paints them, clear of what was painted meanwhile. The step ends with an error when
        the frame or the image becomes another one.

        Raises
        ------
        InvalidRequest
            When there is no image to work on, or something else is worked out or read.
        """
        document, left = self.document, Event()
        region, filling = document.region, document.filling(caption)

        def paint(nuclei: Nuclei) -> Region | None:
            return region if document.nuclei.add(*nuclei) else None

        step = self._reader.begin(lambda: filling.nuclei(left.is_set), paint)
        self.doing.follow("Filling the area…", step, can_stop=True)
        return step.then(lambda _: left.set())

    def import_tissue_labels(self, labels_layer: Labels) -> PendingStep:
        """Take what a Labels layer has under the frame as tissue, as `import_labels` does nuclei.

        Raises
        ------
        InvalidMap
            When the layer is turned against the image, or one in memory holds no tissue ids.
        InvalidRequest
            As `import_labels`.
        """
        document = self.document
        under = document.under(labels_layer)
        return self._import(
            under,
            lambda: tissue_from_labels(under.read(), under.name),
            lambda tissue: document.paint_tissue(tissue),
        )

    def import_tissue_file(self, path: Path) -> Counter[str]:
        """Take the tissue of a file into the frame; returns what was left out of it, by why.

        Raises
        ------
        InvalidImage, InvalidMap
            As `import_tissue.tissue_from_file`.
        InvalidRequest
            When there is no image to work on.
        """
        document, target = self.document, self.document.target
        found = tissue_from_file(path, target.spec, document.region, target.scan_place)
        document.paint_tissue(found.tissue)
        return found.left_out

    def cancel_import(self) -> None:
        """Leave the labels that are read, or the area that is filled; nothing when none is."""
        self._reader.cancel()

    def deliver(self) -> None:
        """Put labels that were read into the frame, and back what was removed; on a timer."""
        if self._document is not None:
            self._document.mend()
        self._reader.deliver()

    # ---------------------------------------------------------------- plumbing
    def _show_palette(self, name: str) -> None:
        if name != self.paint.palette:
            self.paint.palette = name
            self.palette_changed.emit(name)

    def _on_active(self, event: Any) -> None:
        """Follow a layer chosen in napari's list: what is painted there is what the dock shows."""
        document = self._document
        if document is None or not document.is_whole:
            return
        by_layer = {
            document.nuclei.layer: "nuclei",
            document.tissue.layer: "tissue",
            document.edit_mask.layer: "edit mask",
        }
        name = by_layer.get(event.value, self.paint.palette)
        if name == self.paint.palette:
            return
        if self.paint.tool in ("frame", "pan"):
            self._show_palette(name)
        else:
            self.select_palette(name)

    def _tell_brush(self, *_: object) -> None:
        if self._document is not None:
            self.brush_changed.emit(self._brush_width(self._document))

    def _brush_width(self, document: Document) -> float:
        if self.paint.tool == "scatter":
            return 2 * self.paint.radius_um
        return float(brush_layer(document).brush_size) * document.mpp

    def _import(
        self,
        under: LabelsUnder,
        read: Callable[[], NDArray[Any]],
        put: Callable[[NDArray[Any]], None],
    ) -> PendingStep:
        region = self.document.region

        def take(labels: NDArray[Any]) -> Region:
            put(labels)
            return region

        if not under.is_lazy:
            return PendingStep.carried_out(take(read()))
        step = self._reader.begin(read, take)
        self.doing.follow("Reading the labels…", step, can_stop=True)
        return step

    def _leave_import(self, *_: object) -> None:
        self._reader.cancel(
            InvalidRequest(
                "expected frame and image to stay meanwhile, got other ones; nothing was painted, "
                "so import or fill again"
            )
        )

    def _new_document(self, target: Target) -> Document:
        region = first_frame(self._viewer, target)
        return Document(self._viewer, target, region, self._snap, self.paint, self._rng, self.doing)

    def _work_on(self, document: Document, between: Callable[[], object] | None = None) -> None:
        # Nobody's document while it closes: a listener would find it broken and open it again.
        old, self._document = self._document, None
        if old is not None:
            old.close(between)
        if document not in self._documents:
            self._documents.append(document)
            for name in (
                "frame_changed",
                "painting_changed",
                "class_changed",
                "tissue_changed",
                "pixels_changed",
            ):
                getattr(document, name).connect(getattr(self, name).emit)
            document.tool_lost.connect(lambda: self.select_tool(self.paint.tool))
            document.target.moved.connect(partial(self._follow, document))
            if isinstance(document.target, RawTarget):  # a slide's layer is moved by its session
                for name in ("scale", "units", "translate", "rotate", "shear", "affine"):
                    event = getattr(document.target.layer.events, name)
                    event.connect(partial(self._place_anew, document))
        document.open(between or (lambda: None))
        self._document = document
        for layer in document.paint_layers:
            layer.events.brush_size.connect(self._tell_brush)
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
