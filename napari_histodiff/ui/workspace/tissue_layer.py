"""The layer tissue is painted on: Tissue, the region class of each pixel of the frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import BARE_TISSUES, TISSUE_NAMES
from napari_histodiff.ui.colormaps import tissue_colormap
from napari_histodiff.ui.painting.steps import PaintLabels
from napari_histodiff.ui.workspace.paint_layers import PaintSettings, set_labels
from napari_histodiff.ui.workspace.runs import Runs
from napari_histodiff.ui.workspace.transforms import place_region

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["TISSUE_NAME", "TissueLayer", "nuclei_without_tissue", "shares_of"]

TISSUE_NAME: Final = "Tissue"

#: Opacity of areas, through which the image is seen, and of thin contours.
_FILLED: Final = 0.4
_CONTOUR: Final = 0.9


class TissueLayer:
    """A Labels layer over the frame, painted with napari's own tools; label = tissue id.

    Parameters
    ----------
    target : Layer
        The image below.
    region : Region
        The frame, in pixels of its level of the image.
    painted : (h, w) uint8
        What is painted there already, ids of `core.maps.TISSUE_NAMES`.
    settings : PaintSettings
        Shared; the tissue in it is read and followed.
    """

    changed = Signal()
    tissue_changed = Signal(int)

    def __init__(
        self,
        target: Layer,
        region: Region,
        painted: NDArray[np.uint8],
        settings: PaintSettings,
    ) -> None:
        self._settings = settings
        self.layer = PaintLabels(
            painted,
            name=TISSUE_NAME,
            colormap=tissue_colormap(),
            opacity=_FILLED,
            **place_region(target, region),
        )
        self.layer.selected_label = settings.tissue_id
        self.layer.events.paint.connect(lambda _: self.changed.emit())
        self.layer.events.set_data.connect(lambda _: self.changed.emit())
        self.layer.events.contour.connect(self._on_contour)
        self.layer.events.selected_label.connect(self._on_selected_label)

    @property
    def tissue(self) -> NDArray[np.uint8]:
        """The live tissue map, (h, w) uint8.

        Raises
        ------
        InvalidMap
            When somebody put numbers into the layer that are no tissue.
        """
        painted = np.asarray(self.layer.data)
        top = len(TISSUE_NAMES) - 1
        if painted.size and not 0 <= painted.min() <= painted.max() <= top:
            wrong = painted.max() if painted.max() > top else painted.min()
            raise InvalidMap(
                f"expected tissue 1-{top} ({', '.join(TISSUE_NAMES[1:])}) or 0 for none, got "
                f"{wrong} in the layer {TISSUE_NAME}; paint over it with a tissue of the palette"
            )
        return painted.astype(np.uint8, copy=False)

    def select(self, tissue_id: int) -> None:
        """Paint this tissue from now on.

        Raises
        ------
        InvalidRequest
            When the id is none of `TISSUE_NAMES`, or 0.
        """
        if tissue_id not in range(1, len(TISSUE_NAMES)):
            raise InvalidRequest(
                f"expected a tissue from 1 to {len(TISSUE_NAMES) - 1}, got {tissue_id!r}; choose "
                "one of " + ", ".join(TISSUE_NAMES[1:])
            )
        self.layer.selected_label = int(tissue_id)

    def put(self, tissue: NDArray[np.uint8]) -> None:
        """Replace what is painted as one undo step."""
        set_labels(self.layer, tissue)

    def _on_contour(self, _: object) -> None:
        if self.layer.opacity in (_FILLED, _CONTOUR):  # else the user's own
            self.layer.opacity = _CONTOUR if self.layer.contour else _FILLED

    def _on_selected_label(self, _: object) -> None:
        chosen = int(self.layer.selected_label)
        if chosen not in range(len(TISSUE_NAMES)):  # napari's field and its "new" know no palette
            self.layer.selected_label = self._settings.tissue_id
        elif chosen not in (0, self._settings.tissue_id):
            self._settings.tissue_id = chosen
            self.tissue_changed.emit(chosen)


def shares_of(tissue: NDArray[np.uint8]) -> dict[str, float]:
    """Return which share of a tissue map, 0-1, each tissue in it covers, by its name."""
    if not tissue.any():
        return {}
    runs = Runs.of(tissue)
    pixels = np.bincount(runs.labels, runs.lengths, len(TISSUE_NAMES)).tolist()
    found = dict(zip(TISSUE_NAMES[1:], pixels[1:], strict=True))
    return {name: count / tissue.size for name, count in found.items() if count}


def nuclei_without_tissue(
    labels: NDArray[np.int32], tissue: NDArray[np.uint8], shares: Mapping[str, float]
) -> dict[str, int]:
    """Count the nuclei most of whose pixels lie in lumen or glass, by its name.

    Parameters
    ----------
    labels : (h, w) int32
        Nuclei, one number each, 0 = background.
    tissue : (h, w) uint8
        Ids of `core.maps.TISSUE_NAMES`.
    shares : mapping of str to float
        What `shares_of` says of it.
    """
    empty = [name for name in BARE_TISSUES if name in shares]
    if not empty or not labels.any():
        return {}
    runs = Runs.of(labels)
    lengths = runs.lengths
    # A run is a row of one nucleus, a few um long: its middle tells where it lies.
    below = tissue.ravel()[runs.starts + lengths // 2]
    numbers = [TISSUE_NAMES.index(name) for name in empty]
    ids = np.unique(runs.labels[np.isin(below, numbers) & (runs.labels != 0)])
    theirs = np.isin(runs.labels, ids)
    index, lengths, below = (
        np.searchsorted(ids, runs.labels[theirs]),
        lengths[theirs],
        below[theirs],
    )
    sizes = np.bincount(index, lengths)
    counts = {}
    for name, number in zip(empty, numbers, strict=True):
        counts[name] = int((2 * np.bincount(index, lengths * (below == number)) > sizes).sum())
    return {name: count for name, count in counts.items() if count}
