"""Slides and backends for rendering tests; importable by worker processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.slide.store import SlideStore
from tests.fakes import FAKE_INFO, FakeBackend, FakeFactory

__all__ = [
    "Counting",
    "OtherModel",
    "Probe",
    "backend_of",
    "make_slide",
    "other_model",
    "picture",
    "probe",
]


def make_slide(path: Path, height: int = 1024, width: int = 1024, **settings: object) -> Path:
    """Make a slide for `tests.fakes.FakeBackend`; two levels are drawn."""
    recipe = SlideRecipe.plan(FAKE_INFO, height=height, width=width, **settings)
    SlideStore.create(path, recipe).close()
    return path


def picture(path: Path) -> list[NDArray[np.integer]]:
    """Everything a slide shows: states, pixels of each level and labels."""
    with SlideStore.open(path, read_only=True) as store:
        levels = range(store.spec.levels)
        return [
            *(store.state(level) for level in levels),
            *(store.read(store.spec.bounds(level)) for level in levels),
            store.labels(store.spec.bounds(0)),
        ]


class Counting(FakeBackend):
    """The fake, counting what it renders in this process."""

    renders: ClassVar[int] = 0

    def render(self, requests: Sequence[EditRequest], **more: Any) -> list[NDArray[np.uint8]]:
        Counting.renders += len(requests)
        return super().render(requests, **more)


class Probe(FakeBackend):
    """The fake, slow, with the threads of its process in place of its device."""

    @property
    def info(self) -> BackendInfo:
        return replace(FAKE_INFO, device=f"{os.environ['OMP_NUM_THREADS']} threads")


def probe() -> Probe:
    return Probe(FakeFactory(delay=0.1))


class OtherModel(FakeBackend):
    """The fake with other weights."""

    @property
    def info(self) -> BackendInfo:
        return replace(FAKE_INFO, name="another", revision="1")


def other_model() -> OtherModel:
    return OtherModel()


def backend_of(model: str | None, device: str) -> FakeBackend:
    """What `ModelFactory` calls; a folder named "other" holds the other model."""
    return OtherModel() if model and Path(model).name == "other" else FakeFactory()()
