"""What napari's manifest names: the commands by their ids, and the reader of slides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from napari import current_viewer
from napari.viewer import Viewer  # noqa: TC002 - napari reads the annotation to inject it

from napari_histodiff.ui.commands import command, studio

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
    studio(current_viewer()).slide.open_slide(path)
    return list(_NO_LAYERS)


def __getattr__(name: str) -> Callable[[Viewer], None]:
    """The commands by their id, as the manifest names them."""
    try:
        named = command(name)
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def run(viewer: Viewer) -> None:
        named(viewer)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"{named.title}."
    return run
