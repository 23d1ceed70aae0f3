"""What a command is: an action of the dock with an id, a title and a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from napari_histodiff.ui.text import PLUGIN, WIDGET

__all__ = ["Command", "Studio", "real_viewer", "studio"]


@runtime_checkable
class Studio(Protocol):
    """What a command acts on: the parts of the dock."""

    actions: Any
    anomaly: Any
    controller: Any
    grid: Any
    layouts: Any
    live: Any
    looks: Any
    masks: Any
    paint: Any
    project: Any
    proposer: Any
    queue: Any
    readings: Any
    recipes: Any
    second: Any
    slide: Any
    window: Any
    workspace: Any


def studio(viewer: Any) -> Studio:
    """Return the viewer's dock; opens it when it is not there."""
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, Studio):
            return widget
    dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET, tabify=True)[1]
    assert isinstance(dock, Studio)
    return dock


def real_viewer(viewer: Any) -> Any:
    """Return the viewer itself, of the stand-in that napari gives plugins.

    What a stand-in tells is stand-ins, too: the selected layer is none of the layers then, and Qt
    does not take its window.
    """
    return getattr(viewer, "__wrapped__", viewer)


@dataclass(frozen=True, slots=True)
class Command:
    """An action of the dock.

    Attributes
    ----------
    id : str
        Without the plugin's name; also the object name of its button.
    title : str
        What the command palette calls it.
    act : callable
        Runs it on a dock.
    key : str
        In napari's spelling, empty when it has none.
    tip : str
        What its button says of it; the title where that says enough.
    palette : str
        With which palette in hand the key is this command's; "" = with any.
    held : bool
        Whether it lasts as long as its key is held: it returns what ends it.
    """

    id: str
    title: str
    act: Callable[[Studio], object]
    key: str = ""
    tip: str = ""
    palette: str = ""
    held: bool = False

    def __call__(self, viewer: Any) -> None:
        """Run on the viewer's dock, opening it when needed."""
        self.act(studio(viewer))

    @property
    def key_text(self) -> str:
        """The key as people read it: "Ctrl+Enter"."""
        return self.key.replace("Control", "Ctrl").replace("-", "+")

    @property
    def tooltip(self) -> str:
        """What a button says of it, with the key."""
        said = self.tip or self.title
        return f"{said} ({self.key_text})" if self.key else said
