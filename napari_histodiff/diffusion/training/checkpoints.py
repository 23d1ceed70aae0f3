"""Saves and restores training runs, and keeps the averaged weights."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch
from diffusers import FlowMatchHeunDiscreteScheduler
from safetensors import SafetensorError

from napari_histodiff.core.captions import CAPTION_SCHEMA
from napari_histodiff.core.errors import StorageError, TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.stain_bank import write_stains
from napari_histodiff.datasets.packing import Pack, class_counts
from napari_histodiff.diffusion.model_folder import check_folder
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline
from napari_histodiff.diffusion.training.crops import COARSEST_CROP, collect_stains
from napari_histodiff.files import move_into_place

if TYPE_CHECKING:
    from napari_histodiff.diffusion.training.config import Progress
    from napari_histodiff.diffusion.training.generator import Generator

__all__ = ["load_checkpoint", "refuse_checkpoint", "save_checkpoint", "save_pipeline"]

_FILE = "checkpoint.pt"

# Six Heun steps wash the finest detail out by a quarter at shift 1 and by an eighth at 0.6, where
# the coarser bands of the spectrum match real tissue best; measured on held-out tiles.
_SHIFT: Final = 0.6

#: Licence of weights trained on the sets `sources` reads; it follows from theirs.
WEIGHTS_LICENCE: Final = "CC BY-NC-SA 4.0, research use"


class HasState(Protocol):
    """A module or an optimizer."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Take over a state."""


def save_checkpoint(folder: Path, parts: Mapping[str, HasState], progress: Progress) -> None:
    """Write everything a resumed run needs; the file is replaced only when complete.

    Raises
    ------
    StorageError
        When it cannot be written; an earlier checkpoint stays.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    state["progress"] = asdict(progress)
    partial = folder / (_FILE + ".partial")
    with _storing(folder):
        torch.save(state, partial)
        move_into_place(partial, folder / _FILE)


def refuse_checkpoint(folder: Path) -> None:
    """Keep a new run from replacing the checkpoints of another.

    Raises
    ------
    TrainingError
        When the folder holds a checkpoint.
    """
    if (folder / _FILE).exists():
        raise TrainingError(
            f"expected an output folder without a run, got a checkpoint in {folder}; "
            "go on with it by resume (--resume), or choose another output"
        )


def load_checkpoint(folder: Path, parts: Mapping[str, HasState]) -> dict[str, Any]:
    """Restore a run in place and return its progress.

    Raises
    ------
    TrainingError
        When the folder holds no checkpoint, or one of another network.
    """
    path = folder / _FILE
    if not path.is_file():
        raise TrainingError(f"expected a checkpoint at {path}, got none; start without resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        progress: dict[str, Any] = state["progress"]
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, UnpicklingError) as error:
        raise TrainingError(
            f"expected a checkpoint of this network in {path}, got {error}; resume with the "
            "settings it was made with, or choose another output"
        ) from error
    return progress


def save_pipeline(
    folder: Path,
    generator: Generator,
    packed: Pack,
    *,
    name: str,
    version: str = "1",
    start: Path | None = None,
    fine: Pack | None = None,
) -> Path:
    """Save a model folder: diffusers layout, float16 safetensors, what it was trained on.

    Parameters
    ----------
    folder : Path
        Receives the model; files of an earlier one are replaced.
    generator : Generator
        Averaged weights.
    packed : Pack
        The training data, for the class counts and the micrometres per pixel.
    name, version : str
        Shown to users.
    start : Path, optional
        Model folder that the weights started from: what it was trained on, these know too.
    fine : Pack, optional
        Training data at twice the resolution: the same nuclei, so they are not counted again.

    Raises
    ------
    StorageError
        When it cannot be written; an earlier model stays.
    """
    halves = copy.deepcopy(generator).half()
    pipeline = HistoDiffusionPipeline(
        network=halves.network,
        caption_encoder=halves.captions,
        scheduler=FlowMatchHeunDiscreteScheduler(shift=_SHIFT),
    )
    # Where nuclei were painted; tissue without labels teaches no painting at its scale.
    annotated = [item.mpp for item in packed.items if item.annotated]
    scales = annotated or [item.mpp for item in packed.items]
    finer = [item.mpp for item in fine.items if item.annotated] if fine else []
    stains = collect_stains(packed) + (collect_stains(fine, (1,)) if fine else [])
    info = {
        "name": name,
        "version": version,
        "licence": WEIGHTS_LICENCE,
        "mpp": [min(scales + finer), COARSEST_CROP * max(scales)],
        "class_counts": _known_counts(packed, start),
        "tissue_names": list(TISSUE_NAMES[: generator.network.tissue_classes + 1]),
        "caption_schema": CAPTION_SCHEMA,
        "stains": write_stains(stains),
    }
    partial = folder.with_name(folder.name + ".partial")
    with _storing(folder):
        shutil.rmtree(partial, ignore_errors=True)
        pipeline.save_pretrained(partial, safe_serialization=True)
        _forget_origin(partial)
        (partial / "model_info.json").write_text(json.dumps(info, indent=2) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        move_into_place(partial, folder)
    return folder


def _known_counts(packed: Pack, start: Path | None) -> dict[str, int]:
    """Return the training nuclei of each class, here or in the model it started from.

    The larger number: stages of a training see the same nuclei again.
    """
    counts = class_counts(packed)
    if start is None:
        return counts
    before = check_folder(start).class_counts
    return {name: max(count, before.get(name, 0)) for name, count in counts.items()}


def _forget_origin(folder: Path) -> None:
    """Leave out the folder that the weights were loaded from: whose it is concerns nobody."""
    for path in folder.glob("*/config.json"):
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


@contextmanager
def _storing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's own for a full disk
        raise StorageError(
            f"expected to write into {folder}, got '{error}'; free some space and resume"
        ) from error
