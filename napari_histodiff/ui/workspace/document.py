"""One image with the frame on it, and the paint of all its places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import (
    TISSUE_NAMES,
    as_class_map,
    as_edit_mask,
    as_instance_map,
    as_tissue_map,
    encode_labels,
)
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.ui.painting.anchors import Anchors
from napari_histodiff.ui.painting.filling import Filling
from napari_histodiff.ui.painting.paint_tools import PaintTools
from napari_histodiff.ui.painting.steps import PaintLabels, one_step
from napari_histodiff.ui.workspace.frame import (
    FrameLayer,
    brought_inside,
    fit_frame,
    level_in_view,
    seen_at,
)
from napari_histodiff.ui.workspace.import_labels import (
    LabelsUnder,
    labels_under,
    nuclei_from_labels,
)
from napari_histodiff.ui.workspace.journal import writable
from napari_histodiff.ui.workspace.paint_layers import (
    EditMaskLayer,
    NucleiLayer,
    PaintSettings,
    set_labels,
    show_region,
)
from napari_histodiff.ui.workspace.pending import PendingOperations, PendingStep
from napari_histodiff.ui.workspace.resting_paint import RestingPaint
from napari_histodiff.ui.workspace.snapshot import (
    FrameCopy,
    FrameSnapshot,
    FrameSummary,
    kind_of_edit,
)
from napari_histodiff.ui.workspace.targets import Target
from napari_histodiff.ui.workspace.tissue_layer import TissueLayer, nuclei_without_tissue, shares_of
from napari_histodiff.ui.workspace.transforms import (
    insert_above,
    place_on,
    place_region,
    put_on,
    take_away,
)

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

__all__ = ["Document"]

#: Rows of the frame looked at together, for the first painted pixel.
_STRIP: Final = 128

#: Where the paint of each layer rests: of tissue, edit mask, nuclei.
_PLANES: Final = ("tissue", "edit mask", "nuclei")

#: Width of the brush at first, in um: tissue, edit mask, nuclei.
_BRUSHES: Final = (40.0, 20.0, 6.0)


class Document:
    """The layers over one image; paint outside the frame rests in sparse planes.

    Paint belongs to its place and level: it is seen again when the frame is back at both.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layers are added.
    target : Target
        The image.
    region : Region
        Where the frame starts, and at which level; made to fit.
    snap : int
        Sides of the frame are multiples of this many pixels.
    settings : PaintSettings
        Shared by all documents.
    rng : numpy.random.Generator
        For the tools.
    doing : PendingOperations
        Told of writes, while they take their time.

    Raises
    ------
    InvalidImage
        When the image is too small for a frame.
    """

    frame_changed = Signal(Region)
    painting_changed = Signal()
    class_changed = Signal(int)
    tissue_changed = Signal(int)
    #: Pixels changed: a write was carried out, or a slide was drawn in the frame.
    pixels_changed = Signal(Region)
    #: napari took the tool out of the user's hand.
    tool_lost = Signal()

    nuclei: NucleiLayer
    tissue: TissueLayer
    edit_mask: EditMaskLayer
    frame: FrameLayer
    tools: PaintTools

    def __init__(
        self,
        viewer: Any,
        target: Target,
        region: Region,
        snap: int,
        settings: PaintSettings,
        rng: np.random.Generator,
        doing: PendingOperations,
    ) -> None:
        self.target = target
        self.snap = snap
        self.journal = target.new_journal()
        self.region = self._fitted(region)
        self.settings = settings
        self._viewer = viewer
        self._rng = rng
        self._doing = doing
        self.next_instance = 1
        self.resting = RestingPaint(target)
        self.anchors = Anchors(viewer, self._place_of, self.tool_lost.emit)
        self._is_open = False
        self._was_moved = False
        # Where the image's first pixel lay when the document was made, seen from the present one;
        # in pixels of level 0.
        self.first = (0, 0)
        target.changed.connect(self._on_changed)

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of the frame."""
        return self.target.mpp_at(self.region.level)

    @property
    def layers(self) -> list[Layer]:
        """Tissue, edit mask, nuclei and frame, from the bottom up; none while closed."""
        return [*self.paint_layers, self.frame.layer] if self._is_open else []

    @property
    def paint_layers(self) -> list[PaintLabels]:
        """Tissue, edit mask and nuclei, while open."""
        return [self.tissue.layer, self.edit_mask.layer, self.nuclei.layer]

    @property
    def is_whole(self) -> bool:
        """Whether every layer is still in the viewer."""
        return self._is_open and all(layer in self._viewer.layers for layer in self.layers)

    def open(self, between: Callable[[], object] = lambda: None) -> None:
        """Make the layers, with the paint that rests at the frame's place.

        Parameters
        ----------
        between : callable
            Called before, amid and after adding each layer, which takes napari a while.
        """
        image, region = self.target.layer, self.region
        resting = self.at_rest(region)
        self.tissue = TissueLayer(
            image, region, self.resting.read("tissue", resting), self.settings
        )
        masked = self.resting.read("edit mask", resting)
        self.edit_mask = EditMaskLayer(image, region, masked, self.settings)
        self.nuclei = NucleiLayer(
            image,
            region,
            self.resting.read("nuclei", resting),
            self.settings,
            self.next_instance,
        )
        self.frame = FrameLayer(image, region, self.move)
        self.tools = PaintTools(
            self.nuclei,
            self.tissue,
            self.edit_mask,
            self.settings,
            self.mpp,
            self._rng,
            self._viewer,
            add=lambda layer: insert_above(self._viewer, layer, [self.edit_mask.layer]),
        )
        for layer, microns in zip(self.paint_layers, _BRUSHES, strict=True):
            layer.brush_size = max(1, round(microns / self.mpp))
        self.tissue.changed.connect(self._keep_paint)
        self.nuclei.changed.connect(self._keep_paint)
        for painted in (self.tissue, self.edit_mask, self.nuclei):
            painted.changed.connect(self.painting_changed.emit)
        self.tissue.tissue_changed.connect(self.tissue_changed.emit)
        self.nuclei.class_changed.connect(self.class_changed.emit)
        self._is_open = True
        below = [image, *self.target.layers]
        between()
        for layer in self.layers:
            insert_above(self._viewer, layer, below, between)
            self.anchors.hold(layer)
            below.append(layer)
            between()

    def close(self, between: Callable[[], object] | None = None) -> None:
        """Remove the layers, in one go or with `between` called after each; their paint is kept."""
        self.rest()
        layers, self._is_open = self.layers, False
        self.anchors.let_go()
        take_away(self._viewer, [self.tools.highlights.layer, *layers], between)

    # ------------------------------------------------------------------- frame
    def level_in_view(self) -> int:
        """Return the level that the viewer shows, or the nearest that can be edited."""
        return level_in_view(self._viewer, self.target)

    def set_level(self, level: int) -> None:
        """Work at another level; the frame stays where it is on the tissue.

        Raises
        ------
        InvalidRequest
            When the image has no such level, or it cannot be edited.
        """
        self.set_frame(seen_at(self.target, self.region, level))

    def set_frame(self, region: Region) -> None:
        """Move the frame: sides become multiples of `snap`, and it is shifted inside the image.

        Paint belongs to its place and level: it is kept while the frame is elsewhere.

        Raises
        ------
        InvalidRequest
            When it lies outside the image, is larger than 4096 pixels, or of a level that the image
            has not.
        """
        self.frame.show(self.move(region))

    def move(self, region: Region) -> Region:
        """Bring paint layers to a rectangle made to fit; returns it, the frame is not redrawn.

        Raises
        ------
        InvalidRequest
            When it lies outside the image, is larger than 4096 pixels, or of a level that the
            image has not, or the viewer shows three dimensions.
        """
        region = self._fitted(region)
        if region == self.region:
            return region
        if self._viewer.dims.ndisplay != 2:
            raise InvalidRequest(
                "expected a view in two dimensions to move the frame in, got one in three; press "
                "the 2D/3D button below the layer list"
            )
        self.rest()
        self.region = region
        self._was_moved = True
        image = self.target.layer
        resting = self.at_rest(region)
        with self.anchors.moving():
            for plane, layer in zip(_PLANES, self.paint_layers, strict=True):
                show_region(layer, image, region, self.resting.read(plane, resting))
        self.nuclei.raise_instance(self.nuclei.labels)
        self.tools.use_mpp(self.mpp)
        self.frame_changed.emit(region)
        self.painting_changed.emit()
        return region

    def mend(self) -> None:
        """Put back layers of it that the user removed, as and where they were."""
        if self._is_open and not self.is_whole:
            self.anchors.put_back([self.target.layer, *self.target.layers])

    def place_anew(self) -> None:
        """Bring the layers to where the image lies now, and its pixels' size; paint goes along."""
        before = self.mpp
        self.target.read_place()
        if not self._is_open:
            return
        for layer in self.paint_layers:  # the brush covers as much tissue as before
            layer.brush_size = max(1, round(layer.brush_size * before / self.mpp))
        with self.anchors.moving():
            for layer in self.layers:
                put_on(layer, self._place_of(layer))
        self.tools.use_mpp(self.mpp)

    def follow(self, dy: int, dx: int) -> None:
        """Close, and move frame and paint by so many pixels of level 0, as the image did."""
        if self._is_open:
            self.close()
        self.region = self._fitted(brought_inside(self.region, dy, dx, self.target.spec))
        self.first = (self.first[0] + dy, self.first[1] + dx)

    # ------------------------------------------------------------------ pixels
    def unready(self) -> str:
        """Return why the pixels in the frame cannot be worked on yet; empty when they can.

        They are asked for once the user moved the frame or painted in it.
        """
        problem = self.target.pending(self.region)
        painted = (np.any(layer.data) for layer in self.paint_layers)
        if problem and (self._was_moved or any(painted)):
            problem = self.target.prepare(self.region)
        return problem

    def summary(self) -> FrameSummary:
        """Look at what lies in the frame; reads and copies no pixel of the image.

        Raises
        ------
        InvalidMap
            When a paint layer has another shape than the frame, or labels that are no nuclei, or
            no tissue.
        """
        problem = self.unready()
        labels = self.framed("nuclei", self.nuclei.labels)
        tissue = self.framed("tissue", self.tissue.tissue)
        mask = self.framed("edit mask", self.edit_mask.mask)
        any_pixels, all_pixels = self.target.covered(self.region)
        kind = kind_of_edit(
            any_pixels=any_pixels, all_pixels=all_pixels, is_masked=bool(mask.any())
        )
        counts = self.nuclei.counts()
        uses_paint = any(counts.values())
        if uses_paint and kind is not EditKind.GENERATE:
            if kind is EditKind.OUTPAINT:
                mask |= ~self.target.coverage(self.region)
            strips = (slice(y, y + _STRIP) for y in range(0, self.region.height, _STRIP))
            uses_paint = any(labels[strip][mask[strip]].any() for strip in strips)
        shares = shares_of(tissue)
        stays = kind is not EditKind.INPAINT or not mask.all()
        paint = shares, nuclei_without_tissue(labels, tissue, shares), self.edit_mask.levels, stays
        own = self.target.has_own_maps
        return FrameSummary(
            kind, self.region, self.mpp, any_pixels, uses_paint, counts, problem, *paint, own
        )

    def snapshot(self) -> FrameSnapshot:
        """Copy what lies in the frame; reads no pixel outside it, and raises as `copy_frame`."""
        return self.copy_frame().resolve()

    def copy_frame(self) -> FrameCopy:
        """Copy what lies in the frame, for a snapshot that a thread may make of it.

        Raises
        ------
        InvalidRequest
            When the frame's place on the image is not drawn yet.
        InvalidImage
            When the pixels cannot be read as 8-bit RGB.
        """
        if problem := self.unready():
            raise InvalidRequest(problem)
        labels = self.framed("nuclei", self.nuclei.labels).copy()
        tissue = self.framed("tissue", self.tissue.tissue).copy()
        image, coverage = self.target.read(self.region), self.target.coverage(self.region)
        mask = self.framed("edit mask", self.edit_mask.mask)
        kind = kind_of_edit(
            any_pixels=bool(coverage.any()),
            all_pixels=bool(coverage.all()),
            is_masked=bool(mask.any()),
        )
        if kind is EditKind.OUTPAINT:
            mask |= ~coverage
        paint = mask, coverage, labels, tissue, self.edit_mask.shares
        return FrameCopy(kind, self.region, self.mpp, image, *paint)

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
        rgb = writable(self.target.spec, region, pixels, edit_mask)
        return self._tell("Writing the edit…", self.journal.write(region, rgb, edit_mask, request))

    def undo(self) -> PendingStep:
        """Take the last write back, byte for byte; nothing when there is none."""
        return self._tell("Taking the edit back…", self.journal.undo())

    def redo(self) -> PendingStep:
        """Repeat the write that was taken back; nothing when there is none."""
        return self._tell("Repeating the edit…", self.journal.redo())

    # ------------------------------------------------------------------- paint
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
        instances = self.framed("an instance map", as_instance_map(instance_map))
        classes = self.framed("a class map", as_class_map(class_map))
        return self.nuclei.put(instances, classes, keep=keep)

    def clear(self) -> None:
        """Remove nuclei, tissue and edit mask from the frame as one undo step."""
        with one_step(self.paint_layers):
            for layer in self.paint_layers:
                set_labels(layer, np.zeros_like(layer.data))

    def set_painting(
        self,
        class_map: ArrayLike,
        instance_map: ArrayLike,
        edit_mask: ArrayLike,
        tissue_map: ArrayLike | None = None,
    ) -> None:
        """Replace the paint in the frame as one undo step. None = no tissue is painted.

        Raises
        ------
        InvalidMap
            When a map is invalid or has another shape than the frame.
        """
        labels = encode_labels(as_instance_map(instance_map), as_class_map(class_map))
        self.framed("class and instance maps", labels)
        mask = self.framed("edit mask", as_edit_mask(edit_mask))
        tissue = np.zeros(mask.shape, np.uint8) if tissue_map is None else tissue_map
        tissue = self._framed_tissue(tissue)
        self.nuclei.raise_instance(labels)
        with one_step(self.paint_layers):
            set_labels(self.nuclei.layer, labels)
            set_labels(self.edit_mask.layer, mask.astype(np.uint8))
            self.tissue.put(tissue)

    def paint_tissue(self, tissue_map: ArrayLike) -> None:
        """Paint tissue in the frame, in place of what is painted, as one undo step.

        Parameters
        ----------
        tissue_map : (h, w) whole numbers
            Ids of `core.maps.TISSUE_NAMES`, 0 = unspecified.

        Raises
        ------
        InvalidMap
            When an id is none of these, or the map has another shape than the frame.
        """
        self.tissue.put(self._framed_tissue(tissue_map))

    def filling(self, caption: str = "") -> Filling:
        """Return what fills edit mask or frame with nuclei, in whatever thread.

        Parameters
        ----------
        caption : str
            Its organ and levels say how many nuclei tissue has.
        """
        mask = self.edit_mask.mask
        if not mask.any():
            mask = ~mask
        return self.tools.brushes.filling(mask, self.region, caption)

    def import_labels(self, labels_layer: Labels, class_of: Mapping[int, int] | int | None) -> None:
        """Take what a Labels layer has under the frame as nuclei; one undo step.

        Parameters
        ----------
        labels_layer : Labels
            Any 2-D one, at its own scale.
        class_of : mapping of int to int, int, or None
            Class of each id, ids it lacks become class unknown, or of all; None = the ids are
            classes.

        Raises
        ------
        InvalidMap
            When ids or classes are out of range, the layer is turned against the image, or it
            cannot be read.
        """
        self.put_labels(self.labels_of(self.under(labels_layer), class_of)())

    def under(self, labels_layer: Labels) -> LabelsUnder:
        """Find the pixels of a 2-D Labels layer under the frame; reads none.

        Raises
        ------
        InvalidMap
            When the layer is turned against the image.
        """
        return labels_under(labels_layer, self.target.layer, self.region)

    def labels_of(
        self, under: LabelsUnder, class_of: Mapping[int, int] | int | None
    ) -> Callable[[], NDArray[np.int32]]:
        """Return what reads the labels to import; it may be called in any thread."""
        first = self.nuclei.next_instance
        return lambda: nuclei_from_labels(under.read(), class_of, first)

    def put_labels(self, labels: NDArray[np.int32]) -> None:
        """Replace the nuclei in the frame by labels that were read; one undo step."""
        self.nuclei.raise_instance(labels)
        set_labels(self.nuclei.layer, self.framed("imported labels", labels))

    def framed(self, what: str, array: NDArray[Any]) -> NDArray[Any]:
        """Return a map when it has the frame's shape.

        Raises
        ------
        InvalidMap
            When it has not.
        """
        if array.shape != self.region.shape:
            raise InvalidMap(
                f"expected {what} of {self.region.height} x {self.region.width} px like the "
                f"frame, got {array.shape}; move the frame once to renew its layers"
            )
        return array

    # ---------------------------------------------------------------- plumbing
    def _place_of(self, layer: Layer) -> dict[str, Any]:
        image = self.target.layer
        is_frame = layer is self.frame.layer
        return place_on(image, 0, 0) if is_frame else place_region(image, self.region)

    def _tell(self, text: str, step: PendingStep) -> PendingStep:
        self._doing.follow(text, step)
        return step.then(self._carried_out)

    def _carried_out(self, step: PendingStep) -> None:
        if step.region is not None:
            self.pixels_changed.emit(step.region)

    def _on_changed(self, region: Region) -> None:
        part = self.target.spec.at_level(region, self.region.level).intersect(self.region)
        if not part.is_empty:
            self.pixels_changed.emit(part)

    def _framed_tissue(self, tissue_map: ArrayLike) -> NDArray[np.uint8]:
        return self.framed("a tissue map", as_tissue_map(tissue_map, len(TISSUE_NAMES)))

    def _keep_paint(self) -> None:
        for plane, painted in (("nuclei", self.nuclei.labels), ("tissue", self.tissue.layer.data)):
            if painted.shape == self.region.shape:
                self.target.keep_paint(plane, self.region, painted)

    def at_rest(self, region: Region) -> Region:
        """Return where the paint of a region of the image rests."""
        y, x = self.first
        return region.translate(-(y >> region.level), -(x >> region.level))

    def _fitted(self, region: Region) -> Region:
        levels = self.target.levels
        if region.level >= levels:
            finest, coarsest = (f"{self.target.mpp_at(n):g}" for n in (0, levels - 1))
            known = finest if levels == 1 else f"{finest} to {coarsest}"
            raise InvalidRequest(
                f"expected a frame of {known} um per pixel on this image, got one of "
                f"{self.target.mpp_at(region.level):g}; work on the image it was made on"
            )
        return fit_frame(region, self.target.spec.bounds(region.level), self.snap)

    def rest(self) -> None:
        """Let the paint in the frame rest as well; it stays in the frame.

        Of a layer that somebody gave another size, what rests is what last had the frame's.
        """
        painted = (self.tissue.layer.data, self.edit_mask.parts, self.nuclei.labels)
        for plane, labels in zip(_PLANES, painted, strict=True):
            if labels.shape == self.region.shape:
                self.resting.write(plane, self.at_rest(self.region), labels)
        self.next_instance = self.nuclei.next_instance
