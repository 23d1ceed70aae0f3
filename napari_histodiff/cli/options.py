"""Options that several commands share, and what their values are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from napari_histodiff.cli.texts import TEXT
from napari_histodiff.core.errors import AlreadyThere

__all__ = [
    "FILE",
    "FOLDER",
    "INTERRUPTED",
    "NEW_FILE",
    "OVERWRITE",
    "caption_option",
    "check_new",
    "classes_option",
    "device_option",
    "instances_option",
    "labels_option",
    "mpp_option",
    "options",
    "output_option",
    "overwrite_option",
    "scan_mpp_option",
    "variants_option",
]

_F = TypeVar("_F", bound=Callable[..., Any])

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE: Final = click.Path(dir_okay=False, path_type=Path)
FOLDER: Final = click.Path(file_okay=False, path_type=Path)

#: What shells answer for a command that Ctrl-C ended.
INTERRUPTED: Final = 130

#: What replaces a file that is there.
OVERWRITE: Final = "--overwrite"

caption_option: Final = click.option(
    "--caption", type=TEXT, default="", help='For example "colon, high lymphocytes, gland".'
)
device_option: Final = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda:0 ..."
)
classes_option: Final = click.option(
    "--classes", type=FILE, help="Class map, ids 0-6 (PNG, TIFF or .npy)."
)
instances_option: Final = click.option("--instances", type=FILE, help="Instance map, nucleus ids.")
labels_option: Final = click.option(
    "--labels", type=FILE, help="Both in one: label = 7 * instance + class."
)
mpp_option: Final = click.option(
    "--mpp", type=float, help="Micrometres per pixel; else of the files, else 0.5."
)
output_option: Final = click.option(
    "-o", "--output", type=FOLDER, default=Path("histodiff-output"), help="Folder."
)
overwrite_option: Final = click.option(OVERWRITE, is_flag=True, help="Replace what is there.")
scan_mpp_option: Final = click.option(
    "--mpp", type=float, help="Um per pixel of a scan whose file does not say."
)
variants_option: Final = click.option(
    "--variants",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Seeds from the first one on.",
)


def check_new(path: Path, overwrite: bool) -> None:
    """Refuse to replace what is there before any work is done.

    Raises
    ------
    AlreadyThere
        When it exists and nobody said that it may be replaced.
    """
    if not overwrite and path.exists():
        raise AlreadyThere.at(path, OVERWRITE)


def options(*given: Callable[[Any], Any]) -> Callable[[_F], _F]:
    """Return what gives a command options in this order."""

    def decorate(function: _F) -> _F:
        for option in reversed(given):
            function = option(function)
        return function

    return decorate
