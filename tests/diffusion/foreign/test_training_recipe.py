"""The recipe of docs/training.md for models of other makers: a few steps, loaded back, drawn."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

import napari_histodiff as hd
from napari_histodiff.datasets.packing import pack
from napari_histodiff.diffusion.foreign import loading
from napari_histodiff.diffusion.foreign.text import load_text_encoder
from tests.data_folder import write_data_folder
from tests.diffusion.foreign.clip import write_clip
from tests.diffusion.foreign.tiny import tiny_pipeline

pytest.importorskip("transformers", reason="reads captions; it comes with the extra [text]")

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(autouse=True)
def _real_texts(_texts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_text_encoder", load_text_encoder)


@pytest.fixture
def recipe() -> Any:
    spec = importlib.util.spec_from_file_location("r", ROOT / "docs/scripts/train_foreign.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of a pipeline and a packed file."""
    folder = write_clip(tiny_pipeline(tmp_path / "model", "StableDiffusionPipeline"))
    (tmp_path / "data").mkdir()
    return folder, pack(write_data_folder(tmp_path / "data"), tmp_path / "train.npz")


def train(recipe: Any, what: str, data: tuple[Path, Path], output: Path) -> Path:
    steps = ("--steps", "3", "--batch", "2", "--rate", "1e-2", "--device", "cpu")
    losses = recipe.main([what, *map(str, data), "-o", str(output), *steps])
    assert len(losses) == 3
    assert np.isfinite(losses).all()
    return output


def test_a_controlnet_learns_paint_and_is_a_model(recipe, data, tmp_path) -> None:
    output = train(recipe, "controlnet", data, tmp_path / "out")
    model = hd.load_model(output, device="cpu")
    assert (model.info.paint, model.info.licence) == (("nuclei",), "openrail")
    classes = np.zeros((64, 64), np.uint8)
    classes[10:30, 10:30] = 3
    assert model(classes, steps=2, suggest=False).shape == (64, 64, 3)
    learned = load_file(output / "controlnet" / "diffusion_pytorch_model.safetensors")
    assert learned["controlnet_cond_embedding.conv_out.weight"].any()  # begins with zeros
    before = load_file(data[0] / WEIGHTS)
    after = load_file(output / WEIGHTS)
    assert all(np.array_equal(before[name], after[name]) for name in before)  # frozen


def test_what_lora_learned_is_in_the_weights(recipe, data, tmp_path) -> None:
    pytest.importorskip("peft", reason="LoRA; it comes with the extra [lora]")
    output = train(recipe, "lora", data, tmp_path / "out")
    model = hd.load_model(output, device="cpu")
    assert model(shape=(64, 64), steps=2).shape == (64, 64, 3)
    before, after = load_file(data[0] / WEIGHTS), load_file(output / WEIGHTS)
    assert before.keys() == after.keys()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all("attn" in name for name in changed)


def test_another_kind_of_pipeline_is_refused(recipe, data, tmp_path) -> None:
    folder = tiny_pipeline(tmp_path / "ddim", "DDIMPipeline")
    with pytest.raises(SystemExit, match="got DDIMPipeline"):
        recipe.main(["lora", str(folder), str(data[1]), "-o", str(tmp_path / "o")])
