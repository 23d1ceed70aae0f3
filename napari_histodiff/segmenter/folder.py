"""A segmenter on disk, with its card: written whole, and checked before torch reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from napari_histodiff.core.errors import ModelInvalid, ModelNotFound, StorageError
from napari_histodiff.core.model_files import check_safetensors, read_description, read_model_json
from napari_histodiff.files import move_into_place
from napari_histodiff.segmenter.network import GlandNetwork, JudgeNetwork

__all__ = [
    "JudgeInfo",
    "NetworkFiles",
    "bundled_judge_path",
    "first_card",
    "read_judge",
    "read_network",
    "write_judge",
    "write_network",
]

_BUNDLED: Final = "judge-v1"
_CONFIG: Final = "config.json"

N = TypeVar("N", JudgeNetwork, GlandNetwork)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JudgeInfo:
    """`judge_info.json`: what a judge was trained on.

    Attributes
    ----------
    name, licence : str
        Shown to users.
    mpp : tuple of float
        Smallest and largest micrometres per pixel of the training crops.
    class_counts : dict of str to int
        Training nuclei of each class, 0 = never seen.
    held_out : tuple of str
        "set/name" of the images that settings were chosen on.
    revision : str
        First digits of the SHA-256 of the weights.
    """

    name: str
    licence: str
    mpp: tuple[float, float]
    class_counts: dict[str, int]
    held_out: tuple[str, ...] = ()
    revision: str = ""


@dataclass(frozen=True, slots=True)
class NetworkFiles(Generic[N]):
    """What the files of a kind of network are called, and its class.

    Attributes
    ----------
    network : type
        Class of the network.
    name, made_by : str
        What messages call it, and the function that trains one.
    stem : str
        What the names of its files begin with.
    """

    network: type[N]
    name: str
    made_by: str
    stem: str

    def weights(self, folder: Path) -> Path:
        """Return the file of the weights."""
        return folder / f"{self.stem}.safetensors"

    def info(self, folder: Path) -> Path:
        """Return the file that says what they were trained on."""
        return folder / f"{self.stem}_info.json"

    def description(self, cls: type[T], folder: Path) -> T:
        """Return what the weights were trained on; errors are those of `read_description`."""
        return read_description(cls, self.info(folder), [self.weights(folder)])


_JUDGE_FILES: Final = NetworkFiles(JudgeNetwork, "judge", "train_judge", "judge")


def bundled_judge_path() -> Path:
    """Return the folder of the judge shipped with the package."""
    return Path(__file__).resolve().parent.parent / "weights" / _BUNDLED


def write_judge(
    folder: Path, network: JudgeNetwork, config: Mapping[str, Any], info: JudgeInfo, card: str
) -> Path:
    """Write a judge folder, weights as float16, and return it.

    `config` holds the arguments of `JudgeNetwork`; `card` is the text of README.md.

    Raises
    ------
    StorageError
        When the folder cannot be written.
    """
    facts = {key: value for key, value in asdict(info).items() if key != "revision"}
    return write_network(folder, _JUDGE_FILES, network, config, facts, card)


def read_judge(folder: Path) -> tuple[JudgeNetwork, JudgeInfo]:
    """Return the network, float32 on the processor, and what it was trained on.

    Raises
    ------
    ModelNotFound, ModelInvalid
        See `read_network`.
    """
    return read_network(folder, _JUDGE_FILES), _JUDGE_FILES.description(JudgeInfo, folder)


def write_network(
    folder: Path,
    files: NetworkFiles[N],
    network: N,
    config: Mapping[str, Any],
    facts: Mapping[str, Any],
    card: str,
) -> Path:
    """Write a network, weights as float16, with its configuration, facts and card.

    Raises
    ------
    StorageError
        When the folder cannot be written.
    """
    weights = {
        name: value.detach().to("cpu", torch.float16).contiguous()
        for name, value in network.state_dict().items()
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = files.weights(folder)
        partial = target.with_name(f"{target.name}.partial")
        save_file(weights, partial, metadata={"format": "pt"})
        move_into_place(partial, target)
        _write_json(folder / _CONFIG, {"_class_name": files.network.__name__, **config})
        _write_json(files.info(folder), facts)
        (folder / "README.md").write_text(card, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"expected to write the {files.name} to {folder}, got {error}; free space or choose "
            "another folder"
        ) from error
    return folder


def read_network(folder: Path, files: NetworkFiles[N]) -> N:
    """Return a network, float32 on the processor.

    Only safetensors and the one class are accepted: reading a folder runs no code that came with
    it.

    Raises
    ------
    ModelNotFound
        When the folder or one of its files is missing.
    ModelInvalid
        When the weights are pickled, truncated, not finite or of another network.
    """
    if not folder.is_dir():
        raise ModelNotFound(
            f"expected a {files.name} folder at {folder}, got none; give a folder written by "
            f"`{files.made_by}`, or reinstall the package for the bundled {files.name}"
        )
    config = read_model_json(folder / _CONFIG)
    wanted = files.network.__name__
    if config.pop("_class_name", None) != wanted:
        raise ModelInvalid(
            f"expected a {wanted} in {folder / _CONFIG}, got another class; choose a folder "
            f"written by `{files.made_by}`"
        )
    weights = _read_weights(files.weights(folder), files.name)
    try:
        network = files.network(**config)
        network.load_state_dict({k: v.float() for k, v in weights.items()})
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelInvalid(
            f"expected weights that fit their configuration in {folder}, got {error}; copy the "
            f"{files.name} again or update napari-histodiff"
        ) from error
    return network.eval()


def _read_weights(path: Path, name: str) -> dict[str, torch.Tensor]:
    check_safetensors(path)
    try:
        weights = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelInvalid(
            f"expected whole safetensors in {path}, got {error}; copy or download the {name} again"
        ) from error
    spoilt = [key for key, value in weights.items() if not value.isfinite().all()]
    if spoilt:
        raise ModelInvalid(
            f"expected finite weights in {path}, got NaN or infinity in {', '.join(spoilt[:3])}; "
            f"copy the {name} again, or train it anew"
        )
    return weights


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


_CARD = """---
license: cc-by-nc-sa-4.0
tags: [histopathology, h-and-e, nuclei, segmentation]
---

# The judge: {name}

A small network that finds nuclei in H&E, and says of each which of six classes it is.

**Not for diagnosis.** Licence: {licence}, because the images it learned from are.

- Trained on {samples:,} crops of 128 px at {low} to {high} um/px; it never saw generated images.
- Training nuclei by class: {counts}. "Inflammatory" nuclei without a finer label were taught as
  one of neutrophil, lymphocyte, plasma and eosinophil.
- Held out to choose settings on: {held_out}.
"""


def first_card(info: JudgeInfo, samples: int) -> str:
    """Return the model card of a judge that saw `samples` crops, before it is measured."""
    return _CARD.format(
        name=info.name,
        licence=info.licence,
        samples=samples,
        low=info.mpp[0],
        high=info.mpp[1],
        counts=", ".join(f"{name} {count:,}" for name, count in info.class_counts.items()),
        held_out=", ".join(info.held_out) or "none",
    )
