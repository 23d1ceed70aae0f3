"""From what a user names to a folder of a model: one that is here, or one from the hub, asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from napari_histodiff.core.errors import LicenceNotAccepted
from napari_histodiff.hub.download import Download
from napari_histodiff.hub.lookup import HubModel, look_up
from napari_histodiff.hub.places import downloaded, hub_name

__all__ = ["Accept", "model_path"]

#: The licence by its name, or a function that shows a model to its user and returns the answer.
Accept = str | Callable[[HubModel], bool]


def model_path(named: str | Path, accept: Accept | None = None) -> Path:
    """Return the folder of a model; nothing is downloaded whose licence was not accepted.

    Parameters
    ----------
    named : str or Path
        A folder, or `owner/name` of the Hugging Face Hub. What was downloaded once is used as it
        is, without the network.
    accept : str or callable, optional
        The name of the licence that is accepted, or what asks for it.

    Raises
    ------
    LicenceNotAccepted
        When it is another, or the answer was no.
    HubUnavailable, ModelNotFound, ModelInvalid, StorageError
        See `lookup.look_up` and `download.Download`.
    """
    name = hub_name(named)
    if name is None:
        return Path(named)
    folder = downloaded(name)
    if folder is not None:
        return folder
    model = look_up(name)
    _check_accepted(model, accept)
    return _downloaded(model)


def _check_accepted(model: HubModel, accept: Accept | None) -> None:
    if callable(accept):
        if accept(model):
            return
        got, then = "no", "nothing was downloaded"
    elif accept is not None and accept.strip().casefold() == model.licence.casefold():
        return
    else:
        got = "none" if accept is None else f'"{accept}"'
        then = (
            f'read it, then accept it by its name: accept_licence="{model.licence}" in Python, '
            f'--accept-licence "{model.licence}" on the command line'
        )
    raise LicenceNotAccepted(
        f"expected the licence of this model to be accepted, got {got}; {then}\n{model.described()}"
    )


def _downloaded(model: HubModel) -> Path:
    """Download with a bar, where a terminal shows it."""
    download = Download(model)
    with tqdm(
        total=model.nbytes,
        desc=str(model.name),
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None,
    ) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.update(done - bar.n)

        return download.wait(on_progress)
