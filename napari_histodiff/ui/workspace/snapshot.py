"""What lies in the frame at one moment: in a few words for the button, or copied for an edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import give
from napari_histodiff.core.requests import EditKind
from napari_histodiff.ui.workspace.runs import nuclei_maps

__all__ = ["FrameCopy", "FrameSnapshot", "FrameSummary", "kind_of_edit"]


@dataclass(frozen=True, slots=True, eq=False)
class FrameSummary:
    """What the masks say of the frame, without a look at the image.

    Attributes
    ----------
    kind : EditKind
        What the main button does here.
    region : Region
        The frame in pixels of its level of the image.
    mpp : float
        Micrometres per pixel.
    has_pixels : bool
        Whether any pixel exists below the frame.
    uses_paint : bool
        Whether a nucleus is painted where pixels may change.
    counts : mapping of str to int
        How many nuclei of each class, and "unknown", are painted.
    problem : str
        Why the pixels below cannot be worked on yet; empty when they can.
    tissue : mapping of str to float
        Which share of the frame, 0-1, each painted tissue covers.
    astray : mapping of str to int
        How many nuclei are painted where none are expected: in lumen, in glass.
    shares : tuple of float
        Shares of the strength that parts of the edit mask are painted with, the largest first.
    stays : bool
        Whether some pixel stays as it is, so that an edit can start from what lies around it.
    has_own_maps : bool
        Whether the image knows its own nuclei and tissue there, as a slide does.
    """

    kind: EditKind
    region: Region
    mpp: float
    has_pixels: bool
    uses_paint: bool
    counts: Mapping[str, int]
    problem: str = ""
    tissue: Mapping[str, float] = field(default_factory=dict)
    astray: Mapping[str, int] = field(default_factory=dict)
    shares: tuple[float, ...] = (1.0,)
    stays: bool = True
    has_own_maps: bool = False

    @property
    def leaves_open(self) -> bool:
        """Whether an edit is left to the pixels around it: nothing is painted in the frame."""
        painted = any(self.counts.values()) or bool(self.tissue)
        return self.kind is EditKind.INPAINT and not painted and not self.has_own_maps


@dataclass(frozen=True, slots=True, eq=False)
class FrameSnapshot:
    """Pixels and paint of the frame; arrays are copies of the frame's shape, and nobody else's.

    Attributes
    ----------
    kind : EditKind
        What the main button does here.
    region : Region
        The frame in pixels of its level of the image.
    mpp : float
        Micrometres per pixel.
    image : (h, w, 3) uint8
        Pixels below, edits included.
    edit_mask : (h, w) bool
        Where pixels may change: the painted edit mask, for OUTPAINT with the pixel-less part.
    class_map : (h, w) uint8
    instance_map : (h, w) int32
        The painted nuclei, one id per connected blob.
    coverage : (h, w) bool
        Where pixels exist.
    tissue_map : (h, w) uint8
        The painted tissue, ids of `core.maps.TISSUE_NAMES`, 0 = unspecified.
    shares : (h, w) float32 in 0-1, optional
        Share of the strength that each part of the edit mask is drawn with; None: all of it.
    """

    kind: EditKind
    region: Region
    mpp: float
    image: NDArray[np.uint8]
    edit_mask: NDArray[np.bool_]
    class_map: NDArray[np.uint8]
    instance_map: NDArray[np.int32]
    coverage: NDArray[np.bool_]
    tissue_map: NDArray[np.uint8]
    shares: NDArray[np.float32] | None = None

    @property
    def uses_paint(self) -> bool:
        """Whether a nucleus is painted where pixels may change; else the model places them."""
        return self._counts((self.class_map > 0) | (self.instance_map > 0))

    @property
    def uses_tissue(self) -> bool:
        """Whether tissue is painted where pixels may change."""
        return self._counts(self.tissue_map > 0)

    def _counts(self, painted: NDArray[np.bool_]) -> bool:
        if self.kind in (EditKind.INPAINT, EditKind.OUTPAINT):
            painted = painted & self.edit_mask
        return bool(painted.any())


@dataclass(frozen=True, slots=True, eq=False)
class FrameCopy:
    """What a snapshot is made of, copied at one moment; `resolve` does the rest, in any thread.

    Attributes
    ----------
    kind, region, mpp, image, edit_mask, coverage, tissue_map, shares
        As of `FrameSnapshot`.
    labels : (h, w) int32
        The painted nuclei, as the layer numbers them.
    """

    kind: EditKind
    region: Region
    mpp: float
    image: NDArray[np.uint8]
    edit_mask: NDArray[np.bool_]
    coverage: NDArray[np.bool_]
    labels: NDArray[np.int32]
    tissue_map: NDArray[np.uint8]
    shares: NDArray[np.float32] | None

    def resolve(self) -> FrameSnapshot:
        """Tell the nuclei apart; its arrays are the snapshot's from now on.

        Raises
        ------
        InvalidMap
            When labels are none of nuclei.
        """
        classes, instances = nuclei_maps(self.labels)
        return FrameSnapshot(
            kind=self.kind,
            region=self.region,
            mpp=self.mpp,
            image=give(self.image),
            edit_mask=give(self.edit_mask),
            class_map=give(classes),
            instance_map=give(instances),
            coverage=self.coverage,
            tissue_map=give(self.tissue_map),
            shares=self.shares,
        )


def kind_of_edit(*, any_pixels: bool, all_pixels: bool, is_masked: bool) -> EditKind:
    """Return what an edit of a frame does.

    GENERATE when no pixel exists or nothing says where to edit, OUTPAINT when a part has no pixels
    yet, INPAINT when an edit mask is painted.
    """
    if any_pixels and not all_pixels:
        return EditKind.OUTPAINT
    return EditKind.INPAINT if all_pixels and is_masked else EditKind.GENERATE
