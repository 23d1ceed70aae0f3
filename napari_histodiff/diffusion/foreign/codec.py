"""Pixels to what a U-Net draws, and back: as they are, or through a variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from napari_histodiff.core.geometry import Region
from napari_histodiff.diffusion.canvas import Field

__all__ = ["Codec", "LatentCodec", "PixelCodec", "ShrunkField"]


@dataclass(frozen=True, slots=True)
class ShrunkField:
    """Latents of a rectangle, read by the pixels they stand for."""

    latents: Field
    factor: int

    def read(self, region: Region) -> Tensor:
        """Return the latents (c, h, w) of a part, in pixels."""
        return self.latents.read(region.shrunk(self.factor))


class Codec(Protocol):
    """Pixels in [-1, 1] to latents of about unit variance, `factor` times smaller, and back."""

    @property
    def factor(self) -> int:
        """Pixels a side of a latent."""

    @property
    def channels(self) -> int:
        """Planes of the latents."""

    def encode(self, pixels: Tensor) -> Tensor:
        """(b, 3, h, w) to (b, channels, h / factor, w / factor), float32."""

    def decode(self, latents: Tensor) -> Tensor:
        """(b, channels, h, w) to (b, 3, h * factor, w * factor), float32."""


class PixelCodec:
    """Of models that draw pixels."""

    factor = 1
    channels = 3

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the pixels."""
        return pixels

    def decode(self, latents: Tensor) -> Tensor:
        """Return the pixels."""
        return latents


class LatentCodec:
    """An autoencoder of diffusers, one image at a time.

    Of the distribution of latents it takes the most probable: the same pixels always are the same
    latents.

    Parameters
    ----------
    vae : AutoencoderKL, AutoencoderTiny or VQModel
    device : torch.device
        Where it computes.
    offload : bool
        Whether it waits in main memory while it is not used.
    """

    def __init__(self, vae: Any, device: torch.device, offload: bool = False) -> None:
        self._vae = vae
        self._device = device
        self._dtype = next(vae.parameters()).dtype
        self.offload = offload
        self.factor = 2 ** (len(_blocks(vae.config)) - 1)
        self.channels = int(vae.config.latent_channels)
        self._scale = float(vae.config.get("scaling_factor") or 1.0)
        self._shift = float(vae.config.get("shift_factor") or 0.0)

    def encode(self, pixels: Tensor) -> Tensor:
        """Return scaled latents."""
        return torch.cat([self._encode(image[None]) for image in pixels])

    def decode(self, latents: Tensor) -> Tensor:
        """Return pixels, not clipped."""
        return torch.cat([self._decode(part[None]) for part in latents])

    def _encode(self, pixels: Tensor) -> Tensor:
        vae = self._here()
        found = vae.encode(pixels.to(self._device, self._dtype))
        latents = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents
        self._done()
        return (latents.float() - self._shift) * self._scale

    def _decode(self, latents: Tensor) -> Tensor:
        vae = self._here()
        plain = latents / self._scale + self._shift
        pixels = vae.decode(plain.to(self._device, self._dtype)).sample
        self._done()
        return pixels.float()

    def _here(self) -> Any:
        return self._vae.to(self._device) if self.offload else self._vae

    def _done(self) -> None:
        if self.offload:
            self._vae.to("cpu")


def _blocks(config: Any) -> Any:
    return config.get("block_out_channels") or config.encoder_block_out_channels
