"""What napari's manifest names: the commands by their ids, and the reader of slides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from napari import current_viewer
from napari.viewer import Viewer  # noqa: TC002 - napari reads the annotation to inject it

from napari_histodiff.ui.command import studio
from napari_histodiff.ui.commands import command
from napari_histodiff.ui.slide.scans.view import scan_reader
from napari_histodiff.ui.starting.samples import SAMPLES

__all__ = ["get_reader"]

#: What a reader returns when it adds no layers itself.
_NO_LAYERS: Final[list[tuple[None]]] = [(None,)]


def get_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return what opens a slide or a scan: in the dock, or as a layer where there is no window.

    None for several files, and without a window for a slide of this package and a sample.
    """
    if isinstance(path, list):
        return None
    if Path(path).name in SAMPLES:
        return None if current_viewer() is None else _open_sample
    if current_viewer() is not None:
        return _open_in_dock
    return scan_reader(path)


def _open_in_dock(path: str) -> list[Any]:
    studio(current_viewer()).slide.open_slide(path)
    return list(_NO_LAYERS)


def _open_sample(path: str) -> list[Any]:
    SAMPLES[Path(path).name](studio(current_viewer()))
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
