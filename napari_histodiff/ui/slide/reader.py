"""Opens a slide that is dropped on napari's window, or given on its command line, in the dock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from napari import current_viewer

__all__ = ["get_reader", "is_slide"]

#: What a reader returns when it adds no layers itself.
_NO_LAYERS: Final[list[tuple[None]]] = [(None,)]


def is_slide(path: str | Path) -> bool:
    """Return whether a folder is a slide of this package, of whatever version."""
    return (Path(path) / "histodiff" / "zarr.json").is_file()


def get_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return what opens `path`; None when it is no slide, or there is no window to show it in."""
    if isinstance(path, list) or not is_slide(path) or current_viewer() is None:
        return None
    return _open_in_dock


def _open_in_dock(path: str) -> list[Any]:
    from napari_histodiff.ui.commands import studio

    studio(current_viewer()).slide.open_slide(path)
    return list(_NO_LAYERS)
