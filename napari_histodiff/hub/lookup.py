"""What a model on the hub is, before any of its weights are fetched: size, licence, files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from napari_histodiff.core.errors import (
    HistodiffError,
    HubUnavailable,
    ModelInvalid,
    ModelNotFound,
)
from napari_histodiff.hub.listing import INDEX, HubFile, needed_files
from napari_histodiff.hub.places import HubName, models_folder

__all__ = ["NO_LICENCE", "HubModel", "endpoint", "hub_words", "look_up"]

#: Shown, and to be accepted, where the authors of a model state no licence.
NO_LICENCE: Final = "not stated"

_SECONDS: Final = 20.0
_PUBLIC: Final = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model that can be downloaded.

    Attributes
    ----------
    name : HubName
        As the user named it.
    commit : str
        What is downloaded, whatever is published meanwhile.
    class_name : str
        Of its pipeline.
    licence : str
        As its card names it; `NO_LICENCE` where it does not.
    licence_link : str
        Where to read it; may be empty.
    gated : bool
        Whether its authors let only those download it who asked them.
    files : tuple of HubFile
        What is needed of it.
    folder : Path
        Where it will lie.
    """

    name: HubName
    commit: str
    class_name: str
    licence: str
    licence_link: str
    gated: bool
    files: tuple[HubFile, ...]
    folder: Path

    @property
    def nbytes(self) -> int:
        """Bytes to download, all in all."""
        return sum(file.size for file in self.files)

    @property
    def page(self) -> str:
        """Its page on the hub."""
        return f"{_PUBLIC}/{self.name.repository}"

    def described(self) -> str:
        """Return what to know before it is accepted, in lines."""
        from dask.utils import format_bytes

        lines = [
            f"{self.name}: {self.class_name}",
            f"size: {format_bytes(self.nbytes)} in {len(self.files)} files",
            f"licence: {self.licence_words()}",
            f"to be stored in: {self.folder}",
        ]
        return "\n".join(lines)

    def licence_words(self) -> str:
        """Return the licence, and where to read it or what it means that none is stated."""
        if self.licence == NO_LICENCE:
            return (
                f"{NO_LICENCE} – without one, nobody but its authors may use it unless they allow "
                f"it; see {self.page}"
            )
        return f"{self.licence} ({self.licence_link or self.page})"


def endpoint() -> str:
    """Return where the hub is asked: HF_ENDPOINT, or huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or _PUBLIC


def look_up(name: HubName) -> HubModel:
    """Ask the hub what a model is; its list of files and its `model_index.json` are read.

    Raises
    ------
    HubUnavailable
        When there is no network, or the hub does not let this user in.
    ModelNotFound
        When the hub has no such model, or none of this revision.
    ModelInvalid
        When it cannot draw here: no pipeline of diffusers, code of its own, pickles.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint())
    with hub_words(str(name)):
        found = api.model_info(
            name.repository, revision=name.revision, files_metadata=True, timeout=_SECONDS
        )
    listed = {
        file.rfilename: HubFile(file.rfilename, file.size or 0, _sha256(file))
        for file in found.siblings or ()
        if _is_inside(file.rfilename)
    }
    if INDEX not in listed:
        kinds = sorted({PurePosixPath(name).suffix for name in listed} - {"", ".md"})
        raise ModelInvalid(
            f"expected a pipeline of diffusers, with a file {INDEX}, in {name}, got files "
            f"{' '.join(kinds) or 'of no kind'}; choose a model that is published for diffusers"
        )
    with tempfile.TemporaryDirectory(prefix="histodiff-") as place, hub_words(str(name)):
        path = api.hf_hub_download(name.repository, INDEX, revision=found.sha, local_dir=place)
        index = _json(Path(path), name)
    card: Any = found.card_data or {}
    return HubModel(
        name=name,
        commit=str(found.sha),
        class_name=str(index.get("_class_name")),
        licence=_licence(card),
        licence_link=str(card.get("license_link") or ""),
        gated=bool(found.gated),
        files=needed_files(str(name), listed, index),
        folder=models_folder() / name.folder,
    )


@contextmanager
def hub_words(name: str) -> Iterator[None]:
    """Turn what the client of the hub raises into errors of this package's family."""
    from huggingface_hub import errors

    page = f"{_PUBLIC}/{name.partition('@')[0]}"
    try:
        yield
    except HistodiffError:  # of ours already; some are errors of connections
        raise
    except errors.GatedRepoError as error:
        raise HubUnavailable(
            f"expected to be let in to {name}, got a closed door: its authors want to be asked; "
            f"ask them on {page}, then log in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelNotFound(
            f"expected the revision of {name} on the hub, got none; see {page}/commits"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelNotFound(
            f"expected a model {name} on the hub, got none, or a private one; check the name on "
            f"{_PUBLIC}/models, and log in with `hf auth login` where it is private"
        ) from error
    except errors.HFValidationError as error:
        raise ModelNotFound(
            f"expected the name of a model as owner/name, got {name}; copy it from its page"
        ) from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise HubUnavailable(_offline(name, "no answer")) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        raise HubUnavailable(_offline(name, f"status {status}")) from error
    except (errors.HTTPError, ConnectionError, TimeoutError) as error:  # of its HTTP library
        raise HubUnavailable(_offline(name, type(error).__name__)) from error


def _offline(name: str, got: str) -> str:
    return (
        f"expected an answer of {endpoint()} about {name}, got {got}; connect to the network and "
        "try again, or give the folder of a model that lies on this machine"
    )


def _json(path: Path, name: HubName) -> dict[str, Any]:
    try:
        index = json.loads(path.read_text("utf-8"))
    except ValueError:
        index = None
    if not isinstance(index, dict):
        raise ModelInvalid(
            f"expected a JSON object in {INDEX} of {name}, got something else; choose another model"
        )
    return index


def _licence(card: Any) -> str:
    """The licence of a card, by its own name where that is no common one."""
    told = card.get("license")
    told = " or ".join(map(str, told)) if isinstance(told, list) else told
    if told in (None, "", "other"):
        told = card.get("license_name") or told
    return str(told or NO_LICENCE)


def _sha256(file: Any) -> str:
    lfs = file.lfs
    found = lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", "")
    return str(found or "")


def _is_inside(name: str) -> bool:
    """Whether a name leads to a file of the model, and nowhere else on a disk."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name
