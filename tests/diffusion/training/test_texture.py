from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_histodiff.diffusion.training.losses import (
    ShiftScore,
    StatisticsScore,
    Triplet,
    texture_score,
)


def grainy(nuclei: Tensor, amount: float = 0.2) -> Tensor:
    return (nuclei - 0.5) + amount * torch.randn(len(nuclei), 3, *nuclei.shape[-2:])


@pytest.fixture
def nuclei() -> Tensor:
    torch.manual_seed(0)
    return (F.avg_pool2d(torch.randn(4, 1, 64, 64), 9, 1, 4) > 0.05).float()


def score(drawn: Tensor, again: Tensor, real: Tensor, nuclei: Tensor) -> Tensor:
    torch.manual_seed(1)  # the same filters
    return texture_score(Triplet(drawn, again, real), nuclei)


def test_equal_images_have_no_distance(nuclei: Tensor) -> None:
    images = grainy(nuclei)
    assert score(images, images, images, nuclei).abs().max() < 1e-6


def test_new_grain_of_the_same_kind_scores_better_than_blurred_paler_or_swapped(
    nuclei: Tensor,
) -> None:
    real, pair = grainy(nuclei), [grainy(nuclei), grainy(nuclei)]
    near = score(*pair, real, nuclei)
    changed = (
        [F.avg_pool2d(image, 3, 1, 1) for image in pair],
        [image + 0.3 for image in pair],
        [-image for image in pair],
    )
    for one, other in changed:
        assert (score(one, other, real, nuclei) > near + 0.03).all()


def test_responses_as_varied_as_real_ones_score_better_than_their_mean(
    nuclei: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real crops of the same masks are paler or darker: to draw what is between is no answer."""
    monkeypatch.setattr("napari_histodiff.diffusion.training.losses._SPECTRUM_WEIGHT", 0.0)
    nuclei = nuclei[:1].repeat(64, 1, 1, 1)

    def stained() -> Tensor:
        return grainy(nuclei) * (0.5 + torch.rand(64, 1, 1, 1))

    real = stained()
    varied = score(stained(), stained(), real, nuclei).mean()
    mean = score(grainy(nuclei), grainy(nuclei), real, nuclei).mean()
    assert varied < mean


def test_only_the_drawn_images_learn(nuclei: Tensor) -> None:
    real = grainy(nuclei).requires_grad_()
    drawn = (0.8 * grainy(nuclei)).requires_grad_()
    again = 0.8 * grainy(nuclei)
    score(drawn, again, real.detach(), nuclei).sum().backward()
    assert drawn.grad is not None
    assert drawn.grad.isfinite().all()
    # Towards more contrast: the gradient points against it.
    assert float((drawn.grad * drawn.detach()).sum()) < 0


def test_images_without_nuclei_are_compared_too(nuclei: Tensor) -> None:
    images = grainy(nuclei)
    far = score(images + 0.3, images + 0.3, images, torch.zeros_like(nuclei))
    assert (far > 0.01).all()


def test_statistics_tell_blurred_and_recoloured_tissue_from_new_grain(nuclei: Tensor) -> None:
    torch.manual_seed(0)
    statistics = StatisticsScore()
    for _ in range(60):
        pair = Triplet(grainy(nuclei), grainy(nuclei), grainy(nuclei))
        near = statistics(pair)
    blurred = Triplet(*(F.avg_pool2d(x, 3, 1, 1) for x in (pair.drawn, pair.again)), pair.real)
    redder = torch.tensor([0.1, 0, 0]).view(1, 3, 1, 1)
    recoloured = Triplet(pair.drawn + redder, pair.again + redder, pair.real)
    for far in (blurred, recoloured):
        assert statistics(far).min() > near.max()


def test_areas_of_their_own_are_compared_apart(nuclei: Tensor) -> None:
    """Glands drawn as the rest and the rest as glands: the sum of both is right, neither is."""
    torch.manual_seed(0)
    left = torch.zeros_like(nuclei)
    left[..., :32] = 1 - nuclei[..., :32]
    areas = torch.cat([nuclei, left], 1)

    def tissue(here: Tensor) -> Tensor:
        return grainy(nuclei, 0.1) + 0.3 * here

    swapped = [tissue(1 - left - nuclei), tissue(1 - left - nuclei)]
    right = [tissue(left), tissue(left)]
    together = [score(*pair, tissue(left), nuclei).mean() for pair in (right, swapped)]
    apart = [score(*pair, tissue(left), areas).mean() for pair in (right, swapped)]
    assert apart[1] - apart[0] > 3 * abs(together[1] - together[0])


def shifted(score: ShiftScore, change: Callable[[Tensor], Tensor], calls: int = 40) -> float:
    torch.manual_seed(2)
    for _ in range(calls):
        nuclei = (F.avg_pool2d(torch.randn(4, 1, 128, 128), 9, 1, 4) > 0.05).float()
        value = score(change(grainy(nuclei)), grainy(nuclei))
    return value.item()


def test_the_shift_of_many_images_is_seen_where_each_of_them_varies_more() -> None:
    """An eighth of grain more in all, while they differ by chance in brightness."""

    def unlike(images: Tensor, grain: float) -> Tensor:
        brighter = 0.1 * torch.randn(len(images), 1, 1, 1)
        return images + brighter + grain * torch.randn_like(images)

    same = shifted(ShiftScore(), lambda x: unlike(x, 0.0))
    grainier = shifted(ShiftScore(), lambda x: unlike(x, 0.1))
    assert grainier > 2 * same


def test_going_down_the_shift_takes_away_what_all_images_have_too_much_of() -> None:
    torch.manual_seed(0)
    score, contrast = ShiftScore(), torch.tensor(1.3, requires_grad=True)
    optimizer = torch.optim.Adam([contrast], lr=0.004)
    for _ in range(160):
        nuclei = (F.avg_pool2d(torch.randn(4, 1, 64, 64), 9, 1, 4) > 0.05).float()
        optimizer.zero_grad()
        score(contrast * grainy(nuclei), grainy(nuclei)).backward()
        optimizer.step()
    assert contrast.item() == pytest.approx(1, abs=0.12)
