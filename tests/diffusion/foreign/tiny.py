"""Pipelines of other makers, of a few thousand random weights each, as folders of diffusers."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file

from napari_histodiff.core.foreign.adapters import ADAPTERS
from napari_histodiff.core.foreign.convention import use_preset
from napari_histodiff.core.foreign.folder import ForeignFolder
from napari_histodiff.diffusion.foreign.text import Prompt

torch.set_num_threads(1)

#: Pixels a side of a latent, latents a side of a window.
FACTOR = 2
WINDOW = 32
LATENTS = 4
WORDS = 8  # numbers a word of a text

#: Every class that can be loaded.
CLASSES = tuple(ADAPTERS)

_LIBRARY = {"text_encoder": "transformers", "tokenizer": "transformers"}


class FakeText:
    """Stands in for the text encoders of transformers: the same numbers for the same text."""

    def __init__(self, numbers: int = WORDS, pooled: int = 0) -> None:
        self.numbers, self.pooled, self.texts = numbers, pooled, [""]

    def encode(self, texts: Sequence[str]) -> Prompt:
        self.texts = list(texts)
        rows = []
        for text in texts:
            generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
            rows.append(torch.randn(5 * self.numbers + self.pooled, generator=generator))
        together = torch.stack(rows)
        words = together[:, : 5 * self.numbers].view(len(texts), 5, self.numbers)
        return Prompt(words, together[:, 5 * self.numbers :] if self.pooled else None)


def fake_text(model: ForeignFolder) -> FakeText:
    """What a folder's text encoders would be."""
    two = len(model.adapter.texts) == 2
    return FakeText(2 * WORDS if two else WORDS, WORDS if two else 0)


def tiny_unet(kind: str = "2d", **changes: Any) -> Any:
    """A U-Net of two levels."""
    settings: dict[str, Any] = {
        "sample_size": WINDOW,
        "block_out_channels": (8, 8),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
    }
    if kind == "2d":
        settings |= {
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        }
        return diffusers.UNet2DModel(**settings | changes)
    settings |= {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": WORDS,
        "in_channels": LATENTS,
        "out_channels": LATENTS,
    }
    return diffusers.UNet2DConditionModel(**settings | changes)


def tiny_vae(kind: str = "AutoencoderKL", **changes: Any) -> Any:
    """An autoencoder that makes one latent of four pixels."""
    settings: dict[str, Any] = {
        "block_out_channels": (4, 4),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": LATENTS,
        "norm_num_groups": 2,
        "scaling_factor": 0.18215,
    }
    return getattr(diffusers, kind)(**settings | changes)


def tiny_pipeline(
    folder: Path,
    class_name: str,
    *,
    preset: str | None = "palette-nuclei",
    control: float = 0.15,
    **changes: Any,
) -> Path:
    """Write the folder of a pipeline of random weights; the same at every call.

    `control` is the spread of a ControlNet's weights, and so of its say in the picture.
    `changes` are parts that are to be others: a module, or None for one that lacks.
    """
    adapter = ADAPTERS[class_name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = _parts(class_name)
        parts.update(changes)
        for name, part in parts.items():
            if isinstance(part, torch.nn.Module):
                for weights in part.parameters():
                    torch.nn.init.normal_(weights, std=control if name == "controlnet" else 0.15)
    index: dict[str, Any] = {"_class_name": class_name, "_diffusers_version": "0.30.0"}
    for name, part in parts.items():
        if part is None:
            continue
        part.save_pretrained(folder / name)
        index[name] = ["diffusers", type(part).__name__]
    for name in adapter.texts:
        _write_text(folder, name)
        second = name.endswith("_2")
        index[name] = ["transformers", f"CLIPTextModel{'WithProjection' * second}"]
        index[name.replace("text_encoder", "tokenizer")] = ["transformers", "CLIPTokenizer"]
    if adapter.texts:
        index |= {"safety_checker": [None, None], "requires_safety_checker": False}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "README.md").write_text("---\nlicense: openrail\ntags: [pathology]\n---\n# Tiny\n")
    if adapter.control and preset is not None:
        use_preset(folder, preset)
    return folder


def _parts(class_name: str) -> dict[str, Any]:
    adapter = ADAPTERS[class_name]
    ddim = diffusers.DDIMScheduler(clip_sample=False, prediction_type="epsilon")
    if not adapter.texts:
        channels = 3 if adapter.codec is None else LATENTS
        unet = tiny_unet(in_channels=channels, out_channels=channels)
        maker = {"DDPMPipeline": diffusers.DDPMScheduler}.get(class_name)
        parts = {"unet": unet, "scheduler": ddim if maker is None else maker()}
        if adapter.codec is not None:
            parts["vqvae"] = tiny_vae("VQModel", num_vq_embeddings=16)
        return parts
    settings: dict[str, Any] = {"cross_attention_dim": WORDS}
    if adapter.is_xl:
        settings = {
            "cross_attention_dim": 2 * WORDS,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": WORDS + 6 * 4,
        }
    inpaints = class_name.endswith("InpaintPipeline") and not adapter.control
    unet = tiny_unet("text", **settings | {"in_channels": 9 if inpaints else LATENTS})
    parts = {"unet": unet, "vae": tiny_vae(), "scheduler": _scheduler(class_name)}
    if adapter.control:
        parts["controlnet"] = diffusers.ControlNetModel.from_unet(
            tiny_unet("text", **settings), conditioning_embedding_out_channels=(4, 8)
        )
    return parts


def _scheduler(class_name: str) -> Any:
    """Each solver that pipelines of this kind come with, somewhere."""
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    if "XL" in class_name:
        return diffusers.EulerDiscreteScheduler(**betas, timestep_spacing="leading")
    if "ControlNet" in class_name:
        return diffusers.UniPCMultistepScheduler(**betas)
    return diffusers.PNDMScheduler(**betas, skip_prk_steps=True, steps_offset=1)


def _write_text(folder: Path, name: str) -> None:
    place = folder / name
    place.mkdir()
    (place / "config.json").write_text(json.dumps({"hidden_size": WORDS}))
    save_file({"text_model.embeddings": torch.zeros(1)}, place / "model.safetensors")
    tokenizer = folder / name.replace("text_encoder", "tokenizer")
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text("{}")
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
