"""Tiny text encoders of transformers beside a tiny pipeline, saved as public models have them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from napari_histodiff.core.foreign.adapters import ADAPTERS
from tests.diffusion.foreign.tiny import WORDS

#: Tokens of a text, the start and the end of it among them.
TOKENS = 77

_START, _END = "<|startoftext|>", "<|endoftext|>"


def write_clip(folder: Path) -> Path:
    """Replace the stand-ins of a tiny pipeline by text encoders of random weights."""
    class_name = json.loads((folder / "model_index.json").read_text())["_class_name"]
    for seed, name in enumerate(ADAPTERS[class_name].texts):
        _write_encoder(folder / name, seed, projects=name.endswith("_2"))
        _write_tokenizer(folder / name.replace("text_encoder", "tokenizer"))
    return folder


def _vocabulary() -> dict[str, int]:
    letters = [chr(number) for number in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), _START, _END]
    return {word: number for number, word in enumerate(words)}


def _write_tokenizer(folder: Path) -> None:
    special = dict.fromkeys(("eos_token", "pad_token", "unk_token"), _END)
    config = {"model_max_length": TOKENS, "bos_token": _START, "do_lower_case": True, **special}
    (folder / "vocab.json").write_text(json.dumps(_vocabulary()))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config | {"tokenizer_class": "CLIPTokenizer"})
    )


def _write_encoder(folder: Path, seed: int, *, projects: bool) -> None:
    import transformers

    words = _vocabulary()
    config = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=WORDS,
        intermediate_size=2 * WORDS,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        projection_dim=WORDS,
        bos_token_id=words[_START],
        eos_token_id=words[_END],
        pad_token_id=words[_END],
    )
    maker = transformers.CLIPTextModelWithProjection if projects else transformers.CLIPTextModel
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = maker(config)
        for weights in model.parameters():
            torch.nn.init.normal_(weights, std=0.5)
    model.save_pretrained(folder)
    _name_as_published(folder / "model.safetensors")


def _name_as_published(path: Path) -> None:
    """Name weights as in the files that are out there: transformers 5 shortens what it saves."""
    weights = load_file(path)
    if not any(name.startswith("text_model.") for name in weights):
        whole = ("text_projection.",)
        weights = {
            name if name.startswith(whole) else f"text_model.{name}": value
            for name, value in weights.items()
        }
        save_file(weights, path, metadata={"format": "pt"})
