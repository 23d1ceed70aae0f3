"""Select nuclei with mouse or keys, to move, resize, delete them or give them another class."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from scipy import ndimage

from napari_histodiff.core.maps import CLASS_NAMES, LABEL_BASE
from napari_histodiff.ui.painting.pieces import centres, inside, piece_at
from napari_histodiff.ui.viewport import to_data
from napari_histodiff.ui.workspace.paint_layers import NucleiLayer, PaintSettings
from napari_histodiff.ui.workspace.placement import Indices

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["NucleusSelection", "Picked"]

_LEFT: Final = 1
#: Rows and columns that an arrow key moves by.
_ARROWS: Final = {"Up": (-1, 0), "Down": (1, 0), "Left": (0, -1), "Right": (0, 1)}


@dataclass(frozen=True, slots=True, eq=False)
class Picked:
    """A nucleus that is selected: its label and pixels."""

    label: int
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    @property
    def pixels(self) -> Indices:
        """Rows and columns."""
        return self.rows, self.cols

    @property
    def class_name(self) -> str:
        """What it is, "unknown" where nobody told."""
        return ("unknown", *CLASS_NAMES)[self.label % LABEL_BASE]


class NucleusSelection:
    """The nuclei in hand of the tool "select"; each change of them is one undo step.

    Clicking selects, Shift+click adds, dragging moves. A nucleus keeps clear of others: what would
    lie on them, or outside the frame, is cut off.

    Parameters
    ----------
    nuclei : NucleiLayer
        Whose nuclei.
    settings : PaintSettings
        The tool in hand.
    viewer : napari ViewerModel
        In whose world the mouse moves.
    """

    #: Other nuclei are selected, or they lie elsewhere.
    changed = Signal()

    def __init__(self, nuclei: NucleiLayer, settings: PaintSettings, viewer: Any) -> None:
        self.picked: list[Picked] = []
        self._nuclei = nuclei
        self._settings = settings
        self._viewer = viewer
        self._is_own = False
        layer = nuclei.layer
        layer.mouse_drag_callbacks.append(self._on_press)
        nuclei.changed.connect(self._forget_repainted)
        for key, step in _ARROWS.items():
            layer.bind_key(key, self._arrow(step), overwrite=True)

    @property
    def is_active(self) -> bool:
        """Whether the tool is in hand."""
        return self._settings.tool == "select"

    def clear(self) -> None:
        """Select nothing."""
        self._pick([])

    def step(self, by: int) -> None:
        """Select the next nucleus as one reads, or the previous one for -1; round and round."""
        labels = self._nuclei.labels
        middles = centres(labels)
        if not len(middles):
            self.clear()
            return
        place = -1 if by > 0 else 0
        if self.picked:
            there = labels[tuple(middles.T)] == self.picked[-1].label
            place = int(np.flatnonzero(there)[0]) if there.any() else place
        y, x = middles[(place + by) % len(middles)]
        self._pick([self._piece(int(y), int(x))])

    def delete(self) -> None:
        """Remove the selected nuclei."""
        self._replace([])

    def set_class(self, class_id: int) -> None:
        """Give the selected nuclei class 1-6."""
        self._replace(
            [Picked(p.label - p.label % LABEL_BASE + class_id, p.rows, p.cols) for p in self.picked]
        )

    def move(self, down: int, right: int) -> None:
        """Move the selected nuclei by so many pixels."""
        self._replace([_moved(picked, down, right) for picked in self.picked])

    def resize(self, by: int) -> None:
        """Make the selected nuclei a pixel larger all around, or smaller for -1."""
        self._replace([_resized(picked, by) for picked in self.picked])

    # ---------------------------------------------------------------- internal
    def _on_press(self, layer: Labels, event: Any) -> Generator[None, None, None]:
        mine = self.is_active and layer.mode == "pan_zoom" and not layer.mouse_pan
        if not mine or event.button != _LEFT:
            return
        start = self._pixel(layer, event)
        adds = "Shift" in event.modifiers
        here = next((p for p in self.picked if _has(p, *start)), None)
        if here is None:
            found = piece_at(self._nuclei.labels, *start)
            if found[0].size:
                self._pick([*(self.picked if adds else ()), self._piece(*start)])
            elif not adds:
                self.clear()
        yield
        first = list(self.picked)
        with layer.block_history():
            while event.type == "mouse_move":
                # From where they lay at the press: what was cut off on the way comes back.
                away = np.subtract(self._pixel(layer, event), start)
                self._replace([_moved(picked, *away.tolist()) for picked in first])
                yield

    def _replace(self, new: list[Picked]) -> None:
        """Paint nuclei in place of the selected ones; without room, these stay."""
        if not self.picked:
            return
        labels = self._nuclei.labels
        new = [_within(picked, labels.shape) for picked in new]
        rows, cols = (
            np.concatenate([getattr(p, axis) for p in (*self.picked, *new)])
            for axis in ("rows", "cols")
        )
        top, left = rows.min(), cols.min()
        before = labels[top : rows.max() + 1, left : cols.max() + 1]
        after = before.copy()
        for picked in self.picked:
            after[picked.rows - top, picked.cols - left] = 0
        kept = []
        for picked in new:
            free = after[picked.rows - top, picked.cols - left] == 0
            if not free.any():
                return
            kept.append(Picked(picked.label, picked.rows[free], picked.cols[free]))
            after[kept[-1].rows - top, kept[-1].cols - left] = picked.label
        rows, cols = np.nonzero(after != before)
        self._is_own = True
        try:
            self._nuclei.layer.data_setitem((rows + top, cols + left), after[rows, cols])
        finally:
            self._is_own = False
        self._pick(kept)

    def _pick(self, picked: list[Picked]) -> None:
        self.picked = picked
        self.changed.emit()

    def _piece(self, y: int, x: int) -> Picked:
        labels = self._nuclei.labels
        return Picked(int(labels[y, x]), *piece_at(labels, y, x))

    def _forget_repainted(self) -> None:
        """Let go of nuclei that were painted over, undone, or left with the frame."""
        if self._is_own or not self.picked:
            return
        labels = self._nuclei.labels
        still = [
            p
            for p in self.picked
            if inside(p.rows, p.cols, labels.shape).all() and (labels[p.pixels] == p.label).all()
        ]
        if len(still) < len(self.picked):
            self._pick(still)

    def _pixel(self, layer: Labels, event: Any) -> tuple[int, int]:
        y, x = np.floor(to_data(self._viewer, layer, event.position) + 0.5)
        return int(y), int(x)

    def _arrow(self, step: tuple[int, int]) -> Callable[[Labels], None]:
        def move(_: Labels) -> None:
            if self.is_active:
                self.move(*step)

        move.__name__ = f"move_nuclei_{'_'.join(map(str, step))}"
        move.__doc__ = "Move the selected nuclei by a pixel."
        return move


def _moved(picked: Picked, down: int, right: int) -> Picked:
    return Picked(picked.label, picked.rows + down, picked.cols + right)


def _within(picked: Picked, shape: tuple[int, ...]) -> Picked:
    seen = inside(picked.rows, picked.cols, shape)
    return Picked(picked.label, picked.rows[seen], picked.cols[seen])


def _has(picked: Picked, y: int, x: int) -> bool:
    return bool(((picked.rows == y) & (picked.cols == x)).any())


def _resized(picked: Picked, by: int) -> Picked:
    top, left = picked.rows.min() - 1, picked.cols.min() - 1
    mask = np.zeros((np.ptp(picked.rows) + 3, np.ptp(picked.cols) + 3), np.bool_)
    mask[picked.rows - top, picked.cols - left] = True
    change = ndimage.binary_dilation if by > 0 else ndimage.binary_erosion
    rows, cols = np.nonzero(change(mask))
    return Picked(picked.label, rows + top, cols + left) if rows.size else picked
