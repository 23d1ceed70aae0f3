from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histodiff.diffusion.texture import texture_distance


@pytest.fixture
def tissue() -> tuple[Tensor, Tensor]:
    """Blotches of two colours with grain, and the mask of one of them."""
    torch.manual_seed(0)
    smooth = F.avg_pool2d(torch.randn(2, 1, 64, 64), 9, 1, 4)
    nuclei = (smooth > 0.05).float()
    return (nuclei - 0.5) + 0.2 * torch.randn(2, 3, 64, 64), nuclei


def test_equal_images_have_no_distance(tissue: tuple[Tensor, Tensor]) -> None:
    images, nuclei = tissue
    assert texture_distance(images, images, nuclei).tolist() == [0, 0]


def test_new_grain_of_the_same_kind_is_nearer_than_blurred_paler_or_swapped(
    tissue: tuple[Tensor, Tensor],
) -> None:
    images, nuclei = tissue
    other = (nuclei - 0.5) + 0.2 * torch.randn(2, 3, 64, 64)
    near = texture_distance(other, images, nuclei)
    blurred = texture_distance(F.avg_pool2d(images, 3, 1, 1), images, nuclei)
    paler = texture_distance(images + 0.3, images, nuclei)
    swapped = texture_distance(-images, images, nuclei)
    for far in (blurred, paler, swapped):
        assert (far > 3 * near).all()


def test_only_the_drawn_image_learns(tissue: tuple[Tensor, Tensor]) -> None:
    images, nuclei = tissue
    drawn = (0.8 * images).requires_grad_()
    texture_distance(drawn, images, nuclei).sum().backward()
    assert drawn.grad is not None
    assert drawn.grad.isfinite().all()
    # Towards more contrast: the gradient points against it.
    assert float((drawn.grad * images).sum()) < 0


def test_images_without_nuclei_are_compared_too(tissue: tuple[Tensor, Tensor]) -> None:
    images, nuclei = tissue
    far = texture_distance(images + 0.3, images, torch.zeros_like(nuclei))
    assert (far > 0.01).all()
