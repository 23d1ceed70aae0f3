"""A segmenter on disk, with its card: written whole, and checked before torch reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from napari_histodiff.core.errors import ModelInvalid, ModelNotFound, StorageError
from napari_histodiff.core.model_files import check_safetensors, read_description, read_model_json
from napari_histodiff.segmenter.network import JudgeNetwork

__all__ = ["JudgeInfo", "bundled_judge_path", "first_card", "read_judge", "write_judge"]

_BUNDLED: Final = "judge-v1"
_CONFIG: Final = "config.json"
_INFO: Final = "judge_info.json"
_WEIGHTS: Final = "judge.safetensors"
_CLASS: Final = "JudgeNetwork"


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
    weights = {
        name: value.detach().to("cpu", torch.float16).contiguous()
        for name, value in network.state_dict().items()
    }
    facts = {key: value for key, value in asdict(info).items() if key != "revision"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{_WEIGHTS}.partial"
        save_file(weights, partial, metadata={"format": "pt"})
        partial.replace(folder / _WEIGHTS)
        _write_json(folder / _CONFIG, {"_class_name": _CLASS, **config})
        _write_json(folder / _INFO, facts)
        (folder / "README.md").write_text(card, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"expected to write the judge to {folder}, got {error}; free space or choose another "
            "folder"
        ) from error
    return folder


def read_judge(folder: Path) -> tuple[JudgeNetwork, JudgeInfo]:
    """Return the network, float32 on the processor, and what it was trained on.

    Only safetensors and the one class of this package are accepted: reading a folder runs no code
    that came with it.

    Raises
    ------
    ModelNotFound
        When the folder or one of its files is missing.
    ModelInvalid
        When the weights are pickled, truncated, not finite or of another network.
    """
    if not folder.is_dir():
        raise ModelNotFound(
            f"expected a judge folder at {folder}, got none; give a folder written by "
            "`train_judge`, or reinstall the package for the bundled judge"
        )
    config = read_model_json(folder / _CONFIG)
    if config.pop("_class_name", None) != _CLASS:
        raise ModelInvalid(
            f"expected a {_CLASS} in {folder / _CONFIG}, got another class; choose a folder "
            "written by `train_judge`"
        )
    weights = _read_weights(folder / _WEIGHTS)
    try:
        network = JudgeNetwork(**config)
        network.load_state_dict({k: v.float() for k, v in weights.items()})
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelInvalid(
            f"expected weights that fit their configuration in {folder}, got {error}; copy the "
            "judge again or update napari-histodiff"
        ) from error
    return network.eval(), read_description(JudgeInfo, folder / _INFO, [folder / _WEIGHTS])


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    check_safetensors(path)
    try:
        weights = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelInvalid(
            f"expected whole safetensors in {path}, got {error}; copy or download the judge again"
        ) from error
    spoilt = [name for name, value in weights.items() if not value.isfinite().all()]
    if spoilt:
        raise ModelInvalid(
            f"expected finite weights in {path}, got NaN or infinity in {', '.join(spoilt[:3])}; "
            "copy the judge again, or train it anew"
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
