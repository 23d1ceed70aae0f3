"""The backend: edit requests in, pixels out."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_histodiff.core.backend import Backend, BackendInfo, OnStep, Step, drawn_apart
from napari_histodiff.core.errors import InvalidImage, InvalidRequest, OutOfMemory
from napari_histodiff.core.foreign.folder import is_foreign
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.requests import DEFAULT_STEPS, FLOW_STEPS, LIMITS, EditKind, EditRequest
from napari_histodiff.core.steering.strengths import levels_of
from napari_histodiff.devices import DType, dtype_named, is_out_of_memory
from napari_histodiff.diffusion.compiled import compiled_network
from napari_histodiff.diffusion.conditioning import (
    RequestConditions,
    conditions_from_request,
    from_pixels,
    to_pixels,
)
from napari_histodiff.diffusion.foreign.backend import ForeignBackend
from napari_histodiff.diffusion.guidance import GuidedDenoiser
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.model_folder import ModelInfo, bundled_model_path, check_folder
from napari_histodiff.diffusion.phase_cache import CACHE_BYTES, PhaseCache
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline
from napari_histodiff.diffusion.sampling import jump_steps, solver_of
from napari_histodiff.diffusion.steering.gradient import (
    Ascent,
    GuidedByScore,
    ScoreBook,
    ascent_of,
)
from napari_histodiff.diffusion.tissue_noise import NOISE_REACH, noise_reach
from napari_histodiff.inpainting.blending import keep_known
from napari_histodiff.inpainting.fills import filled
from napari_histodiff.inpainting.projection import even_target, project_on_coarse
from napari_histodiff.inpainting.rescaling import at_pixel_size, enlarged
from napari_histodiff.inpainting.stains import own_stain, reference_stain, stain_at

__all__ = ["MODEL_VARIABLE", "DiffusionBackend", "default_backend"]

#: Names the model folder to load where none is given.
MODEL_VARIABLE = "HISTODIFF_MODEL"
DEVICE_VARIABLE = "HISTODIFF_DEVICE"
PRECISION_VARIABLE = "HISTODIFF_PRECISION"

#: Whether a pipeline of diffusers draws with as little memory as it can from the beginning.
SPARE_MEMORY_VARIABLE = "HISTODIFF_SPARE_MEMORY"

#: Windows per network call; a processor gains nothing from more, if they are not compiled.
_MICRO_BATCH = {"cpu": 1, "cuda": 8, "mps": 1}

#: How many times finer than its own a frame may be: 0.125 um (80x) for a model of 0.5.
_FINER = 4.0


class DiffusionBackend(GuidedByScore):
    """Draws requests with a `HistoDiffusionPipeline`; implements `core.backend.Backend`.

    Parameters
    ----------
    pipeline : HistoDiffusionPipeline
        On its device.
    model : ModelInfo
        What the weights know.
    cache_bytes : int
        Main memory for windows that neighbours on the endless plane share; it changes no pixel.
    book : ScoreBook, optional
        Makes the scores that requests are guided by.
    """

    def __init__(
        self,
        pipeline: HistoDiffusionPipeline,
        model: ModelInfo,
        cache_bytes: int = CACHE_BYTES,
        book: ScoreBook | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._book = book
        compiled = pipeline.compiled
        on_device = _MICRO_BATCH.get(pipeline.device.type, 1)
        self._micro_batch = on_device if compiled is None else compiled.side_by_side
        self._split_guidance = False
        self._halved = False
        device, dtype = pipeline.device, str(pipeline.dtype).removeprefix("torch.")
        self._info = BackendInfo(
            name=f"{model.name} {model.version}",
            revision=model.revision,
            mpp=model.mpp,
            class_counts=model.class_counts,
            tissue_names=model.tissue_names,
            window=pipeline.layout.size,
            multiple_of=pipeline.layout.multiple_of,
            device=f"{device} ({dtype}{', OpenVINO' if pipeline.compiled else ''})",
            seconds_per_window=self._measure(),
            licence=model.licence,
            solver_order=solver_of(pipeline.scheduler).order,
            jump_steps=jump_steps(pipeline.network),
            steps=DEFAULT_STEPS if jump_steps(pipeline.network) >= DEFAULT_STEPS else FLOW_STEPS,
            margin=pipeline.layout.margin + NOISE_REACH,
            fibres=True,
            coarse_levels=2,
            stains=model.stains,
            reach=(model.mpp[0] / _FINER, model.mpp[1]),
            nbytes=sum(weights.nbytes for weights in pipeline.network.parameters()),
        )
        salt = f"{model.revision} {self._info.device}".encode()
        self._cache = PhaseCache(cache_bytes, salt)

    @classmethod
    def load(
        cls,
        model: Path | str | None = None,
        device: str = "auto",
        dtype: DType = "auto",
        book: ScoreBook | None = None,
    ) -> DiffusionBackend:
        """Load a model folder, the bundled one by default; compiled where that pays.

        Raises
        ------
        ModelNotFound, ModelInvalid, DeviceUnavailable
            See `loading.load_pipeline`.
        """
        folder = bundled_model_path() if model is None else Path(model)
        pipeline = load_pipeline(folder, device, dtype)
        pipeline.compiled = compiled_network(pipeline.network, pipeline.layout)
        return cls(pipeline, check_folder(folder), book=book)

    @property
    def info(self) -> BackendInfo:
        """What this backend is."""
        return self._info

    def clear_cache(self) -> None:
        """Forget the windows kept for neighbours; the next drawings cost what first ones do."""
        self._cache.clear()

    def evaluations(self, request: EditRequest) -> int:
        """Return how many network evaluations `render` will spend on a request at the most.

        For a target it spends fewer where neighbours were drawn lately.
        """
        if request.structures:
            return sum(map(self.evaluations, request.apart))
        request = self._known_size(request)
        return self._pipeline.evaluations(
            request.region,
            target=even_target(request),
            **self._sampling(request),
            num_images_per_prompt=request.variants,
            micro_batch=self._micro_batch,
            captions=self._conditions(request).captions,
        )

    def render(
        self, requests: Sequence[EditRequest], *, on_step: OnStep | None = None
    ) -> list[NDArray[np.uint8]]:
        """Draw each request; element i is (variants, h, w, 3) uint8 of `requests[i].drawn`.

        Steps are counted per request. Known pixels come back byte for byte; where a request has a
        coarse image one level up, every other 2 x 2 block has exactly its mean. A frame of
        smaller pixels than the model knows, within `BackendInfo.reach`, is drawn with larger ones.

        Raises
        ------
        InvalidRequest
            When the micrometres per pixel or tissue ids are not the model's, or the region of a
            request does not reach `BackendInfo.margin` around its target, or one step is asked for
            a target; before any is drawn.
        OutOfMemory
            When memory does not even suffice for half the batch.
        """
        for request in requests:
            for part in request.apart:
                self._check(part)
        return [drawn_apart(r, self._render, self.evaluations, on_step) for r in requests]

    def _check(self, request: EditRequest) -> None:
        if self._info.drawn_mpp(request.mpp) != request.mpp and not self._enlarges(request):
            low, high = self._info.frames_mpp if _is_frame(request) else self._info.mpp
            low = max(low, LIMITS["mpp"][0])
            raise InvalidRequest(
                f"expected {low:g} to {high:g} um per pixel for {self._info.name}, got "
                f"{request.mpp:g}; rescale the image, or use a model trained at its resolution"
            )
        self._info.check_tissue(request)
        self._info.check_coarse(request)
        sampling = self._sampling(request)
        self._pipeline.check_steering(
            request.steps, sampling["strength"], request.steering, sampling["levels"]
        )
        self._ascent(self._known_size(request))
        if request.inverted and request.steps <= self._info.jump_steps:
            raise InvalidRequest(
                f"expected more than {self._info.jump_steps} steps to find the noise of an image, "
                f"got {request.steps}: {self._info.name} jumps with so few; take more steps"
            )
        target = even_target(request)
        if target is not None:
            reach = noise_reach(request)
            self._pipeline.check_target(request.region, target, request.steps, reach)

    def _enlarges(self, request: EditRequest) -> bool:
        return _is_frame(request) and self._info.drawn_mpp(request.mpp) not in (None, request.mpp)

    def _known_size(self, request: EditRequest) -> EditRequest:
        """The request as it is drawn: at a pixel size that the model knows."""
        return at_pixel_size(request, self._info.mpp[0]) if self._enlarges(request) else request

    def _render(self, request: EditRequest, on_step: OnStep | None) -> NDArray[np.uint8]:
        if self._enlarges(request):
            drawn = self._render(self._known_size(request), _enlarging(request, on_step))
            return enlarged(drawn, request)
        request = self._resolved(request)
        conditions = self._conditions(request)
        while True:
            try:
                return self._draw(request, conditions, on_step)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self._halved:
                    raise self._too_large(request) from error
            # Outside the except clause, where no traceback holds the tensors any more.
            self._halve()

    def _resolved(self, request: EditRequest) -> EditRequest:
        if request.kind is EditKind.GENERATE and request.target is None:
            request = replace(request, image=None, edit_mask=None)
        if request.stain is None:
            request = replace(request, stain=self._stain(request))
        unseen = [
            i for i, name in enumerate(CLASS_NAMES, 1) if not self._info.class_counts.get(name)
        ]
        class_map, instance_map = request.class_map, request.instance_map
        if class_map is None or not np.isin(class_map, unseen).any():
            return request
        # The model draws a nucleus of a class it never saw as one of unknown class.
        hidden = np.isin(class_map, unseen)
        if instance_map is None:
            instance_map = np.zeros(class_map.shape, np.int32)
        # Without an id of its own it would vanish with its class.
        nameless = hidden & (instance_map == 0)
        return replace(
            request,
            class_map=np.where(hidden, 0, class_map).astype(np.uint8),
            instance_map=np.where(nameless, instance_map.max() + class_map, instance_map),
        )

    def _stain(self, request: EditRequest) -> tuple[float, ...] | None:
        """Stain of a reference that has one, else of the request itself."""
        own = own_stain(request, self._info.stains)
        steering = request.steering
        if steering.reference is None:
            return own
        try:
            found = reference_stain(steering.reference)
        except InvalidImage:
            return own
        return stain_at(request.mpp, found, steering.reference_mpp, own)

    def _draw(
        self, request: EditRequest, conditions: RequestConditions, on_step: OnStep | None
    ) -> NDArray[np.uint8]:
        sampling = self._sampling(request)
        image = parts = None
        begins = sampling["strength"] < 1 or sampling["levels"]
        if begins and request.image is not None and request.edit_mask is not None:
            image = from_pixels(filled(request.image, request.edit_mask, request.fill))
        if request.strength_map is not None:
            parts = torch.from_numpy(request.strength_map.copy())
        target = even_target(request)
        images = self._pipeline(
            conditions,
            image=image,
            region=request.region,
            target=target,
            **sampling,
            seed=request.seed,
            num_images_per_prompt=request.variants,
            first_variant=request.first_variant,
            micro_batch=self._micro_batch,
            split_guidance=self._split_guidance,
            output_type="pt",
            on_step=on_step,
            cache=self._cache,
            ascent=self._ascent(request),
            strength_map=parts,
        ).images
        place = request.region if target is None else target
        exact = request.kind is EditKind.ZOOM and request.coarse_levels == 1
        if exact and request.coarse is not None:
            coarse = request.coarse[place.relative_to(request.region).slices]
            pixels = project_on_coarse(images.movedim(1, -1).cpu().numpy(), coarse, place)
        else:
            pixels = to_pixels(images)
        pixels = pixels[:, *request.drawn.relative_to(place).slices]
        return keep_known(pixels, request)

    def _ascent(self, request: EditRequest) -> Ascent | None:
        return ascent_of(
            request.steering, self._book, request.mpp, self._pipeline.network.jump.device
        )

    def _conditions(self, request: EditRequest) -> RequestConditions:
        classes = self._pipeline.network.tissue_classes
        return RequestConditions(request, classes, self._info.tissue_names)

    @staticmethod
    def _sampling(request: EditRequest) -> dict[str, Any]:
        """Arguments of the pipeline; only inpainting has pixels under the edit mask to keep."""
        return {
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance_scale,
            "strength": request.strength if request.kind is EditKind.INPAINT else 1.0,
            "steering": request.steering,
            "inverted": request.inverted,
            "levels": levels_of(request.strength_map),
        }

    def _halve(self) -> None:
        if self._micro_batch > 1:
            self._micro_batch //= 2
        else:
            self._split_guidance = True
        self._halved = True
        if self._pipeline.device.type == "cuda":
            torch.cuda.empty_cache()

    def _too_large(self, request: EditRequest) -> OutOfMemory:
        height, width = request.drawn.shape
        return OutOfMemory(
            f"expected {height} x {width} pixels to fit the memory of {self._info.device}, got "
            "none left even at half the batch; use a smaller frame, close other programs, or "
            'choose the device "cpu"'
        )

    @torch.inference_mode()
    def _measure(self) -> float:
        """Seconds of one evaluation of a micro-batch of full windows, after a warm-up."""
        side, count = self._pipeline.layout.size, self._micro_batch
        blank = EditRequest(kind=EditKind.GENERATE, region=Region(0, 0, 0, side, side))
        one = conditions_from_request(blank, self._pipeline.network.tissue_classes)
        conditions = one.cat(*[one] * (count - 1))
        denoise = GuidedDenoiser(
            self._pipeline.evaluator,
            self._pipeline.caption_encoder,
            conditions.to(self._pipeline.device, torch.float32),
            guidance_scale=1.0,
        )
        z = torch.zeros(count, 3, side, side, device=self._pipeline.device)
        seconds = 0.0
        for _ in range(2):
            start = time.perf_counter()
            denoise(z, 1.0).cpu()  # the copy waits for the device
            seconds = time.perf_counter() - start
        return seconds


def default_backend(
    model: Path | str | None = None, device: str = "auto", book: ScoreBook | None = None
) -> Backend:
    """Load a model folder, of this package or of diffusers; a `core.backend.BackendFactory`.

    Without a folder that of the environment variable HISTODIFF_MODEL, else the bundled one; where
    the device is "auto", HISTODIFF_DEVICE and HISTODIFF_PRECISION choose when they are set.
    HISTODIFF_SPARE_MEMORY=1 lets a pipeline of diffusers begin with as little memory as it can.
    Without a `book` of scores requests that are guided by one are refused;
    `napari_histodiff.backends` has one.

    Raises
    ------
    ModelNotFound, ModelInvalid, DeviceUnavailable
        See `loading.load_pipeline` and `foreign.backend.ForeignBackend.load`.
    """
    folder = model or os.environ.get(MODEL_VARIABLE)
    dtype: DType = "auto"
    if device == "auto":
        device = os.environ.get(DEVICE_VARIABLE, device)
        dtype = dtype_named(os.environ.get(PRECISION_VARIABLE, dtype))
    if folder and is_foreign(Path(folder)):
        sparing = os.environ.get(SPARE_MEMORY_VARIABLE) == "1"
        return ForeignBackend.load(Path(folder), device, dtype, book, sparing)
    return DiffusionBackend.load(folder, device, dtype, book)


def _enlarging(request: EditRequest, on_step: OnStep | None) -> OnStep | None:
    """Tell steps of a drawing with larger pixels as those of the request."""
    if on_step is None:
        return None

    def tell(step: Step) -> None:
        on_step(replace(step, preview=lambda: enlarged(step.preview()[None], request)[0]))

    return tell


def _is_frame(request: EditRequest) -> bool:
    # What may be drawn at another pixel size than its own.
    return request.target is None and request.coarse is None
