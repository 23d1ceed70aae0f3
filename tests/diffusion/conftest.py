"""A tiny model with random weights, in memory and on disk."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from napari_histodiff.diffusion.foreign import backend, loading
from napari_histodiff.diffusion.foreign.loading import Loaded
from tests.diffusion.foreign import tiny as foreign
from tests.diffusion.tiny import save_tiny, tiny_pipeline


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid model folder; copy it before changing it."""
    return save_tiny(tiny_pipeline(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a class of diffusers; copy it before changing it."""

    @cache
    def folder(class_name: str) -> Path:
        return foreign.tiny_pipeline(tmp_path_factory.mktemp("foreign") / "tiny", class_name)

    return folder


@pytest.fixture(scope="session", autouse=True)
def folders_are_loaded_once() -> Iterator[None]:
    """Load each folder of another maker once; a backend has a copy of its own of what changes.

    Loading takes diffusers ten times as long as a tiny model draws, and has tests of its own;
    copying weights, which nobody changes, takes as long as drawing.
    """
    load, kept = backend.load_parts, dict[Any, Loaded]()

    def load_parts(folder: Any, device: str = "auto", dtype: Any = "auto") -> Loaded:
        key = (folder.path, folder.revision, device, dtype, loading.load_text_encoder)
        if key not in kept:
            kept[key] = load(folder, device, dtype)
        found = kept[key]
        network = found.network
        weights = network.unet, network.controlnet, getattr(network.codec, "_vae", None)
        return copy.deepcopy(found, {id(part): part for part in weights if part is not None})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "load_parts", load_parts)
        yield
