"""Embeds the slots of a caption; unspecified slots add nothing."""

from __future__ import annotations

from typing import cast

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from napari_histodiff.core.captions import CAPTION_SCHEMA, SLOT_SIZES

__all__ = ["CaptionEncoder", "EmbeddedCaptions"]


class CaptionEncoder(ModelMixin, ConfigMixin):
    """Sum of one learned vector per filled slot, followed by a small perceptron.

    Parameters
    ----------
    slot_sizes : list of int
        Number of values of each slot, `core.captions.SLOT_SIZES`; value 0 means unspecified.
    dim : int
        Length of the embedding.
    caption_schema : int
        Version of the vocabulary the weights were trained with.
    """

    @register_to_config
    def __init__(
        self,
        slot_sizes: tuple[int, ...] = tuple(SLOT_SIZES),
        dim: int = 256,
        caption_schema: int = CAPTION_SCHEMA,
    ) -> None:
        super().__init__()
        sizes = torch.tensor(slot_sizes)
        self.register_buffer("offsets", sizes.cumsum(0) - sizes, persistent=False)
        self.table = nn.Embedding(int(sizes.sum()), dim)
        nn.init.normal_(self.table.weight, std=0.5)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, slots: Tensor) -> Tensor:
        """Return (b, dim) for (b, n_slots) int64 slot values."""
        filled = (slots > 0).unsqueeze(-1)  # (b, n, 1)
        vectors = self.table(slots + cast("Tensor", self.offsets))  # (b, n, dim)
        return cast("Tensor", self.mlp((vectors * filled.to(vectors.dtype)).sum(1)))


class EmbeddedCaptions:
    """What an encoder makes of captions, of each but once: the windows of a drawing share theirs.

    Parameters
    ----------
    encoder : CaptionEncoder
        Whose weights do not change meanwhile.
    """

    def __init__(self, encoder: CaptionEncoder) -> None:
        self._encoder = encoder
        self._known: dict[tuple[int, bytes], Tensor] = {}

    def __call__(self, slots: Tensor) -> Tensor:
        """Return what `CaptionEncoder.forward` does."""
        key = (len(slots), slots.cpu().numpy().tobytes())
        if key not in self._known:
            self._known[key] = self._encoder(slots)
        return self._known[key]
