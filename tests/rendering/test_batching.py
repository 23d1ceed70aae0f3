from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.rendering.pool import BATCH, BlockBatches
from napari_histodiff.slide.streaming.planning import block_tiles

addresses = st.sets(
    st.builds(TileAddress, st.just(1), st.integers(0, 3 * BATCH), st.integers(0, 3 * BATCH)),
    max_size=80,
)


@given(addresses, st.lists(st.sampled_from(["a", "b", "gone"]), min_size=1))
def test_every_tile_is_taken_once_whoever_asks_and_whoever_goes(
    tiles: set[TileAddress], askers: list[str]
) -> None:
    batches = BlockBatches(sorted(tiles))
    taken = [batches.take(asker) for asker in askers]
    batches.keep(["a", "b"])
    while (block := batches.take("b")) is not None:
        taken.append(block)
    counted = Counter(tile for block in taken if block for tile in block_tiles(block))
    assert counted == Counter(tiles)
    assert batches.is_empty


def test_neighbours_go_to_one_worker() -> None:
    batches = BlockBatches(
        [TileAddress(0, row, col) for row in range(BATCH) for col in range(4 * BATCH)]
    )
    seen: dict[str, set[int]] = {"a": set(), "b": set()}
    for _ in range(BATCH**2 // 4):
        for worker, places in seen.items():
            block = batches.take(worker)
            assert block is not None
            assert block.shape == (512, 512)
            places.add(block.x // 256 // BATCH)
    assert seen == {"a": {0}, "b": {1}}


def test_who_has_nothing_left_takes_from_the_fullest() -> None:
    batches = BlockBatches(
        [TileAddress(0, row, col) for row in range(BATCH) for col in range(BATCH)]
    )
    first = batches.take("a")
    helped = batches.take("b")
    assert first is not None
    assert helped is not None
    assert (first.y, first.x) == (0, 0)
    assert (helped.y, helped.x) == (256 * (BATCH - 2), 256 * (BATCH - 2))
