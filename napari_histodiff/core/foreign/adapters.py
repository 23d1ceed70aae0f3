"""Which pipelines of diffusers can draw here: one adapter for each kind, found by class name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["ADAPTERS", "Adapter"]

_XL_PREFIX: Final = "StableDiffusionXL"


@dataclass(frozen=True, slots=True)
class Adapter:
    """How the parts of a kind of pipeline are put together.

    Attributes
    ----------
    class_names : tuple of str
        Values of `_class_name` in model_index.json; subclasses of one loop share an adapter, since
        what is drawn (generate, inpaint, start from an image) is decided by the request.
    codec : str or None
        The part that makes pixels of latents; None: the U-Net draws pixels.
    texts : tuple of str
        Text encoders; none: unconditional.
    control : bool
        Whether a ControlNet takes the paint.
    """

    class_names: tuple[str, ...]
    codec: Literal["vae", "vqvae"] | None = "vae"
    texts: tuple[str, ...] = ()
    control: bool = False

    @property
    def weighted(self) -> tuple[str, ...]:
        """The components that have weights."""
        codec = () if self.codec is None else (self.codec,)
        control = ("controlnet",) if self.control else ()
        return ("unet", *codec, *control, *self.texts)

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """What reads the words for each text encoder."""
        return tuple(name.replace("text_encoder", "tokenizer") for name in self.texts)

    @property
    def components(self) -> tuple[str, ...]:
        """All components that are made."""
        return (*self.weighted, *self.tokenizers, "scheduler")

    @property
    def is_xl(self) -> bool:
        """Whether the U-Net is told the sizes of images, as those of Stable Diffusion XL are."""
        return len(self.texts) == 2


def _twins(prefix: str, *middles: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{middle}Pipeline" for middle in middles)


_PLAIN: Final = ("", "Img2Img", "Inpaint")
_CONTROL: Final = ("ControlNet", "ControlNetImg2Img", "ControlNetInpaint")
_TWO_TEXTS: Final = ("text_encoder", "text_encoder_2")
_ALL: Final = (
    Adapter(("DDPMPipeline", "DDIMPipeline"), codec=None),
    Adapter(("LDMPipeline",), codec="vqvae"),
    # PathLDM and other latent models of text are saved as plain Stable Diffusion.
    Adapter(_twins("StableDiffusion", *_PLAIN), texts=("text_encoder",)),
    Adapter(_twins("StableDiffusion", *_CONTROL), texts=("text_encoder",), control=True),
    Adapter(_twins(_XL_PREFIX, *_PLAIN), texts=_TWO_TEXTS),
    Adapter(_twins(_XL_PREFIX, *_CONTROL), texts=_TWO_TEXTS, control=True),
)

#: Adapter of each class name.
ADAPTERS: Final = {name: adapter for adapter in _ALL for name in adapter.class_names}
