"""The layers one paints on: Nuclei, one id per stroke, and Edit mask, where pixels may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import (
    CLASS_NAMES,
    LABEL_BASE,
    N_CLASSES,
    TISSUE_NAMES,
    encode_labels,
    label_of,
)
from napari_histodiff.core.steering.strengths import STRENGTHS, levels_of
from napari_histodiff.ui.colormaps import UNKNOWN, edit_mask_colormap, nuclei_colormap
from napari_histodiff.ui.painting.steps import PaintLabels
from napari_histodiff.ui.workspace.runs import nuclei_maps, nuclei_runs
from napari_histodiff.ui.workspace.transforms import place_region

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

__all__ = [
    "EDIT_MASK_NAME",
    "NUCLEI_NAME",
    "EditMaskLayer",
    "NucleiLayer",
    "PaintSettings",
    "set_labels",
    "show_region",
]

NUCLEI_NAME: Final = "Nuclei"


@dataclass(slots=True, eq=False)
class PaintSettings:
    """What is in the user's hand; shared by all images of a workspace.

    Attributes
    ----------
    class_id : int
        Class that is painted, 1-6.
    tool : str
        Name of the tool in use.
    density : float
        Of scatter, relative to real tissue around nuclei of the class; 1 = the same.
    radius_um : float
        Of scatter's brush, in um.
    overwrite : bool
        Whether a stamp may cover other nuclei.
    palette : str
        What brush, polygon, fill and erase paint: "nuclei", "tissue" or "edit mask".
    tissue_id : int
        Tissue that is painted, an id of `core.maps.TISSUE_NAMES`.
    mask_share : float
        Share of the strength that the edit mask is painted with, 0.05-1.
    """

    class_id: int = 2
    tool: str = "brush"
    density: float = 1.0
    radius_um: float = 25.0
    overwrite: bool = False
    palette: str = "nuclei"
    tissue_id: int = 1
    mask_share: float = 1.0

    def recall(self, class_id: int, tissue_id: int, density: float) -> None:
        """Take in hand what was there in an earlier session; what is out of range is left."""
        self.density = min(max(density, 0.1), 4.0)
        if 1 <= class_id <= len(CLASS_NAMES):
            self.class_id = class_id
        if 1 <= tissue_id < len(TISSUE_NAMES):
            self.tissue_id = tissue_id


class NucleiLayer:
    """A single-scale Labels layer over the frame, label = 7 * instance + class.

    Each stroke, polygon or fill makes a new nucleus, so that touching nuclei of a class stay apart;
    a brush stroke that starts on a nucleus of the selected class goes on with that nucleus.

    Parameters
    ----------
    target : Layer
        The image below.
    region : Region
        The frame, in pixels of its level of the image.
    labels : (h, w) int32
        What is painted there already.
    settings : PaintSettings
        Shared; the class in it is read and followed.
    first_instance : int
        Smallest nucleus id to use.
    """

    changed = Signal()
    class_changed = Signal(int)

    def __init__(
        self,
        target: Layer,
        region: Region,
        labels: NDArray[np.int32],
        settings: PaintSettings,
        first_instance: int = 1,
    ) -> None:
        self._settings = settings
        #: Smallest nucleus id that was not used yet.
        self.next_instance = first_instance
        self.layer = PaintLabels(
            labels,
            name=NUCLEI_NAME,
            colormap=nuclei_colormap(),
            opacity=0.65,
            **place_region(target, region),
        )
        self.raise_instance(labels)
        # First in the list: before the callback of napari's own mode reads the selected label.
        self.layer.mouse_drag_callbacks.insert(0, self._begin_stroke)
        self.layer.events.paint.connect(self._end_stroke)
        self.layer.events.set_data.connect(lambda _: self.changed.emit())
        self.layer.events.selected_label.connect(self._on_selected_label)
        self._arm()

    @property
    def labels(self) -> NDArray[np.int32]:
        """The live label array, (h, w) int32."""
        return self.layer.data  # type: ignore[no-any-return]

    @property
    def class_id(self) -> int:
        """Id of the class that is painted, 1-6."""
        return self._settings.class_id

    def select_class(self, class_id: int) -> None:
        """Paint nuclei of class 1-6 from now on.

        Raises
        ------
        InvalidRequest
            When the id is not 1-6.
        """
        if class_id not in range(1, LABEL_BASE):
            raise InvalidRequest(
                f"expected a nucleus class from 1 to {N_CLASSES}, got {class_id!r}; "
                "choose one of " + ", ".join(CLASS_NAMES)
            )
        changed = class_id != self.class_id
        self._settings.class_id = int(class_id)
        self._arm()
        if changed:
            self.class_changed.emit(self.class_id)

    def new_label(self) -> int:
        """Return the label of a nucleus of the selected class with an unused id."""
        fresh = label_of(self.next_instance, self.class_id)
        self.next_instance += 1
        return fresh

    def raise_instance(self, labels: NDArray[np.int32]) -> None:
        """Make the next id larger than all of `labels`."""
        if labels.size:
            self.next_instance = max(self.next_instance, int(labels.max()) // LABEL_BASE + 1)

    def put(
        self, instances: NDArray[np.int32], classes: NDArray[np.uint8], *, keep: bool
    ) -> NDArray[np.bool_]:
        """Paint nuclei as one undo step, with ids of their own.

        Parameters
        ----------
        instances : (h, w) int32
            0 = background, one positive id per nucleus.
        classes : (h, w) uint8
            Class of each pixel, 0-6.
        keep : bool
            Whether what is painted stays and nuclei that would touch a pixel of it are left out;
            otherwise everything painted is replaced.

        Returns
        -------
        (top + 1,) bool
            Which ids were painted.
        """
        present = np.zeros(int(instances.max(initial=0)) + 1, np.bool_)
        present[instances] = True
        present[0] = False
        if keep:
            present[instances[self.labels != 0]] = False
        numbered = instances + np.int32(self.next_instance - 1)
        labels = np.where(present[instances], encode_labels(numbered, classes), 0)
        if keep:
            labels = np.where(labels > 0, labels, self.labels)
        self.raise_instance(labels)
        set_labels(self.layer, labels)
        return present

    def add(self, classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> int:
        """Paint nuclei where there is room, as `put` does; returns how many found some."""
        return int(self.put(instances, classes, keep=True).sum())

    def counts(self) -> dict[str, int]:
        """Return how many nuclei of each class, and of unknown class, are painted.

        Raises
        ------
        InvalidMap
            When somebody put negative labels into the layer.
        """
        found = np.bincount(nuclei_runs(self.labels).present() % LABEL_BASE, minlength=LABEL_BASE)
        names = (UNKNOWN.name, *CLASS_NAMES)
        counts = {name: int(n) for name, n in zip(names, found, strict=True)}
        counts[UNKNOWN.name] = counts.pop(UNKNOWN.name)  # last
        return counts

    def maps(self) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return class map and instance map; every connected blob of a label is one nucleus.

        Raises
        ------
        InvalidMap
            When somebody put negative labels into the layer.
        """
        return nuclei_maps(self.labels)

    def _arm(self) -> None:
        """Select the label of the next nucleus; its id is used up by the next stroke only."""
        self.layer.selected_label = label_of(self.next_instance, self.class_id)

    def _begin_stroke(self, layer: Labels, event: Any) -> None:
        if layer.selected_label == layer.colormap.background_value:
            return  # napari's X key: paint with nothing
        under = self._label_at(layer.world_to_data(event.position))
        if layer.mode == "paint" and under % LABEL_BASE == self.class_id and under >= LABEL_BASE:
            layer.selected_label = under
        elif layer.mode in ("paint", "polygon", "fill"):
            self._arm()

    def _label_at(self, position: Any) -> int:
        y, x = (int(np.floor(c + 0.5)) for c in position[-2:])
        height, width = self.labels.shape
        return int(self.labels[y, x]) if 0 <= y < height and 0 <= x < width else 0

    def _end_stroke(self, _: Any) -> None:
        if self.layer.selected_label == label_of(self.next_instance, self.class_id):
            self.next_instance += 1
        if self.layer.selected_label != self.layer.colormap.background_value:
            self._arm()
        self.changed.emit()

    def _on_selected_label(self, _: Any) -> None:
        """Follow napari's picker and its keys for the selected label."""
        class_id = self.layer.selected_label % LABEL_BASE
        if class_id and class_id != self.class_id:
            self._settings.class_id = class_id
            self.class_changed.emit(class_id)


def set_labels(layer: Labels, labels: NDArray[Any]) -> None:
    """Replace the content of a Labels layer as one step of its undo history."""
    rows, cols = np.nonzero(layer.data != labels)
    layer.data_setitem((rows, cols), labels[rows, cols])
    layer.refresh(extent=False)  # who listens was told before the labels were there


def show_region(layer: PaintLabels, target: Layer, region: Region, labels: NDArray[Any]) -> None:
    """Move a Labels layer to another place of the target, with that place's content.

    At another level the brush covers as much tissue as before. The layer's undo history speaks of
    the old place and ends.
    """
    mode, placing = layer.mode, place_region(target, region)
    finer = float(layer.scale[0] / placing["scale"][0])
    layer.data = labels
    if finer != 1:
        layer.scale = placing["scale"]
        layer.brush_size = max(1, round(layer.brush_size * finer))
    layer.translate = placing["translate"]
    layer.end_steps()
    layer.mode = mode


EDIT_MASK_NAME: Final = "Edit mask"


class EditMaskLayer:
    """A Labels layer over the frame, painted with napari's own tools.

    Label 1 is drawn anew with the whole strength of an edit, label 2 with 0.95 of it, and so on
    down to 20 with 0.05. An outline, for a look at what lies below, ends with the next stroke.

    Parameters
    ----------
    target : Layer
        The image below.
    region : Region
        The frame, in pixels of its level of the image.
    painted : (h, w) uint8
        What is painted there already.
    settings : PaintSettings, optional
        Shared; tells the share of the strength that is painted with.
    """

    changed = Signal()

    def __init__(
        self,
        target: Layer,
        region: Region,
        painted: NDArray[np.uint8],
        settings: PaintSettings | None = None,
    ) -> None:
        self._settings = settings or PaintSettings()
        self.layer = PaintLabels(
            painted,
            name=EDIT_MASK_NAME,
            colormap=edit_mask_colormap(),
            opacity=0.35,
            **place_region(target, region),
        )
        self.layer.selected_label = 1
        self.layer.mouse_drag_callbacks.insert(0, self._begin_stroke)
        self.layer.events.paint.connect(lambda _: self.changed.emit())
        self.layer.events.set_data.connect(lambda _: self.changed.emit())

    @property
    def mask(self) -> NDArray[np.bool_]:
        """A copy of the painted pixels, (h, w) bool."""
        painted: NDArray[np.bool_] = np.asarray(self.layer.data) != 0
        return painted

    @property
    def parts(self) -> NDArray[np.uint8]:
        """A copy of the painted labels, (h, w) uint8; others than 0-20 count as 1."""
        painted = np.asarray(self.layer.data)
        return np.where((painted >= 0) & (painted <= STRENGTHS), painted, 1).astype(np.uint8)

    @property
    def shares(self) -> NDArray[np.float32] | None:
        """Share of the strength of each pixel, (h, w) in 0-1; None: the whole of it everywhere."""
        if np.asarray(self.layer.data).max(initial=0) <= 1:  # as most are
            return None
        parts = self.parts
        if parts.max() <= 1:
            return None
        table = np.append(0, np.arange(STRENGTHS, 0, -1) / STRENGTHS)
        return table.astype(np.float32)[parts]

    @property
    def levels(self) -> tuple[float, ...]:
        """The shares that occur, the largest first."""
        return levels_of(self.shares) or (1.0,)

    def put(self, mask: NDArray[np.bool_]) -> None:
        """Replace the mask, (h, w) bool, as one undo step, and show it as an area.

        What was painted keeps its share of the strength, what is new gets that in hand.
        """
        parts = self.parts
        self.put_parts(np.where(mask, np.where(parts > 0, parts, self._in_hand()), 0))

    def put_parts(self, parts: NDArray[Any]) -> None:
        """Replace the labels, (h, w), as one undo step, and show them as an area."""
        self.show_filled()
        set_labels(self.layer, parts.astype(np.uint8))

    def recall(self, strength_map: NDArray[np.float32] | None) -> None:
        """Show the strengths that an edit of this mask was drawn with; None: one everywhere."""
        if strength_map is not None:
            share = np.rint(strength_map / strength_map.max() * STRENGTHS)
            self.put_parts(np.where(strength_map > 0, STRENGTHS + 1 - np.maximum(share, 1), 0))

    def _in_hand(self) -> int:
        """The label that is painted with."""
        steps = round(self._settings.mask_share * STRENGTHS)
        return STRENGTHS + 1 - min(max(steps, 1), STRENGTHS)

    def show_filled(self) -> None:
        """Show what may change as an area: it is worked on."""
        self.layer.contour = 0

    def _begin_stroke(self, layer: Labels, _: Any) -> None:
        if layer.mode in ("paint", "polygon", "fill", "erase"):
            self.show_filled()
            if layer.selected_label:  # else napari's X key: paint with nothing
                layer.selected_label = self._in_hand()
