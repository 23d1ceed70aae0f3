"""RePaint with a tiny random network, and with an exact denoiser of Gaussian images."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler, UNet2DModel
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.backend import Step
from napari_histodiff.core.errors import Cancelled, HistodiffError, InvalidRequest, ModelInvalid
from napari_histodiff.diffusion.repaint import repaint, walk

TRAINED = 200


def tiny_unet(**changes: Any) -> UNet2DModel:
    settings = {
        "sample_size": 16,
        "block_out_channels": (8, 8),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DModel(**settings | changes).eval()


class GaussianUNet:
    """The exact denoiser of windows whose pixels share a level: N(0, common^2 11' + own^2 I)."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, scheduler: Any, size: int, common: float, own: float) -> None:
        self.config = SimpleNamespace(
            in_channels=3, sample_size=size, block_out_channels=(1, 1), get=lambda name: None
        )
        self._scheduler = scheduler
        self._common, self._own = common, own

    def __call__(self, z: torch.Tensor, t: int) -> Any:
        share = float(self._scheduler.alphas_cumprod[t])
        signal, noise = share**0.5, (1 - share) ** 0.5
        level = z.mean((1, 2, 3), keepdim=True)
        x0 = self._shrink(level, self._common**2 * z[0].numel() + self._own**2, share)
        x0 = x0 + self._shrink(z - level, self._own**2, share)
        predicted = {
            "sample": x0,
            "epsilon": (z - signal * x0) / noise,
            "v_prediction": (signal * z - x0) / noise,
        }
        return SimpleNamespace(sample=predicted[self._scheduler.config.prediction_type])

    @staticmethod
    def _shrink(z: torch.Tensor, variance: float, share: float) -> torch.Tensor:
        return z * variance * share**0.5 / (share * variance + 1 - share)


def scheduler(kind: Any = DDPMScheduler, **changes: Any) -> Any:
    return kind(num_train_timesteps=TRAINED, clip_sample=False, **changes)


def half_known(shape: tuple[int, int], level: float, own: float) -> tuple[np.ndarray, np.ndarray]:
    """An image whose left half is known, and its edit mask."""
    values = level + own * np.random.default_rng(0).standard_normal((*shape, 3))
    mask = np.zeros(shape, bool)
    mask[:, shape[1] // 2 :] = True
    return np.rint((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8), mask


def noise_image(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    mask = rng.random(shape) > 0.5
    return rng.integers(0, 256, (*shape, 3), dtype=np.uint8), mask


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_resampling_draws_from_the_conditional_distribution(prediction) -> None:
    """Given the left half, the right half comes to have its level, and has its own spread."""
    own, level, shape = 0.1, 0.5, (16, 16)
    image, mask = half_known(shape, level, own)
    noise_levels = scheduler(prediction_type=prediction)
    unet = GaussianUNet(noise_levels, 16, common=0.4, own=own)
    errors = {}
    for resampling in (1, 10):
        means, spreads = [], []
        for seed in range(4):
            drawn = repaint(
                unet, noise_levels, image, mask, steps=40, resampling=resampling,
                jump_length=4, seed=seed,
            )  # fmt: skip
            values = drawn[mask] / 127.5 - 1
            means.append(values.mean())
            spreads.append(values.std())
        errors[resampling] = abs(float(np.mean(means)) - level)
        # Ancestral steps take the smaller of two bounds of the variance (Ho et al., section 3.2).
        assert 0.7 * own < np.mean(spreads) < 1.1 * own
    assert errors[10] < 0.02
    assert errors[10] < errors[1] / 2


def test_windows_of_a_large_image_agree_on_the_level() -> None:
    own, shape = 0.1, (21, 45)
    image, mask = half_known(shape, 0.5, own)
    mask[:, -4:] = False
    noise_levels = scheduler()
    unet = GaussianUNet(noise_levels, 16, common=0.4, own=own)
    drawn = repaint(unet, noise_levels, image, mask, steps=40, resampling=10, jump_length=4)
    np.testing.assert_array_equal(drawn[~mask], image[~mask])
    columns = drawn[:, 22:41].mean((0, 2)) / 127.5 - 1
    np.testing.assert_allclose(columns, 0.5, atol=0.15)


@pytest.mark.parametrize("kind", [DDPMScheduler, DDIMScheduler])
@pytest.mark.parametrize("shape", [(16, 16), (9, 13), (21, 37)])
def test_any_size_keeps_known_pixels_and_counts_its_steps(kind, shape) -> None:
    unet, noise_levels = tiny_unet(), scheduler(kind)
    before = (noise_levels.timesteps.tolist(), dict(noise_levels.config))
    image, mask = noise_image(shape)
    sizes: list[tuple[int, ...]] = []
    unet.register_forward_pre_hook(lambda _, args: sizes.append(tuple(args[0].shape)))
    seen: list[Step] = []
    settings: dict[str, Any] = {"steps": 3, "resampling": 2, "jump_length": 1}
    drawn = repaint(unet, noise_levels, image, mask, on_step=seen.append, **settings)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn[~mask], image[~mask])
    assert not np.array_equal(drawn[mask], image[mask])
    assert [(s.done, s.total) for s in seen] == [(i + 1, len(seen)) for i in range(len(seen))]
    assert len(sizes) == len(seen)
    assert max(max(size[2:]) for size in sizes) <= 24
    assert seen[-1].preview().shape == image.shape
    assert (noise_levels.timesteps.tolist(), dict(noise_levels.config)) == before
    np.testing.assert_array_equal(drawn, repaint(unet, noise_levels, image, mask, **settings))
    other = repaint(unet, noise_levels, image, mask, seed=1, **settings)
    assert not np.array_equal(drawn[mask], other[mask])


def test_what_lies_under_the_mask_does_not_matter() -> None:
    image, mask = noise_image((16, 16))
    hidden = np.where(mask[..., None], 0, image)
    settings: dict[str, Any] = {"steps": 4, "resampling": 2, "jump_length": 1}
    drawn = [repaint(tiny_unet(), scheduler(), i, mask, **settings) for i in (image, hidden)]
    np.testing.assert_array_equal(*drawn)


def test_learned_variances_are_left_out_and_clipping_is_kept() -> None:
    image, mask = noise_image((16, 16))
    unet = tiny_unet(out_channels=6)
    noise_levels = DDPMScheduler(num_train_timesteps=TRAINED, clip_sample_range=0.25)
    drawn = repaint(unet, noise_levels, image, mask, steps=3, resampling=1, jump_length=1)
    assert np.abs(drawn[mask] / 127.5 - 1).max() <= 0.26


def test_a_cancel_stops_at_once() -> None:
    calls = []

    def stop(step: Step) -> None:
        calls.append(step)
        raise Cancelled("expected no cancel, got one; submit again")

    with pytest.raises(Cancelled):
        repaint(tiny_unet(), scheduler(), *noise_image((16, 16)), steps=20, on_step=stop)
    assert len(calls) == 1


@given(st.integers(2, 60), st.integers(1, 5), st.integers(1, 20))
def test_the_walk_goes_from_noise_to_image_and_takes_every_stretch_as_often(
    steps, resampling, jump_length
) -> None:
    if resampling > 1 and jump_length >= steps:
        with pytest.raises(InvalidRequest, match="jumps shorter"):
            walk(steps, resampling, jump_length)
        return
    levels = walk(steps, resampling, jump_length)
    assert (levels[0], levels[-1]) == (steps, 0)
    moves = [b - a for a, b in pairwise(levels)]
    assert set(moves) <= {-1, 1}
    assert min(levels[:-1]) == 1
    assert max(levels) == steps
    stretches = len(range(1, steps - jump_length + 1, jump_length))
    assert moves.count(1) == stretches * jump_length * (resampling - 1)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"unet": tiny_unet(in_channels=1, out_channels=1)}, ModelInvalid, "of 3 channels"),
        ({"unet": tiny_unet(num_class_embeds=4)}, ModelInvalid, "4 classes"),
        ({"scheduler": FlowMatchEulerDiscreteScheduler()}, ModelInvalid, "DDPMScheduler"),
        ({"edit_mask": np.zeros((16, 16), bool)}, InvalidRequest, "painted pixel"),
        ({"edit_mask": np.ones((16, 15), bool)}, InvalidRequest, "of shape"),
        ({"steps": 0}, InvalidRequest, "steps of at least 1"),
        ({"steps": TRAINED + 1}, InvalidRequest, f"at most {TRAINED} steps"),
        ({"resampling": 0}, InvalidRequest, "resampling of at least 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_advice(changes, kind, words) -> None:
    image, mask = noise_image((16, 16))
    given = {
        "unet": tiny_unet(), "scheduler": scheduler(), "image": image, "edit_mask": mask
    }  # fmt: skip
    with pytest.raises(HistodiffError, match=words) as caught:
        repaint(**given | changes)
    assert isinstance(caught.value, kind)
