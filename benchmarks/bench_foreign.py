"""What a foreign pipeline costs here over diffusers' own loop, and how much memory it takes.

`overhead` draws one window of a Stable Diffusion pipeline of random weights with this package and
with diffusers' own pipeline, in turns, on the same noise, steps and texts, and prints the ratio of
the medians and the largest difference of the pixels. The U-Net is that of Stable Diffusion with
fewer channels, the autoencoder likewise, so that a step takes a part of a second.

`memory` evaluates once, at 1024 px, a U-Net of the size of Stable Diffusion (860 million numbers,
random) by windows of 512 px, and as a whole, each in a process of its own, and prints their peaks;
a processor without bfloat16 takes hours for it, and `--dtype float32` twice the memory. `decoding`
compares the memory and the pixels of an autoencoder of that size that decodes a whole frame, in
windows as this package does, and by diffusers' own tiling.

    python benchmarks/bench_foreign.py overhead [--steps 10] [--repeats 5] [--latents 64]
    python benchmarks/bench_foreign.py memory [--side 1024] [--width 320] [--dtype float32]
    python benchmarks/bench_foreign.py decoding [--side 1024]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import torch

from napari_histodiff.core.foreign.convention import Convention
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.noise import noise_field
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.canvas import Field
from napari_histodiff.diffusion.foreign.backend import ForeignBackend
from napari_histodiff.diffusion.foreign.codec import LatentCodec
from napari_histodiff.diffusion.foreign.drawing import Drawer, DrawingSettings
from napari_histodiff.diffusion.foreign.loading import Loaded
from napari_histodiff.diffusion.foreign.network import Network
from napari_histodiff.diffusion.foreign.schedule import deterministic
from napari_histodiff.diffusion.foreign.text import Prompt

CPU = torch.device("cpu")
BETAS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


class Words:
    """Stands in for a text encoder: no loop is measured by it, as a caption is read once."""

    def __init__(self, numbers: int) -> None:
        self.prompts = torch.randn(2, 77, numbers, generator=torch.Generator().manual_seed(1))

    def encode(self, texts: list[str]) -> Prompt:
        """The first is what guidance compares with."""
        return Prompt(self.prompts[: len(texts)])


def unet(channels: tuple[int, ...], words: int, latents: int) -> Any:
    """A U-Net of the shape of Stable Diffusion 1."""
    return diffusers.UNet2DConditionModel(
        sample_size=latents,
        in_channels=4,
        out_channels=4,
        block_out_channels=channels,
        cross_attention_dim=words,
        attention_head_dim=8,
    )


def vae(channels: tuple[int, ...]) -> Any:
    """An autoencoder of the shape of Stable Diffusion 1."""
    levels = len(channels)
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=channels,
        layers_per_block=2,
        latent_channels=4,
    )


def described() -> Any:
    """What `ForeignBackend` asks of a folder."""
    return SimpleNamespace(
        name="random", revision="0", convention=Convention(), licence="none", nbytes=0,
        class_name="StableDiffusionPipeline", adapter=SimpleNamespace(control=False),
    )  # fmt: skip


@torch.inference_mode()
def overhead(steps: int, repeats: int, latents: int) -> None:
    """Print the ratio to diffusers' own pipeline on the same work."""
    torch.manual_seed(0)
    network = unet((64, 128, 256, 256), 256, latents).eval()
    coder = vae((32, 64, 64, 64)).eval()
    scheduler = diffusers.DDIMScheduler(**BETAS)
    words = Words(256)
    parts = Network(network, LatentCodec(coder, CPU), words)
    loaded = Loaded(parts, deterministic(scheduler), scheduler, CPU, torch.float32)
    backend = ForeignBackend(loaded, described())
    pipeline = diffusers.StableDiffusionPipeline(
        vae=coder, unet=network, scheduler=scheduler, text_encoder=None, tokenizer=None,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    side = latents * parts.codec.factor
    region = Region(0, 0, 0, side, side)
    request = EditRequest(
        kind=EditKind.GENERATE, region=region, steps=steps, seed=5, guidance_scale=5.0
    )
    noise = torch.from_numpy(noise_field(5, Region(0, 0, 0, latents, latents), channels=4))[None]

    def theirs() -> np.ndarray:
        images: np.ndarray = pipeline(
            prompt_embeds=words.prompts[1:], negative_prompt_embeds=words.prompts[:1],
            latents=noise, num_inference_steps=steps, guidance_scale=5.0, output_type="np",
            height=side, width=side,
        ).images  # fmt: skip
        return images

    def ours() -> np.ndarray:
        return backend.render([request])[0]

    difference = np.abs(ours() - theirs() * 255).max()  # and warm
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        for name, draw in (("theirs", theirs), ("ours", ours)):
            start = time.process_time()
            draw()
            times[name].append(time.process_time() - start)
    own, other = (statistics.median(times[name]) for name in ("ours", "theirs"))
    print(
        f"{side} px, one window, {steps} steps, guidance 5: {own:.2f} s here, {other:.2f} s by "
        f"diffusers (processor time, medians of {repeats}), ratio {own / other:.3f}; pixels differ "
        f"by at most {difference:.2f} gray levels"
    )


def peak() -> float:
    """Peak memory of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def large_unet(width: int, dtype: torch.dtype) -> Any:
    """The U-Net of Stable Diffusion 1 in shape, at a width of 320 in size."""
    with torch.device("meta"):
        network = unet((width, 2 * width, 4 * width, 4 * width), 768, 64)
    network = network.to(dtype).to_empty(device="cpu").eval()
    for weights in network.parameters():
        weights.data.normal_(std=0.02)
    return network


@torch.inference_mode()
def evaluate(way: str, side: int, width: int, dtype: torch.dtype) -> None:
    """One evaluation in this process; prints its peak."""
    network = large_unet(width, dtype)
    count = sum(p.numel() for p in network.parameters())
    before, start = peak(), time.perf_counter()
    if way == "whole":
        z = torch.zeros(1, 4, side // 8, side // 8, dtype=dtype)
        words = torch.zeros(1, 77, 768, dtype=dtype)
        network(z, torch.tensor(500), encoder_hidden_states=words)
    else:
        coder = SimpleNamespace(factor=8, channels=4, decode=_nothing, encode=None)
        parts = Network(network, coder, Words(768))
        drawer = Drawer(parts, deterministic(diffusers.DDIMScheduler(**BETAS)), Convention())
        region = Region(0, 0, 0, side, side)
        request = EditRequest(kind=EditKind.GENERATE, region=region, steps=1, guidance_scale=1.0)
        drawer.draw(request, DrawingSettings())
    print(
        f"{way:>8}: {count / 1e6:.0f} million numbers, {before:.2f} GB with the weights, peak "
        f"{peak():.2f} GB, {time.perf_counter() - start:.0f} s"
    )


def _nothing(latents: torch.Tensor) -> torch.Tensor:
    b, _, h, w = latents.shape
    return torch.zeros(b, 3, h * 8, w * 8)


@torch.inference_mode()
def decode(way: str, side: int, out: Path) -> None:
    """Decode a whole frame in this process; prints its peak and writes the pixels."""
    torch.manual_seed(0)
    coder = vae((128, 256, 512, 512)).eval()
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(1, 4, side // 8, side // 8, generator=generator) * 0.18215
    codec = LatentCodec(coder, CPU)
    before, start = peak(), time.perf_counter()
    if way == "windows":
        small = unet((32, 32, 32, 32), 8, 64)
        scheduler = deterministic(diffusers.DDIMScheduler(**BETAS))
        drawer = Drawer(Network(small, codec, Words(8)), scheduler, Convention())
        place = Region(0, 0, 0, side // 8, side // 8)
        pixels = drawer.decoded(Field(place, latents[0])).values
    else:
        if way == "tiling":
            coder.enable_tiling()
        pixels = codec.decode(latents)[0]
    np.save(out, pixels.numpy())
    print(
        f"{way:>8}: {before:.2f} GB with the weights, peak {peak():.2f} GB, "
        f"{time.perf_counter() - start:.0f} s"
    )


def compare(place: Path) -> None:
    """Print how far windows and tiles are from the whole, of its standard deviation."""
    whole = np.load(place / "whole.npy")
    for way in ("windows", "tiling"):
        difference = np.abs(np.load(place / f"{way}.npy") - whole) / whole.std()
        print(f"{way}: differs by {difference.mean():.4f}, at most {difference.max():.3f}")


def main() -> None:
    """Run one of the three; memory is measured in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["overhead", "memory", "decoding"])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--latents", type=int, default=64)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--width", type=int, default=320, help="channels of the first level")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("/dev/null"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what == "overhead":
        overhead(options.steps, options.repeats, options.latents)
    elif options.way is not None:
        if options.what == "memory":
            dtype = getattr(torch, options.dtype)
            evaluate(options.way, options.side, options.width, dtype)
        else:
            decode(options.way, options.side, options.out)
    else:
        ways = ["windows", "whole"] + ["tiling"] * (options.what == "decoding")
        with tempfile.TemporaryDirectory() as place:
            for way in ways:
                command = [sys.executable, __file__, options.what, "--side", str(options.side)]
                command += ["--width", str(options.width), "--dtype", options.dtype]
                out = Path(place) / f"{way}.npy"
                subprocess.run([*command, "--way", way, "--out", str(out)], check=True)
            if options.what == "decoding":
                compare(Path(place))


if __name__ == "__main__":
    main()
