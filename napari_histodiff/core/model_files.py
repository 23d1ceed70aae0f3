"""Files of model folders, checked before torch reads them: no code that came with one is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

from napari_histodiff.core.errors import ModelInvalid, ModelNotFound
from napari_histodiff.core.json_data import from_json, read_json_object

__all__ = [
    "PICKLES",
    "check_safetensors",
    "read_description",
    "read_model_json",
    "revision_of",
]

T = TypeVar("T")

#: Endings of files that can run code when they are read.
PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_REVISION_DIGITS: Final = 12
_PART_BYTES: Final = 2**22


def read_model_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file of a model holds.

    Raises
    ------
    ModelNotFound
        When there is no such file.
    ModelInvalid
        When it holds something else.
    """
    if not path.is_file():
        raise _missing(path)
    try:
        return read_json_object(path)
    except ValueError as error:
        raise ModelInvalid(
            f"expected a JSON object in {path}, got {error}; copy the model again"
        ) from error


def read_description(cls: type[T], path: Path, weights: Iterable[Path]) -> T:
    """Return the dataclass of a model's description; its field `revision` is that of the weights.

    Raises
    ------
    ModelNotFound
        When there is no such file.
    ModelInvalid
        When it lacks or garbles something.
    """
    data = read_model_json(path)
    try:
        return from_json(cls, data | {"revision": revision_of(weights)})
    except ValueError as error:
        raise ModelInvalid(
            f"expected a complete {path}, got {error}; copy or download the model again"
        ) from error


def revision_of(weights: Iterable[Path]) -> str:
    """Return the first digits of the SHA-256 of files of weights, in this order."""
    digest = hashlib.sha256()
    for path in weights:
        with path.open("rb") as file:  # by parts: foreign models have gigabytes
            while part := file.read(_PART_BYTES):
                digest.update(part)
    return digest.hexdigest()[:_REVISION_DIGITS]


def check_safetensors(path: Path) -> None:
    """Check that weights are there, are safetensors and are whole.

    Raises
    ------
    ModelNotFound
        When there is no such file.
    ModelInvalid
        When there are pickles instead, or the file is cut off or something else.
    """
    if not path.is_file():
        pickles = [p.name for p in path.parent.glob("*") if p.suffix in PICKLES]
        if pickles:
            raise ModelInvalid(
                f"expected weights as safetensors, got {', '.join(sorted(pickles))}; pickles can "
                "run code and are never read: convert them to safetensors where you trust them"
            )
        raise _missing(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        expected = 8 + header_size
        if expected <= size:
            try:
                header = json.loads(file.read(header_size))
                expected += max(t["data_offsets"][1] for n, t in header.items() if n[:2] != "__")
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise ModelInvalid(
                    f"expected {path} to be safetensors, got something else ({error}); "
                    "copy or download the model again"
                ) from error
    if size != expected:
        raise ModelInvalid(
            f"expected {path} of {expected} bytes, got {size}; it is truncated: "
            "copy or download the model again"
        )


def _missing(path: Path) -> ModelNotFound:
    return ModelNotFound(f"expected the file {path}, got none; copy or download the model again")
