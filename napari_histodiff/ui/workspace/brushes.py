"""Stamp and scatter: the mouse places nuclei of natural size and shape on the Nuclei layer.

Where tissue is painted they lie as nuclei lie in it, and a drag stays in the tissue it began in.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.nucleus_shapes import nucleus_statistics
from napari_histodiff.layout.completion.grain import TissueGrain
from napari_histodiff.ui.painting.filling import Filling
from napari_histodiff.ui.viewport import to_data
from napari_histodiff.ui.workspace.paint_layers import NucleiLayer, PaintSettings
from napari_histodiff.ui.workspace.placement import Indices, Scatter, place_nucleus
from napari_histodiff.ui.workspace.tissue_layer import TissueLayer

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["Brushes"]

_LEFT: Final = 1


class Brushes:
    """Mouse callbacks for the Nuclei layer; active while the tool is "stamp" or "scatter".

    A click, or a whole drag, is one step of the layer's undo history.

    Parameters
    ----------
    nuclei : NucleiLayer
        What is painted on.
    tissue : TissueLayer
        What lies below.
    settings : PaintSettings
        Tool, class, density and size; read at each press.
    mpp : float
        Micrometres per pixel.
    rng : numpy.random.Generator
        Source of places and shapes.
    viewer : napari ViewerModel
        In whose world the mouse moves.
    """

    def __init__(
        self,
        nuclei: NucleiLayer,
        tissue: TissueLayer,
        settings: PaintSettings,
        mpp: float,
        rng: np.random.Generator,
        viewer: Any,
    ) -> None:
        self._nuclei = nuclei
        self._tissue = tissue
        self._settings = settings
        self._mpp = mpp
        self._rng = rng
        self._viewer = viewer
        nuclei.layer.mouse_drag_callbacks.append(self._on_press)

    def use_mpp(self, mpp: float) -> None:
        """Draw on pixels of another size from now on, in micrometres."""
        self._mpp = mpp

    @property
    def density_per_mm2(self) -> float:
        """Nuclei per mm^2 that scatter places for the selected class."""
        return self._settings.density * nucleus_statistics(self._nuclei.class_id).density

    def filling(self, area: NDArray[np.bool_], frame: Region, caption: str) -> Filling:
        """Return what fills an area with nuclei of its tissue, or of the class in hand.

        Parameters
        ----------
        area : (h, w) bool
            Pixels to fill.
        frame : Region
            Where the frame lies.
        caption : str
            Its organ and levels say how many nuclei tissue has.
        """
        return Filling(
            area=area,
            labels=self._nuclei.labels.copy(),
            tissue=np.array(self._tissue.tissue),
            frame=frame,
            caption=caption,
            class_id=self._nuclei.class_id,
            factor=self._settings.density,
            density=self.density_per_mm2,
            mpp=self._mpp,
            seed=int(self._rng.integers(2**31)),
        )

    def _on_press(self, layer: Labels, event: Any) -> Generator[None, None, None] | None:
        if event.button != _LEFT or layer.mode != "pan_zoom" or layer.mouse_pan:
            return None
        if self._settings.tool == "stamp":
            self._stamp(layer, event)
        return self._scatter(layer, event) if self._settings.tool == "scatter" else None

    def _stamp(self, layer: Labels, event: Any) -> None:
        nuclei, centre = self._nuclei, self._position(layer, event)
        grain = self._grain()
        placed = place_nucleus(
            nuclei.labels,
            centre,
            nuclei.class_id,
            self._mpp,
            self._rng,
            overwrite=self._settings.overwrite,
            rotation=None if grain is None else grain.rotation(nuclei.class_id, *centre, self._rng),
        )
        self._write([placed])
        layer.refresh(extent=False)  # who listens was told before the labels were there

    def _scatter(self, layer: Labels, event: Any) -> Generator[None, None, None]:
        scatter = self._new_scatter()
        dab = _disc(self._settings.radius_um / self._mpp)
        reach = dab.shape[0] // 2
        with layer.block_history():
            last = self._position(layer, event)
            own = self._tissue_at(last)
            while True:
                here = self._position(layer, event)
                for y, x in _between(last, here, max(1, reach)):
                    corner = round(y) - reach, round(x) - reach
                    self._write(scatter.fill(dab & self._is(own, corner, dab.shape), corner))
                last = here
                yield
                if event.type != "mouse_move":
                    return

    def _new_scatter(self) -> Scatter:
        nuclei = self._nuclei
        return Scatter(
            nuclei.labels,
            nuclei.class_id,
            self.density_per_mm2,
            self._mpp,
            self._rng,
            self._grain(),
        )

    def _grain(self) -> TissueGrain | None:
        """How nuclei lie, when tissue is painted."""
        tissue = self._tissue.tissue
        return TissueGrain(tissue, self._mpp) if tissue.any() else None

    def _tissue_at(self, point: tuple[float, float]) -> int:
        tissue = self._tissue.tissue
        y, x = (int(np.floor(c + 0.5)) for c in point)
        inside = 0 <= y < tissue.shape[0] and 0 <= x < tissue.shape[1]
        return int(tissue[y, x]) if inside else 0

    def _is(self, own: int, corner: tuple[int, int], shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return where a piece of the frame is of some tissue; everywhere when that is none."""
        same = np.ones(shape, np.bool_)
        if own == 0:
            return same
        tissue = self._tissue.tissue
        rows = np.clip(np.arange(shape[0]) + corner[0], 0, tissue.shape[0] - 1)
        cols = np.clip(np.arange(shape[1]) + corner[1], 0, tissue.shape[1] - 1)
        same &= tissue[np.ix_(rows, cols)] == own
        return same

    def _write(self, placed: list[Indices]) -> int:
        placed = [indices for indices in placed if indices[0].size]
        if placed:
            rows, cols = (np.concatenate(axis) for axis in zip(*placed, strict=True))
            sizes = [indices[0].size for indices in placed]
            labels = np.repeat([self._nuclei.new_label() for _ in placed], sizes)
            self._nuclei.layer.data_setitem((rows, cols), labels.astype(np.int32))
        return len(placed)

    def _position(self, layer: Labels, event: Any) -> tuple[float, float]:
        y, x = to_data(self._viewer, layer, event.position)
        return float(y), float(x)


def _disc(radius: float) -> NDArray[np.bool_]:
    reach = max(0, int(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc: NDArray[np.bool_] = np.hypot(y, x) <= max(radius, 0.5)
    return disc


def _between(
    start: tuple[float, float], end: tuple[float, float], step: float
) -> NDArray[np.float64]:
    n = int(np.ceil(np.hypot(end[0] - start[0], end[1] - start[1]) / step)) + 1
    return np.linspace(start, end, max(n, 1))
