"""What all widgets do that stand in a dock of napari."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

__all__ = ["DockedWidget"]


class DockedWidget(QWidget):
    """A widget that is shut down when napari takes its dock away."""

    def __init__(self) -> None:
        super().__init__()
        self._had_parent = False

    def event(self, event: QEvent) -> bool:
        """Shut down when there was a parent and is none any more."""
        if event.type() == QEvent.Type.ParentChange:
            if self._had_parent and self.parent() is None:
                self.shut_down()
            self._had_parent = self.parent() is not None
        return bool(super().event(event))

    def shut_down(self) -> None:
        """Let go of what the widget holds: nothing here. May be called again."""
