"""The steps of a foreign network on a batch of windows: what it is shown, and what stays known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.steering.guides import CLIMBS
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.core.steering.strengths import STRENGTHS, levels_of
from napari_histodiff.diffusion.canvas import Noise, StepProgress
from napari_histodiff.diffusion.foreign.inversion import inverted
from napari_histodiff.diffusion.foreign.network import Inputs, Network, guided
from napari_histodiff.diffusion.foreign.place import Place
from napari_histodiff.diffusion.foreign.schedule import Schedule
from napari_histodiff.diffusion.foreign.text import Prompt
from napari_histodiff.diffusion.phase_cache import PhaseMemory
from napari_histodiff.diffusion.steering.gradient import Ascent
from napari_histodiff.diffusion.steering.resampling import Stretch, stretches_of
from napari_histodiff.diffusion.windows import Phase, Window, WindowLayout

__all__ = ["Start", "WindowSolver", "gradients_of", "walks_of"]


@dataclass(slots=True, kw_only=True)
class WindowSolver:
    """Takes the steps of one phase on a batch of windows; `noise` is that of the variant."""

    network: Network
    schedule: Schedule
    place: Place
    prompt: Prompt | None
    split_guidance: bool
    guidance_scale: float
    starts_at: str | None
    device: torch.device
    progress: StepProgress
    steering: Steering
    ascent: Ascent | None
    noise: Noise = field(init=False)
    stretch: Stretch = field(init=False)

    def digest(self, region: Region) -> bytes:
        """A digest of what decides a window, besides its noise."""
        return self.place.digest(region.enlarged(self.network.codec.factor))

    def recall(self, phase: Phase, memory: PhaseMemory | None) -> dict[Window, Tensor]:
        """Enter a phase and return those of its windows that are kept."""
        if memory is None:
            return {}
        found = memory.recall(phase, tuple(map(float, self.stretch.steps)))
        missing = [window for window in phase.windows if window not in found]
        unneeded = len(phase.batches) - len(phase.batches_of(missing))
        ticks = gradients_of(self.schedule, self.stretch, self.steering)
        self.progress.skip(unneeded * len(self.stretch.steps), unneeded * ticks)
        return {window: value.to(self.device) for window, value in found.items()}

    def start(self, region: Region, noisy: bool = True) -> Tensor:
        """The noise a drawing starts from, or the image, with its share of noise or without."""
        noise = self.noise.read(region)
        if self.starts_at is None:
            return self.schedule.started(noise)
        pixels = region.enlarged(self.network.codec.factor)
        shown = self.place.coarse if self.starts_at == "coarse" else self.place.image
        clean = self.network.codec.encode(shown(pixels)[None].to(self.device))
        return (self.schedule.noisy(clean, noise[None], 0) if noisy else clean)[0]

    def invert(self, z: Tensor, windows: Sequence[Window]) -> Tensor:
        """The noise of the latents of images; see `inversion.inverted`."""
        regions = [window.region.enlarged(self.network.codec.factor) for window in windows]
        predict = self._predictor(self._inputs(regions, self._free(regions)))
        return inverted(self.schedule, predict, z, lambda x: self.progress.saw(windows, x))

    def __call__(self, z: Tensor, windows: Sequence[Window]) -> Tensor:
        """The latents of a batch of windows after the stretch; see `canvas.run_phase`."""
        codec = self.network.codec
        regions = [window.region.enlarged(codec.factor) for window in windows]
        free = self._free(regions)
        begins = self._begins(regions)
        known = noise = None
        if self.place.has_image and not (bool(free.all()) and begins is None):
            images = torch.stack([self.place.image(region) for region in regions])
            known = codec.encode(images.to(self.device))
            noise = torch.stack([self.noise.read(window.region) for window in windows])
        if known is not None and noise is not None and not bool(free.any()):  # nothing to draw
            for _ in self.stretch.steps:
                self.progress.saw(windows, known)
            for _ in range(gradients_of(self.schedule, self.stretch, self.steering)):
                self.progress.tick()
            return self.schedule.noisy(known, noise, self.stretch.steps.stop)
        predict = self._predictor(self._inputs(regions, free))

        def after(z: Tensor, clean: Tensor, step: int) -> Tensor:
            self.progress.saw(windows, clean)
            if known is None or noise is None:
                return z
            moves = torch.ones_like(free) if self.network.inpaints else free
            if begins is not None:
                moves = moves * (begins <= step)
            return torch.where(moves > 0, z, self.schedule.noisy(known, noise, step))

        if self.stretch.goes_back:
            fresh = replace(self.noise, variant=self.stretch.noise_of(self.noise.variant))
            eps = torch.stack([fresh.read(window.region) for window in windows])
            z = self.schedule.noise_again(z, eps, self.stretch.begin, self.stretch.steps.start)
        ascent = self.ascent
        moved = None if ascent is None else lambda x0: ascent(x0, free, self.progress.tick)
        return self.schedule.run(predict, z, self.stretch.steps, after, moved)

    def _free(self, regions: Sequence[Region]) -> Tensor:
        """Which latents may change: any of whose pixels may, whatever is drawn is drawn whole."""
        free = torch.stack([self.place.free(region) for region in regions]).to(self.device)
        return F.max_pool2d(free, self.network.codec.factor)

    def _begins(self, regions: Sequence[Region]) -> Tensor | None:
        """The step that each latent begins with, (b, 1, h, w); None: all with the first."""
        parts = [part for region in regions if (part := self.place.strengths(region)) is not None]
        if not parts:
            return None
        strengths = F.max_pool2d(torch.stack(parts), self.network.codec.factor)
        begins = torch.zeros_like(strengths, device=self.device)
        for level in levels_of(strengths.flatten(0, 2).numpy()):
            here = (strengths - level).abs() < 0.5 / STRENGTHS
            begins[here.to(self.device)] = self.schedule.begins(level)
        return begins

    def _predictor(self, inputs: Inputs) -> Callable[[Tensor, Tensor], Tensor]:
        scale, split = self.guidance_scale, self.split_guidance
        return lambda z, t: guided(self.network, z, t, inputs, scale, split=split)

    def _inputs(self, regions: Sequence[Region], free: Tensor) -> Inputs:
        known = None
        if self.network.inpaints:
            images = torch.stack([self.place.without_edit(region) for region in regions])
            known = torch.cat([free, self.network.codec.encode(images.to(self.device))], 1)
        controls = [self.place.control(region) for region in regions]
        painted = [control for control in controls if control is not None]
        count = len(regions)
        prompt = self.prompt
        return Inputs(
            prompt=None if prompt is None else prompt.rows([1] * count),
            plain=None if prompt is None or self.guidance_scale <= 1 else prompt.rows([0] * count),
            known=known,
            control=torch.stack(painted) if painted else None,
        )


@dataclass(frozen=True, slots=True)
class Start:
    """What the first phase reads."""

    solver: WindowSolver
    noisy: bool = True

    def read(self, region: Region) -> Tensor:
        """Return the latents of a region, see `WindowSolver.start`."""
        return self.solver.start(region, self.noisy)


def walks_of(schedule: Schedule, layout: WindowLayout, steering: Steering) -> tuple[Stretch, ...]:
    """What each lattice of windows walks."""
    return stretches_of(schedule.count, layout.phases, steering, from_noise=schedule.first == 0)


def gradients_of(schedule: Schedule, stretch: Stretch, steering: Steering) -> int:
    """Gradients of scores that a batch of windows takes in one stretch: none at the last step."""
    guided = len(stretch.steps) - (stretch.steps.stop == schedule.count)
    return guided * CLIMBS * steering.scores
