"""Staggered windows as geometry."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.diffusion.windows import WindowLayout, plan, plan_plane, reach
from tests.strategies import FAR, regions

LAYOUT = WindowLayout(96, 32)
BUNDLED = WindowLayout()

cells = st.integers(-20, 20).map(lambda k: 16 * k)
sides = st.integers(1, 26).map(lambda k: 16 * k)
frames = st.builds(Region, st.just(0), cells, cells, sides, sides)
targets = regions(level=2, min_side=1) | regions(near=FAR, min_side=1)
phase_counts = st.integers(1, 4)


def total_weights(phase) -> np.ndarray:
    """The sum of the weights of a phase over the rectangle it is wanted for."""
    total = np.zeros(phase.region.shape, np.float32)
    for window in phase.windows:
        part = window.shown.intersect(phase.region)
        inside = part.relative_to(window.shown).slices
        total[part.relative_to(phase.region).slices] += window.weights(LAYOUT.ramp)[inside]
    return total


@given(frames, phase_counts)
def test_weights_sum_to_one_everywhere(frame, phases) -> None:
    for phase in plan(frame, LAYOUT, phases):
        assert all(frame.contains(window.region) for window in phase.windows)
        np.testing.assert_allclose(total_weights(phase), 1, atol=1e-6)


@given(targets, phase_counts)
def test_weights_sum_to_one_everywhere_on_the_plane(target, phases) -> None:
    for phase in plan_plane(target, LAYOUT, phases):
        np.testing.assert_allclose(total_weights(phase), 1, atol=1e-6)


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


@given(targets, phase_counts)
def test_on_the_plane_every_window_is_full_on_the_lattice_of_its_phase(target, phases) -> None:
    for age, phase in enumerate(reversed(plan_plane(target, LAYOUT, phases))):
        for window in phase.windows:
            assert window.region.shape == (LAYOUT.size, LAYOUT.size)
            assert window.region.level == target.level
            for start in (window.region.y, window.region.x):
                assert (start + LAYOUT.ramp // 2) % LAYOUT.stride == LAYOUT.stride // 2 * (age % 2)


@given(targets, phase_counts, st.integers(1, 9), st.data())
def test_a_part_of_a_target_takes_some_of_its_windows_and_reads_what_they_draw(
    target, phases, micro_batch, data
) -> None:
    y = data.draw(st.integers(target.y, target.bottom - 1))
    x = data.draw(st.integers(target.x, target.right - 1))
    part = Region(target.level, y, x, target.bottom - y, 1)
    parts, whole = (plan_plane(t, LAYOUT, phases, micro_batch=micro_batch) for t in (part, target))
    assert parts[-1].region == part
    for one, full in zip(parts, whole, strict=True):
        assert [w for w in full.windows if w in set(one.windows)] == list(one.windows)
        assert one.batch_size == full.batch_size == {(LAYOUT.size, LAYOUT.size): micro_batch}
    for before, after in pairwise(parts):
        assert before.region == after.reads


@given(st.integers(-FAR, FAR), st.integers(-FAR, FAR), phase_counts)
def test_a_tile_costs_the_same_wherever_it_lies(row, column, phases) -> None:
    layout = WindowLayout(96, 32, phases)
    side = layout.stride
    tile = Region(0, row * side, column * side, side, side)
    planned = plan_plane(tile, layout, phases)
    assert [len(phase.windows) for phase in planned] == [n * n for n in range(phases, 0, -1)]
    assert planned[0].reads == tile.pad(layout.margin)


@pytest.mark.parametrize(("phases", "margin"), [(1, 16), (2, 144), (3, 272), (4, 400)])
def test_the_margin_grows_by_half_a_stride_with_each_phase(phases, margin) -> None:
    assert WindowLayout(phases=phases).margin == margin


@pytest.mark.parametrize("side", [33, 129])
@pytest.mark.parametrize("phases", [1, 2, 3])
def test_no_square_of_the_plane_reads_further_than_its_reach(side, phases) -> None:
    layout = WindowLayout(64, 16, phases, 8)
    read = []
    for y in range(layout.stride):
        target = Region(0, y, 7 * y, side, side)
        reads = plan_plane(target, layout, phases)[0].reads
        read += [target.y - reads.y, reads.bottom - target.bottom]
        read += [target.x - reads.x, reads.right - target.right]
    assert max(read) == reach(layout, side)


@given(frames, st.integers(1, 6))
def test_batches_hold_each_window_once_and_no_more_than_a_call_can(frame, micro_batch) -> None:
    for phase in plan(frame, LAYOUT, 2, micro_batch=micro_batch):
        flat = [window for batch in phase.batches for window in batch if window is not None]
        assert sorted(flat, key=lambda w: w.region) == sorted(phase.windows, key=lambda w: w.region)
        for batch in phase.batches:
            (shape,) = {window.region.shape for window in batch if window is not None}
            size = phase.batch_size[shape]
            assert len(batch) == size
            assert size == 1 or size * shape[0] * shape[1] <= micro_batch * LAYOUT.size**2


@given(frames, targets, st.integers(1, 6), st.data())
def test_windows_that_are_evaluated_apart_are_never_repeated(frame, target, side, data) -> None:
    planned = plan(frame, LAYOUT, 2, micro_batch=side, apart=True)
    for phase in (*planned, *plan_plane(target, LAYOUT, 2, micro_batch=side, apart=True)):
        some = data.draw(st.lists(st.sampled_from(phase.windows), unique=True))
        calls = phase.batches_of(some)
        assert sorted(map(id, some)) == sorted(id(window) for call in calls for window in call)
        assert len(calls) <= len(phase.batches)
        for call in calls:
            (shape,) = {window.region.shape for window in call}
            assert 1 <= len(call) <= phase.batch_size[shape]


@given(targets, st.integers(1, 9), st.data())
def test_on_the_plane_a_window_has_its_row_in_every_call(target, micro_batch, data) -> None:
    for phase in plan_plane(target, LAYOUT, 2, micro_batch=micro_batch):
        some = data.draw(st.lists(st.sampled_from(phase.windows), unique=True))
        found = {}
        for batch in phase.batches_of(some):
            assert len(batch) == micro_batch
            found |= {window: row for row, window in enumerate(batch) if window is not None}
        assert found == {window: window.slot for window in some}


@pytest.mark.parametrize(("micro_batch", "calls"), [(1, 9 + 4), (2, 6 + 2), (4, 4 + 1), (8, 2 + 1)])
def test_fixed_rows_fill_the_calls_of_a_block_of_tiles(micro_batch, calls) -> None:
    block = Region(0, 512, -256, 512, 512)
    planned = plan_plane(block, BUNDLED, 2, micro_batch=micro_batch)
    assert sum(len(phase.batches) for phase in planned) == calls


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
