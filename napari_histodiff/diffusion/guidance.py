"""From network to denoiser: conditions, classifier-free guidance and known pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from napari_histodiff.diffusion.conditioning import CHANNELS, Conditions
from napari_histodiff.diffusion.known_means import block_means, with_means

__all__ = ["MOST_JUMP_GUIDANCE", "GuidedDenoiser"]

#: Largest guidance scale the weights learnt to jump at; larger ones count as this.
MOST_JUMP_GUIDANCE = 4.0


class GuidedDenoiser:
    """`denoise(z, t) -> x0` for one batch of windows.

    Guidance follows Ho & Salimans (arXiv 2207.12598) with diffusers' scale, on x0:
    x0 = without + guidance_scale (with - without), clipped to [-1, 1]. Where captions hold for
    parts of a window, "with" is put together of one estimate for each. Known pixels replace the
    estimate at every call, so the trajectory there runs straight from the noise to the known pixel.
    So do known means of blocks, see `known_means.with_means`.

    Parameters
    ----------
    network : HistoUNet or CompiledNetwork
        What evaluates windows.
    embed : callable
        A `CaptionEncoder` on the device of the network, or what it makes of captions.
    conditions : Conditions
        b windows, on the device of the network.
    guidance_scale : float
        1 = no guidance.
    split : bool
        Run the two passes of guidance one after the other, for half the memory.
    jumps : bool
        Let the network jump, which takes one pass at any guidance scale.
    """

    def __init__(
        self,
        network: nn.Module,
        embed: Callable[[Tensor], Tensor],
        conditions: Conditions,
        guidance_scale: float,
        *,
        split: bool = False,
        jumps: bool = False,
    ) -> None:
        self._network = network
        self._scale = guidance_scale
        self._guided = guidance_scale != 1 and not jumps
        self._jump_guidance = min(guidance_scale, MOST_JUMP_GUIDANCE) if jumps else 0.0
        self._known = conditions.spatial[:, CHANNELS["known"]]
        is_known = conditions.spatial[:, CHANNELS["known_mask"]] > 0.5
        self._is_known = is_known if bool(is_known.any()) else None
        means, self._block = conditions.means, conditions.block
        self._means = None if means is None else block_means(means, self._block)
        prompted = conditions.by_caption()
        groups = [group for group, _ in prompted]
        self._shares = [share for _, share in prompted]
        if self._guided:
            groups.append(conditions.without_prompt())
            if not split and len(prompted) == 1:
                groups = [groups[0].cat(groups[1])]
        self._groups = [(group, embed(group.slots)) for group in groups]

    def __call__(self, z: Tensor, t: float) -> Tensor:
        """Return the estimate of the clean image, (b, 3, h, w) float32 in [-1, 1]."""
        rows = [self._predict(z, t, *group) for group in self._groups]
        x0 = rows[0]
        if len(self._shares) > 1:
            # Each caption draws all of the window, and shows where it holds.
            prompted = zip(rows, self._shares, strict=False)
            rows = [
                sum((row * share for row, share in prompted), torch.zeros_like(x0)),
                *rows[len(self._shares) :],
            ]
            x0 = rows[0]
        if self._guided:
            with_prompt, without = rows if len(rows) == 2 else x0.chunk(2)
            x0 = without + self._scale * (with_prompt - without)
        # In the layout of z, so that what follows walks both in one order.
        x0 = x0.clamp(-1, 1).contiguous()
        if self._means is not None:
            x0 = with_means(self._with_known(x0), self._means, self._block).clamp(-1, 1)
        return self._with_known(x0)

    def _with_known(self, x0: Tensor) -> Tensor:
        return x0 if self._is_known is None else torch.where(self._is_known, self._known, x0)

    def _predict(self, z: Tensor, t: float, conditions: Conditions, embedding: Tensor) -> Tensor:
        count = len(conditions.spatial)
        rows = z if count == len(z) else z.repeat(count // len(z), 1, 1, 1)
        sample = rows.contiguous(memory_format=torch.channels_last)
        x0 = self._network(
            sample,
            z.new_full((count,), t),
            conditions.spatial,
            embedding,
            conditions.mpp,
            conditions.stain,
            z.new_full((count,), self._jump_guidance),
        )
        return cast("Tensor", x0.float())
