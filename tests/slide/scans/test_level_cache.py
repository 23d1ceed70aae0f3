from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.geometry import TileAddress
from napari_histodiff.slide.scans.level_cache import LevelCache, cache_folder


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (256, 256, 3), dtype=np.uint8)


TILE = TileAddress(4, 1, 2)


def test_a_tile_on_disk_is_there_for_the_next_program(tmp_path: Path) -> None:
    LevelCache("a", tmp_path).put(TILE, noise(0), on_disk=True)
    later = LevelCache("a", tmp_path)
    assert TILE in later
    np.testing.assert_array_equal(later.get(TILE, (256, 256)), noise(0))
    assert LevelCache("b", tmp_path).get(TILE, (256, 256)) is None


def test_a_tile_in_memory_is_there_for_this_one(tmp_path: Path) -> None:
    cache = LevelCache("a", tmp_path)
    cache.put(TILE, noise(0), on_disk=False)
    assert TILE in cache
    np.testing.assert_array_equal(cache.get(TILE, (256, 256)), noise(0))
    assert TILE not in LevelCache("a", tmp_path)


@pytest.mark.parametrize("damage", [b"", b"abc", bytes(5000)])
def test_damage_is_seen_and_means_no_tile(tmp_path: Path, damage: bytes) -> None:
    LevelCache("a", tmp_path).put(TILE, noise(0), on_disk=True)
    (file,) = tmp_path.rglob("*.zst")
    file.write_bytes(damage)
    assert LevelCache("a", tmp_path).get(TILE, (256, 256)) is None


def test_a_tile_of_another_shape_is_none(tmp_path: Path) -> None:
    LevelCache("a", tmp_path).put(TILE, noise(0), on_disk=True)
    assert LevelCache("a", tmp_path).get(TILE, (256, 255)) is None


def test_the_longest_unused_goes_when_the_limit_is_reached(tmp_path: Path) -> None:
    limit = 10 * 200_000
    for number in range(30):
        cache = LevelCache(f"scan {number % 2}", tmp_path, limit=limit)
        cache.put(TileAddress(3, 0, number), noise(number), on_disk=True)
        files = sorted(tmp_path.rglob("*.zst"), key=lambda file: file.stat().st_mtime_ns)
        os.utime(files[-1], (1e9 + number, 1e9 + number))
        if number >= 2:  # written long ago, but used all the time
            LevelCache("scan 0", tmp_path).get(TileAddress(3, 0, 2), (256, 256))
    size = sum(file.stat().st_size for file in tmp_path.rglob("*.zst"))
    assert 0.5 * limit < size <= limit + 200_000
    assert TileAddress(3, 0, 2) in LevelCache("scan 0", tmp_path)
    assert TileAddress(3, 0, 0) not in LevelCache("scan 0", tmp_path)


def test_a_place_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = LevelCache("a", tmp_path / "file")
    cache.put(TILE, noise(0), on_disk=True)
    np.testing.assert_array_equal(cache.get(TILE, (256, 256)), noise(0))


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HISTODIFF_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "scans"
    monkeypatch.delenv("HISTODIFF_CACHE")
    assert cache_folder().parts[-2:] == ("napari-histodiff", "scans")
