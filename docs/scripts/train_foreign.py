"""Teach a Stable Diffusion pipeline your tissue: LoRA, or a ControlNet that follows your paint.

    python train_foreign.py lora MODEL DATA.npz -o OUT
    python train_foreign.py controlnet MODEL DATA.npz -o OUT --preset palette-nuclei

DATA.npz is a packed file of images with their maps, as `histodiff train` and `histodiff pack` write
them; MODEL is the folder of a StableDiffusionPipeline; OUT becomes a whole one, which `--model OUT`
and `hd.load_model("OUT")` take. Needs `pip install "napari-histodiff[lora]"`. The loop is short on
purpose: change it.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from skimage.measure import label
from skimage.segmentation import expand_labels
from torch.nn import functional as F
from tqdm import tqdm

from napari_histodiff.core.foreign.convention import PRESETS, Convention, preset, use_preset
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.packing import LAYERS, load_pack
from napari_histodiff.diffusion.foreign.text import prompt_of
from napari_histodiff.diffusion.training.crops import Crop, CropSampler

NO_CAPTION = 0.1  # share of the crops without their caption, for guidance
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
EMBEDDING = (16, 32, 96, 256)  # channels on the way from control image to latents


def control_image(crop: Crop, convention: Convention) -> np.ndarray:
    """The control image of a crop, as it will be made of paint; (planes, h, w) in [0, 1]."""
    layer = {name: crop.layers[..., i] for i, name in enumerate(LAYERS)}
    inside = (layer["union"] > 0) & (layer["edges"] == 0)
    instances = expand_labels(label(inside), 3) * (layer["union"] > 0)
    tissue = np.zeros_like(layer["tissue"])
    for number, name in enumerate(convention.tissue_names[1:], 1):
        tissue[layer["tissue"] == TISSUE_NAMES.index(name)] = number
    image = convention.control(
        crop.pixels.shape[:2], layer["class"], instances.astype(np.int32), tissue
    )
    if image is None:
        raise SystemExit("expected a preset that says how paint is taken, got no-paint")
    return image


def batch_of(crops: list[Crop], text: Any, convention: Convention, seed: int) -> dict[str, Any]:
    """Pixels in [-1, 1], encoded captions and control images of some crops."""
    rng = np.random.default_rng(seed)
    prompts = [
        "" if rng.random() < NO_CAPTION else prompt_of(crop.caption.to_text(), convention.prompt)
        for crop in crops
    ]
    pixels = np.stack([crop.pixels for crop in crops]).astype(np.float32) / 127.5 - 1
    batch = {"pixels": torch.from_numpy(pixels).movedim(-1, 1), "words": text(prompts)}
    if convention.paint != "none":
        planes = np.stack([control_image(crop, convention) for crop in crops])
        batch["control"] = torch.from_numpy(planes)
    return batch


def loss_of(pipeline: Any, controlnet: Any, batch: dict[str, Any], scheduler: Any) -> torch.Tensor:
    """How far the U-Net is from the noise (or velocity) that was added to latents."""
    device = pipeline.unet.device
    with torch.no_grad():
        latents = pipeline.vae.encode(batch["pixels"].to(device)).latent_dist.sample()
        latents = latents * pipeline.vae.config.scaling_factor
    noise = torch.randn_like(latents)
    t = torch.randint(0, scheduler.config.num_train_timesteps, (len(latents),), device=device)
    noisy, words = scheduler.add_noise(latents, noise, t), batch["words"].to(device)
    more: dict[str, Any] = {}
    if controlnet is not None:
        control = batch["control"].to(device)
        down, middle = controlnet(noisy, t, words, control, return_dict=False)
        more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    found = pipeline.unet(noisy, t, words, **more).sample
    is_velocity = scheduler.config.prediction_type == "v_prediction"
    wanted = scheduler.get_velocity(latents, noise, t) if is_velocity else noise
    return F.mse_loss(found.float(), wanted.float())


def load(folder: Path, device: str) -> Any:
    """Load the pipeline, all of it frozen."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(
        folder, use_safetensors=True, local_files_only=True
    )
    if type(pipeline) is not diffusers.StableDiffusionPipeline:
        raise SystemExit(f"expected a StableDiffusionPipeline, got {type(pipeline).__name__}")
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False).eval()
    return pipeline.to(device)


def new_controlnet(pipeline: Any, convention: Convention) -> Any:
    """A ControlNet that changes nothing yet, for control images of a convention."""
    halvings = len(pipeline.vae.config.block_out_channels) - 1
    return diffusers.ControlNetModel.from_unet(
        pipeline.unet,
        conditioning_channels=convention.channels,
        conditioning_embedding_out_channels=EMBEDDING[: halvings + 1],
    ).to(pipeline.unet.device)


def save(pipeline: Any, controlnet: Any, options: argparse.Namespace) -> None:
    """Write a whole pipeline, with the card of the one it came from: its licence goes on."""
    if controlnet is None:
        pipeline.unet.fuse_lora()
        pipeline.unet.unload_lora()
    else:
        pipeline = diffusers.StableDiffusionControlNetPipeline(
            **pipeline.components | {"safety_checker": None, "feature_extractor": None},
            controlnet=controlnet,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(options.output, safe_serialization=True)
    if (options.model / "README.md").is_file():
        shutil.copy(options.model / "README.md", options.output / "README.md")
    if controlnet is not None:
        use_preset(options.output, options.preset)


def main(arguments: list[str] | None = None) -> list[float]:
    """Train, write the pipeline and return the losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["lora", "controlnet"])
    parser.add_argument("model", type=Path)
    parser.add_argument("pack", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--preset", choices=PRESETS, default="palette-nuclei")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--rank", type=int, default=16, help="of LoRA")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)
    pipeline = load(options.model, options.device)
    controlnet = None
    if options.what == "controlnet":
        convention = preset(options.preset)
        controlnet = new_controlnet(pipeline, convention)
        trained = list(controlnet.train().parameters())
    else:
        from peft import LoraConfig

        convention = Convention()
        pipeline.unet.add_adapter(LoraConfig(r=options.rank, target_modules=ATTENTION))
        trained = [p for p in pipeline.unet.train().parameters() if p.requires_grad]
    scheduler = diffusers.DDPMScheduler.from_config(pipeline.scheduler.config)
    optimizer = torch.optim.AdamW(trained, lr=options.rate)
    sampler = CropSampler(load_pack(options.pack), options.seed, scales={1: 1.0})
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor

    @torch.no_grad()
    def text(prompts: list[str]) -> torch.Tensor:
        words: torch.Tensor = pipeline.encode_prompt(prompts, options.device, 1, False)[0]
        return words

    losses = []
    for step in tqdm(range(options.steps), disable=None):
        crops = [sampler.draw(side) for _ in range(options.batch)]
        loss = loss_of(pipeline, controlnet, batch_of(crops, text, convention, step), scheduler)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    pipeline.unet.eval()
    save(pipeline, None if controlnet is None else controlnet.eval(), options)
    return losses


if __name__ == "__main__":
    main()
