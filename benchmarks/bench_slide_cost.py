"""What a gigapixel slide costs: pixels given to the network per pixel shown and step.

One network (the bundled one by default) draws the same small area in three ways, and every call is
counted with its size: staggered windows on the endless plane as the slide uses them, a wavefront of
patches that overlap by 12.5 % and inpaint their overlap from the patches left and above, and
MultiDiffusion (Bar-Tal et al., arXiv 2302.08113) with windows that overlap by half.

The second table counts one look at a place nobody has looked at before. Ours is run, through all
levels, at several places. What a wavefront needs there is computed, because it would be all that
lies left of and above the place; MultiDiffusion's cone is run at one level.

    python benchmarks/bench_slide_cost.py [--side 4] [--steps 2] [--model FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_histodiff.core.geometry import Region, WindowGrid
from napari_histodiff.core.recipe import MAX_SIDE, TILE
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.diffusion.canvas import Noise, Readable, run_phase
from napari_histodiff.diffusion.conditioning import conditions_from_request
from napari_histodiff.diffusion.guidance import GuidedDenoiser
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.model_folder import bundled_model_path, check_folder
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline
from napari_histodiff.diffusion.sampling import sampling_of
from napari_histodiff.diffusion.windows import Phase, Window, union

LEVELS = 3
GUIDANCE = 1.0


class Meter:
    """Counts calls of a network, one per window, and the pixels given to it."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.calls = 0
        self.pixels = 0
        network.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        rows, _, height, width = (args[0] if args else kwargs["sample"]).shape
        self.calls += rows
        self.pixels += rows * height * width

    def take(self) -> tuple[int, int]:
        """Return calls and pixels since the last time."""
        taken = self.calls, self.pixels
        self.calls = self.pixels = 0
        return taken


@dataclass(frozen=True)
class Bench:
    """A model, its meter and the number of steps."""

    pipeline: HistoDiffusionPipeline
    backend: DiffusionBackend
    meter: Meter
    steps: int

    @property
    def size(self) -> int:
        """Side of a window in pixels."""
        return self.pipeline.layout.size

    def draw(self, block: Region) -> None:
        """Draw a part of the plane as the slide does: levels above the finest one level finer."""
        target = drawn_for(block)
        region = target.pad(self.backend.info.margin)
        blank = np.zeros((*region.shape, 3), np.uint8)
        levels = 1 if block.level == 0 else 2
        coarse = {"kind": EditKind.ZOOM, "coarse": blank, "coarse_levels": levels}
        self.backend.render(
            [
                EditRequest(
                    **({"kind": EditKind.GENERATE} if block.level == LEVELS - 1 else coarse),
                    region=region,
                    target=target,
                    mpp=0.5 * 2**target.level,
                    steps=self.steps,
                    guidance_scale=GUIDANCE,
                )
            ]
        )


def staggered_area(bench: Bench, side: int) -> tuple[float, float]:
    """Pan over side x side tiles in blocks of 2 x 2; cost of all of it, and of its inside."""
    every: list[int] = []
    inner: list[int] = []
    level = LEVELS - 1
    for y in range(0, side * TILE, 2 * TILE):
        for x in range(0, side * TILE, 2 * TILE):
            bench.draw(Region(level, y, x, 2 * TILE, 2 * TILE))
            _, pixels = bench.meter.take()
            every.append(pixels)
            if y and x:
                inner.append(pixels)
    shown = 4 * TILE**2 * bench.steps
    return float(np.mean(every)) / shown, float(np.mean(inner)) / shown


def wavefront_area(bench: Bench, patches: int) -> float:
    """Draw patches x patches patches, each after its neighbours left and above."""
    size = bench.size
    stride = size * 7 // 8
    extent = (patches - 1) * stride + size
    image = np.zeros((extent, extent, 3), np.uint8)
    free = np.ones((extent, extent), bool)
    for y in range(0, patches * stride, stride):
        for x in range(0, patches * stride, stride):
            place = np.s_[y : y + size, x : x + size]
            request = EditRequest(
                kind=EditKind.OUTPAINT,
                region=Region(0, y, x, size, size),
                image=image[place],
                edit_mask=free[place],
                steps=bench.steps,
                guidance_scale=GUIDANCE,
            )
            image[place] = bench.backend.render([request])[0][0]
            free[place] = False
    return bench.meter.take()[1] / (extent**2 * bench.steps)


def multidiffusion_area(bench: Bench, windows: int) -> float:
    """Draw a canvas of windows x windows windows that overlap by half, all inside it."""
    half = bench.size // 2
    extent = half * (windows + 1)
    places = [
        Window(
            Region(0, row * half, column * half, bench.size, bench.size),
            (row > 0, row < windows - 1, column > 0, column < windows - 1),
        )
        for row in range(windows)
        for column in range(windows)
    ]
    canvas = Region(0, 0, 0, extent, extent)
    phase = Phase(canvas, tuple(places), {(bench.size, bench.size): 1})
    _multidiffusion(bench, [phase] * bench.steps)
    return bench.meter.take()[1] / (canvas.area * bench.steps)


def multidiffusion_jump(bench: Bench, target: Region) -> int:
    """Draw a part of an endless canvas: what the last step averages, the one before needs more."""
    grid, wanted, phases = WindowGrid(bench.size, bench.size // 2), target, []
    for _ in range(bench.steps):
        windows = tuple(Window(r, (True,) * 4) for r in grid.covering(wanted))
        phases.append(Phase(wanted, windows, {(bench.size, bench.size): 1}))
        wanted = union(window.region for window in windows)
    _multidiffusion(bench, phases[::-1])
    return bench.meter.take()[0]


@torch.inference_mode()
def _multidiffusion(bench: Bench, phases: Sequence[Phase]) -> None:
    """Average half-overlapping windows at every step."""
    size, pipeline = bench.size, bench.pipeline
    blank = EditRequest(kind=EditKind.GENERATE, region=Region(0, 0, 0, size, size))
    classes = pipeline.network.tissue_classes
    conditions = conditions_from_request(blank, classes).to(pipeline.device, torch.float32)
    way = sampling_of(pipeline.network, pipeline.scheduler, bench.steps)
    field: Readable = Noise(0, 0, pipeline.device)
    pairs = pairwise(way.times(bench.steps, 1.0))
    for phase, times in zip(phases, pairs, strict=True):

        def solve(z: Tensor, windows: Sequence[Window], times: Any = times) -> Tensor:
            rows = conditions.cat(*[conditions] * (len(windows) - 1))
            denoise = GuidedDenoiser(
                pipeline.network, pipeline.caption_encoder, rows, GUIDANCE, jumps=way.jumps
            )
            return way.solver.run(denoise, z, times)

        field = run_phase(field, phase, size // 2, solve)


def drawn_for(block: Region) -> Region:
    """What the network draws for a block: of levels above the finest, pixels half as large."""
    return block.at_level(max(0, block.level - 1))


def cone(tile: Region, margin: int) -> list[Region]:
    """The tiles that a tile needs, level by level, as one rectangle each; finest first."""
    needed = [tile]
    while needed[-1].level < LEVELS - 1:
        level = needed[-1].level + 1
        parent = drawn_for(needed[-1]).pad(margin).at_level(level)
        needed.append(parent.snap(TILE))
    return needed


def staggered_jump(bench: Bench, row: int, column: int) -> list[int]:
    """Network calls of one tile of level 0 with nothing drawn around it, by level."""
    bench.backend.clear_cache()
    calls = []
    tile = Region(0, row * TILE, column * TILE, TILE, TILE)
    for region in reversed(cone(tile, bench.backend.info.margin)):
        for y in range(region.y, region.bottom, 2 * TILE):
            for x in range(region.x, region.right, 2 * TILE):
                block = Region(region.level, y, x, 2 * TILE, 2 * TILE)
                bench.draw(block.intersect(region))
        calls.append(bench.meter.take()[0])
    return calls[::-1]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4, help="tiles along the panned area, even")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--model", type=Path, default=bundled_model_path())
    options = parser.parse_args()
    pipeline = load_pipeline(options.model)
    backend = DiffusionBackend(pipeline, check_folder(options.model))
    bench = Bench(pipeline, backend, Meter(pipeline.network), options.steps)
    print(
        f"{backend.info.name} on {backend.info.device}, {options.steps} steps, windows of "
        f"{bench.size} px, guidance {GUIDANCE:g}"
    )
    print_area(bench, options.side)
    print_jumps(bench)


def print_area(bench: Bench, side: int) -> None:
    print("\nnetwork pixels per pixel shown and step")
    print(f"{'':34} {'small area, run':>16} {'without border':>20}")
    whole, inside = staggered_area(bench, side)
    print(f"{'staggered windows (ours)':34} {whole:>16.2f} {inside:>12.2f} run")
    run, formula = wavefront_area(bench, side), (8 / 7) ** 2
    print(f"{'wavefront, 12.5 % overlap':34} {run:>16.2f} {formula:>12.2f} formula")
    run = multidiffusion_area(bench, 2 * side - 2)
    print(f"{'MultiDiffusion, 50 % overlap':34} {run:>16.2f} {4.0:>12.2f} formula")


def print_jumps(bench: Bench) -> None:
    print("\nnetwork calls of one tile of 256 px, nothing drawn before (all steps)")
    far = MAX_SIDE // TILE
    for row, column in ((0, 0), (1, 0), (1, 1), (2, 3), (far // 2 + 1, far // 2 + 1), (far, far)):
        calls = staggered_jump(bench, row, column)
        levels = ", ".join(f"level {k}: {n}" for k, n in enumerate(calls))
        print(f"  ours, tile ({row:>3}, {column:>3})   {sum(calls):>8} run      {levels}")
    stride = bench.size * 7 // 8
    for share in (64, 2, 1):
        patches = MAX_SIDE // share // stride + 1
        print(
            f"  wavefront, {MAX_SIDE // share:>6} px from the origin on both axes "
            f"{patches**2 * bench.steps:>8} formula  one level, {2 * patches - 1} patches deep"
        )
    calls = multidiffusion_jump(bench, Region(0, 4 * TILE, 4 * TILE, TILE, TILE))
    print(f"  MultiDiffusion             {calls:>8} run      one level")


if __name__ == "__main__":
    main()
