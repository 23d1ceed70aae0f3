"""`--model`, a folder or a model of the hub that is asked for first, and how it is loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from napari_histodiff.api import Model
    from napari_histodiff.hub.lookup import HubModel

__all__ = ["load", "model_option"]

_F = TypeVar("_F", bound=Callable[..., Any])

_ACCEPTED: Final = "napari_histodiff.accepted_licence"


def model_option(function: _F) -> _F:
    """Add both options; the command gets the folder of the model, None for the bundled one."""
    function = click.option(
        "--accept-licence",
        metavar="NAME",
        expose_value=False,
        is_eager=True,
        callback=_keep,
        help="Licence of a model of the hub, by its name; else it is asked.",
    )(function)
    return click.option(
        "--model",
        metavar="FOLDER|OWNER/NAME",
        callback=_folder,
        help="Model folder, ours or of diffusers, or a model of the Hugging Face Hub; by default "
        "the bundled.",
    )(function)


def load(folder: Path | None, device: str = "auto") -> Model:
    """Load a model; a terminal shows so for the seconds that it takes."""
    from tqdm import tqdm

    with tqdm(desc="loading the model", bar_format="{desc}", leave=False, disable=None):
        from napari_histodiff.api import load_model

        return load_model(folder, device)


def _keep(context: click.Context, _: click.Parameter, value: str | None) -> None:
    context.meta[_ACCEPTED] = value


def _folder(context: click.Context, _: click.Parameter, value: str | None) -> Path | None:
    if value is None or context.resilient_parsing:
        return None
    from napari_histodiff.hub.resolving import model_path

    accepted = context.meta.get(_ACCEPTED)
    asks = accepted is None and _somebody_is_there()
    return model_path(value, _ask if asks else accepted)


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _ask(model: HubModel) -> bool:
    click.echo(model.described(), err=True)
    question = f"Download it, and accept the licence {model.licence}?"
    return click.confirm(question, default=False, err=True)
