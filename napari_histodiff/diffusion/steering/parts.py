"""Parts of an edit of different strength: the weaker ones wait, and are known while they do.

Levin & Fried, "Differential diffusion: giving each pixel its strength", arXiv 2306.00950: each
pixel is that of the image, with its share of noise, until the schedule comes down to its own
strength. A network that is told of known pixels is told of those that wait as well, so that what is
drawn beside them from more noise already fits to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from napari_histodiff.diffusion.canvas import Field
from napari_histodiff.diffusion.conditioning import CHANNELS, Conditions
from napari_histodiff.diffusion.windows import Window

__all__ = ["Parts"]

#: Strengths are multiples of 0.05, which float32 does not have exactly.
_EXACT = 1e-3


@dataclass(frozen=True, slots=True)
class Parts:
    """Strengths and pixels of a canvas.

    Attributes
    ----------
    strengths : Field
        (1, h, w) in 0-1; 0 where pixels are known anyway.
    image : Field
        (3, h, w) in [-1, 1].
    """

    strengths: Field
    image: Field

    def waiting(self, conditions: Conditions, windows: Sequence[Window], t: float) -> Conditions:
        """Return the conditions of windows at a time: what is weaker is known as well.

        From a known pixel's noise the way leads straight to it, so it has the noise of its strength
        when it begins.
        """
        strengths = torch.stack([self.strengths.read(window.region) for window in windows])
        image = torch.stack([self.image.read(window.region) for window in windows])
        waits = ((strengths > 0) & (strengths < t - _EXACT)).to(conditions.spatial.device)
        spatial = conditions.spatial.clone()
        known, mask = CHANNELS["known"], CHANNELS["known_mask"]
        spatial[:, known] = torch.where(waits, image.to(spatial), spatial[:, known])
        spatial[:, mask] = torch.where(waits, 1.0, spatial[:, mask])
        return replace(conditions, spatial=spatial)
