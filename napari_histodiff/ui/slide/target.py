"""Editing a slide through the frame: pixels from the store, undo steps on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.planning import needs
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.tile_requests import to_plane
from napari_histodiff.ui.canvas import Target
from napari_histodiff.ui.journal import EditJournal

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["READ_ONLY", "SlideJournal", "SlideTarget"]

READ_ONLY: Final = (
    "This slide is open in another window or program, so it can only be looked at here; "
    "close it there and open it again to edit it."
)
_DRAWING: Final = "This place is being drawn first."
_PAUSED: Final = "This place is not drawn yet, and drawing is paused; go on with it first."
_UNDRAWN: Final = "This place is not drawn yet; paint in the frame or move it, and it is drawn."

#: Pixels at the frame's border that stay when a whole frame is drawn anew, so that it fits in.
_RING: Final = 16


class SlideTarget(Target):
    """A slide's finest level as something edits are made on.

    Parameters
    ----------
    layer : napari Image
        Shows the slide.
    store : SlideStore
        The slide; all regions are ARRAY coordinates of level 0.
    draw : callable
        Has all tiles under a region drawn.
    is_paused : callable
        Whether drawing is held.
    """

    def __init__(
        self,
        layer: Image,
        store: SlideStore,
        draw: Callable[[Region], None],
        is_paused: Callable[[], bool],
    ) -> None:
        super().__init__(layer)
        self._store = store
        self._draw = draw
        self._is_paused = is_paused
        self._asked: Region | None = None

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels as they are now, (h, w, 3) uint8."""
        return self._store.read(region)

    def pending(self, region: Region) -> str:
        """Return why a region cannot be edited now; empty when it can."""
        if self._store.read_only:
            return READ_ONLY
        if self._is_drawn(region):
            self._asked = None
            return ""
        if self._is_paused():
            return _PAUSED
        return _DRAWING if region == self._asked else _UNDRAWN

    def prepare(self, region: Region) -> str:
        """Have the tiles under a region drawn, if need be, and return what `pending` says then."""
        if region != self._asked and not self._store.read_only and not self._is_drawn(region):
            self._asked = region
            self._draw(region)
        return self.pending(region)

    def dress(self, request: EditRequest) -> EditRequest:
        """Return a request that draws tissue of this slide.

        It gets the slide's stain and layout, and its caption unless one was given. A frame that is
        drawn anew keeps a thin ring of what is there, except at the slide's border, so that no
        edge shows around it.
        """
        recipe, region = self._store.recipe, request.region
        changes: dict[str, Any] = {
            "stain": request.stain or recipe.stains[0],
            "caption": request.caption or recipe.caption,
        }
        if request.tissue_map is None:
            changes["tissue_map"] = self._store.layout.tissue(to_plane(recipe, region))
        if request.kind is EditKind.GENERATE:
            changes |= {
                "kind": EditKind.INPAINT,
                "image": self.read(region),
                "edit_mask": self._inside(region),
                "strength": 1.0,
            }
        return replace(request, **changes)

    def new_journal(self) -> EditJournal:
        """Return the journal kept with the slide."""
        return SlideJournal(self._store, self.prepare)

    def forget_asked(self) -> None:
        """Ask again for what is not drawn: the queue was emptied."""
        self._asked = None

    def _is_drawn(self, region: Region) -> bool:
        inside = region.intersect(self.bounds)
        return not needs(self._store, self._store.spec.tiles(inside))

    def _inside(self, region: Region) -> NDArray[np.bool_]:
        bounds = self.bounds
        top = 0 if region.y == bounds.y else _RING
        left = 0 if region.x == bounds.x else _RING
        bottom = region.height - (0 if region.bottom == bounds.bottom else _RING)
        right = region.width - (0 if region.right == bounds.right else _RING)
        inside = np.zeros(region.shape, np.bool_)
        inside[top:bottom, left:right] = True
        return inside


class SlideJournal:
    """A store's own journal: undo works after the slide was closed and opened again.

    Parameters
    ----------
    store : SlideStore
        The slide.
    prepare : callable
        Has a region drawn; returns why it cannot be written yet, or nothing.
    """

    def __init__(self, store: SlideStore, prepare: Callable[[Region], str]) -> None:
        self._store = store
        self._prepare = prepare

    @property
    def can_undo(self) -> bool:
        """Whether an edit can be taken back."""
        return not self._store.read_only and self._store.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether an edit taken back can be repeated."""
        return not self._store.read_only and self._store.can_redo

    def write(
        self,
        region: Region,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.bool_] | None = None,
        request: EditRequest | None = None,
    ) -> Region:
        """Write an edit to the slide and return the rectangle that changed.

        Raises
        ------
        InvalidRequest
            When the request of the edit is missing or of another place, or the place is not drawn.
        StorageError
            When it cannot be written; the slide stays as it was.
        """
        if request is None or request.region != region:
            got = "none" if request is None else f"one of {request.region}"
            raise InvalidRequest(
                f"expected the request that drew {region}, got {got}; a slide keeps where its "
                "pixels come from, so apply a generated variant"
            )
        if problem := self._prepare(region):
            raise InvalidRequest(problem)
        return self._store.write(request, pixels, mask)

    def undo(self) -> Region | None:
        """Take the last edit back and return its rectangle, None when there is none."""
        return self._store.undo() if self.can_undo else None

    def redo(self) -> Region | None:
        """Repeat the edit taken back last and return its rectangle, None when there is none."""
        return self._store.redo() if self.can_redo else None
