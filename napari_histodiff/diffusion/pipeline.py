"""The diffusers pipeline: conditions of a frame in, pixels out, through staggered windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from PIL import Image
from torch import Tensor

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.noise import noise_field
from napari_histodiff.core.protocols import OnStep
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS
from napari_histodiff.diffusion.canvas import Field, mirror_pad, run_phase
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder
from napari_histodiff.diffusion.conditioning import Conditions, to_pixels
from napari_histodiff.diffusion.flow import add_noise
from napari_histodiff.diffusion.guidance import GuidedDenoiser
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.progress import Progress
from napari_histodiff.diffusion.samplers import solver_of, split
from napari_histodiff.diffusion.ways import Way, way_of
from napari_histodiff.diffusion.windows import Phase, Window, WindowLayout, plan

__all__ = ["HistoDiffusionPipeline"]

OutputType = Literal["pil", "np", "pt"]


class HistoDiffusionPipeline(DiffusionPipeline):
    """Draws H&E tissue from painted nuclei, tissue regions, a caption and known pixels.

    Parameters
    ----------
    network : HistoUNet
        Predicts the clean image.
    caption_encoder : CaptionEncoder
        Embeds caption slots.
    scheduler : FlowMatchHeunDiscreteScheduler or FlowMatchEulerDiscreteScheduler
        Names the solver and the shift of its schedule.
    window, ramp, phases : int
        See `windows.WindowLayout`.
    """

    def __init__(
        self,
        network: HistoUNet,
        caption_encoder: CaptionEncoder,
        scheduler: Any,
        window: int = 288,
        ramp: int = 32,
        phases: int = 2,
    ) -> None:
        super().__init__()
        self.register_modules(network=network, caption_encoder=caption_encoder, scheduler=scheduler)
        self.register_to_config(window=window, ramp=ramp, phases=phases)
        solver_of(scheduler)  # refuse an unknown one here, not at the first drawing
        self.layout = WindowLayout(window, ramp, phases, network.multiple_of)

    def evaluations(
        self,
        region: Region,
        *,
        num_inference_steps: int = DEFAULT_STEPS,
        guidance_scale: float = DEFAULT_GUIDANCE,
        strength: float = 1.0,
        num_images_per_prompt: int = 1,
        micro_batch: int = 1,
        target: Region | None = None,
    ) -> int:
        """Return how many network evaluations `__call__` will spend, and report, on a frame.

        One evaluation is one pass of the network over `micro_batch` windows; a guided call is two.
        """
        way = way_of(self.network, self.scheduler, num_inference_steps)
        schedules = split(way.times(num_inference_steps, strength), self.layout.phases)
        plans = self._plan(region, target, len(schedules), micro_batch)
        calls = sum(
            len(phase.batches) * way.solver.evaluations(times)
            for phase, times in zip(plans, schedules, strict=True)
        )
        return calls * way.passes(guidance_scale) * num_images_per_prompt

    @torch.inference_mode()
    def __call__(
        self,
        conditions: Conditions,
        *,
        image: Tensor | None = None,
        region: Region | None = None,
        target: Region | None = None,
        num_inference_steps: int = DEFAULT_STEPS,
        guidance_scale: float = DEFAULT_GUIDANCE,
        strength: float = 1.0,
        seed: int = 0,
        num_images_per_prompt: int = 1,
        micro_batch: int = 1,
        split_guidance: bool = False,
        output_type: OutputType = "pil",
        on_step: OnStep | None = None,
    ) -> ImagePipelineOutput:
        """Draw a frame.

        Parameters
        ----------
        conditions : Conditions
            Of the frame, b = 1, any h and w.
        image : (3, h, w) float in [-1, 1], optional
            Where sampling starts when strength < 1.
        region : Region, optional
            Place of the frame on the plane, which decides its noise and windows; default (0, 0).
        target : Region, optional
            Part of the frame to draw; its pixels equal those of the whole frame bit for bit.
        num_inference_steps, guidance_scale, strength, num_images_per_prompt
            As in diffusers; few steps are jumps where the weights know how to, see `ways`.
        seed : int
            Key of the noise, which belongs to places; there is no generator to advance.
        micro_batch : int
            Windows per network call. It changes the last bits of the result.
        split_guidance : bool
            Evaluate with and without prompt one after the other, for half the memory.
        output_type : str
            "pil"; "np", (n, h, w, 3) uint8; or "pt", (n, 3, h, w) float32 in [-1, 1].
        on_step : callable, optional
            Called `evaluations(...)` times with a `Step`; may raise to stop.

        Raises
        ------
        InvalidRequest
            When the region has another shape than the conditions, or strength < 1 comes without
            an image.
        """
        frame = _frame_of(conditions, region)
        if strength < 1 and image is None:
            raise InvalidRequest(
                f"expected an image to start from at strength {strength}, got none; "
                "give the image or strength 1"
            )
        way = way_of(self.network, self.scheduler, num_inference_steps)
        schedules = split(way.times(num_inference_steps, strength), self.layout.phases)
        plans = self._plan(frame, target, len(schedules), micro_batch)
        total = self.evaluations(
            frame,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            strength=strength,
            num_images_per_prompt=num_images_per_prompt,
            micro_batch=micro_batch,
            target=target,
        )
        wanted = frame if target is None else target
        progress = Progress(on_step, total, way.passes(guidance_scale), wanted)
        canvas = frame.snap(self.layout.multiple_of)
        padded = Conditions(
            mirror_pad(conditions.spatial, frame, canvas),
            conditions.slots,
            conditions.mpp,
            conditions.stain,
        ).to(self.device, torch.float32)
        start = None if strength == 1 or image is None else mirror_pad(image, frame, canvas)
        solve = _WindowSolver(self, way, padded, canvas, guidance_scale, split_guidance, progress)
        images = []
        for variant in range(num_images_per_prompt):
            field = self._start(seed, variant, plans[0].reads, schedules[0][0], start, canvas)
            progress.begin(self.device)
            for phase, times in zip(plans, schedules, strict=True):
                solve.times = times
                field = run_phase(field, phase, self.layout.ramp, solve)
            images.append(field.read(wanted))
        return ImagePipelineOutput(images=_as(output_type, torch.stack(images)))

    def _plan(
        self, frame: Region, target: Region | None, phases: int, micro_batch: int
    ) -> tuple[Phase, ...]:
        canvas = frame.snap(self.layout.multiple_of)
        wanted = frame if target is None else target
        return plan(canvas, self.layout, phases, target=wanted, micro_batch=micro_batch)

    def _start(
        self,
        seed: int,
        variant: int,
        region: Region,
        t: float,
        image: Tensor | None,
        canvas: Region,
    ) -> Field:
        noise = torch.from_numpy(noise_field(seed, region, variant=variant)).to(self.device)
        if image is None:
            return Field(region, noise)
        pixels = Field(canvas, image.to(self.device, torch.float32)).read(region)
        return Field(region, add_noise(pixels[None], noise[None], noise.new_tensor([t]))[0])


@dataclass(slots=True)
class _WindowSolver:
    """Runs the sampler of one phase, `times`, on a batch of windows."""

    pipeline: HistoDiffusionPipeline
    way: Way
    conditions: Conditions
    canvas: Region
    guidance_scale: float
    split_guidance: bool
    progress: Progress
    times: Sequence[float] = ()

    def __call__(self, z: Tensor, windows: Sequence[Window]) -> Tensor:
        places = [window.region.relative_to(self.canvas) for window in windows]
        crops = [self.conditions.crop(p.y, p.x, p.height, p.width) for p in places]
        denoise = GuidedDenoiser(
            self.pipeline.network,
            self.pipeline.caption_encoder,
            reduce(Conditions.cat, crops),
            self.guidance_scale,
            split=self.split_guidance,
            jumps=self.way.jumps,
        )

        def observed(z: Tensor, t: float) -> Tensor:
            x0 = denoise(z, t)
            self.progress.saw(windows, x0)
            return x0

        return self.way.solver.run(observed, z, self.times)


def _frame_of(conditions: Conditions, region: Region | None) -> Region:
    height, width = conditions.spatial.shape[-2:]
    if region is None:
        return Region(0, 0, 0, height, width)
    if region.shape != (height, width):
        raise InvalidRequest(
            f"expected conditions of shape {region.shape} like the region, got {(height, width)}; "
            "make both of one frame"
        )
    return region


def _as(output_type: OutputType, images: Tensor) -> Any:
    if output_type == "pt":
        return images
    pixels = to_pixels(images)
    return pixels if output_type == "np" else [Image.fromarray(image) for image in pixels]
