"""Promise 3 on everything real but the weights: a hundred tiles, five ways to get there."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.engine.inline import InlineEngine
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.feed import TileFeed
from napari_histodiff.slide.streaming.planning import needs, wanted
from tests.diffusion.tiny import tiny_info, tiny_pipeline
from tests.slide.streaming.feed_bench import until

TARGET = Region(0, 1024, 768, 9 * 256, 8 * 256)
TILES = 100


def tiny_backend() -> DiffusionBackend:
    return DiffusionBackend(tiny_pipeline(), tiny_info(mpp=(0.5, 2.0)))


@pytest.mark.slow
def test_a_hundred_tiles_in_five_orders_have_equal_bytes(tmp_path: Path) -> None:
    hashes = [_visited(tmp_path / f"{seed}.ome.zarr", seed) for seed in range(5)]
    assert len(hashes[0]) >= TILES
    assert all(other == hashes[0] for other in hashes[1:])


def _visited(path: Path, seed: int) -> dict[TileAddress, str]:
    """Wander, leave views half drawn, evict, restart; then complete the target tile by tile."""
    chance = random.Random(seed)
    recipe = SlideRecipe.plan(
        tiny_backend().info, height=4096, width=4096, seed=5, caption="colon adenocarcinoma"
    )
    SlideStore.create(path, recipe).close()
    views = [
        Region(0, y, x, 512, 512)
        for y in range(TARGET.y, TARGET.bottom, 512)
        for x in range(TARGET.x, TARGET.right, 512)
    ]
    chance.shuffle(views)
    sittings = [views[start::3] for start in range(3)] if seed else [views]
    for sitting in sittings:
        # A new process would have no more than this: the slide on disk and an empty cache.
        with _looking(path, seed % 2) as (store, feed):
            for view in sitting:
                if seed:
                    _distract(chance, feed, store)
                _look(store, feed, view)
    with _looking(path) as (store, feed):
        _look(store, feed, TARGET)
        levels = range(recipe.coarsest + 1)
        tiles = [
            tile for at in levels for tile in store.spec.tiles(store.spec.at_level(TARGET, at))
        ]
        return {tile: _hash(store, tile) for tile in tiles}


@contextmanager
def _looking(path: Path, ahead: int = 0) -> Iterator[tuple[SlideStore, TileFeed]]:
    with (
        SlideStore.open(path) as store,
        InlineEngine(tiny_backend) as engine,
        TileFeed(store, engine, ahead=ahead) as feed,
    ):
        yield store, feed


def _look(store: SlideStore, feed: TileFeed, view: Region) -> None:
    feed.look_at(view)
    until(lambda: not needs(store, wanted(store, view)), 300)
    assert not feed.status.failed


def _distract(chance: random.Random, feed: TileFeed, store: SlideStore) -> None:
    """Look somewhere and leave at once, or evict."""
    if chance.random() < 0.5:
        level = chance.choice((0, 1, 2))
        feed.look_at(
            Region(
                level, chance.randrange(3000) >> level, chance.randrange(3000) >> level, 300, 400
            )
        )
    if chance.random() < 0.3:
        store.evict(chance.randrange(2**22))


def _hash(store: SlideStore, tile: TileAddress) -> str:
    region = store.spec.region(tile)
    digest = hashlib.sha256(store.read(region).tobytes())
    if tile.level == 0:
        digest.update(store.labels(region).tobytes())
    return digest.hexdigest()
