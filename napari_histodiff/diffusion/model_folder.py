"""A model folder: what it holds, and its checks before torch reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.captions import CAPTION_SCHEMA
from napari_histodiff.core.errors import ModelInvalid, ModelNotFound
from napari_histodiff.core.model_files import check_safetensors, read_description, read_model_json
from napari_histodiff.core.requests import STAIN_NUMBERS
from napari_histodiff.core.stain_bank import StainEntry

__all__ = ["BUNDLED_MODEL", "WEIGHTS", "ModelInfo", "bundled_model_path", "check_folder"]

#: Folder of the model that is shipped with the package.
BUNDLED_MODEL: Final = "histodiff-v8"

#: File of the weights of each component, inside the model folder.
WEIGHTS: Final = {
    name: f"{name}/diffusion_pytorch_model.safetensors" for name in ("network", "caption_encoder")
}
_CLASSES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "network": (("napari_histodiff.diffusion.network", "HistoUNet"),),
    "caption_encoder": (("napari_histodiff.diffusion.caption_encoder", "CaptionEncoder"),),
    "scheduler": (
        ("diffusers", "FlowMatchHeunDiscreteScheduler"),
        ("diffusers", "FlowMatchEulerDiscreteScheduler"),
    ),
}
_TISSUE_CLASSES: Final = 4  # of models that do not say


def bundled_model_path() -> Path:
    """Return the folder of the model shipped with the package."""
    return Path(__file__).resolve().parent.parent / "weights" / BUNDLED_MODEL


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """`model_info.json`: what the weights know.

    Attributes
    ----------
    name, version, licence : str
        Shown to users.
    mpp : tuple of float
        Smallest and largest micrometres per pixel of the training data.
    class_counts : dict of str to int
        Training nuclei of each class, 0 = never seen.
    tissue_names : tuple of str
        Tissue schema, index = id.
    stains : tuple of StainEntry
        Stains of the training slides.
    revision : str
        First digits of the SHA-256 of the weights.
    """

    name: str
    version: str
    licence: str
    mpp: tuple[float, float]
    class_counts: dict[str, int]
    tissue_names: tuple[str, ...]
    revision: str
    stains: tuple[StainEntry, ...] = ()


def check_folder(folder: Path) -> ModelInfo:
    """Check that a folder holds a model this release can load, and describe it.

    Nothing but the classes of this package and the two flow-matching schedulers of diffusers is
    accepted, and only safetensors: loading a checked folder runs no code that came with it.

    Raises
    ------
    ModelNotFound
        When the folder or one of its files is missing.
    ModelInvalid
        When weights are truncated or pickled, or the model is of a newer version.
    """
    if not folder.is_dir():
        raise ModelNotFound(
            f"expected a model folder at {folder}, got none; give a folder written by "
            "`histodiff train`, or reinstall the package for the bundled model"
        )
    _check_classes(read_model_json(folder / "model_index.json"))
    told: object = _TISSUE_CLASSES
    for name in (*WEIGHTS, "scheduler"):
        config = "scheduler_config.json" if name == "scheduler" else "config.json"
        settings = read_model_json(folder / name / config)
        if name == "caption_encoder":
            _check_schema(settings.get("caption_schema"))
        if name == "network":
            told = settings.get("tissue_classes", told)
            _check_stain(settings.get("stain_numbers", STAIN_NUMBERS[0]))
    for weights in WEIGHTS.values():
        check_safetensors(folder / weights)
    description = folder / "model_info.json"
    _check_schema(read_model_json(description).get("caption_schema"))
    info = read_description(ModelInfo, description, [folder / name for name in WEIGHTS.values()])
    if not isinstance(told, int) or len(info.tissue_names) - 1 > told:
        raise ModelInvalid(
            f"expected at most {told} tissue names besides 0, as many as the network of {folder} "
            f"knows, got {', '.join(info.tissue_names[1:])}; copy or download the model again"
        )
    return info


def _check_classes(index: dict[str, Any]) -> None:
    found = index.get("_class_name")
    if found != "HistoDiffusionPipeline":
        raise ModelInvalid(
            f"expected a model of class HistoDiffusionPipeline, got {found}; "
            "choose a folder written by `histodiff train`"
        )
    parts = {name for name, value in index.items() if isinstance(value, list)}
    for name in sorted(parts | set(_CLASSES)):
        value = index.get(name)
        pair = tuple(value) if isinstance(value, list) else (None, value)
        if pair not in _CLASSES.get(name, ()):
            raise ModelInvalid(
                f"expected a {name} this release knows, got {'.'.join(map(str, pair))}; the model "
                "is of a newer or another version: update napari-histodiff"
            )


def _check_stain(numbers: object) -> None:
    if numbers not in STAIN_NUMBERS:
        raise ModelInvalid(
            f"expected a network told {STAIN_NUMBERS[0]} or {STAIN_NUMBERS[1]} numbers of a stain, "
            f"got {numbers}; the model is of a newer version: update napari-histodiff"
        )


def _check_schema(schema: object) -> None:
    if schema != CAPTION_SCHEMA:
        raise ModelInvalid(
            f"expected a model with caption schema {CAPTION_SCHEMA}, got {schema}; use the "
            "release of napari-histodiff it was trained with, or train it again"
        )
