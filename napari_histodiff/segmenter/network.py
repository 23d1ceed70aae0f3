"""A local, patchified U-Net that marks nuclei, their middles and their classes."""

from __future__ import annotations

from typing import Final, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CLASSES", "DISTANCE", "INTERIOR", "GlandNetwork", "JudgeFeatures", "JudgeNetwork"]

#: Channels of the output of `JudgeNetwork`.
INTERIOR: Final = 0
DISTANCE: Final = 1
CLASSES: Final = slice(2, 8)
_OUTPUTS: Final = 8


class JudgeNetwork(nn.Module):
    """U-Net on 2x2 pixel patches with one map per question.

    Local like the tissue it looks at: no attention and no norm over space, so tiles of any size
    agree where they see the same neighbourhood.

    Parameters
    ----------
    widths : sequence of int
        Channels at 1/2, 1/4, 1/8 ... of the resolution.
    encoder_blocks, decoder_blocks : sequence of int
        Residual blocks at each of these levels.
    """

    outputs = _OUTPUTS

    def __init__(
        self,
        widths: tuple[int, ...] = (48, 80, 128, 192),
        encoder_blocks: tuple[int, ...] = (1, 1, 1, 1),
        decoder_blocks: tuple[int, ...] = (2, 1, 1, 0),
    ) -> None:
        super().__init__()
        self.multiple_of = 2 ** len(widths)
        self.num_features = 2 * widths[-1]
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList()
        self.down = nn.ModuleList()
        self.decoder = nn.ModuleList()
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            self.encoder.append(_blocks(width, encoder_blocks[i]))
            self.decoder.append(_blocks(width, decoder_blocks[i]))
            if i + 1 < len(widths):
                self.down.append(nn.Conv2d(4 * width, widths[i + 1], 1))
                self.up.append(nn.Conv2d(widths[i + 1], 4 * width, 1))
        self.head = nn.Conv2d(widths[0], 4 * _OUTPUTS, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return (b, 8, h, w) float32 maps: interior logit, distance, six class logits.

        Parameters
        ----------
        images : (b, 3, h, w)
            RGB in [0, 1]; h and w are multiples of `multiple_of`. The distance is that to the
            nucleus' outline, 0 there and outside, 1 at the nucleus' innermost pixel.
        """
        levels = self.encode(images)
        x = levels[-1]
        for i in reversed(range(len(self.decoder))):
            if i < len(self.up):
                x = levels[i] + F.pixel_shuffle(self.up[i](x), 2)
            for block in cast("nn.ModuleList", self.decoder[i]):
                x = block(x)
        return F.pixel_shuffle(self.head(F.silu(_rms(x))), 2).float()

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return what each level saw, finest first; the last is the bottleneck."""
        x = (2 * images - 1).to(self.stem.weight.dtype)
        x = self.stem(F.pixel_unshuffle(x, 2))
        levels = []
        for i, blocks in enumerate(self.encoder):
            for block in cast("nn.ModuleList", blocks):
                x = block(x)
            levels.append(x)
            if i < len(self.down):
                x = self.down[i](F.pixel_unshuffle(x, 2))
        return levels


class GlandNetwork(nn.Module):
    """U-Net on 2x2 pixel patches that sees far: how likely a place is gland or its lumen.

    Parameters
    ----------
    widths : sequence of int
        Channels at 1/2, 1/4, 1/8 ... of the resolution, multiples of 8.
    """

    outputs = 1

    def __init__(self, widths: tuple[int, ...] = (32, 48, 80, 128, 128)) -> None:
        super().__init__()
        self.multiple_of = 2 ** len(widths)
        entering = (12, *widths[:-1])
        self.encoder = nn.ModuleList(map(_double, entering, widths))
        pairs = zip(widths[1:], widths, strict=False)
        self.decoder = nn.ModuleList(_double(below + width, width) for below, width in pairs)
        self.head = nn.Conv2d(widths[0], 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return (b, 1, h, w) float32 logits.

        Parameters
        ----------
        images : (b, 3, h, w)
            RGB in [0, 1] at 1 um/px; h and w are multiples of `multiple_of`.
        """
        x = F.pixel_unshuffle((2 * images - 1).to(self.head.weight.dtype), 2)
        levels: list[Tensor] = []
        for block in self.encoder:
            x = block(F.max_pool2d(x, 2) if levels else x)
            levels.append(x)
        for i in reversed(range(len(self.decoder))):
            wide = F.interpolate(x, scale_factor=2.0)
            x = self.decoder[i](torch.cat([wide, levels[i]], 1))
        return F.pixel_shuffle(self.head(x), 2).float()


def _double(entering: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (entering, width):
        convolution = nn.Conv2d(channels, width, 3, padding=1)
        layers += [convolution, nn.GroupNorm(8, width), nn.SiLU()]
    return nn.Sequential(*layers)


class JudgeFeatures(nn.Module):
    """Turns images into one vector each: mean and spread of the bottleneck over space.

    Takes (n, 3, h, w) uint8 images of any size at 0.5 um/px and returns (n, num_features) float32,
    as `torchmetrics` expects of the `feature` of its Frechet and kernel distances.
    """

    def __init__(self, network: JudgeNetwork) -> None:
        super().__init__()
        self.network = network
        self.num_features = network.num_features

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, num_features) float32."""
        multiple = self.network.multiple_of
        down, right = (-images.shape[2] % multiple, -images.shape[3] % multiple)
        place = self.network.stem.weight.device
        x = F.pad(images.to(place, torch.float32) / 255, (0, right, 0, down), mode="replicate")
        bottleneck = _rms(self.network.encode(x)[-1]).float()
        spread, mean = torch.std_mean(bottleneck, dim=(2, 3), correction=0)
        return torch.cat([mean, spread], 1)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain1 = nn.Parameter(torch.ones(width))
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.gain2 = nn.Parameter(torch.ones(width))
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(cast("Tensor", self.conv2.bias))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(_rms(x) * self.gain1.view(1, -1, 1, 1)))
        h = self.conv2(F.silu(_rms(h) * self.gain2.view(1, -1, 1, 1)))
        return cast("Tensor", x + h)


def _rms(x: Tensor) -> Tensor:
    """Scale each pixel's feature vector to unit mean square (RMSNorm over channels)."""
    return x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + 1e-6).to(x.dtype)


def _blocks(width: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(_Block(width) for _ in range(count))
