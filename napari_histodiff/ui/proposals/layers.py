"""The layers that show a proposal: tissue, outlines of nuclei, rings around the uncertain ones.

Of an ensemble also a map of how undecided it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from napari.layers import Image, Labels, Points
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES, encode_labels
from napari_histodiff.ui.colormaps import heat_colormap, nuclei_colormap, tissue_colormap
from napari_histodiff.ui.proposals.process import UNCERTAIN, Proposal
from napari_histodiff.ui.text import SHOWN
from napari_histodiff.ui.workspace.transforms import insert_above, place_region

__all__ = [
    "DOUBT_NAME",
    "PROPOSED_NAME",
    "PROPOSED_TISSUE_NAME",
    "UNCERTAIN_NAME",
    "ProposalLayers",
]

PROPOSED_NAME: Final = "Proposed nuclei"
PROPOSED_TISSUE_NAME: Final = "Proposed tissue"
UNCERTAIN_NAME: Final = "Uncertain nuclei"
DOUBT_NAME: Final = "Nuclei in doubt (entropy, 0-1)"

#: Entropies of the first and the last colour: at the rim of every nucleus it is about the first.
_DOUBT: Final = (0.25, 0.75)

#: From just uncertain to twice that; bright on stained tissue, and lighter the less certain.
_RING_COLOURS: Final = ((1.0, 0.55, 0.1, 1.0), (1.0, 0.95, 0.2, 1.0))
_RING_WIDTH: Final = 1.5
_RING_ROOM: Final = 8.0
_OUTLINE: Final = 2
_TISSUE_OPACITY: Final = 0.3


class ProposalLayers:
    """Shows one proposal at a time.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where the layers are added.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._tissue: Labels | None = None
        self._nuclei: Labels | None = None
        self._rings: Points | None = None
        self._doubt: Image | None = None
        self._uncertain: NDArray[np.intp] = np.zeros(0, np.intp)
        self._sizes: NDArray[np.float64] = np.zeros(0)

    def show(self, proposal: Proposal, target: Any, region: Region, above: Iterable[Any]) -> None:
        """Show a proposal for `region` of the `target` layer, over the layers `above`."""
        self.hide()
        place = place_region(target, region)
        self._nuclei = Labels(
            _labels(proposal, 0.0),
            name=PROPOSED_NAME,
            colormap=nuclei_colormap(),
            metadata={SHOWN: PROPOSED_NAME},
            **place,
        )
        self._nuclei.contour = _OUTLINE
        self._nuclei.editable = False
        self._nuclei.features = _features(proposal)
        below = [target, *above]
        if proposal.entropy is not None:
            self._doubt = Image(
                proposal.entropy,
                name=DOUBT_NAME,
                colormap=heat_colormap(),
                contrast_limits=_DOUBT,
                blending="translucent",
                metadata={"unit": "entropy, 1 = undecided"},
                **place,
            )
            if hasattr(self._doubt, "colorbar"):
                self._doubt.colorbar.visible = True
            insert_above(self._viewer, self._doubt, below)
            below.append(self._doubt)
        if proposal.tissue_map.any():
            self._tissue = Labels(
                proposal.tissue_map,
                name=PROPOSED_TISSUE_NAME,
                colormap=tissue_colormap(),
                opacity=_TISSUE_OPACITY,
                metadata={SHOWN: PROPOSED_TISSUE_NAME},
                **place,
            )
            self._tissue.editable = False
            insert_above(self._viewer, self._tissue, below)
            below.append(self._tissue)
        insert_above(self._viewer, self._nuclei, below)
        self._uncertain = np.nonzero(proposal.uncertain)[0]
        if self._uncertain.size:
            self._sizes = proposal.diameters[self._uncertain] + _RING_ROOM
            self._rings = _make_rings(proposal, self._uncertain, self._sizes, place)
            insert_above(self._viewer, self._rings, [*below, self._nuclei])

    def filter(self, proposal: Proposal, least: float) -> None:
        """Hide nuclei less certain than `least`."""
        if self._nuclei is not None and self._nuclei in self._viewer.layers:
            self._nuclei.data = _labels(proposal, least)
        self._mark(proposal.shown(least))

    def accept(self, painted: NDArray[np.bool_]) -> None:
        """Leave only the rings, around the nuclei that were painted, (n,) bool."""
        self._remove(self._tissue)
        self._remove(self._nuclei)
        self._tissue = self._nuclei = None
        self._mark(painted)
        if not painted[self._uncertain].any() and self._doubt is None:
            self.hide()

    def hide(self) -> None:
        """Remove the layers."""
        for layer in (self._tissue, self._nuclei, self._rings, self._doubt):
            self._remove(layer)
        self._tissue = self._nuclei = self._rings = self._doubt = None

    def _mark(self, shown: NDArray[np.bool_]) -> None:
        if self._rings is not None and self._rings in self._viewer.layers:
            # `Points.shown` is without effect on layers of two dimensions (napari 0.9.2).
            self._rings.size = np.where(shown[self._uncertain], self._sizes, 0)

    def _remove(self, layer: Any) -> None:
        if layer in self._viewer.layers:
            selected = set(self._viewer.layers.selection) - {layer}
            self._viewer.layers.remove(layer)
            self._viewer.layers.selection = selected


def _features(proposal: Proposal) -> dict[str, NDArray[Any]]:
    """What the status bar says of the nucleus under the pointer."""
    numbers = np.arange(1, len(proposal) + 1)
    names = np.array(["unknown", *CLASS_NAMES])
    columns: dict[str, NDArray[Any]] = {
        "index": (N_CLASSES + 1) * numbers + proposal.classes,
        "class": names[proposal.classes],
        "uncertainty": proposal.uncertainty.round(2),
    }
    if proposal.agreement is not None:
        columns["agreement"] = proposal.agreement.round(2)
    return columns


def _labels(proposal: Proposal, least: float) -> NDArray[np.int32]:
    return encode_labels(*proposal.maps(least))


def _make_rings(
    proposal: Proposal,
    uncertain: NDArray[np.intp],
    sizes: NDArray[np.float64],
    place: dict[str, Any],
) -> Points:
    rings = Points(
        proposal.centres[uncertain],
        name=UNCERTAIN_NAME,
        size=sizes,
        canvas_size_limits=(0, 10000),  # otherwise hidden rings stay as dots
        face_color="transparent",
        features={"uncertainty": proposal.uncertainty[uncertain]},
        border_color="uncertainty",
        border_colormap=Colormap(np.array(_RING_COLOURS), name="uncertainty"),
        border_contrast_limits=(UNCERTAIN, 2 * UNCERTAIN),
        border_width=_RING_WIDTH,
        border_width_is_relative=False,
        **place,
    )
    rings.editable = False
    return rings
