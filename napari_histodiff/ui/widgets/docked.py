"""What all widgets do that stand in a dock of napari."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

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

    def stack(
        self,
        column: Iterable[QWidget],
        spacing: int,
        above: Iterable[QWidget] = (),
        below: Iterable[QWidget] = (),
    ) -> None:
        """Lay widgets in a column that scrolls up and down, and others that stay around it."""
        inner = QWidget()
        inside = QVBoxLayout(inner)
        inside.setContentsMargins(0, 0, 6, 0)
        inside.setSpacing(spacing)
        for widget in column:
            inside.addWidget(widget)
        inside.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(8, 4, 4, 6)
        outer.setSpacing(4)
        for widget in above:
            outer.addWidget(widget)
        outer.addWidget(scroll, 1)
        for widget in below:
            outer.addWidget(widget)

    def shut_down(self) -> None:
        """Let go of what the widget holds: nothing here. May be called again."""
