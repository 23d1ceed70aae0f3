"""A model on disk, checked before torch reads it. Standard library only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.captions import CAPTION_SCHEMA
from napari_histodiff.core.errors import ModelInvalid, ModelNotFound
from napari_histodiff.core.stain_bank import StainEntry, read_stains

__all__ = ["BUNDLED_MODEL", "WEIGHTS", "ModelInfo", "bundled_model_path", "check_folder"]

#: Folder of the model that is shipped with the package.
BUNDLED_MODEL: Final = "histodiff-v4"

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
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


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
    _check_classes(_read_json(folder / "model_index.json"))
    for name in (*WEIGHTS, "scheduler"):
        config = "scheduler_config.json" if name == "scheduler" else "config.json"
        settings = _read_json(folder / name / config)
        if name == "caption_encoder":
            _check_schema(settings.get("caption_schema"))
    for weights in WEIGHTS.values():
        _check_safetensors(folder / weights)
    return _read_info(folder)


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


def _check_schema(schema: object) -> None:
    if schema != CAPTION_SCHEMA:
        raise ModelInvalid(
            f"expected a model with caption schema {CAPTION_SCHEMA}, got {schema}; use the "
            "release of napari-histodiff it was trained with, or train it again"
        )


def _check_safetensors(path: Path) -> None:
    if not path.is_file():
        pickles = [p.name for p in path.parent.iterdir() if p.suffix in _PICKLES]
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


def _read_info(folder: Path) -> ModelInfo:
    data = _read_json(folder / "model_info.json")
    digest = hashlib.sha256()
    for weights in WEIGHTS.values():
        digest.update((folder / weights).read_bytes())
    try:
        _check_schema(data["caption_schema"])
        low, high = (float(value) for value in data["mpp"])
        return ModelInfo(
            name=str(data["name"]),
            version=str(data["version"]),
            licence=str(data["licence"]),
            mpp=(low, high),
            class_counts={str(k): int(v) for k, v in data["class_counts"].items()},
            tissue_names=tuple(str(name) for name in data["tissue_names"]),
            revision=digest.hexdigest()[:12],
            stains=read_stains(data.get("stains", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ModelInvalid):
            raise
        raise ModelInvalid(
            f"expected a complete {folder / 'model_info.json'}, got one that lacks or garbles "
            f"{error}; copy or download the model again"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise _missing(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelInvalid(
            f"expected JSON in {path}, got something else ({error}); copy the model again"
        ) from error
    if not isinstance(data, dict):
        raise ModelInvalid(
            f"expected an object in {path}, got {type(data).__name__}; copy the model again"
        )
    return data


def _missing(path: Path) -> ModelNotFound:
    return ModelNotFound(f"expected the file {path}, got none; copy or download the model again")
