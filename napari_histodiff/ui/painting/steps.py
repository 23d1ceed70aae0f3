"""Steps that several layers of paint take together: one Ctrl+Z takes all of it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from napari.layers import Labels
from napari.utils.notifications import show_info

if TYPE_CHECKING:
    from collections import deque

__all__ = ["PaintLabels", "one_step"]

_ENDED: Final = (
    "Nothing painted here since the frame was put here can be taken back: steps of paint end when "
    "the frame moves. Erase what is too much, or clear the frame (Shift+X)."
)


class PaintLabels(Labels):
    """A Labels layer whose undo and redo take other layers along where that was one step.

    What was painted in another layer since is left: then each takes its part back alone.
    """

    _has_ended = False

    @property
    def _type_string(self) -> str:
        return "labels"  # what napari asks for where a class derived from Labels is meant as well

    @property
    def last_step(self) -> Any:
        """What undo takes back; None when there is nothing."""
        return _last(self._undo_history)

    def undo(self) -> None:
        """Take the last step back, here and in the layers that took it together."""
        if self.last_step is None and self._has_ended:
            show_info(_ENDED)
        for layer, others in _together(self, "_undo_history"):
            Labels.undo(layer)
            _join(layer._redo_history, others)

    def redo(self) -> None:
        """Repeat the step that was taken back last, as `undo` took it back."""
        for layer, others in _together(self, "_redo_history"):
            Labels.redo(layer)
            _join(layer._undo_history, others)

    def end_steps(self) -> None:
        """Begin anew: what was painted is shown elsewhere from now on, or not at all."""
        self._has_ended |= self.last_step is not None
        self.editable = False  # clears the history
        self.editable = True

    def join_last(self, layers: Sequence[PaintLabels]) -> None:
        """Make the last step one with the last of other layers, this one among them."""
        _join(self._undo_history, layers)


@contextmanager
def one_step(layers: Sequence[PaintLabels]) -> Iterator[None]:
    """Make one step of what is painted in some layers meanwhile: at most once in each."""
    before = [layer.last_step for layer in layers]
    yield
    changed = [
        layer for layer, step in zip(layers, before, strict=True) if layer.last_step is not step
    ]
    for layer in changed:
        layer.join_last(changed)


class _Joined(list[Any]):
    """What napari keeps of a step, and the list, the same one for all, of who took it."""

    def __init__(self, atoms: Sequence[Any], layers: Sequence[PaintLabels]) -> None:
        super().__init__(atoms)
        self.layers = layers


def _last(history: deque[Any]) -> Any:
    return history[-1] if history else None


def _join(history: deque[Any], layers: Sequence[PaintLabels]) -> None:
    if len(layers) > 1:
        history[-1] = _Joined(history[-1], layers)


def _together(layer: PaintLabels, history: str) -> list[tuple[PaintLabels, Sequence[PaintLabels]]]:
    # Who goes along, the layer itself last: who listens to it finds the others changed.
    step = _last(getattr(layer, history))
    if step is None:
        return []
    if not isinstance(step, _Joined):
        return [(layer, ())]
    along = [
        other
        for other in step.layers
        if getattr(_last(getattr(other, history)), "layers", None) is step.layers
    ]
    return [(other, step.layers) for other in sorted(along, key=lambda other: other is layer)]
