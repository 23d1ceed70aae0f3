"""The networks that are compared, each a `HistoUNet` in all that the rest of the package sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.networks.blocks import NeighbourBlock, PaintedBlock, PatchHead, PatchStem, rms
from napari_histodiff.diffusion.conditioning import CHANNELS, spatial_channels
from napari_histodiff.diffusion.flow import preconditioning
from napari_histodiff.diffusion.network import HistoUNet

__all__ = ["DESCRIPTIONS", "VARIANTS", "MiddleUNet", "PaintedUNet", "PatchUNet", "build"]

_PAINT: Final = ("nuclei", "union", "has_nuclei")


class PatchUNet(HistoUNet):
    """Patches of 4 px at the stem: no level at half of the resolution."""

    def __init__(self, widths: tuple[int, ...] = (128, 224, 320), **settings: Any) -> None:
        counts = {"encoder_blocks": (1,) * len(widths), "decoder_blocks": (2, 1, 1)} | settings
        super().__init__(widths=widths, **counts)
        self.multiple_of *= 2
        self.stem = PatchStem(3 + spatial_channels(self.tissue_classes), widths[0])
        self.head = PatchHead(widths[0])


class MiddleUNet(HistoUNet):
    """Transformer blocks at the coarsest level, in place of its convolutions."""

    def __init__(
        self,
        blocks: int = 3,
        widths: tuple[int, ...] = (64, 128, 224, 320),
        embedding_dim: int = 256,
        **settings: Any,
    ) -> None:
        counts = {"encoder_blocks": (0, 1, 1, 0), "decoder_blocks": (1, 1, 1, 0)} | settings
        super().__init__(widths=widths, embedding_dim=embedding_dim, **counts)
        width = widths[-1]
        heads = max(1, width // 64)
        middle = (NeighbourBlock(width, embedding_dim, heads, 3 * width) for _ in range(blocks))
        self.decoder[-1] = nn.ModuleList(middle)


class PaintedUNet(HistoUNet):
    """Painted nuclei modulate the norms of the decoder at every level.

    Parameters
    ----------
    at_input : bool
        Whether the stem reads the nuclei as well.
    """

    def __init__(
        self,
        at_input: bool,
        widths: tuple[int, ...] = (64, 128, 224, 320),
        embedding_dim: int = 256,
        **settings: Any,
    ) -> None:
        super().__init__(widths=widths, embedding_dim=embedding_dim, **settings)
        self.at_input = at_input
        channels = sum(CHANNELS[name].stop - CHANNELS[name].start for name in _PAINT)
        for i, blocks in enumerate(self.decoder):
            count = len(cast("nn.ModuleList", blocks))
            painted = (PaintedBlock(widths[i], embedding_dim, channels) for _ in range(count))
            self.decoder[i] = nn.ModuleList(painted)

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
        """Return the estimate of the clean image; see `HistoUNet.forward`."""
        c_in, c_skip, c_out = preconditioning(t.float())
        emb = self.told(t, embedding, mpp, stain)
        spatial = spatial.to(self.stem.weight.dtype)
        paint = torch.cat([spatial[:, CHANNELS[name]] for name in _PAINT], 1)
        if not self.at_input:
            spatial = torch.cat(
                [
                    torch.zeros_like(spatial[:, part]) if name in _PAINT else spatial[:, part]
                    for name, part in CHANNELS.items()
                ],
                1,
            )
        levels = self._encode(sample * c_in, spatial, emb, self._tissue(spatial))
        x = levels[-1]
        for i in reversed(range(len(self.decoder))):
            if i < len(self.up):
                x = levels[i] + F.pixel_shuffle(self.up[i](x), 2)
            share = F.avg_pool2d(paint, 2 ** (i + 1))
            for block in cast("nn.ModuleList", self.decoder[i]):
                x = block(x, emb, share)
        raw = F.pixel_shuffle(self.head(F.silu(rms(x))), 2)
        return c_skip * sample.float() + c_out * raw.float()


#: What makes each network.
VARIANTS: Final[dict[str, Callable[[], HistoUNet]]] = {
    "base": HistoUNet,
    "patch4": PatchUNet,
    "transformer": MiddleUNet,
    "spade": lambda: PaintedUNet(at_input=True),
    "spade-only": lambda: PaintedUNet(at_input=False),
    "narrow": lambda: HistoUNet(widths=(48, 96, 160, 224)),
    "wide": lambda: HistoUNet(widths=(80, 160, 288, 416)),
}

#: The same in words.
DESCRIPTIONS: Final[dict[str, str]] = {
    "base": "patches of 2 px, widths 64, 128, 224, 320, paint at the input",
    "patch4": "patches of 4 px, widths 128, 224, 320, one more block at 1/4 for the missing level",
    "transformer": "three attention blocks at 1/16 in place of the two convolutional ones",
    "spade": "nuclei modulate the decoder's norms, besides the input",
    "spade-only": "nuclei modulate the decoder's norms, instead of the input",
    "narrow": "base with widths 48, 96, 160, 224",
    "wide": "base with widths 80, 160, 288, 416",
}


def build(name: str, seed: int) -> HistoUNet:
    """Return variant `name` with the random weights of `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VARIANTS[name]()
