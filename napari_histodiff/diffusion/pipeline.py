"""The diffusers pipeline: conditions of a frame in, pixels out, through staggered windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from PIL import Image
from torch import Tensor

from napari_histodiff.core.backend import OnStep
from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS
from napari_histodiff.core.steering.guides import CLIMBS
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.diffusion.canvas import (
    Field,
    Noise,
    Readable,
    StepProgress,
    mirror_pad,
    run_phase,
)
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder, EmbeddedCaptions
from napari_histodiff.diffusion.compiled import CompiledNetwork
from napari_histodiff.diffusion.conditioning import (
    CHANNELS,
    Conditions,
    ConditionSource,
    PlacedConditions,
    RequestConditions,
    to_pixels,
)
from napari_histodiff.diffusion.flow import add_noise, noise_again
from napari_histodiff.diffusion.guidance import GuidedDenoiser
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.phase_cache import PhaseCache, PhaseMemory
from napari_histodiff.diffusion.sampling import (
    Denoiser,
    Sampling,
    backwards,
    sampling_of,
    solver_of,
)
from napari_histodiff.diffusion.steering.gradient import Ascent, check_guide
from napari_histodiff.diffusion.steering.parts import Parts
from napari_histodiff.diffusion.steering.resampling import Stretch, check_repaint, stretches_of
from napari_histodiff.diffusion.tissue_noise import noise_reach, suited_noise
from napari_histodiff.diffusion.windows import (
    Phase,
    Window,
    WindowLayout,
    plan,
    plan_plane,
    union,
)

__all__ = ["HistoDiffusionPipeline"]

OutputType = Literal["pil", "np", "pt"]

_UNSTEERED = Steering()


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
        self.compiled: CompiledNetwork | None = None

    @property
    def evaluator(self) -> HistoUNet | CompiledNetwork:
        """What evaluates windows: the compiled network where there is one."""
        return self.network if self.compiled is None else self.compiled

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
        captions: int = 1,
        steering: Steering = _UNSTEERED,
        inverted: bool = False,
        levels: Sequence[float] = (),
    ) -> int:
        """Return how many network evaluations `__call__` will spend, and report, on a frame.

        One evaluation is one pass of the network over `micro_batch` windows; a guided call is two,
        and each caption beyond the first one more, also in windows where it holds nowhere and none
        is made. With a cache it may be fewer.
        """
        sampling = sampling_of(self.network, self.scheduler, num_inference_steps)
        times = sampling.times(num_inference_steps, strength, levels)
        stretches = self._stretches(times, steering)
        plans = self._plan(region, target, len(stretches), micro_batch)
        passes = sampling.passes(guidance_scale) + captions - 1
        work = [_Calls.of(sampling, times, stretch, steering) for stretch in stretches]
        total = sum(
            len(phase.batches) * (calls.denoiser * passes + calls.ticks)
            for phase, calls in zip(plans, work, strict=True)
        )
        if inverted:
            total += len(plans[0].batches) * sampling.solver.evaluations(backwards(times)) * passes
        return total * num_images_per_prompt

    @torch.inference_mode()
    def __call__(
        self,
        conditions: Conditions | RequestConditions,
        *,
        image: Tensor | None = None,
        region: Region | None = None,
        target: Region | None = None,
        num_inference_steps: int = DEFAULT_STEPS,
        guidance_scale: float = DEFAULT_GUIDANCE,
        strength: float = 1.0,
        seed: int = 0,
        num_images_per_prompt: int = 1,
        first_variant: int = 0,
        micro_batch: int = 1,
        split_guidance: bool = False,
        output_type: OutputType = "pil",
        on_step: OnStep | None = None,
        cache: PhaseCache | None = None,
        steering: Steering = _UNSTEERED,
        ascent: Ascent | None = None,
        inverted: bool = False,
        levels: Sequence[float] = (),
        strength_map: Tensor | None = None,
    ) -> ImagePipelineOutput:
        """Draw a frame, or a part of the endless plane.

        Parameters
        ----------
        conditions : Conditions or RequestConditions
            Of the frame, b = 1, any h and w.
        image : (3, h, w) float in [-1, 1], optional
            Where sampling starts when strength < 1.
        region : Region, optional
            Place of the frame on the plane, which decides its noise and windows; default (0, 0).
        target : Region, optional
            Part of the endless plane to draw; the region then only holds conditions, and what is
            drawn does not depend on it. See `windows.plan_plane`. At strength 1.
        num_inference_steps, guidance_scale, strength, num_images_per_prompt
            As in diffusers; few steps are jumps where the weights know how to, see `sampling`.
        seed : int
            Key of the noise, which belongs to places; there is no generator to advance.
        first_variant : int
            Number of the first image, which is part of that key.
        micro_batch : int
            Windows per network call. It changes the last bits of the result.
        split_guidance : bool
            Evaluate with and without prompt one after the other, for half the memory.
        output_type : str
            "pil"; "np", (n, h, w, 3) uint8; or "pt", (n, 3, h, w) float32 in [-1, 1].
        on_step : callable, optional
            Called `evaluations(...)` times with a `Step`, fewer with a cache; may raise to stop.
        cache : PhaseCache, optional
            For a target: windows of early phases that other targets read too.
        steering : Steering
            See there.
        ascent : Ascent, optional
            Of the scores that `steering` names.
        inverted : bool
            Whether a drawing at strength < 1 starts from the image's own noise, found by walking
            the flow backwards, and not from noise of the seed; not with jumps.
        levels : sequence of float
            Strengths of parts, where they differ; `strength` is the largest. Each may be one step
            more, see `with_levels`.
        strength_map : (h, w) float in 0-1, optional
            Where each of them is; 0 where pixels are known. With an image.

        Raises
        ------
        InvalidRequest
            When the region has another shape than the conditions, strength < 1 comes without an
            image or with a target, or a target cannot be drawn; see `check_target`.
        """
        frame = _frame_of(conditions, region)
        if (strength < 1 or levels) and (image is None or target is not None):
            raise InvalidRequest(
                f"expected an image to start from and no target at strength {strength}, got "
                f"{'no image' if image is None else target}; give the image of a frame, or "
                "strength 1"
            )
        if target is not None:
            reach = noise_reach(conditions.request)
            self.check_target(frame, target, num_inference_steps, reach)
        self.check_steering(num_inference_steps, strength, steering, levels)
        sampling = sampling_of(self.network, self.scheduler, num_inference_steps)
        times = sampling.times(num_inference_steps, strength, levels)
        stretches = self._stretches(times, steering)
        plans = self._plan(frame, target, len(stretches), micro_batch)
        total = self.evaluations(
            frame,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            strength=strength,
            num_images_per_prompt=num_images_per_prompt,
            micro_batch=micro_batch,
            target=target,
            captions=conditions.captions,
            steering=steering,
            inverted=inverted,
            levels=levels,
        )
        wanted = frame if target is None else target
        device = self.network.jump.device  # diffusers' own property walks over all modules
        passes = sampling.passes(guidance_scale) + conditions.captions - 1
        progress = StepProgress(on_step, total, passes, wanted)
        source = self._source(conditions, frame, plans[0].reads, plane=target is not None)
        solve = _WindowSolver(
            pipeline=self,
            embed=EmbeddedCaptions(self.caption_encoder),
            device=device,
            sampling=sampling,
            times=times,
            source=source,
            guidance_scale=guidance_scale,
            split_guidance=split_guidance,
            progress=progress,
            steering=steering,
            ascent=ascent,
        )
        suited = suited_noise(conditions, source, plans[0].reads, seed, plane=target is not None)
        canvas = frame.snap(self.layout.multiple_of)
        shown = None if image is None else mirror_pad(image, frame, canvas)
        if strength_map is not None and shown is not None:
            strengths = mirror_pad(strength_map[None], frame, canvas)
            solve.parts = Parts(Field(canvas, strengths), Field(canvas, shown))
        start = None if strength == 1 else shown
        images = []
        for variant in range(first_variant, first_variant + num_images_per_prompt):
            noise = Noise(seed, variant, device, kinds=suited.kinds)
            solve.noise = noise
            begin = suited.of(noise)
            progress.begin(device)
            if inverted:
                up = backwards(times)
                upwards = replace(solve, times=up, ascent=None)
                whole = Stretch(range(len(up) - 1), 0)
                field = self._start(begin, canvas, up[0], start)
                field = upwards.run(field, plans[0], whole, None)
            else:
                field = self._start(begin, canvas, times[0], start)
            memory = None
            if cache is not None and target is not None:
                shared = (seed, variant, guidance_scale, sampling.jumps, sampling.solver.order)
                # The last two change the last bits.
                calls = (self.layout, micro_batch, split_guidance)
                steered = steering.digest
                memory = PhaseMemory(cache, digest_of(shared, calls, steered), suited.digest)
            for phase, stretch in zip(plans, stretches, strict=True):
                last = phase is plans[-1]
                field = solve.run(field, phase, stretch, None if last else memory)
            images.append(field.read(wanted))
        return ImagePipelineOutput(images=_as(output_type, torch.stack(images)))

    def check_target(self, region: Region, target: Region, steps: int, reach: int = 0) -> None:
        """Check that a part of the endless plane can be drawn from the conditions of a region.

        `reach` is what its noise depends on around the windows, see `tissue_noise.noise_reach`.

        Raises
        ------
        InvalidRequest
            When the region does not hold every window, or one step would leave seams: tiles only
            agree at their borders when they go on from a field that their neighbours took part in.
        """
        if steps < min(2, self.layout.phases):
            raise InvalidRequest(
                f"expected at least 2 steps on the endless plane, got {steps}; one step shows the "
                "borders of the tiles"
            )
        needed = self._plan(region, target, min(steps, self.layout.phases), 1)[0].reads.pad(reach)
        if not region.contains(needed):
            raise InvalidRequest(
                f"expected conditions of {needed} for the windows of {target}, got {region}; "
                f"give a region that reaches {self.layout.margin + reach} pixels around its tiles"
            )

    def check_steering(
        self, steps: int, strength: float, steering: Steering, levels: Sequence[float] = ()
    ) -> None:
        """Check that what steers a drawing can act in its steps.

        Raises
        ------
        InvalidRequest
            When there are too few of them.
        """
        sampling = sampling_of(self.network, self.scheduler, steps)
        stretches = self._stretches(sampling.times(steps, strength, levels), steering)
        check_repaint(stretches, steering)
        check_guide(stretches[-1].steps.stop, steering)

    def _stretches(self, times: Sequence[float], steering: Steering) -> tuple[Stretch, ...]:
        """What each lattice walks of a schedule."""
        return stretches_of(len(times) - 1, self.layout.phases, steering, from_noise=times[0] == 1)

    def _plan(
        self, frame: Region, target: Region | None, phases: int, micro_batch: int
    ) -> tuple[Phase, ...]:
        apart = self.compiled is not None
        if target is not None:
            return plan_plane(target, self.layout, phases, micro_batch=micro_batch, apart=apart)
        canvas = frame.snap(self.layout.multiple_of)
        return plan(canvas, self.layout, phases, micro_batch=micro_batch, apart=apart)

    def _source(
        self, conditions: Conditions | RequestConditions, frame: Region, reads: Region, plane: bool
    ) -> ConditionSource:
        """The conditions of the windows, which read no more than `reads`."""
        if plane:
            if isinstance(conditions, RequestConditions):
                return conditions
            return PlacedConditions(frame, conditions)
        if isinstance(conditions, RequestConditions):
            conditions = conditions.at(frame)
        shares, means = (
            None if part is None else mirror_pad(part, frame, reads)
            for part in (conditions.shares, conditions.means)
        )
        spatial = mirror_pad(conditions.spatial, frame, reads)
        padded = replace(conditions, spatial=spatial, shares=shares, means=means)
        return PlacedConditions(reads, padded.to(self.network.jump.device, torch.float32))

    def _start(self, noise: Readable, canvas: Region, t: float, image: Tensor | None) -> Readable:
        """The noise of the plane, or an image of the canvas with its share of noise."""
        if image is None:
            return noise
        pixels, eps = image.to(self.device, torch.float32), noise.read(canvas)
        return Field(canvas, add_noise(pixels[None], eps[None], eps.new_tensor([t]))[0])


@dataclass(slots=True, kw_only=True)
class _WindowSolver:
    """Runs the sampler of one phase, `stretch`, on a batch of windows; `noise` is the variant's."""

    pipeline: HistoDiffusionPipeline
    embed: EmbeddedCaptions
    device: torch.device
    sampling: Sampling
    times: Sequence[float]
    source: ConditionSource
    guidance_scale: float
    split_guidance: bool
    progress: StepProgress
    steering: Steering
    ascent: Ascent | None
    parts: Parts | None = None
    noise: Noise = field(init=False)
    stretch: Stretch = field(init=False)

    def run(
        self, field: Readable, phase: Phase, stretch: Stretch, memory: PhaseMemory | None
    ) -> Field:
        """Run a phase; what `memory` holds is not solved again."""
        self.stretch = stretch
        times = self.times[stretch.steps.start : stretch.steps.stop + 1]
        found = {} if memory is None else memory.recall(phase, times)
        solved = {window: value.to(self.device) for window, value in found.items()}
        missing = [window for window in phase.windows if window not in solved]
        unneeded = len(phase.batches) - len(phase.batches_of(missing))
        calls = _Calls.of(self.sampling, self.times, stretch, self.steering)
        self.progress.skip(unneeded * calls.denoiser, unneeded * calls.ticks)
        if missing and not isinstance(field, Field):  # at once: its blocks are larger than overlaps
            read = union(window.region for window in missing)
            field = Field(read, field.read(read))
        try:
            return run_phase(field, phase, self.pipeline.layout.ramp, self, solved)
        finally:  # a cancelled job leaves what it has solved
            if memory is not None:
                memory.keep(solved)

    def __call__(self, z: Tensor, windows: Sequence[Window]) -> Tensor:
        crops = [self.source.at(window.region) for window in windows]
        conditions = crops[0].cat(*crops[1:]).to(self.device, torch.float32)
        times = self.times[self.stretch.steps.start : self.stretch.steps.stop + 1]
        if self.stretch.goes_back:
            noise = replace(self.noise, variant=self.stretch.noise_of(self.noise.variant))
            eps = torch.stack([noise.read(window.region) for window in windows])
            z = noise_again(z, eps, self.times[self.stretch.begin], times[0])
        if self.parts is None:
            return self.sampling.solver.run(self._observed(conditions, windows), z, times)
        for step in pairwise(times):
            told = self.parts.waiting(conditions, windows, step[0])
            z = self.sampling.solver.run(self._observed(told, windows), z, step)
        return z

    def _observed(self, conditions: Conditions, windows: Sequence[Window]) -> Denoiser:
        """The denoiser of some windows, which tells what it saw."""
        denoise = self._denoiser(conditions)

        def observed(z: Tensor, t: float) -> Tensor:
            x0 = denoise(z, t)
            if self.ascent is not None and t > self.times[-2]:
                free = conditions.spatial[:, CHANNELS["known_mask"]] < 0.5
                x0 = self.ascent(x0, free, self.progress.tick).clamp(-1, 1)
            self.progress.saw(windows, x0)
            return x0

        return observed

    def _denoiser(self, conditions: Conditions) -> Denoiser:
        if bool((conditions.spatial[:, CHANNELS["known_mask"]] > 0.5).all()):
            known = conditions.spatial[:, CHANNELS["known"]]
            return lambda z, t: known  # nothing to draw
        return GuidedDenoiser(
            self.pipeline.evaluator,
            self.embed,
            conditions,
            self.guidance_scale,
            split=self.split_guidance,
            jumps=self.sampling.jumps,
        )


@dataclass(frozen=True, slots=True)
class _Calls:
    """What a batch of windows costs in one stretch: denoiser calls, and gradients of scores."""

    denoiser: int
    ticks: int

    @classmethod
    def of(
        cls, sampling: Sampling, times: Sequence[float], stretch: Stretch, steering: Steering
    ) -> _Calls:
        calls = sampling.solver.calls(times[stretch.steps.start : stretch.steps.stop + 1])
        guided = sum(t > times[-2] for t in calls)  # not the last: its estimate is the image
        return cls(len(calls), guided * CLIMBS * steering.scores)


def _frame_of(conditions: Conditions | RequestConditions, region: Region | None) -> Region:
    height, width = conditions.shape
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
