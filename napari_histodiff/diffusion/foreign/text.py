"""Captions for text encoders of other makers: sentences of our vocabulary, or words as written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from napari_histodiff.core.captions import CLASS_NOUNS, Caption, parse_caption
from napari_histodiff.core.errors import ModelInvalid

if TYPE_CHECKING:
    from napari_histodiff.core.foreign.folder import ForeignFolder

__all__ = ["ClipEncoder", "Prompt", "TextEncoder", "load_text_encoder", "prompt_of", "sentence"]

_AMOUNTS = ("no", "few", "some", "many")  # of the levels of `core.captions.LEVELS`


@dataclass(frozen=True, slots=True)
class Prompt:
    """Texts as a U-Net reads them.

    Attributes
    ----------
    words : (n, tokens, d) float
    pooled : (n, p) float, optional
        One vector for each text, of Stable Diffusion XL.
    """

    words: Tensor
    pooled: Tensor | None = None

    def rows(self, index: Sequence[int]) -> Prompt:
        """Return some of the texts, in this order, repeated or not."""
        pooled = None if self.pooled is None else self.pooled[list(index)]
        return Prompt(self.words[list(index)], pooled)


class TextEncoder(Protocol):
    """Makes prompts of texts."""

    def encode(self, texts: Sequence[str]) -> Prompt:
        """Return the prompt of some texts, n of them."""


def sentence(caption: Caption) -> str:
    """Return what a caption of our vocabulary says, in words that people write."""
    parts = []
    nouns = [
        f"{_AMOUNTS[level]} {noun}"
        for level, noun in zip(caption.levels, CLASS_NOUNS, strict=True)
        if level is not None
    ]
    if nouns:
        parts.append("with " + ", ".join(nouns))
    if caption.tissue:
        parts.append("showing " + ", ".join(caption.tissue))
    if caption.stain is not None:
        parts.append(f"{caption.stain} stain")
    where = "tissue" if caption.organ is None else f"{caption.organ} tissue"
    return ", ".join([where, *parts]).replace(", with", " with", 1)


def prompt_of(caption: str, template: str) -> str:
    """Return the text that a caption becomes.

    Words of our vocabulary become a sentence of the template; a caption that says anything else is
    meant for the model's own text encoder and goes to it as it is written.

    Parameters
    ----------
    caption : str
    template : str
        With {caption} where the sentence goes.
    """
    found = parse_caption(caption)
    if found.report.ignored or found.report.contradictory:
        return caption.strip()
    return template.replace("{caption}", sentence(found.caption))


class ClipEncoder:
    """The text encoders of Stable Diffusion, or both of Stable Diffusion XL.

    Parameters
    ----------
    tokenizers, models : sequence
        `CLIPTokenizer` and `CLIPTextModel` of transformers, one or two.
    empty_is_zero : bool
        Whether no text at all is told as zeros, as Stable Diffusion XL was trained to read it.
    """

    def __init__(
        self, tokenizers: Sequence[Any], models: Sequence[Any], *, empty_is_zero: bool = False
    ) -> None:
        self._pairs = tuple(zip(tokenizers, models, strict=True))
        self._empty_is_zero = empty_is_zero

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Prompt:
        """Return the prompt of some texts; two encoders are read one layer before their last."""
        words, pooled = [], None
        for tokenizer, model in self._pairs:
            tokens = tokenizer(
                list(texts),
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            ).input_ids.to(model.device)
            both = len(self._pairs) > 1
            found = model(tokens, output_hidden_states=both)
            words.append(found.hidden_states[-2] if both else found[0])
            pooled = found[0] if both else None
        told = Prompt(torch.cat(words, -1), pooled)
        if self._empty_is_zero:
            said = torch.tensor([float(bool(text)) for text in texts])
            told = Prompt(
                told.words * said[:, None, None],
                None if told.pooled is None else told.pooled * said[:, None],
            )
        return told


def load_text_encoder(model: ForeignFolder) -> TextEncoder:
    """Load the text encoders of a checked folder, in main memory: each text is read once.

    Raises
    ------
    ModelInvalid
        When transformers is not installed or can not read them.
    """
    try:
        import transformers
    except ImportError as error:
        raise ModelInvalid(
            "expected the package transformers, which reads the captions of this model, got none; "
            'install it: pip install "napari-histodiff[text]"'
        ) from error
    tokenizers, models = [], []
    try:
        for name in model.adapter.texts:
            part: Path = model.path / name
            tokenizer = name.replace("text_encoder", "tokenizer")
            maker = getattr(transformers, model.class_names[tokenizer])
            tokenizers.append(maker.from_pretrained(model.path / tokenizer, local_files_only=True))
            models.append(_encoder(transformers, model, name, part))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ModelInvalid(
            f"expected text encoders that transformers can read in {model.path}, got {error}; "
            "download the model again"
        ) from error
    return ClipEncoder(tokenizers, models, empty_is_zero=model.empty_is_zero)


def _encoder(transformers: Any, model: ForeignFolder, name: str, part: Path) -> Any:
    """Load one text encoder, without a progress bar for its weights."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        encoder, found = getattr(transformers, model.class_names[name]).from_pretrained(
            part,
            use_safetensors=True,
            local_files_only=True,
            variant=model.variants[name],
            output_loading_info=True,
        )
    finally:
        if shown:
            logging.enable_progress_bar()
    missing = sorted(found["missing_keys"])
    if missing:  # would be made up at random
        raise ModelInvalid(
            f"expected the weights of {model.class_names[name]} in {part}, got none of "
            f"{', '.join(missing[:3])}; download the model again"
        )
    return encoder.float().eval().requires_grad_(False)
