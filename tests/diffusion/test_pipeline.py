"""The pipeline with a tiny random network: purity, cost, known pixels, round trip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from napari_histodiff.core.backend import Step
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind
from napari_histodiff.diffusion.conditioning import (
    Conditions,
    RequestConditions,
    conditions_from_request,
)
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline
from tests.contracts import edit_request
from tests.diffusion.tiny import TISSUE_CLASSES, tiny_pipeline

FRAME = Region(0, -37, 21, 150, 197)


@pytest.fixture(scope="module")
def pipeline() -> HistoDiffusionPipeline:
    return tiny_pipeline()


def conditions(frame: Region = FRAME, **changes: Any) -> Conditions:
    classes = np.random.default_rng(0).integers(0, 7, frame.shape)
    request = edit_request(size=frame.shape, class_map=classes, **changes)
    return conditions_from_request(request, TISSUE_CLASSES)


def draw(pipeline: HistoDiffusionPipeline, given: Conditions, **settings: Any) -> Tensor:
    settings = {"num_inference_steps": 3, "output_type": "pt"} | settings
    return pipeline(given, **settings).images


def test_the_place_decides_the_noise(pipeline) -> None:
    given = conditions()
    here, there = (draw(pipeline, given, region=FRAME.translate(dy, 0)) for dy in (0, 64))
    assert not torch.equal(here, there)


class Noisy(torch.nn.Module):
    """Answers with the noise it is given."""

    def forward(self, sample: Tensor, *_: Any) -> Tensor:
        return sample


def test_tissue_that_differs_is_drawn_of_other_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a gland has the fibres of the stroma it is painted on; what stays as it was keeps its."""
    pipeline = tiny_pipeline()
    noise = Noisy()
    monkeypatch.setattr(pipeline.network, "forward", noise.forward)
    maps = np.ones((2, *FRAME.shape), np.uint8)
    maps[:, :, :50], maps[1, :, 100:] = 0, 2
    first, second = (
        draw(pipeline, conditions(tissue_map=each), num_inference_steps=1) for each in maps
    )
    bare = draw(pipeline, conditions(), num_inference_steps=1)
    assert torch.allclose(first[..., :60], second[..., :60], atol=0.01)  # glands are as calm
    assert torch.equal(first[..., :48], bare[..., :48])
    for one, other, place in ((first, second, slice(100, None)), (first, bare, slice(50, None))):
        pair = torch.stack([one[..., place].flatten(), other[..., place].flatten()])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.05


@pytest.mark.parametrize("shape", [(1, 1), (15, 130), (97, 16), (33, 100)])
def test_any_height_and_width(pipeline, shape) -> None:
    image = draw(pipeline, conditions(Region(0, 3, 5, *shape)), num_inference_steps=1)
    assert image.shape == (1, 3, *shape)
    assert image.isfinite().all()


@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
@pytest.mark.parametrize(
    ("steps", "target"), [(1, None), (5, None), (4, Region(0, 16, 80, 40, 30))]
)
def test_evaluations_are_those_of_the_network(
    pipeline, monkeypatch, guidance_scale, steps, target
) -> None:
    frame = FRAME.pad(16)
    rows = []
    forward = pipeline.network.forward
    monkeypatch.setattr(
        pipeline.network, "forward", lambda z, *rest: rows.append(len(z)) or forward(z, *rest)
    )
    seen: list[Step] = []
    settings = {
        "num_inference_steps": steps,
        "guidance_scale": guidance_scale,
        "num_images_per_prompt": 2,
        "target": target,
    }
    draw(pipeline, conditions(frame), region=frame, on_step=seen.append, **settings)
    total = pipeline.evaluations(frame, **settings)
    assert [(step.done, step.total) for step in seen] == [(i + 1, total) for i in range(total)]
    assert len(rows) == total // (1 if guidance_scale == 1 else 2)


def test_a_target_is_drawn_from_a_stack_of_conditions_as_from_a_request(pipeline) -> None:
    target, region = Region(0, 64, 64, 64, 64), Region(0, 0, 0, 192, 192)
    classes = np.random.default_rng(0).integers(0, 7, region.shape)
    request = replace(edit_request(size=region.shape, class_map=classes), region=region)
    settings = {"region": region, "target": target}
    fields = (
        make(request, TISSUE_CLASSES) for make in (conditions_from_request, RequestConditions)
    )
    stack, given = fields
    whole, lazy = (draw(pipeline, conditions, **settings) for conditions in (stack, given))
    assert whole.shape == (1, 3, *target.shape)
    torch.testing.assert_close(whole, lazy, atol=0.1, rtol=0)  # edges at window borders differ
    image = torch.zeros(3, *region.shape)
    with pytest.raises(InvalidRequest, match="no target at strength"):
        draw(pipeline, stack, image=image, strength=0.5, **settings)


def test_known_pixels_are_kept_and_windows_see_them(pipeline) -> None:
    mask = np.zeros(FRAME.shape, bool)
    mask[40:90, 50:120] = True
    image = np.random.default_rng(1).integers(0, 256, (*FRAME.shape, 3), dtype=np.uint8)
    given = conditions(kind=EditKind.INPAINT, image=image, edit_mask=mask)
    pixels = draw(pipeline, given, region=FRAME, output_type="np")[0]
    assert np.abs(pixels[~mask].astype(int) - image[~mask]).max() <= 1
    assert not np.array_equal(pixels[mask], image[mask])


def test_low_strength_stays_near_the_image(pipeline) -> None:
    given = conditions()
    image = torch.zeros(3, *FRAME.shape)
    distances = [
        (draw(pipeline, given, image=image, strength=s, num_inference_steps=10) - image).std()
        for s in (0.1, 1.0)
    ]
    assert distances[0] < distances[1]
    with pytest.raises(InvalidRequest, match="image to start from"):
        draw(pipeline, given, strength=0.5)


def test_split_guidance_draws_the_same_tissue(pipeline) -> None:
    given = conditions()
    torch.testing.assert_close(
        draw(pipeline, given, split_guidance=True), draw(pipeline, given), atol=1e-3, rtol=0
    )


def test_previews_lead_to_the_result(pipeline) -> None:
    seen: list[np.ndarray] = []
    final = draw(
        pipeline, conditions(), output_type="np", on_step=lambda step: seen.append(step.preview())
    )[0]
    errors = [np.abs(preview.astype(float) - final).mean() for preview in (seen[0], seen[-1])]
    assert errors[1] < 0.1 * errors[0]


def test_output_types(pipeline) -> None:
    given = conditions(Region(0, 0, 0, 16, 32))
    pixels = draw(pipeline, given, output_type="np", num_images_per_prompt=2)
    pictures = draw(pipeline, given, output_type="pil", num_images_per_prompt=2)
    assert pixels.shape == (2, 16, 32, 3)
    np.testing.assert_array_equal(np.stack([np.asarray(p) for p in pictures]), pixels)


def test_a_region_of_another_shape_is_refused(pipeline) -> None:
    with pytest.raises(InvalidRequest, match="expected conditions of shape"):
        draw(pipeline, conditions(), region=Region(0, 0, 0, 16, 16))


def test_saving_and_loading_changes_no_bit(tmp_path: Path) -> None:
    saved = tiny_pipeline(FlowMatchEulerDiscreteScheduler(shift=2.0))
    saved.save_pretrained(tmp_path)
    loaded = HistoDiffusionPipeline.from_pretrained(
        tmp_path, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
    )
    assert loaded.layout == saved.layout
    assert not [p for p in tmp_path.rglob("*") if p.suffix in {".bin", ".pt", ".py"}]
    given = conditions()
    assert torch.equal(draw(loaded, given), draw(saved, given))
