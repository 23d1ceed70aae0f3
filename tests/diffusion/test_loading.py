"""Model folders: what loads, and how each broken one is refused."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_histodiff.core.errors import DeviceUnavailable, ModelInvalid, ModelNotFound
from napari_histodiff.devices import resolve_device, resolve_dtype
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.model_folder import check_folder
from tests.diffusion.tiny import save_tiny, tiny_pipeline

WEIGHTS = "network/diffusion_pytorch_model.safetensors"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def pickles_only(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    torch.save({}, folder / "network" / "diffusion_pytorch_model.bin")


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


BROKEN: dict[str, tuple[type[Exception], str, Callable[[Path], object]]] = {
    "no folder": (ModelNotFound, "model folder", shutil.rmtree),
    "no index": (ModelNotFound, "index", lambda f: (f / "model_index.json").unlink()),
    "no weights": (ModelNotFound, "safetensors", lambda f: (f / WEIGHTS).unlink()),
    "no info": (ModelNotFound, "model_info", lambda f: (f / "model_info.json").unlink()),
    "no network": (ModelNotFound, "config", lambda f: shutil.rmtree(f / "network")),
    "truncated": (ModelInvalid, "truncated", lambda f: truncate(f / WEIGHTS)),
    "empty weights": (ModelInvalid, "truncated", lambda f: (f / WEIGHTS).write_bytes(b"")),
    "no safetensors": (
        ModelInvalid,
        "something else",
        lambda f: (f / WEIGHTS).write_bytes((5).to_bytes(8, "little") + b"hello"),
    ),
    "pickles only": (ModelInvalid, "pickles", pickles_only),
    "not JSON": (ModelInvalid, "JSON", lambda f: (f / "model_index.json").write_text("{")),
    "list": (ModelInvalid, "object", lambda f: (f / "model_index.json").write_text("[]")),
    "another pipeline": (
        ModelInvalid,
        "HistoDiffusionPipeline",
        lambda f: edit(f / "model_index.json", _class_name="StableDiffusionPipeline"),
    ),
    "newer network": (
        ModelInvalid,
        "newer",
        lambda f: edit(
            f / "model_index.json", network=["napari_histodiff.diffusion.network", "HistoUNet2"]
        ),
    ),
    "foreign class": (
        ModelInvalid,
        "newer or another",
        lambda f: edit(f / "model_index.json", network=["os", "system"]),
    ),
    "another component": (
        ModelInvalid,
        "newer or another",
        lambda f: edit(f / "model_index.json", vae=["diffusers", "AutoencoderKL"]),
    ),
    "more of a stain": (
        ModelInvalid,
        "numbers of a stain",
        lambda f: edit(f / "network" / "config.json", stain_numbers=9),
    ),
    "newer captions": (
        ModelInvalid,
        "caption schema",
        lambda f: edit(f / "caption_encoder" / "config.json", caption_schema=99),
    ),
    "garbled info": (
        ModelInvalid,
        "model_info",
        lambda f: edit(f / "model_info.json", mpp=["fine"]),
    ),
    "weights of another size": (
        ModelInvalid,
        "fit their configuration",
        lambda f: edit(f / "network" / "config.json", embedding_dim=32),
    ),
    "a list for a header": (
        ModelInvalid,
        "something else",
        lambda f: (f / WEIGHTS).write_bytes((2).to_bytes(8, "little") + b"[]"),
    ),
    "a layer is missing": (
        ModelInvalid,
        "head.weight",
        lambda f: change_weights(f, lambda w: w.pop("head.weight")),
    ),
    "a layer of a newer version": (
        ModelInvalid,
        "newer version",
        lambda f: change_weights(f, lambda w: w.update(attention=torch.ones(2))),
    ),
    "NaN weights": (
        ModelInvalid,
        "NaN",
        lambda f: change_weights(f, lambda w: w["head.bias"].fill_(float("nan"))),
    ),
}


@pytest.mark.parametrize(("error", "words", "damage"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_refused_with_the_reason(
    error, words, damage, model_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    damage(folder)
    with pytest.raises(error, match=words) as caught:
        load_pipeline(folder, "cpu")
    assert "; " in str(caught.value)


def test_loading_opens_no_connection(model_folder: Path, monkeypatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load_pipeline(model_folder, "cpu").network.multiple_of == 16


def test_float16_weights_load_in_the_format_of_the_device(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    pipeline.network.half()
    pipeline.caption_encoder.half()
    folder = save_tiny(pipeline, tmp_path)
    for dtype in ("float32", "bfloat16"):
        loaded = load_pipeline(folder, "cpu", dtype)
        formats = {
            p.dtype for m in (loaded.network, loaded.caption_encoder) for p in m.parameters()
        }
        assert formats == {getattr(torch, dtype)}


def test_auto_takes_bfloat16_where_the_processor_computes_in_it(monkeypatch) -> None:
    cpu = torch.device("cpu")
    for fast, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda fast=fast: fast)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert resolve_dtype(cpu, "auto") is dtype


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "xpu", "mps:7"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(DeviceUnavailable, match=name):
        resolve_device(name)


def test_the_revision_names_the_weights(model_folder: Path, tmp_path: Path) -> None:
    other = tiny_pipeline()
    torch.nn.init.zeros_(other.network.stem.weight)
    revisions = {check_folder(f).revision for f in (model_folder, save_tiny(other, tmp_path))}
    assert len(revisions) == 2
    assert all(len(revision) == 12 for revision in revisions)
