"""The menu of presets: built-in by organ, the user's own, with what was drawn with each lately."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QWidget

from napari_histodiff.ui.bindings import set_command
from napari_histodiff.ui.generation.presets import BUILT_IN, Preset, Presets
from napari_histodiff.ui.widgets.history_box import icon_of

if TYPE_CHECKING:
    from napari_histodiff.ui.history.archive import Kept

__all__ = ["PresetsMenu"]

_TIP: Final = "Replaces caption, guidance and steps; paint and seed stay"


class PresetsMenu(QMenu):
    """Filled anew whenever it opens.

    Parameters
    ----------
    parent : QWidget
        What it belongs to.
    presets : Presets
        The user's own.
    drawn : callable
        Returns the edits of the history, newest first, for thumbnails.
    """

    chosen = Signal(object)  # Preset

    def __init__(
        self,
        parent: QWidget,
        presets: Presets,
        drawn: Callable[[], Iterable[Kept]],
    ) -> None:
        super().__init__(parent)
        self._presets = presets
        self._drawn = drawn
        self.setToolTipsVisible(True)
        self._keep = self.addAction("Keep caption and settings…")
        set_command(self._keep, "keep_preset")
        self.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Show what there is now."""
        for entry in self.actions():
            if entry is not self._keep:
                self.removeAction(entry)
        seen: dict[str, Kept] = {}
        for kept in self._drawn():
            seen.setdefault(kept.facts.caption, kept)
        organs: dict[str, QMenu] = {}
        for preset in BUILT_IN:
            organ, _, name = preset.name.partition(": ")
            if organ not in organs:
                organs[organ] = QMenu(organ.capitalize(), self)
                organs[organ].setToolTipsVisible(True)
                self.insertMenu(self._keep, organs[organ])
            self._add(organs[organ], name.capitalize(), preset, seen)
        own = self._presets.own()
        if own:
            mine, gone = QMenu("Mine", self), QMenu("Delete", self)
            for preset in own:
                self._add(mine, preset.name, preset, seen)
                gone.addAction(preset.name, partial(self._presets.remove, preset))
            self.insertMenu(self._keep, mine)
            self.addMenu(gone)

    def _add(self, menu: QMenu, text: str, preset: Preset, seen: dict[str, Kept]) -> None:
        entry = menu.addAction(text, partial(self.chosen.emit, preset))
        entry.setToolTip(f"{preset.caption}\n{_TIP}")
        if preset.caption in seen:
            entry.setIcon(icon_of(seen[preset.caption]))
