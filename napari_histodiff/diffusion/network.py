"""A local, patchified U-Net that predicts the clean image."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from napari_histodiff.core.requests import STAIN_NUMBERS
from napari_histodiff.diffusion.conditioning import CHANNELS, spatial_channels
from napari_histodiff.diffusion.flow import preconditioning

__all__ = ["HistoUNet"]


class HistoUNet(ModelMixin, ConfigMixin):
    """U-Net on 2x2 pixel patches: x-prediction with EDM-style preconditioning.

    Purely local: no attention and no norm over space, so what it draws at a pixel depends on its
    neighbourhood alone and windows of any size behave alike.

    Parameters
    ----------
    widths : list of int
        Channels at 1/2, 1/4, 1/8 ... of the resolution.
    encoder_blocks, decoder_blocks : list of int
        Residual blocks at each of these levels, the coarsest holding `decoder_blocks[-1]` more.
    embedding_dim : int
        Length of the caption embedding and of the modulation vector.
    jumps : bool
        Whether the weights were tuned to jump: to draw an image, not the mean of all images, in one
        evaluation at a given guidance. Otherwise both inputs are refused.
    polish : int
        Channels of the last layers at full resolution; 0 = none. Patches of 2x2 leave a floor of
        grain in the finest detail, above what scans have.
    tissue_classes : int
        Classes of the tissue schema it is told. Models of before version 5 know four and do not
        say so.
    stain_numbers : {7, 8}
        How many numbers of a stain it is told. Models of before version 7 know seven and do not
        say so.
    tissue_modulation : bool
        Whether blocks are told the tissue of a place, as scales and shifts of their channels (Park
        et al., "SPADE", CVPR 2019); those at 1/2 are not, where it costs most and changes nothing.
        Models of before version 8 are told with the image only.
    """

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (64, 128, 224, 320),
        encoder_blocks: tuple[int, ...] = (0, 1, 1, 1),
        decoder_blocks: tuple[int, ...] = (1, 1, 1, 1),
        embedding_dim: int = 256,
        dropout: float = 0.0,
        jumps: bool = False,
        polish: int = 0,
        tissue_classes: int = 4,
        stain_numbers: int = STAIN_NUMBERS[0],
        tissue_modulation: bool = False,
    ) -> None:
        super().__init__()
        d = embedding_dim
        self.multiple_of = 2 ** len(widths)
        self.jumps = jumps
        self.tissue_classes = tissue_classes
        self.stain_numbers = stain_numbers
        self.modulation = nn.Sequential(nn.Linear(3 * FOURIER, d), nn.SiLU(), nn.Linear(d, d))
        self.stain = nn.Sequential(nn.Linear(stain_numbers + 1, d), nn.SiLU(), nn.Linear(d, d))
        self.jump = nn.Parameter(torch.zeros(d))
        self.stem = nn.Conv2d(4 * (3 + spatial_channels(tissue_classes)), widths[0], 1)
        self._modulated = tissue_modulation
        self.encoder = nn.ModuleList()
        self.down = nn.ModuleList()
        self.decoder = nn.ModuleList()
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            told = tissue_classes if tissue_modulation and i else 0
            self.encoder.append(_blocks(width, encoder_blocks[i], d, dropout, told))
            self.decoder.append(_blocks(width, decoder_blocks[i], d, dropout, told))
            if i + 1 < len(widths):
                self.down.append(nn.Conv2d(4 * width, widths[i + 1], 1))
                self.up.append(nn.Conv2d(widths[i + 1], 4 * width, 1))
        self.head = nn.Conv2d(widths[0], 12, 3, padding=1)
        self.finish = DetailHead(widths[0] // 4, polish, d) if polish else None
        for last in (self.head, cast("nn.Linear", self.stain[-1])):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(cast("Tensor", last.bias))

    def forward(
        self,
        sample: Tensor,
        t: Tensor,
        spatial: Tensor,
        embedding: Tensor,
        mpp: Tensor,
        stain: Tensor,
        jump_guidance: Tensor | None = None,
    ) -> Tensor:
        """Return the estimate of the clean image, (b, 3, h, w) in [-1, 1] but not clipped.

        That is the mean of the images behind the noise, or one of them when it jumps.

        Parameters
        ----------
        sample : (b, 3, h, w)
            Noisy image; h and w are multiples of `multiple_of`.
        t : (b,)
            Noise level, 0 clean .. 1 noise.
        spatial : (b, spatial_channels(tissue_classes), h, w)
            See `conditioning.Conditions`.
        embedding : (b, embedding_dim)
            Caption embedding.
        mpp : (b,)
            Micrometres per pixel.
        stain : (b, STAIN_FEATURES)
            Measured stain, standardised, and whether it is given; see `conditioning.Conditions`.
        jump_guidance : (b,), optional
            Jump, at this guidance scale; 0 = do not.
        """
        emb = self.told(t, embedding, mpp, stain, jump_guidance)
        return self.estimate(sample, *preconditioning(t.float()), spatial, emb)

    def estimate(
        self,
        sample: Tensor,
        c_in: Tensor,
        c_skip: Tensor,
        c_out: Tensor,
        spatial: Tensor,
        emb: Tensor,
    ) -> Tensor:
        """Return what `forward` does, from `flow.preconditioning` and what `told` returns."""
        tissue = self._tissue(spatial)
        levels = self._encode(sample * c_in, spatial, emb, tissue)
        x = self._decode(levels, emb, tissue)[-1]
        x = F.silu(_rms(x))
        raw = F.pixel_shuffle(self.head(x), 2)
        x0 = c_skip * sample.float() + c_out * raw.float()
        return x0 if self.finish is None else x0 + self.finish(x0, x, emb)

    def perceive(
        self,
        sample: Tensor,
        t: Tensor,
        spatial: Tensor,
        embedding: Tensor,
        mpp: Tensor,
        stain: Tensor,
    ) -> list[Tensor]:
        """Return what it makes of images on the way, finest first; parameters as in `forward`.

        Each is (b, c, h / 2**k, w / 2**k), its vectors of unit mean square.
        """
        c_in = preconditioning(t.float())[0]
        emb = self.told(t, embedding, mpp, stain)
        tissue = self._tissue(spatial)
        levels = self._encode(sample * c_in, spatial, emb, tissue)
        decoded = self._decode(levels, emb, tissue, last=1)
        return [_rms(x).float() for x in (*levels[1:], *decoded)]

    def told(
        self,
        t: Tensor,
        embedding: Tensor,
        mpp: Tensor,
        stain: Tensor,
        jump_guidance: Tensor | None = None,
    ) -> Tensor:
        """Return what modulates every block, (b, embedding_dim); parameters as in `forward`.

        Waves of `t` and `mpp` are computed in float32 in any case: in less, their phases are lost.
        """
        jumps = torch.zeros_like(t) if jump_guidance is None else jump_guidance.to(t.dtype)
        scales = jumps.clamp_min(1).log()
        features = torch.cat([fourier(4 * t), fourier(mpp.log2()), fourier(scales)], 1)
        dtype = embedding.dtype
        told = self.stain(stain[:, : self.stain_numbers + 1].to(dtype))
        emb = self.modulation(features.to(dtype)) + told + embedding
        return F.silu(emb + (jumps > 0).to(dtype)[:, None] * self.jump.to(dtype))

    def _tissue(self, spatial: Tensor) -> list[Tensor | None]:
        """Return the share of a place that is each tissue, finest level first; None if untold."""
        if not self._modulated:
            return [None] * len(self.encoder)
        told = spatial[:, CHANNELS["tissue"]].to(self.stem.weight.dtype)
        return [None, *(F.avg_pool2d(told, 2 ** (i + 2)) for i in range(len(self.down)))]

    def _encode(
        self, sample: Tensor, spatial: Tensor, emb: Tensor, tissue: list[Tensor | None]
    ) -> list[Tensor]:
        """Return what each level saw, finest first."""
        dtype = self.stem.weight.dtype
        x = torch.cat([sample.to(dtype), spatial.to(dtype)], 1)
        x = self.stem(_patches(x))
        levels = []
        for i, blocks in enumerate(self.encoder):
            x = _through(blocks, x, emb, tissue[i])
            levels.append(x)
            if i < len(self.down):
                x = self.down[i](_patches(x))
        return levels

    def _decode(
        self, levels: list[Tensor], emb: Tensor, tissue: list[Tensor | None], last: int = 0
    ) -> list[Tensor]:
        """Return what each level says, coarsest first, down to level `last`."""
        x, said = levels[-1], []
        for i in reversed(range(last, len(self.decoder))):
            if i < len(self.up):
                x = levels[i] + F.pixel_shuffle(self.up[i](x), 2)
            x = _through(self.decoder[i], x, emb, tissue[i])
            said.append(x)
        return said


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, modulated between them by the embedding (FiLM), and by tissue.

    Where there is none of the `tissue_classes`, the block is one without them, to the bit.
    """

    def __init__(
        self, width: int, embedding_dim: int, dropout: float, tissue_classes: int = 0
    ) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(embedding_dim, 2 * width)
        self.tissue = (
            nn.Conv2d(tissue_classes, 2 * width, 1, bias=False) if tissue_classes else None
        )
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.dropout = dropout
        if self.tissue is not None:
            nn.init.zeros_(self.tissue.weight)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(cast("Tensor", self.conv2.bias))

    def forward(self, x: Tensor, emb: Tensor, tissue: Tensor | None = None) -> Tensor:
        """Return x plus its update; x is (b, c, h, w), emb (b, d), tissue (b, classes, h, w)."""
        h = self.conv1(F.silu(_rms(x) * self.gain.view(1, -1, 1, 1)))
        scale, shift = self.film(emb)[:, :, None, None].chunk(2, 1)
        scale = 1 + scale
        if self.tissue is not None:
            scales, shifts = self.tissue(tissue).chunk(2, 1)
            scale, shift = scale + scales, shift + shifts
        h = F.silu(_rms(h) * scale + shift)
        if self.dropout:
            h = F.dropout(h, self.dropout, self.training)
        return cast("Tensor", x + self.conv2(h))


class DetailHead(nn.Module):
    """Three small convolutions at full resolution, modulated by the embedding.

    Parameters
    ----------
    detail : int
        Channels at full resolution that come from the network.
    width, embedding_dim : int
        Channels in between, and length of the embedding.
    """

    def __init__(self, detail: int, width: int, embedding_dim: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3 + detail, width, 3, padding=1)
        self.film = nn.Linear(embedding_dim, 2 * width)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, 3, 3, padding=1)
        for last in (self.film, self.leave):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(cast("Tensor", last.bias))

    def forward(self, images: Tensor, features: Tensor, emb: Tensor) -> Tensor:
        """Return what to add to (b, 3, h, w) images, float32; features are of 2x2 patches."""
        x = torch.cat([images.to(features.dtype), F.pixel_shuffle(features, 2)], 1)
        scale, shift = self.film(emb)[:, :, None, None].chunk(2, 1)
        x = F.silu(self.enter(x) * (1 + scale) + shift)
        change: Tensor = self.leave(F.silu(self.middle(x)))
        return change.float()


FOURIER = 32


def fourier(x: Tensor) -> Tensor:
    """Return (b, FOURIER) sines and cosines of (b,) values of order one."""
    half = FOURIER // 2
    frequencies = torch.exp(
        torch.arange(half, device=x.device, dtype=torch.float32) * (math.log(64.0) / (half - 1))
    )
    angles = x.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


def _patches(x: Tensor) -> Tensor:
    """Turn (b, c, h, w) into (b, 4 c, h / 2, w / 2) as `pixel_unshuffle` does.

    On a processor four copies into the layout the convolutions take are three times as fast.
    """
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return F.pixel_unshuffle(x, 2)
    b, c, h, w = x.shape
    out = torch.empty((b, 4 * c, h // 2, w // 2), dtype=x.dtype, memory_format=torch.channels_last)
    parts = out.unflatten(1, (c, 4))
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        parts[:, :, 2 * i + j] = x[:, :, i::2, j::2]
    return out


def _rms(x: Tensor) -> Tensor:
    """Scale each pixel's feature vector to unit mean square (RMSNorm over channels)."""
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        # What OpenVINO knows as one operation, which computes in float32 inside.
        width = int(x.shape[1])
        squares = x.pow(2.0).sum(1, keepdim=True)
        return x / torch.sqrt(squares + 1e-6 * width) * math.sqrt(width)
    return x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + 1e-6).to(x.dtype)


def _through(blocks: nn.Module, x: Tensor, emb: Tensor, tissue: Tensor | None) -> Tensor:
    for block in cast("nn.ModuleList", blocks):
        x = block(x, emb) if tissue is None else block(x, emb, tissue)
    return x


def _blocks(
    width: int, count: int, embedding_dim: int, dropout: float, tissue_classes: int
) -> nn.ModuleList:
    return nn.ModuleList(
        ResidualBlock(width, embedding_dim, dropout, tissue_classes) for _ in range(count)
    )
