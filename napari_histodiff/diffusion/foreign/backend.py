"""A pipeline of diffusers as a backend: edit requests in, pixels out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo, OnStep, drawn_apart
from napari_histodiff.core.errors import InvalidRequest, OutOfMemory
from napari_histodiff.core.foreign.folder import ForeignFolder, check_foreign
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import TILE
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.devices import DType, is_out_of_memory
from napari_histodiff.diffusion.foreign.codec import LatentCodec, PixelCodec
from napari_histodiff.diffusion.foreign.drawing import Drawer, DrawingSettings
from napari_histodiff.diffusion.foreign.loading import Loaded, load_parts
from napari_histodiff.diffusion.foreign.network import Inputs
from napari_histodiff.diffusion.phase_cache import CACHE_BYTES, PhaseCache
from napari_histodiff.diffusion.steering.gradient import (
    Ascent,
    GuidedByScore,
    ScoreBook,
    ascent_of,
)
from napari_histodiff.inpainting.blending import keep_known
from napari_histodiff.inpainting.projection import even_target, project_on_coarse
from napari_histodiff.inpainting.rescaling import at_pixel_size, resized

__all__ = ["ForeignBackend"]

#: Windows per network call; a processor gains nothing from more.
_MICRO_BATCH = {"cpu": 1, "cuda": 4, "mps": 1}

#: How many times finer or coarser than the model's a frame may be: beyond that a nucleus is a dot.
_REACH = 4.0


class ForeignBackend(GuidedByScore):
    """Draws requests with a pipeline of diffusers; implements `core.backend.Backend`.

    Parameters
    ----------
    loaded : Loaded
        Its parts, on their device.
    folder : ForeignFolder
        What it is.
    cache_bytes : int
        Main memory for windows that neighbours on the endless plane share; it changes no pixel.
    book : ScoreBook, optional
        Makes the scores that requests are guided by.
    spare_memory : bool
        Whether it begins as it goes on when memory ran out: one window at a time, guidance in two
        calls, the autoencoder in main memory while it does not work.
    """

    def __init__(
        self,
        loaded: Loaded,
        folder: ForeignFolder,
        cache_bytes: int = CACHE_BYTES,
        book: ScoreBook | None = None,
        spare_memory: bool = False,
    ) -> None:
        self._book = book
        self._loaded = loaded
        self._convention = folder.convention
        self._drawer = Drawer(loaded.network, loaded.scheduler, folder.convention)
        self._settings = DrawingSettings(_MICRO_BATCH.get(loaded.device.type, 1))
        while spare_memory and self._can_save():
            self._save()
        layout, factor = self._drawer.layout, loaded.network.codec.factor
        dtype = str(loaded.dtype).removeprefix("torch.")
        self._info = BackendInfo(
            name=folder.name,
            revision=folder.revision,
            mpp=folder.convention.mpp,
            class_counts=folder.convention.class_counts,
            tissue_names=folder.convention.tissue_names,
            window=layout.size * factor,
            multiple_of=self._drawer.multiple_of,
            device=f"{loaded.device} ({dtype})",
            seconds_per_window=self._measure(),
            licence=folder.licence,
            margin=self._drawer.margin(TILE),
            paint=folder.convention.told if folder.adapter.control else (),
            captions="none" if loaded.network.text is None else "text",
            steps=folder.convention.steps,
            guidance_scale=folder.convention.guidance_scale,
            kind=folder.class_name,
            nbytes=folder.nbytes,
            reach=(folder.convention.mpp[0] / _REACH, folder.convention.mpp[1] * _REACH),
        )
        self._cache = PhaseCache(cache_bytes, f"{folder.revision} {self._info.device}".encode())

    @classmethod
    def load(
        cls,
        model: Path,
        device: str = "auto",
        dtype: DType = "auto",
        book: ScoreBook | None = None,
        spare_memory: bool = False,
    ) -> ForeignBackend:
        """Load the folder of a pipeline.

        Raises
        ------
        ModelNotFound, ModelInvalid, DeviceUnavailable
            See `folder.check_foreign` and `loading.load_parts`.
        """
        folder = check_foreign(model)
        parts = load_parts(folder, device, dtype)
        return cls(parts, folder, book=book, spare_memory=spare_memory)

    @property
    def info(self) -> BackendInfo:
        """What this backend is."""
        return self._info

    def evaluations(self, request: EditRequest) -> int:
        """Return how many network evaluations `render` will spend on a request at the most."""
        if request.structures:
            return sum(map(self.evaluations, request.apart))
        own = self._at_model_scale(request)
        return self._drawer.evaluations(own, self._settings)

    def render(
        self, requests: Sequence[EditRequest], *, on_step: OnStep | None = None
    ) -> list[NDArray[np.uint8]]:
        """Draw each request; element i is (variants, h, w, 3) uint8 of `requests[i].drawn`.

        Known pixels come back byte for byte, whatever the autoencoder makes of them; where a
        request has a coarse image, every other 2 x 2 block has exactly its mean.

        Raises
        ------
        InvalidRequest
            When the micrometres per pixel, the steps, tissue ids or the target are not the model's;
            before any is drawn.
        OutOfMemory
            When memory does not even suffice for one window.
        """
        for request in requests:
            for part in request.apart:
                self._checked(part)
        return [drawn_apart(r, self._render, self.evaluations, on_step) for r in requests]

    def _checked(self, request: EditRequest) -> EditRequest:
        """Return a request as it is drawn: at the model's scale, and no image to generate on."""
        self._info.check_tissue(request)
        self._info.check_coarse(request)
        if request.kind is EditKind.GENERATE and request.target is None:
            request = replace(request, image=None, edit_mask=None)
        own = self._at_model_scale(replace(request, target=even_target(request)))
        self._drawer.check(own)
        self._ascent(own)
        return own

    def _at_model_scale(self, request: EditRequest) -> EditRequest:
        """Return a request with pixels of a size that the model knows; itself where it has."""
        info, drawn = self._info, self._info.drawn_mpp(request.mpp)
        if drawn == request.mpp:
            return request
        if drawn is None or request.target is not None:
            (finest, coarsest), (low, high) = info.frames_mpp, info.mpp
            raise InvalidRequest(
                f"expected {finest:g} to {coarsest:g} um per pixel of a frame, and {low:g} to "
                f"{high:g} of a slide's level, got {request.mpp:g}; rescale the image, or use a "
                "model trained at its resolution"
            )
        return at_pixel_size(request, drawn)

    def _ascent(self, own: EditRequest) -> Ascent | None:
        codec = self._loaded.network.codec
        decode = None if isinstance(codec, PixelCodec) else codec.decode
        return ascent_of(own.steering, self._book, own.mpp, self._loaded.device, decode)

    def _render(self, request: EditRequest, on_step: OnStep | None) -> NDArray[np.uint8]:
        own = self._checked(request)
        while True:
            try:
                images = self._drawer.draw(
                    own,
                    self._settings,
                    on_step=on_step,
                    cache=self._cache,
                    ascent=self._ascent(own),
                )
                return self._finished(request, own, images)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if not self._can_save():
                    raise self._too_large(request) from error
            # Outside the except clause, where no traceback holds the tensors any more.
            self._save()

    @staticmethod
    def _finished(
        request: EditRequest, own: EditRequest, images: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """Round what was drawn, at the request's scale, with coarse and known pixels kept."""
        place = own.drawn
        if own.region.shape != request.region.shape:
            place = request.drawn
            images = np.stack([resized(image, place.shape) for image in images])
        if request.kind is EditKind.ZOOM and request.coarse is not None:
            coarse = request.coarse[place.relative_to(request.region).slices]
            pixels = project_on_coarse(images, coarse, place)
        else:
            pixels = np.rint((images + 1) * 127.5).clip(0, 255).astype(np.uint8)
        pixels = pixels[:, *request.drawn.relative_to(place).slices]
        if request.kind is EditKind.GENERATE and request.target is None:
            return pixels
        return keep_known(pixels, request)

    def _can_save(self) -> bool:
        codec = self._loaded.network.codec
        waits = isinstance(codec, LatentCodec) and not codec.offload
        return self._settings.micro_batch > 1 or not self._settings.split_guidance or waits

    def _save(self) -> None:
        """Ask for less memory from now on: half the batch, no pairs, the autoencoder outside."""
        codec = self._loaded.network.codec
        if self._settings.micro_batch > 1:
            self._settings = replace(self._settings, micro_batch=self._settings.micro_batch // 2)
        elif not self._settings.split_guidance:
            self._settings = replace(self._settings, split_guidance=True)
        elif isinstance(codec, LatentCodec):
            codec.offload = True
        if self._loaded.device.type == "cuda":
            torch.cuda.empty_cache()

    def _too_large(self, request: EditRequest) -> OutOfMemory:
        height, width = request.drawn.shape
        return OutOfMemory(
            f"expected {height} x {width} pixels to fit the memory of {self._info.device}, got "
            "none left even for one window; close other programs, or choose the device "
            '"cpu"'
        )

    @torch.inference_mode()
    def _measure(self) -> float:
        """Seconds of one evaluation of one full window."""
        network, side = self._loaded.network, self._drawer.layout.size
        z = torch.zeros(1, network.codec.channels, side, side, device=self._loaded.device)
        known = torch.zeros(1, 1 + z.shape[1], side, side) if network.inpaints else None
        control = None
        if network.controlnet is not None:
            pixels = Region(0, 0, 0, side, side).enlarged(network.codec.factor)
            control = torch.zeros(1, self._convention.channels, *pixels.shape)
        prompt = None if network.text is None else network.text.encode([""])
        inputs = Inputs(prompt, None, known, control)
        t = torch.tensor(1, device=self._loaded.device)
        seconds = 0.0
        for _ in range(1 if self._loaded.device.type == "cpu" else 2):  # a GPU warms up
            start = time.perf_counter()
            network.predict(z, t, inputs).cpu()  # the copy waits for the device
            seconds = time.perf_counter() - start
        return seconds
