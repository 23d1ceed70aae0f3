"""Draws requests with a foreign network: staggered windows of latents, any size, any order.

The windows, their lattices and the noise of a place are those of the package's own model
(`diffusion.windows`, `core.noise`), laid on the plane of latents. Whatever a window needs (the
control image, the latents of known pixels) is made from its own part of the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_histodiff.core.backend import OnStep
from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.foreign.convention import Convention
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.canvas import Field, Noise, StepProgress, run_phase
from napari_histodiff.diffusion.conditioning import to_pixels
from napari_histodiff.diffusion.foreign.codec import PixelCodec, ShrunkField
from napari_histodiff.diffusion.foreign.network import Network
from napari_histodiff.diffusion.foreign.place import Place
from napari_histodiff.diffusion.foreign.schedule import Schedule
from napari_histodiff.diffusion.foreign.solving import Start, WindowSolver, gradients_of, walks_of
from napari_histodiff.diffusion.foreign.text import Prompt, prompt_of
from napari_histodiff.diffusion.phase_cache import PhaseCache, PhaseMemory
from napari_histodiff.diffusion.steering.gradient import Ascent, check_guide
from napari_histodiff.diffusion.steering.resampling import Stretch, check_repaint
from napari_histodiff.diffusion.windows import Phase, Window, WindowLayout, plan, plan_plane, reach

__all__ = ["Drawer", "DrawingSettings"]

#: Share of the noise that zooming starts from: enough for new detail, too little to move a nucleus.
_ZOOM_STRENGTH: Final = 0.5

#: Latents a side of a preview: decoding more would cost as much as the step it shows.
_PREVIEW_SIDE: Final = 32


@dataclass(frozen=True, slots=True)
class DrawingSettings:
    """How much a device is asked at once.

    Attributes
    ----------
    micro_batch : int
        Windows a call of the network. It changes the last bits of the result.
    split_guidance : bool
        See `network.guided`.
    """

    micro_batch: int = 1
    split_guidance: bool = False


class Drawer:
    """Draws requests at the model's own micrometres per pixel.

    Parameters
    ----------
    network : Network
    scheduler : SchedulerMixin
        See `schedule.deterministic`.
    convention : Convention
    """

    def __init__(self, network: Network, scheduler: Any, convention: Convention) -> None:
        self.network = network
        self.scheduler = scheduler
        self.convention = convention
        self.layout = network.layout
        self._factor = network.codec.factor
        self._prompts: dict[str, Prompt] = {}

    @property
    def multiple_of(self) -> int:
        """Pixels that frames are snapped to."""
        return self.layout.multiple_of * self._factor

    def margin(self, tile: int) -> int:
        """Return the pixels around a tile, anywhere on the plane, that its windows reach."""
        return (reach(self.layout, -(-tile // self._factor) + 1) + 1) * self._factor

    def evaluations(self, request: EditRequest, settings: DrawingSettings) -> int:
        """Return how many network evaluations `draw` will spend, and report, at the most."""
        schedule, passes = self._schedule(request), self._passes(request)
        stretches = walks_of(schedule, self.layout, request.steering)
        plans = self._plan(request, len(stretches), settings)
        total = sum(
            len(p.batches) * (len(s.steps) * passes + gradients_of(schedule, s, request.steering))
            for p, s in zip(plans, stretches, strict=True)
        )
        if request.inverted:
            total += len(plans[0].batches) * schedule.count * passes
        return total * request.variants

    def check(self, request: EditRequest) -> None:
        """Check that a request can be drawn.

        Raises
        ------
        InvalidRequest
            When there are too many steps, or a target does not have what its windows read, or one
            step, which shows the borders of windows.
        """
        schedule = self._schedule(request)
        stretches = walks_of(schedule, self.layout, request.steering)
        check_repaint(stretches, request.steering)
        check_guide(schedule.count, request.steering)
        if request.target is None:
            return
        if schedule.count < 2:
            raise InvalidRequest(
                f"expected at least 2 steps on the endless plane, got {schedule.count}; one step "
                "shows the borders of the tiles"
            )
        reads = self._plan(request, len(stretches), DrawingSettings())[0].reads
        needed = reads.enlarged(self._factor)
        if not request.region.contains(needed):
            raise InvalidRequest(
                f"expected conditions of {needed} for the windows of {request.target}, got "
                f"{request.region}; give a region that reaches BackendInfo.margin around its tiles"
            )

    @torch.inference_mode()
    def draw(
        self,
        request: EditRequest,
        settings: DrawingSettings,
        *,
        on_step: OnStep | None = None,
        cache: PhaseCache | None = None,
        ascent: Ascent | None = None,
    ) -> NDArray[np.float32]:
        """Draw a request, (variants, h, w, 3) float32 in [-1, 1] of `request.drawn`.

        Known pixels are not pasted back.

        Parameters
        ----------
        request : EditRequest
        settings : DrawingSettings
        on_step : callable, optional
            Called `evaluations(...)` times, fewer with a cache; may raise to stop.
        cache : PhaseCache, optional
            For a target: windows that other targets read too.
        ascent : Ascent, optional
            Of the scores that the request names.
        """
        schedule = self._schedule(request)
        stretches = walks_of(schedule, self.layout, request.steering)
        plans = self._plan(request, len(stretches), settings)
        canvas = self._canvas(request)
        drawn = canvas if request.target is None else self._target(request)
        drawn = drawn.shrunk(self._factor)
        device = self.network.device
        progress = StepProgress(
            on_step,
            self.evaluations(request, settings),
            self._passes(request),
            drawn,
            self.network.codec.channels,
            lambda latents: self._preview(latents, drawn, request.drawn),
        )
        solver = WindowSolver(
            network=self.network,
            schedule=schedule,
            place=Place(request, self.convention, canvas),
            prompt=self._prompt(request),
            split_guidance=settings.split_guidance,
            guidance_scale=request.guidance_scale,
            starts_at=_start_of(request, schedule),
            device=device,
            progress=progress,
            steering=request.steering,
            ascent=ascent,
        )
        images = []
        for variant in range(request.first_variant, request.first_variant + request.variants):
            solver.noise = Noise(request.seed, variant, device, self.network.codec.channels)
            progress.begin(device)
            memory = None
            if cache is not None and request.target is not None:
                memory = PhaseMemory(cache, _key(request, variant, settings), solver.digest)
            images.append(self._draw(request, solver, plans, stretches, memory))
        return torch.stack(images).movedim(1, -1).cpu().numpy()

    def _draw(
        self,
        request: EditRequest,
        solver: WindowSolver,
        plans: Sequence[Phase],
        stretches: Sequence[Stretch],
        memory: PhaseMemory | None,
    ) -> Tensor:
        """Draw one variant, (3, h, w) of `request.drawn`."""
        latents: Field | Start = Start(solver)
        if request.inverted:
            latents = run_phase(Start(solver, False), plans[0], self.layout.ramp, solver.invert)
        solved: dict[Window, Tensor] = {}
        for phase, stretch in zip(plans, stretches, strict=True):
            solver.stretch = stretch
            solved = solver.recall(phase, memory)
            try:
                latents = run_phase(latents, phase, self.layout.ramp, solver, solved)
            finally:  # a cancelled job leaves what it has solved
                if memory is not None:
                    memory.keep(solved)
        assert isinstance(latents, Field)
        if request.target is None:
            pixels = self.decoded(latents)
        else:  # each window by itself, so that a tile needs no decoded neighbours
            phase = _enlarged(plans[-1], self._factor)
            own = {
                window: self.network.codec.decode(solved[small][None])[0]
                for small, window in zip(plans[-1].windows, phase.windows, strict=True)
            }
            pixels = run_phase(latents, phase, self.layout.ramp * self._factor, solver, own)
        return pixels.read(request.drawn)

    @property
    def decoding(self) -> WindowLayout:
        """Windows of the autoencoder, which overlap by a quarter, as the tiles of diffusers do."""
        size, multiple = self.layout.size, self.layout.multiple_of
        unit = 2 * multiple
        return WindowLayout(size, max(self.layout.ramp, size // 4 // unit * unit), 1, multiple)

    def decoded(self, latents: Field) -> Field:
        """Return the pixels of a canvas, decoded in windows that overlap."""
        if isinstance(self.network.codec, PixelCodec):
            return latents
        layout = self.decoding
        (small,) = plan(latents.region, layout, 1)
        phase = _enlarged(small, self._factor)
        return run_phase(
            ShrunkField(latents, self._factor),
            phase,
            layout.ramp * self._factor,
            lambda x, _: self.network.codec.decode(x),
        )

    def _schedule(self, request: EditRequest) -> Schedule:
        strength = {EditKind.INPAINT: request.strength, EditKind.ZOOM: _ZOOM_STRENGTH}
        share = strength.get(request.kind, 1.0)
        return Schedule.of(self.scheduler, request.steps, share, self.network.device)

    def _canvas(self, request: EditRequest) -> Region:
        """The pixels that windows lie in: a frame snapped, or what holds a target's windows."""
        if request.target is not None:
            return request.region
        return request.region.snap(self.multiple_of)

    def _target(self, request: EditRequest) -> Region:
        assert request.target is not None
        return request.target.snap(self._factor)

    def _plan(
        self, request: EditRequest, phases: int, settings: DrawingSettings
    ) -> tuple[Phase, ...]:
        if request.target is not None:
            target = self._target(request).shrunk(self._factor)
            return plan_plane(target, self.layout, phases, micro_batch=settings.micro_batch)
        canvas = self._canvas(request).shrunk(self._factor)
        return plan(canvas, self.layout, phases, micro_batch=settings.micro_batch)

    def _passes(self, request: EditRequest) -> int:
        return 2 if self.network.text is not None and request.guidance_scale > 1 else 1

    def _prompt(self, request: EditRequest) -> Prompt | None:
        """The negative prompt and that of the request."""
        if self.network.text is None:
            return None
        text = prompt_of(request.caption, self.convention.prompt)
        if text not in self._prompts:
            self._prompts = {text: self.network.text.encode([self.convention.negative, text])}
        return self._prompts[text]

    def _preview(self, latents: Tensor, drawn: Region, wanted: Region) -> NDArray[np.uint8]:
        """The pixels of an estimate; of large latents, few of them, enlarged."""
        sides = min(drawn.height, _PREVIEW_SIDE), min(drawn.width, _PREVIEW_SIDE)
        small = latents[None]
        if not isinstance(self.network.codec, PixelCodec):
            small = F.adaptive_avg_pool2d(small, sides)
        with torch.inference_mode():
            pixels = self.network.codec.decode(small)
        whole = drawn.enlarged(self._factor)
        if pixels.shape[-2:] != whole.shape:
            pixels = F.interpolate(pixels, size=whole.shape)
        return to_pixels(Field(whole, pixels[0]).read(wanted))


def _start_of(request: EditRequest, schedule: Schedule) -> str | None:
    if request.kind is EditKind.ZOOM:
        return "coarse"
    if request.inverted:
        return "image"
    return "image" if request.kind is EditKind.INPAINT and schedule.first else None


def _enlarged(phase: Phase, factor: int) -> Phase:
    windows = tuple(
        replace(w, region=w.region.enlarged(factor), trim=w.trim * factor) for w in phase.windows
    )
    sizes = {(h * factor, w * factor): 1 for h, w in phase.batch_size}
    return Phase(phase.region.enlarged(factor), windows, sizes)


def _key(request: EditRequest, variant: int, settings: DrawingSettings) -> bytes:
    return digest_of(
        request.seed,
        variant,
        request.kind,
        request.steps,
        request.guidance_scale,
        request.caption,
        request.steering.digest,
        settings,
    )
