from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.rendering.pool import PARCEL, BlockDealer
from napari_histodiff.slide.streaming.planning import block_tiles

addresses = st.sets(
    st.builds(TileAddress, st.just(1), st.integers(0, 3 * PARCEL), st.integers(0, 3 * PARCEL)),
    max_size=80,
)


@given(addresses, st.lists(st.sampled_from(["a", "b", "gone"]), min_size=1))
def test_every_tile_is_dealt_once_whoever_asks_and_whoever_goes(
    tiles: set[TileAddress], askers: list[str]
) -> None:
    deal = BlockDealer(sorted(tiles))
    taken = [deal.take(asker) for asker in askers]
    deal.keep(["a", "b"])
    while (block := deal.take("b")) is not None:
        taken.append(block)
    dealt = Counter(tile for block in taken if block for tile in block_tiles(block))
    assert dealt == Counter(tiles)
    assert deal.is_empty


def test_neighbours_go_to_one_worker() -> None:
    deal = BlockDealer(
        [TileAddress(0, row, col) for row in range(PARCEL) for col in range(4 * PARCEL)]
    )
    hands: dict[str, set[int]] = {"a": set(), "b": set()}
    for _ in range(PARCEL**2 // 4):
        for worker, parcels in hands.items():
            block = deal.take(worker)
            assert block is not None
            assert block.shape == (512, 512)
            parcels.add(block.x // 256 // PARCEL)
    assert hands == {"a": {0}, "b": {1}}


def test_who_has_nothing_left_takes_from_the_fullest() -> None:
    deal = BlockDealer([TileAddress(0, row, col) for row in range(PARCEL) for col in range(PARCEL)])
    first = deal.take("a")
    helped = deal.take("b")
    assert first is not None
    assert helped is not None
    assert (first.y, first.x) == (0, 0)
    assert (helped.y, helped.x) == (256 * (PARCEL - 2), 256 * (PARCEL - 2))
