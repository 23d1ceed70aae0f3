"""Layers of the variants: attention to a neighbourhood, norms modulated by paint, larger patches.

Blocks take the place of `ResidualBlock` in a `HistoUNet`, so the network around them stays as is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["REACH", "NeighbourBlock", "PaintedBlock", "PatchHead", "PatchStem", "rms"]

#: Tokens of the coarsest level (16 px) that attention reaches in each direction: all there are in a
#: training crop of 64 px, so that no larger distance meets a model that never learnt it.
REACH = 3

_HIDDEN = 64  # channels between the paint and the modulation it gives, as in SPADE's own code / 2


def rms(x: Tensor, dim: int = 1) -> Tensor:
    """Scale feature vectors along `dim` to unit mean square."""
    return x * torch.rsqrt(x.float().square().mean(dim, keepdim=True) + 1e-6).to(x.dtype)


class PatchStem(nn.Conv2d):
    """A stem that folds a further 2x2, for patches of 4 px in a network that folds 2 px itself."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(16 * channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, width, h / 2, w / 2) of (b, 4 channels, h, w)."""
        return super().forward(F.pixel_unshuffle(x, 2))


class PatchHead(nn.Conv2d):
    """The head that goes with `PatchStem`; starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 48, 3, padding=1)
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, 12, 2 h, 2 w) of (b, width, h, w)."""
        return F.pixel_shuffle(super().forward(x), 2)


class NeighbourBlock(nn.Module):
    """A transformer block whose tokens see those at most `REACH` away, with relative positions.

    Attention over a whole window would make what is drawn depend on where a window ends. Both
    halves are modulated by the embedding and start as the identity (DiT, arXiv 2212.09748).
    """

    def __init__(self, width: int, embedding_dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.film = nn.Linear(embedding_dim, 4 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.near = nn.Parameter(torch.zeros(heads, (2 * REACH + 1) ** 2))
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        for last in (self.film, self.out, self.narrow):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Return x plus its updates; x is (b, c, h, w), emb (b, d)."""
        b, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)  # (b, h w, c)
        scale, shift, wide_scale, wide_shift = self.film(emb)[:, None].chunk(4, 2)
        normed = rms(tokens, 2) * (1 + scale) + shift
        q, k, v = self.qkv(normed).view(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=self._bias(h, w).to(q.dtype))
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(b, h * w, c))
        normed = rms(tokens, 2) * (1 + wide_scale) + wide_shift
        tokens = tokens + self.narrow(F.silu(self.widen(normed)))
        out: Tensor = tokens.transpose(1, 2).reshape(b, c, h, w)
        return out

    def _bias(self, h: int, w: int) -> Tensor:
        """(1, heads, h w, h w): what each token adds for another by where it lies."""
        place = torch.arange(h * w, device=self.near.device)
        y, x = place // w, place % w
        dy, dx = y[None] - y[:, None], x[None] - x[:, None]
        far = (dy.abs() > REACH) | (dx.abs() > REACH)
        index = (dy.clamp(-REACH, REACH) + REACH) * (2 * REACH + 1) + dx.clamp(-REACH, REACH)
        bias: Tensor = self.near[:, index + REACH].masked_fill(far, float("-inf"))
        return bias[None]


class PaintedBlock(nn.Module):
    """A residual block whose second norm the paint scales and shifts pixel by pixel.

    Spatially-adaptive normalisation (SPADE, arXiv 1903.07291; in NASDM, arXiv 2303.11477, for
    nuclei) added to the modulation by the embedding; the paint's share starts at 0.
    """

    def __init__(self, width: int, embedding_dim: int, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(embedding_dim, 2 * width)
        self.see = nn.Conv2d(channels, _HIDDEN, 3, padding=1)
        self.modulate = nn.Conv2d(_HIDDEN, 2 * width, 1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        for last in (self.film, self.modulate, self.conv2):
            nn.init.zeros_(last.weight)
            if last.bias is not None:
                nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, emb: Tensor, paint: Tensor) -> Tensor:
        """Return x plus its update; x is (b, c, h, w), emb (b, d), paint (b, channels, h, w)."""
        h = self.conv1(F.silu(rms(x) * self.gain.view(1, -1, 1, 1)))
        film = self.film(emb)[:, :, None, None] + self.modulate(F.silu(self.see(paint)))
        scale, shift = film.chunk(2, 1)
        out: Tensor = x + self.conv2(F.silu(rms(h) * (1 + scale) + shift))
        return out
