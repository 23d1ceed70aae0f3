"""Folders that must not load, each refused in words before torch reads it."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from napari_histodiff.core.errors import (
    DeviceUnavailable,
    HistodiffError,
    ModelInvalid,
    ModelNotFound,
)
from napari_histodiff.core.foreign.convention import CONVENTION_FILE
from napari_histodiff.core.foreign.folder import check_foreign, is_foreign
from napari_histodiff.diffusion.backend import default_backend
from napari_histodiff.diffusion.model_folder import bundled_model_path
from tests.diffusion.foreign.tiny import tiny_pipeline, tiny_unet, tiny_vae

CONTROL = "StableDiffusionControlNetPipeline"


@pytest.fixture
def folder(folder_of, tmp_path) -> Path:
    return shutil.copytree(folder_of(CONTROL), tmp_path / "copy")


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path, kind: type[HistodiffError], words: str) -> None:
    with pytest.raises(kind, match=words):
        default_backend(folder, "cpu")


def test_a_folder_says_what_it_is(folder) -> None:
    found = check_foreign(folder)
    assert (found.name, found.licence, found.variants["unet"]) == ("copy", "openrail", None)
    assert len(found.revision) == 12
    assert found.nbytes == sum(p.stat().st_size for p in folder.rglob("*.safetensors"))
    assert is_foreign(folder)
    assert not is_foreign(bundled_model_path())


def test_pickles_are_never_read(folder) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps({}))
    refused(folder, ModelInvalid, r"got diffusion_pytorch_model\.bin; pickles can run code")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"_class_name": ["pipeline_pixcell", "PixCellPipeline"]}, id="pipeline"),
        pytest.param({"unet": ["models.sit", "SiT"]}, id="part"),
    ],
)
def test_code_that_comes_with_a_model_is_never_run(folder, changes) -> None:
    proof = folder / "ran"
    for name in ("pipeline_pixcell.py", "models/sit.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"open({str(proof)!r}, 'w')")
    edit_json(folder / "model_index.json", **changes)
    refused(folder, ModelInvalid, "needs code that comes with it, which is never run here")
    assert not proof.exists()


def test_another_kind_of_pipeline_is_named(folder) -> None:
    edit_json(folder / "model_index.json", _class_name="FluxPipeline")
    refused(folder, ModelInvalid, "got FluxPipeline; choose another model")


@pytest.mark.parametrize(
    ("part", "kind", "words"),
    [
        ("unet/config.json", ModelNotFound, "download the model again"),
        ("vae/diffusion_pytorch_model.safetensors", ModelNotFound, "vae"),
        ("text_encoder/model.safetensors", ModelNotFound, "text_encoder"),
        ("tokenizer/merges.txt", ModelNotFound, "merges"),
        ("scheduler/scheduler_config.json", ModelInvalid, "expected a scheduler in"),
        (CONVENTION_FILE, ModelInvalid, "write one from a preset"),
    ],
)
def test_half_a_download_says_what_is_missing(folder, part, kind, words) -> None:
    (folder / part).unlink()
    refused(folder, kind, words)


def test_a_truncated_file_is_told(folder) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refused(folder, ModelInvalid, "it is truncated")


def test_a_pointer_of_git_lfs_is_no_file_of_weights(folder) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refused(folder, ModelInvalid, "download the model again")


def test_a_part_that_the_index_lacks_is_told(folder) -> None:
    edit_json(folder / "model_index.json", controlnet=None)
    refused(folder, ModelInvalid, "the part controlnet")
    edit_json(folder / "model_index.json", controlnet=["diffusers", "MultiControlNetModel"])
    refused(folder, ModelInvalid, "got MultiControlNetModel")


def test_an_autoencoder_of_another_model_is_refused(tmp_path) -> None:
    path = tiny_pipeline(tmp_path, "StableDiffusionPipeline", vae=tiny_vae(latent_channels=3))
    refused(path, ModelInvalid, "U-Net and VAE are of different models")


def test_a_text_encoder_of_another_model_is_refused(folder) -> None:
    edit_json(folder / "text_encoder" / "config.json", hidden_size=1024)
    refused(folder, ModelInvalid, "got 1024 from the text encoder")


def test_a_model_of_classes_is_refused(tmp_path) -> None:
    unet = tiny_unet(in_channels=3, num_class_embeds=4)
    refused(tiny_pipeline(tmp_path, "DDPMPipeline", unet=unet), ModelInvalid, "one of 4 classes")


def test_a_control_image_of_another_size_is_refused(folder) -> None:
    told = json.loads((folder / CONVENTION_FILE).read_text())
    planes = {name: [i] for i, name in enumerate(told["values"])}
    edit_json(folder / CONVENTION_FILE, encoding="one-hot", values=planes)
    refused(folder, ModelInvalid, "expected a control image of 3 planes")


def test_an_autoencoder_of_another_scale_is_refused(folder) -> None:
    """Pixels 4 times smaller, where the control image becomes 2 times smaller."""
    vae = tiny_vae(
        block_out_channels=(4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    )
    vae.save_pretrained(folder / "vae")
    refused(folder, ModelInvalid, "control images 4 times smaller, .* got 2 times")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_a_graphics_card_that_is_not_there_is_told_before_weights_are_read(folder) -> None:
    with pytest.raises(DeviceUnavailable, match="cuda"):
        default_backend(folder, "cuda:0")


def test_a_controlnet_of_another_base_is_refused(tmp_path) -> None:
    net = diffusers.ControlNetModel.from_unet(
        tiny_unet("text", cross_attention_dim=12), conditioning_embedding_out_channels=(4, 8)
    )
    refused(tiny_pipeline(tmp_path, CONTROL, controlnet=net), ModelInvalid, "another base model")


def test_weights_that_lack_are_not_drawn_at_random(folder) -> None:
    edit_json(folder / "unet" / "config.json", layers_per_block=2)
    refused(folder, ModelInvalid, "got none of")


def test_weights_that_are_not_finite_are_refused(tmp_path) -> None:
    path = tiny_pipeline(tmp_path, "DDIMPipeline")
    unet = diffusers.UNet2DModel.from_pretrained(path / "unet")
    torch.nn.init.constant_(unet.conv_in.bias, float("nan"))
    unet.save_pretrained(path / "unet")
    refused(path, ModelInvalid, "NaN or infinity")


def test_a_solver_of_another_kind_is_refused(tmp_path) -> None:
    flow = diffusers.FlowMatchEulerDiscreteScheduler()
    refused(tiny_pipeline(tmp_path, "DDIMPipeline", scheduler=flow), ModelInvalid, "noise levels")


def test_half_precision_and_weights_in_parts_are_found(folder) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    unet.half().save_pretrained(folder / "unet", variant="fp16", max_shard_size="40KB")
    found = check_foreign(folder)
    assert found.variants["unet"] == "fp16"
    assert len(found.weights["unet"]) > 1
    assert default_backend(folder, "cpu").info.revision == found.revision


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"values": {"unicorn": [1, 2, 3]}}, "unicorn"),
        ({"values": {"plasma": [1, 2]}}, "3 numbers"),
        ({"values": {"plasma": [1, 2, 256]}}, "0 to 255"),
        ({"prompt": "no place"}, "prompt"),
        ({"mpp": [0.5]}, "mpp"),
        ({"encoding": "morse"}, "morse"),
        ({"values": {}}, "no values"),
        ({"colour": 1}, "unknown colour"),
    ],
)
def test_a_garbled_convention_says_what_is_wrong(folder, changes, words) -> None:
    edit_json(folder / CONVENTION_FILE, **changes)
    refused(folder, ModelInvalid, words)
