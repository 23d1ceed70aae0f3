"""Staggered windows as geometry."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.diffusion.windows import WindowLayout, plan

LAYOUT = WindowLayout(96, 32)
BUNDLED = WindowLayout()

cells = st.integers(-20, 20).map(lambda k: 16 * k)
sides = st.integers(1, 26).map(lambda k: 16 * k)
frames = st.builds(Region, st.just(0), cells, cells, sides, sides)
phase_counts = st.integers(1, 4)


@given(frames, phase_counts)
def test_weights_sum_to_one_everywhere(frame, phases) -> None:
    for phase in plan(frame, LAYOUT, phases):
        total = np.zeros(frame.shape, np.float32)
        for window in phase.windows:
            assert frame.contains(window.region)
            total[window.region.relative_to(frame).slices] += window.weights(LAYOUT.ramp)
        np.testing.assert_allclose(total, 1, atol=1e-6)


@given(frames, phase_counts)
def test_windows_suit_the_network(frame, phases) -> None:
    for phase in plan(frame, LAYOUT, phases):
        for window in phase.windows:
            region = window.region
            assert not any(n % 16 for n in (region.y, region.x, *region.shape))
            assert min(region.height, region.width) >= min(*frame.shape, LAYOUT.stride // 4)
            assert max(region.shape) <= LAYOUT.size + LAYOUT.stride // 2


@given(frames, phase_counts)
def test_lattices_are_absolute_alternate_and_end_on_the_tiles(frame, phases) -> None:
    for age, phase in enumerate(reversed(plan(frame, LAYOUT, phases))):
        for window in phase.windows:
            cut = window.region.y + LAYOUT.ramp // 2
            if window.cuts[0]:
                assert cut % LAYOUT.stride == LAYOUT.stride // 2 * (age % 2)


@given(frames, phase_counts, st.data())
def test_a_target_reads_only_what_the_phase_before_draws(frame, phases, data) -> None:
    top = data.draw(st.integers(frame.y, frame.bottom - 1))
    left = data.draw(st.integers(frame.x, frame.right - 1))
    target = Region(0, top, left, frame.bottom - top, 1)
    parts, whole = plan(frame, LAYOUT, phases, target=target), plan(frame, LAYOUT, phases)
    assert parts[-1].region == target
    for part, full in zip(parts, whole, strict=True):
        assert set(part.windows) <= set(full.windows)
        assert part.batch_size == full.batch_size
        # every window that touches the wanted rectangle, in the order of the whole
        wanted = [w for w in full.windows if not w.region.intersect(part.region).is_empty]
        assert list(part.windows) == wanted
    for before, after in pairwise(parts):
        assert before.region == after.reads


def test_a_far_tile_depends_on_one_ring_of_windows_per_phase() -> None:
    frame = Region(0, 0, 0, 64 * 64, 64 * 64)
    first, last = plan(frame, LAYOUT, 2, target=Region(0, 1024, 1024, 64, 64))
    assert len(last.windows) == 9
    assert len(first.windows) == 16


@given(frames, st.integers(1, 6))
def test_batches_hold_each_window_once_and_no_more_than_a_call_can(frame, micro_batch) -> None:
    for phase in plan(frame, LAYOUT, 2, micro_batch=micro_batch):
        flat = [window for batch in phase.batches for window in batch]
        assert sorted(flat, key=lambda w: w.region) == sorted(phase.windows, key=lambda w: w.region)
        for batch in phase.batches:
            (shape,) = {window.region.shape for window in batch}
            size = phase.batch_size[shape]
            assert len(batch) <= size
            assert size == 1 or size * shape[0] * shape[1] <= micro_batch * LAYOUT.size**2


@pytest.mark.parametrize("origin", [(0, 0), (-112, 48), (80, 128)])
@pytest.mark.parametrize(
    ("side", "least", "most"), [(128, 1, 1), (256, 1, 1), (512, 1, 1.6), (1024, 1, 1.4)]
)
def test_windows_cover_little_more_than_the_frame(origin, side, least, most) -> None:
    frame = Region(0, *origin, side, side)
    for phase in plan(frame, BUNDLED, 2):
        area = sum(window.region.area for window in phase.windows)
        assert least <= area / frame.area <= most


@pytest.mark.parametrize(
    "numbers",
    [(96, 24, 2, 16), (100, 32, 2, 16), (32, 32, 2, 16), (96, 32, 0, 16), (64, 64, 1, 16)],
)
def test_windows_that_do_not_fit_the_network_are_refused(numbers) -> None:
    with pytest.raises(InvalidRequest, match="multiples of 32"):
        WindowLayout(*numbers)
