"""Which files of a model on the hub are needed to draw with it, of those it lists."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from napari_histodiff.core.errors import ModelInvalid
from napari_histodiff.core.foreign.convention import CONVENTION_FILE
from napari_histodiff.core.foreign.folder import STEMS, VARIANTS, check_index, is_ours
from napari_histodiff.core.model_files import PICKLES

__all__ = ["INDEX", "HubFile", "needed_files"]

#: What a pipeline of diffusers says of itself.
INDEX: Final = "model_index.json"

#: Beside the parts: the card and licence of a model, how it takes paint, what ours knows.
_BESIDE: Final = re.compile(
    rf"(?i:readme\.md|licen[cs]e(\.md|\.txt)?|notice(\.txt)?)|model_info\.json|"
    rf"{re.escape(CONVENTION_FILE)}"
)
_TEXT: Final = re.compile(r"[\w.-]+\.(json|txt)")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a model.

    Attributes
    ----------
    name : str
        Its path in the model, with slashes.
    size : int
        Bytes.
    sha256 : str
        Of large files; empty where the hub does not say.
    """

    name: str
    size: int
    sha256: str = ""


def needed_files(
    model: str, listed: Mapping[str, HubFile], index: Mapping[str, Any]
) -> tuple[HubFile, ...]:
    """Return the files that are to be downloaded: configurations, words, weights as safetensors.

    Parameters
    ----------
    model : str
        Its name, for messages.
    listed : mapping of str to HubFile
        All it has, by name.
    index : mapping
        What its `model_index.json` says.

    Raises
    ------
    ModelInvalid
        When it needs code of its own, is of an unknown class, or a part has no safetensors.
    """
    parts = {name: value[0] for name, value in index.items() if isinstance(value, list) and value}
    if not is_ours(index):
        adapter, _ = check_index(model, index, [name for name in listed if name.endswith(".py")])
        parts = {name: parts[name] for name in adapter.components}
    names = {INDEX} | {name for name in listed if _BESIDE.fullmatch(name)}
    for part, library in parts.items():
        inside = {name.removeprefix(f"{part}/") for name in listed if name.startswith(f"{part}/")}
        names |= {f"{part}/{name}" for name in inside if _TEXT.fullmatch(name)}
        if part != "scheduler" and not part.startswith("tokenizer"):
            names |= {f"{part}/{name}" for name in _weights(model, part, str(library), inside)}
    return tuple(listed[name] for name in sorted(names) if name in listed)


def _weights(model: str, part: str, library: str, inside: Collection[str]) -> set[str]:
    """The files of the weights of a part, whole or in parts; those in half precision come last."""
    stem = STEMS.get(library, STEMS["diffusers"])
    for variant in VARIANTS:
        infix = "" if variant is None else f".{variant}"
        whole = rf"{stem}{re.escape(infix)}\.safetensors"
        if f"{stem}.safetensors.index{infix}.json" in inside:
            number = r"-\d+-of-\d+"
            whole = rf"{stem}({re.escape(infix)}{number}|{number}{re.escape(infix)})\.safetensors"
        if found := {name for name in inside if re.fullmatch(whole, name)}:
            return found
    pickles = sorted(name for name in inside if name.endswith(PICKLES))
    if pickles:
        raise ModelInvalid(
            f"expected the weights of {part} in {model} as safetensors, got {', '.join(pickles)}; "
            "pickles can run code and are never fetched: ask its authors for safetensors, or "
            "convert them where you trust them"
        )
    raise ModelInvalid(
        f"expected the weights of {part} in {model}, got none; the model is not complete: choose "
        "another"
    )
