from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.optimization import AveragedWeights, cosine_rate, optimizer_step


def linear(value: float) -> nn.Linear:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


def test_averaged_weights_follow_slowly_and_in_place() -> None:
    average = AveragedWeights(linear(0), 0.9)
    weight = average.module.weight
    average.update(linear(1), 1000)
    assert weight.item() == pytest.approx(0.1)
    average.update(linear(1), 2)  # the warm-up: (1 + 2) / (10 + 2) is kept
    assert weight.item() == pytest.approx(1 - 0.9 * 3 / 12)
    assert not weight.requires_grad
    assert not average.module.training


def test_a_run_that_goes_on_needs_the_averaged_module_only() -> None:
    whole, first = AveragedWeights(linear(0), 0.9), AveragedWeights(linear(0), 0.9)
    for step in range(4):
        whole.update(linear(step), step)
        if step < 2:
            first.update(linear(step), step)
    later = AveragedWeights(linear(7), 0.9)
    later.module.load_state_dict(first.module.state_dict())
    for step in (2, 3):
        later.update(linear(step), step)
    assert torch.equal(later.module.weight, whole.module.weight)


def test_the_rate_warms_up_and_falls_to_its_floor() -> None:
    rates = [cosine_rate(2.0, share, 10, warmup=10, floor=0.1) for share in (0, 0.5, 1)]
    assert rates == pytest.approx([2.0, 1.1, 0.2])
    assert cosine_rate(2.0, 0, 0, warmup=10, floor=0.1) == pytest.approx(0.2)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_step_that_is_no_number_leaves_the_weights(factor: float) -> None:
    module = linear(1)
    optimizer = torch.optim.SGD(module.parameters())
    value = optimizer_step(module.weight.sum(), module, optimizer, clip=0.5, rate=0.1, step=0)
    assert value == 1
    assert module.weight.item() == pytest.approx(1 - 0.1 * 0.5)
    with pytest.raises(TrainingError, match=r"finite loss, got .* at step 1"):
        optimizer_step(factor * module.weight.sum(), module, optimizer, clip=0.5, rate=0.1, step=1)
    assert module.weight.item() == pytest.approx(0.95)
