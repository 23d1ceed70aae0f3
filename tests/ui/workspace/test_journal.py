from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.workspace.journal import MemoryJournal


class Pixels:
    """RGBA in memory."""

    def __init__(self, side=64):
        self.data = self.source = np.zeros((side, side, 4), np.uint8)

    def read_raw(self, region):
        return self.data[region.slices].copy()

    def write_raw(self, region, pixels):
        self.data[region.slices] = pixels


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noise(rng, region):
    return rng.integers(0, 256, (*region.shape, 3), dtype=np.uint8)


def test_any_walk_of_undo_and_redo_is_byte_exact(rng):
    pixels = Pixels()
    journal, states = MemoryJournal(pixels), [pixels.data.copy()]
    for y, x in ((0, 0), (10, 5), (30, 40), (8, 8)):
        region = Region(0, y, x, 20, 24)
        journal.write(region, noise(rng, region))
        states.append(pixels.data.copy())
    position = len(states) - 1
    for step in rng.choice((-1, 1), 40):
        done = journal.undo() if step < 0 else journal.redo()
        moved = 0 <= position + step < len(states)
        assert done.is_over
        assert (done.region is not None) == moved
        position += int(step) if moved else 0
        assert np.array_equal(pixels.data, states[position])


def test_only_the_changed_rectangle_is_kept(rng):
    pixels = Pixels()
    journal, whole = MemoryJournal(pixels), Region(0, 0, 0, 64, 64)
    first = noise(rng, whole)
    journal.write(whole, first)
    before = journal.nbytes
    first[10:14, 20:25] ^= 255
    assert journal.write(whole, first).region == Region(0, 10, 20, 4, 5)
    assert journal.nbytes - before == 2 * 4 * 5 * 4


def test_a_write_that_changes_nothing_is_no_step(rng):
    pixels = Pixels()
    journal, region = MemoryJournal(pixels), Region(0, 0, 0, 8, 8)
    same = noise(rng, region)
    journal.write(region, same)
    journal.undo()
    journal.redo()
    assert journal.write(region, same).region.is_empty
    journal.undo()
    assert not journal.can_undo


def test_pixels_outside_the_mask_stay(rng):
    pixels, region = Pixels(), Region(0, 8, 8, 16, 16)
    mask = rng.random(region.shape) < 0.3
    MemoryJournal(pixels).write(region, noise(rng, region), mask)
    written = pixels.data[..., 3] > 0
    assert np.array_equal(written[region.slices], mask)
    assert written.sum() == mask.sum()


def test_a_new_write_forgets_what_was_undone(rng):
    pixels, region = Pixels(), Region(0, 0, 0, 8, 8)
    journal = MemoryJournal(pixels)
    journal.write(region, noise(rng, region))
    journal.undo()
    journal.write(region, noise(rng, region))
    assert not journal.can_redo


def test_memory_is_bounded_by_forgetting_the_oldest(rng):
    pixels, region = Pixels(), Region(0, 0, 0, 32, 32)
    limit = 5 * 2 * 32 * 32 * 4
    journal = MemoryJournal(pixels, limit)
    for _ in range(9):
        journal.write(region, noise(rng, region))
        assert journal.nbytes <= limit
    steps = 0
    while journal.undo().region is not None:
        steps += 1
    assert steps == 5
