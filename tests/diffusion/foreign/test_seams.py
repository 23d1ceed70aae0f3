"""A frame decoded in windows against the whole of it, and against the tiles of diffusers."""

from __future__ import annotations

import numpy as np
import torch

from napari_histodiff.core.foreign.folder import check_foreign
from napari_histodiff.core.geometry import Region
from napari_histodiff.diffusion.canvas import Field
from napari_histodiff.diffusion.foreign.drawing import Drawer
from napari_histodiff.diffusion.foreign.loading import load_parts
from napari_histodiff.diffusion.windows import plan
from tests.diffusion.foreign.tiny import FACTOR, LATENTS, WINDOW

PLACE = Region(0, 0, 0, 2 * WINDOW, 2 * WINDOW)


@torch.inference_mode()
def test_windows_are_as_near_to_the_whole_as_tiles_of_diffusers(folder_of) -> None:
    """Norms and attention of an autoencoder see a whole image: no window can be without error."""
    folder = check_foreign(folder_of("StableDiffusionPipeline"))
    parts = load_parts(folder, "cpu", "float32")
    drawer, codec = Drawer(parts.network, parts.scheduler, folder.convention), parts.network.codec
    latents = torch.randn(LATENTS, *PLACE.shape, generator=torch.Generator().manual_seed(0))
    whole = codec.decode(latents[None])[0]
    windows = drawer.decoded(Field(PLACE, latents)).values
    vae = codec._vae
    vae.enable_tiling()
    vae.tile_sample_min_size, vae.tile_latent_min_size = WINDOW * FACTOR, WINDOW
    tiles = codec.decode(latents[None])[0]
    (phase,) = plan(PLACE, drawer.decoding, 1)
    seen = np.zeros(PLACE.shape, int)
    for window in phase.windows:
        seen[window.region.relative_to(PLACE).slices] += 1
    met = torch.from_numpy(np.kron(seen > 1, np.ones((FACTOR, FACTOR), bool)))
    assert met.any()
    ours, theirs = (((found - whole).abs() * 127.5)[:, met] for found in (windows, tiles))
    figures = f"{ours.mean():.2f}, {ours.max():.1f}; tiles {theirs.mean():.2f}, {theirs.max():.1f}"
    assert ours.mean() < 0.3, figures  # gray levels
    assert ours.max() < 1.1 * theirs.max(), figures
