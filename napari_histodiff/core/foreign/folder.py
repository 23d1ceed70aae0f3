"""A folder of a diffusers pipeline: what it holds, checked before torch reads any of it.

Only configurations and safetensors are read, and only classes that diffusers and transformers have
themselves are made: loading a checked folder runs no code that came with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.errors import ModelInvalid, ModelNotFound
from napari_histodiff.core.foreign.adapters import ADAPTERS, Adapter
from napari_histodiff.core.foreign.convention import (
    CONVENTION_FILE,
    PRESETS,
    Convention,
    read_convention,
)
from napari_histodiff.core.foreign.record import is_half_downloaded, read_record
from napari_histodiff.core.model_files import check_safetensors, read_model_json, revision_of

__all__ = [
    "STEMS",
    "VARIANTS",
    "ForeignFolder",
    "check_foreign",
    "check_index",
    "is_foreign",
    "is_ours",
    "needs_convention",
]

#: Component classes that are made; what a pipeline names besides is not needed to draw.
_CLASSES: Final = {
    "unet": ("UNet2DModel", "UNet2DConditionModel"),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
    "vqvae": ("VQModel", "AutoencoderKL"),
    "controlnet": ("ControlNetModel",),
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
_LIBRARIES: Final = ("diffusers", "transformers")

#: How files of weights begin, by the library of a part.
STEMS: Final = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}

#: Kinds of weights, in the order they are looked for: as trained, and in half precision.
VARIANTS: Final = (None, "fp16")

_OURS: Final = "HistoDiffusionPipeline"
_LICENCE: Final = re.compile(r"^licen[cs]e:\s*(\S.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ForeignFolder:
    """A checked folder.

    Attributes
    ----------
    path : Path
    class_name : str
        Of the pipeline.
    adapter : Adapter
        How its parts are put together.
    class_names : dict of str to str
        Class of each component that is made.
    weights : dict of str to tuple of Path
        Files of the weights of each component that has any.
    variants : dict of str to (str or None)
        As in diffusers, of each of these: "fp16" where there are weights in half precision only.
    convention : Convention
        How it takes paint.
    name, licence, revision : str
        Shown to users; the revision is the first digits of the SHA-256 of all weights.
    nbytes : int
        Of all weights.
    empty_is_zero : bool
        Whether no text at all is told to its U-Net as zeros.
    """

    path: Path
    class_name: str
    adapter: Adapter
    class_names: dict[str, str]
    weights: dict[str, tuple[Path, ...]]
    variants: dict[str, str | None]
    convention: Convention
    name: str
    licence: str
    revision: str
    nbytes: int
    empty_is_zero: bool

    def config(self, component: str) -> dict[str, Any]:
        """Return the configuration of a component."""
        return read_model_json(self.path / component / "config.json")


def is_ours(index: Mapping[str, Any]) -> bool:
    """Tell whether a `model_index.json` is that of a model of this package."""
    return index.get("_class_name") == _OURS


def is_foreign(folder: Path) -> bool:
    """Tell whether a folder holds a pipeline of diffusers that is not of this package."""
    index = folder / "model_index.json"
    return index.is_file() and not is_ours(read_model_json(index))


def needs_convention(folder: Path) -> bool:
    """Tell whether a pipeline takes paint and nobody has said yet how."""
    if not is_foreign(folder) or (folder / CONVENTION_FILE).is_file():
        return False
    name = read_model_json(folder / "model_index.json").get("_class_name")
    return isinstance(name, str) and name in ADAPTERS and ADAPTERS[name].control


def check_foreign(folder: Path) -> ForeignFolder:
    """Check that a folder holds a pipeline that can draw here, and describe it.

    Raises
    ------
    ModelNotFound
        When a file is missing, as after half a download.
    ModelInvalid
        When it needs code of its own, is of an unknown class, has pickled or truncated weights,
        parts that do not fit each other, or nobody says how it takes paint.
    """
    if is_half_downloaded(folder):
        raise ModelNotFound(
            f"expected a whole model in {folder}, got half a download; download it again: it goes "
            "on where it stopped"
        )
    index = read_model_json(folder / "model_index.json")
    scripts = [path.name for path in folder.rglob("*.py")]
    adapter, class_names = check_index(str(folder), index, scripts)
    found = {name: _weights(folder, name, index[name][0]) for name in adapter.weighted}
    for name in adapter.tokenizers:
        _check_tokenizer(folder / name)
    weights = {name: paths for name, (paths, _) in found.items()}
    files = [path for paths in weights.values() for path in paths]
    convention = read_convention(folder)
    if convention is None:
        if adapter.control:
            raise ModelInvalid(
                f"expected {CONVENTION_FILE} beside {folder / 'model_index.json'}, which says how "
                "paint becomes the control image, got none; write one from a preset: `histodiff "
                f"masks {folder} --preset NAME`, one of {', '.join(PRESETS)}"
            )
        convention = Convention()
    record = read_record(folder)
    result = ForeignFolder(
        path=folder,
        class_name=index["_class_name"],
        adapter=adapter,
        class_names=class_names,
        weights=weights,
        variants={name: variant for name, (_, variant) in found.items()},
        convention=convention,
        name=folder.resolve().name if record is None else record.name,
        licence=_licence(folder) if record is None else record.licence,
        revision=revision_of(files),
        nbytes=sum(path.stat().st_size for path in files),
        empty_is_zero=adapter.is_xl and bool(index.get("force_zeros_for_empty_prompt", True)),
    )
    _check_fit(result)
    return result


def check_index(
    place: str, index: Mapping[str, Any], scripts: Iterable[str]
) -> tuple[Adapter, dict[str, str]]:
    """Check what a pipeline says of itself; return its adapter and the class of each part.

    Parameters
    ----------
    place : str
        Where it is, for messages.
    index : mapping
        Of `model_index.json`.
    scripts : iterable of str
        Names of the Python files that lie beside it.

    Raises
    ------
    ModelInvalid
        When it needs code of its own, or is, or a part of it, of an unknown class.
    """
    foreign = [str(v[0]) for v in index.values() if isinstance(v, list) and v and v[0]]
    strange = sorted(set(foreign) - set(_LIBRARIES) - {"stable_diffusion"})
    scripts = sorted(scripts)
    if strange or (scripts and isinstance(index.get("_class_name"), list)):
        needs = ", ".join(strange or scripts)
        raise ModelInvalid(
            f"expected parts of {' and '.join(_LIBRARIES)} alone in {place}, got {needs}: this "
            "model needs code that comes with it, which is never run here; ask its authors for a "
            "version in the classes of diffusers"
        )
    adapter = _adapter(index)
    return adapter, {name: _class_of(name, index.get(name)) for name in adapter.components}


def _adapter(index: Mapping[str, Any]) -> Adapter:
    name = index.get("_class_name")
    if not isinstance(name, str) or name not in ADAPTERS:
        raise ModelInvalid(
            f"expected a pipeline of one of the classes {', '.join(sorted(ADAPTERS))}, got {name}; "
            "choose another model"
        )
    adapter = ADAPTERS[name]
    if adapter.control and index.get("controlnet") is None:
        raise ModelInvalid(
            f"expected the part controlnet of {name}, got none; save the whole pipeline with "
            "save_pretrained, its ControlNet with it"
        )
    return adapter


def _class_of(name: str, entry: object) -> str:
    pair = entry if isinstance(entry, list) and len(entry) == 2 else [None, entry]
    if name == "scheduler" and pair[0] == "diffusers":
        return str(pair[1])
    if pair[1] not in _CLASSES.get(name, ()):
        raise ModelInvalid(
            f"expected {name} of class {' or '.join(_CLASSES.get(name, ('a scheduler',)))}, got "
            f"{pair[1]}; the download may lack a part, or the model is of a kind that is not "
            "known here"
        )
    return str(pair[1])


def _weights(folder: Path, name: str, library: str) -> tuple[tuple[Path, ...], str | None]:
    """Return the checked weights of a component, whole or in parts, and their variant."""
    place, stem = folder / name, STEMS[library]
    for variant in VARIANTS:
        infix = "" if variant is None else f".{variant}"
        index = place / f"{stem}.safetensors.index{infix}.json"
        if index.is_file():
            parts = set(read_model_json(index).get("weight_map", {}).values())
            files = tuple(place / part for part in sorted(parts))
        else:
            files = (place / f"{stem}{infix}.safetensors",)
        if variant is None and not files[0].is_file():
            continue
        if not files or (variant is not None and not files[0].is_file()):
            break
        for path in files:
            check_safetensors(path)
        return files, variant
    plain = place / f"{stem}.safetensors"
    check_safetensors(plain)  # says whether pickles lie there instead
    raise ModelNotFound(f"expected the file {plain}, got none; download the model again")


def _check_tokenizer(place: Path) -> None:
    """Check that the words are there: transformers makes a tokenizer of none without a word."""
    if (place / "tokenizer.json").is_file():
        return
    for name in ("vocab.json", "merges.txt"):
        if not (place / name).is_file():
            raise ModelNotFound(
                f"expected the file {place / name}, got none; copy or download the model again"
            )


def _check_fit(model: ForeignFolder) -> None:
    """Check that the parts take what the others give."""
    adapter, unet = model.adapter, model.config("unet")
    takes = unet.get("in_channels")
    channels = 3
    if adapter.codec is not None:
        channels = model.config(adapter.codec).get("latent_channels", 4)
    allowed = [channels, 2 * channels + 1] if adapter.texts else [channels]
    if takes not in allowed:
        raise ModelInvalid(
            f"expected a U-Net of {' or '.join(map(str, allowed))} channels beside a codec of "
            f"{channels}, got {takes}; U-Net and VAE are of different models: download it again"
        )
    if not adapter.texts and unet.get("num_class_embeds"):
        raise ModelInvalid(
            f"expected an unconditional U-Net, got one of {unet['num_class_embeds']} classes; "
            "choose another model"
        )
    if adapter.texts:
        told = sum(model.config(name).get("hidden_size", 0) for name in adapter.texts)
        if told != unet.get("cross_attention_dim"):
            raise ModelInvalid(
                f"expected texts of {unet.get('cross_attention_dim')} numbers a word, got {told} "
                "from the text encoder; it belongs to another model: download it again"
            )
    if adapter.control:
        _check_control(model, unet, channels)


def _check_control(model: ForeignFolder, unet: dict[str, Any], channels: int) -> None:
    control = model.config("controlnet")
    planes = control.get("conditioning_channels", 3)
    if planes != model.convention.channels:
        raise ModelInvalid(
            f"expected a control image of {planes} planes, as this ControlNet takes, got "
            f"{model.convention.channels} from {CONVENTION_FILE}; correct its encoding"
        )
    halvings = len(control.get("conditioning_embedding_out_channels", (16, 32, 96, 256))) - 1
    wanted = len(model.config("vae").get("block_out_channels", ())) - 1
    if halvings != wanted:
        raise ModelInvalid(
            f"expected a ControlNet that makes control images {2**wanted} times smaller, as the "
            f"VAE makes pixels, got {2**halvings} times; VAE and ControlNet are of different "
            "models: join the ControlNet with its own base model"
        )
    if control.get("in_channels") != channels or control.get("cross_attention_dim") != unet.get(
        "cross_attention_dim"
    ):
        raise ModelInvalid(
            f"expected a ControlNet of {channels} channels for texts of "
            f"{unet.get('cross_attention_dim')} numbers, got {control.get('in_channels')} and "
            f"{control.get('cross_attention_dim')}; it belongs to another base model"
        )


def _licence(folder: Path) -> str:
    """Return the licence that the head of the model's card names."""
    card = folder / "README.md"
    head = ""
    if card.is_file():
        _, _, rest = card.read_text("utf-8", "replace").partition("---")
        head = rest.partition("---")[0]
    found = _LICENCE.search(head)
    return found[1].strip("\"'") if found else "not stated"
