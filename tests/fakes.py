"""A backend without a model: pixels are a function of the request, steps and failures of its
settings.

On the endless plane (`EditRequest.target`) pixels are a function of seed, level, place, caption and
variant, by blocks of 64 px; ZOOM keeps the coarse image's means of 2 x 2 blocks exactly.
"""

from __future__ import annotations

import os
import signal
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo, OnStep, Step, drawn_apart
from napari_histodiff.core.errors import InvalidRequest, ModelNotFound, OutOfMemory
from napari_histodiff.core.geometry import Region, WindowGrid
from napari_histodiff.core.recipe import TILE
from napari_histodiff.core.requests import EditKind, EditRequest

__all__ = ["FAKE_INFO", "FakeBackend", "FakeFactory", "default_fake"]

FAKE_INFO = BackendInfo(
    name="fake",
    revision="0",
    mpp=(0.25, 1.0),
    class_counts={"neutrophil": 0, "epithelial": 10},
    tissue_names=("unspecified", "gland", "stroma", "lumen", "glass"),
    window=64,
    multiple_of=16,
    device="cpu (fake)",
    seconds_per_window=0.001,
    licence="none",
    margin=16,
)

_BLOCKS = WindowGrid(64, 64)

Fault = Literal["value", "unpicklable", "memory", "oom", "kill", "shape"]


class Unpicklable(RuntimeError):
    """An error that pickle cannot rebuild."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


@dataclass(frozen=True)
class FakeFactory:
    """Makes a `FakeBackend`; picklable.

    `fault` happens at network evaluation `fault_at` of requests whose caption is "fault", or of
    all requests when `always`; a caption like "fault oom" says another one. The model fails to load
    while `load_error` is set and no file `repaired_by` exists.
    """

    steps: int | None = None
    delay: float = 0.0
    fault: Fault | None = None
    fault_at: int = 2
    always: bool = False
    load_error: Literal["", "family", "foreign", "kill"] = ""
    repaired_by: str = ""
    load_seconds: float = 0.0

    def __call__(self) -> FakeBackend:
        time.sleep(self.load_seconds)
        if self.load_error and not os.path.exists(self.repaired_by):
            if self.load_error == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.load_error == "family":
                raise ModelNotFound("expected a model folder, got none; run histodiff fetch")
            raise ImportError("no module named flux_capacitor")
        return FakeBackend(self)


class FakeBackend:
    """Draws flat noise of the request's seed; implements `core.backend.Backend`."""

    def __init__(self, settings: FakeFactory | None = None) -> None:
        self.settings = settings or FakeFactory()
        self.previews = 0

    @property
    def info(self) -> BackendInfo:
        return FAKE_INFO

    def evaluations(self, request: EditRequest) -> int:
        return (self.settings.steps or request.steps) * request.variants

    def render(
        self, requests: Sequence[EditRequest], *, on_step: OnStep | None = None
    ) -> list[NDArray[np.uint8]]:
        for request in requests:
            _check_margin(request)
        return [drawn_apart(r, self._render, self.evaluations, on_step) for r in requests]

    def _render(self, request: EditRequest, on_step: OnStep | None) -> NDArray[np.uint8]:
        total = self.evaluations(request)
        self.previews = 0
        fault = self._fault(request.caption)
        for done in range(1, total + 1):
            time.sleep(self.settings.delay)
            if done == self.settings.fault_at:
                _misbehave(fault)
            if on_step is not None:
                on_step(Step(done, total, lambda: self._preview(request)))
        first = request.first_variant
        images = np.stack([_draw(request, first + i) for i in range(request.variants)])
        return images[..., :2] if fault == "shape" else images

    def _preview(self, request: EditRequest) -> NDArray[np.uint8]:
        """How many previews this job computed is their gray value."""
        self.previews += 1
        return np.full((*request.drawn.shape, 3), self.previews, np.uint8)

    def _fault(self, caption: str) -> str | None:
        if self.settings.always:
            return self.settings.fault
        word, _, which = caption.partition(" ")
        return (which or self.settings.fault) if word == "fault" else None


def _misbehave(fault: str | None) -> None:
    match fault:
        case "value":
            raise ValueError("the moon is full")
        case "unpicklable":
            raise Unpicklable("no ", "copies")
        case "memory":
            raise MemoryError("8 GiB")
        case "oom":
            raise OutOfMemory("expected 2 GiB of memory, got 1; use a smaller frame")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


def _check_margin(request: EditRequest) -> None:
    if request.target is None:
        return
    needed = request.target.snap(TILE).pad(FAKE_INFO.margin)
    if not request.region.contains(needed):
        raise InvalidRequest(
            f"expected conditions of {needed}, got {request.region}; give a larger region"
        )


def _draw(request: EditRequest, variant: int) -> NDArray[np.uint8]:
    if request.target is not None:
        return _draw_on_plane(request, request.target, variant)
    text = repr((request.region, request.caption, request.steps, request.guidance_scale))
    generator = np.random.default_rng((request.seed, variant, zlib.crc32(text.encode())))
    drawn = generator.integers(0, 256, (*request.shape, 3), dtype=np.uint8)
    if request.kind in (EditKind.INPAINT, EditKind.OUTPAINT):
        assert request.image is not None
        assert request.edit_mask is not None
        return np.where(request.edit_mask[..., None], drawn, request.image)
    return drawn


def _draw_on_plane(request: EditRequest, target: Region, variant: int) -> NDArray[np.uint8]:
    within = target.relative_to(request.region).slices
    drawn = _place_noise(request, target, variant)
    if request.coarse is not None:
        whole = target.snap(2)
        noise = _place_noise(request, whole, variant)
        coarse = request.coarse[whole.relative_to(request.region).slices]
        drawn = _around(coarse, noise)[target.relative_to(whole).slices]
    if request.image is not None and request.edit_mask is not None:
        free = request.edit_mask[within][..., None]
        drawn = np.where(free, drawn, request.image[within])
    return drawn


def _around(coarse: NDArray[np.uint8], noise: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a checkerboard about `coarse` whose 2 x 2 blocks keep their sums."""
    room = np.minimum(coarse, 255 - coarse)
    quarters = [room[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    swing = np.minimum.reduce([noise[::2, ::2] % 32, *quarters]).astype(np.int16)
    swing = swing.repeat(2, 0).repeat(2, 1)
    swing[::2, 1::2] *= -1
    swing[1::2, ::2] *= -1
    return (coarse + swing).astype(np.uint8)


def _place_noise(request: EditRequest, place: Region, variant: int) -> NDArray[np.uint8]:
    out = np.empty((*place.shape, 3), np.uint8)
    for block in _BLOCKS.covering(place):
        text = repr((place.level, block.y, block.x, request.caption))
        generator = np.random.default_rng((request.seed, variant, zlib.crc32(text.encode())))
        values = generator.integers(0, 256, (*block.shape, 3), dtype=np.uint8)
        part = block.intersect(place)
        out[part.relative_to(place).slices] = values[part.relative_to(block).slices]
    return out


def default_fake() -> FakeBackend:
    """The fake by import path: tests.fakes:default_fake."""
    return FakeBackend()
