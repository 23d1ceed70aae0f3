"""Looks at a variant beside what it replaces: held key, divider, map of differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_histodiff.ui.workspace.transforms import insert_above, place_region, put_on

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.generation.states import Staging
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["DIFFERENCE_NAME", "Looks"]

DIFFERENCE_NAME: Final = "Difference"

#: Grey levels that the brightest colour of the map stands for; more are shown as these.
_FULL: Final = 96


class Looks:
    """What the user does to compare the variant in view with what lies below.

    Parameters
    ----------
    viewer : napari ViewerModel
        Where it is shown.
    workspace : Workspace
        The image.
    controller : Controller
        Whose variants are meant.
    """

    def __init__(self, viewer: Any, workspace: Workspace, controller: Controller) -> None:
        self._viewer = viewer
        self._workspace = workspace
        self._controller = controller
        self._layer: Image | None = None
        #: Where the divider stands, 0 = the variant is shown whole.
        self.share = 0.0
        controller.staging_changed.connect(self._on_staging)
        workspace.target_changed.connect(self._remove)

    def hold(self) -> Callable[[], None]:
        """Show what lies below; returns what ends that."""
        preview = self._controller.staged.preview
        layers = [layer for layer in (preview.layer, self._difference) if layer is not None]
        shown = [layer for layer in layers if layer.visible]
        for layer in shown:
            layer.visible = False

        def release() -> None:
            for layer in shown:
                if layer in self._viewer.layers:
                    layer.visible = True

        return release

    def divide(self, share: float) -> None:
        """Show the variant right of a divider only, which stands at a share, 0-1, from the left."""
        self.share = share
        staging = self._controller.staged.now
        if staging is not None:
            self._show_right(staging)

    def toggle_difference(self) -> None:
        """Show where, and how much, the variant differs from what lies below, or stop that."""
        layer, staging = self._difference, self._controller.staged.now
        if layer is not None and layer.visible:
            layer.visible = False
        elif staging is not None and staging.entry.request.image is not None:
            self._show_difference(staging, staging.entry.request.image)

    # ---------------------------------------------------------------- plumbing
    @property
    def _difference(self) -> Image | None:
        return self._layer if self._layer in self._viewer.layers else None

    def _show_right(self, staging: Staging) -> None:
        region, image = staging.region, staging.image
        column = min(round(self.share * region.width), region.width - 1)
        right = replace(region, x=region.x + column, width=region.width - column)
        self._controller.staged.show(right, np.ascontiguousarray(image[:, column:]))

    def _show_difference(self, staging: Staging, before: NDArray[np.uint8]) -> None:
        target = self._workspace.target
        if target is None:
            return
        change = np.abs(staging.image.astype(np.int16) - before).max(axis=-1).astype(np.uint8)
        place, layer = place_region(target, staging.region), self._difference
        if layer is None:
            layer = Image(
                change,
                name=DIFFERENCE_NAME,
                colormap="inferno",
                contrast_limits=(0, _FULL),
                **place,
            )
            if hasattr(layer, "colorbar"):
                layer.colorbar.visible = True
            below = [target, self._controller.staged.preview.layer]
            insert_above(self._viewer, layer, [other for other in below if other is not None])
            self._layer = layer
        else:
            layer.data, layer.visible = change, True
            put_on(layer, place)

    def _on_staging(self, staging: Staging | None) -> None:
        layer = self._difference
        if staging is None:
            self.share = 0.0
            if layer is not None:
                layer.visible = False
            return
        if self.share:
            self._show_right(staging)
        before = staging.entry.request.image
        if layer is not None and layer.visible and before is not None:
            self._show_difference(staging, before)

    def _remove(self) -> None:
        layer, self._layer = self._difference, None
        if layer is not None:
            self._viewer.layers.remove(layer)
