"""Reading, summing and padding."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.geometry import Region
from napari_histodiff.diffusion.canvas import Field, mirror_pad, run_phase
from napari_histodiff.diffusion.windows import WindowLayout, plan, plan_plane

LAYOUT = WindowLayout(96, 32)
FRAME = Region(0, -32, 16, 208, 160)


def test_a_phase_that_changes_nothing_gives_the_field_back() -> None:
    field = Field(FRAME, torch.rand(3, *FRAME.shape))
    for phase in plan(FRAME, LAYOUT, 2):
        after = run_phase(field, phase, LAYOUT.ramp, lambda z, windows: z)
        torch.testing.assert_close(after.values, field.values, atol=1e-6, rtol=0)


def test_each_window_is_solved_at_its_place_in_calls_of_one_size() -> None:
    target = Region(0, 0, 30, 90, 100)
    (phase,) = plan_plane(target, LAYOUT, 1, micro_batch=3)
    rows = torch.arange(phase.reads.height).float()[:, None].expand(phase.reads.shape)
    field = Field(phase.reads, rows[None].clone())

    def solve(z, windows):
        assert len(z) == len(windows) == phase.batch_size[windows[0].region.shape]
        for values, window in zip(z, windows, strict=True):
            assert values[0, 0, 0] == window.region.y - field.region.y
        return z

    result = run_phase(field, phase, LAYOUT.ramp, solve)
    assert result.region == target
    torch.testing.assert_close(result.values, field.read(target))


def test_windows_that_were_solved_before_are_not_solved_again() -> None:
    (phase,) = plan_plane(Region(0, 0, 30, 90, 100), LAYOUT, 1)
    first, *rest = phase.windows
    solved = {first: torch.full((1, *first.region.shape), 7.0)}
    seen = []

    def solve(z, windows):
        seen.extend(windows)
        return torch.zeros_like(z)

    field = Field(phase.reads, torch.zeros(1, *phase.reads.shape))
    result = run_phase(field, phase, LAYOUT.ramp, solve, solved)
    assert seen == rest
    assert list(solved) == list(phase.windows)
    part = first.shown.intersect(phase.region)
    assert (result.read(part) == 7).all()
    assert int((result.values == 7).sum()) == part.area


@given(st.integers(1, 9), st.integers(0, 15), st.integers(0, 15))
def test_padding_mirrors_as_often_as_needed(side, before, after) -> None:
    values = np.arange(side * 2.0).reshape(1, side, 2)
    inner = Region(0, 5, 5, side, 2)
    outer = Region(0, 5 - before, 5, before + side + after, 2)
    expected = np.pad(values, ((0, 0), (before, after), (0, 0)), mode="symmetric")
    padded = mirror_pad(torch.from_numpy(values), inner, outer)
    np.testing.assert_array_equal(padded.numpy(), expected)
