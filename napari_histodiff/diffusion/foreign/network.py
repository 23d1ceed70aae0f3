"""The parts of a loaded pipeline, and the one call that evaluates them on a batch of windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_histodiff.diffusion.foreign.codec import Codec
from napari_histodiff.diffusion.foreign.text import Prompt, TextEncoder
from napari_histodiff.diffusion.windows import WindowLayout

__all__ = ["Inputs", "Network", "guided"]

_LARGEST_WINDOW = 64  # latents, where a U-Net does not say at which size it was trained


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a batch of windows is told besides its noise.

    Attributes
    ----------
    prompt : Prompt or None
        Of each window; None: the model takes no text.
    plain : Prompt or None
        What guidance compares with, of each window; None: no guidance.
    known : (b, 1 + c, h, w) float, optional
        For inpainting U-Nets: where to draw, and the latents of the image with that left out.
    control : (b, planes, h, w) float, optional
        The control image, in pixels.
    """

    prompt: Prompt | None = None
    plain: Prompt | None = None
    known: Tensor | None = None
    control: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A U-Net, what makes pixels of its latents, and what else it came with.

    Attributes
    ----------
    unet : UNet2DModel or UNet2DConditionModel
    codec : Codec
    text : TextEncoder or None
        Of models that take captions.
    controlnet : ControlNetModel or None
        Of models that take paint.
    is_xl : bool
        Whether it is told the sizes of images.
    """

    unet: Any
    codec: Codec
    text: TextEncoder | None = None
    controlnet: Any = None
    is_xl: bool = False

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """In which numbers it computes."""
        return next(self.unet.parameters()).dtype

    @property
    def inpaints(self) -> bool:
        """Whether the U-Net was trained to draw around known pixels."""
        return bool(self.unet.config.in_channels > self.codec.channels)

    @property
    def layout(self) -> WindowLayout:
        """Windows of the size it was trained at, which overlap by about an eighth, in latents."""
        # Each level but the last halves the resolution; the unit keeps lattices on whole patches.
        multiple = 2 ** (len(self.unet.config.block_out_channels) - 1)
        unit = 2 * multiple
        sample = self.unet.config.sample_size or _LARGEST_WINDOW
        side = max(2 * unit, min(sample) if isinstance(sample, tuple | list) else sample)
        side = side // unit * unit
        return WindowLayout(side, max(unit, side // 8 // unit * unit), 2, multiple)

    def predict(self, z: Tensor, t: Tensor, inputs: Inputs) -> Tensor:
        """Return what the U-Net predicts of (b, c, h, w) latents, float32 and of the same shape."""
        dtype = self.dtype
        words: dict[str, Any] = {}
        if inputs.prompt is not None:
            words["encoder_hidden_states"] = inputs.prompt.words.to(z.device, dtype)
            if self.is_xl and inputs.prompt.pooled is not None:
                words["added_cond_kwargs"] = {
                    "text_embeds": inputs.prompt.pooled.to(z.device, dtype),
                    "time_ids": self._sizes(z),
                }
        residuals: dict[str, Any] = {}
        if inputs.control is not None and self.controlnet is not None:
            down, middle = self.controlnet(
                z.to(dtype),
                t,
                controlnet_cond=inputs.control.to(z.device, dtype),
                return_dict=False,
                **words,
            )
            residuals = {
                "down_block_additional_residuals": down,
                "mid_block_additional_residual": middle,
            }
        seen = z if inputs.known is None else torch.cat([z, inputs.known.to(z)], 1)
        found: Tensor = self.unet(seen.to(dtype), t, return_dict=False, **words, **residuals)[0]
        return found[:, : z.shape[1]].float()  # learned variances are not needed

    def _sizes(self, z: Tensor) -> Tensor:
        """The image's size, where it was cropped, and the size wanted: a whole picture."""
        height, width = (side * self.codec.factor for side in z.shape[-2:])
        numbers = [height, width, 0, 0, height, width]
        return torch.tensor([numbers], device=z.device, dtype=self.dtype).repeat(len(z), 1)


def guided(
    network: Network, z: Tensor, t: Tensor, inputs: Inputs, scale: float, *, split: bool
) -> Tensor:
    """Return what is predicted with classifier-free guidance (Ho & Salimans, arXiv 2207.12598).

    Parameters
    ----------
    network, z, t, inputs
        As in `Network.predict`.
    scale : float
        diffusers' convention: 1 = no guidance.
    split : bool
        Evaluate with and without the text one after the other, for half the memory.
    """
    if inputs.plain is None or inputs.prompt is None:
        return network.predict(z, t, inputs)
    without = Inputs(inputs.plain, None, inputs.known, inputs.control)
    if split:
        plain, told = network.predict(z, t, without), network.predict(z, t, inputs)
    else:
        pooled = None
        if inputs.prompt.pooled is not None and inputs.plain.pooled is not None:
            pooled = torch.cat([inputs.plain.pooled, inputs.prompt.pooled])
        both = Inputs(
            Prompt(torch.cat([inputs.plain.words, inputs.prompt.words]), pooled),
            None,
            _twice(inputs.known),
            _twice(inputs.control),
        )
        plain, told = network.predict(torch.cat([z, z]), t, both).chunk(2)
    return plain + scale * (told - plain)


def _twice(x: Tensor | None) -> Tensor | None:
    return None if x is None else torch.cat([x, x])
