from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.recipe import MAX_SIDE
from napari_histodiff.ui.slide.recent import SUFFIX, SlidePlaces
from napari_histodiff.ui.slide.status import (
    cost_of,
    level_text,
    place_text,
    queue_text,
    size_text,
    speed_text,
    time_text,
)
from napari_histodiff.ui.text import bytes_text, count_text, microns_text
from tests.ui.slide.widget_doubles import recipe_of, status_of


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (640_000, "640 kB"),
        (999_600, "1.0 MB"),
        (68_719_476_736, "69 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_bytes_read_short(count: float, text: str) -> None:
    assert bytes_text(count) == text


def test_lengths_and_counts() -> None:
    assert microns_text(64) == "64 µm"
    assert microns_text(8192) == "8.19 mm"
    assert size_text(16_384, 8_192, 0.5) == "4.10 × 8.19 mm"
    assert size_text(131_072, 131_072, 0.5) == "65.5 × 65.5 mm"
    assert count_text(1, "tile") == "1 tile"
    assert count_text(12_345, "tile") == "12,345 tiles"


def test_readout_of_a_busy_slide() -> None:
    status = status_of()
    assert level_text(status) == "Level 1 · 1.00 µm/px"
    assert level_text(status_of(level=7, mpp=64.0)) == "Level 7 · 64 µm/px"
    assert queue_text(status) == "12 waiting, 2 in work"
    assert speed_text(status) == "9.8 tiles/s"
    assert time_text(status) == "about 75 s left"
    assert time_text(status_of(seconds_left=7000.0)) == "about 1 h 57 min left"
    assert place_text(Region(0, 1000, 2000, 200, 400), 0.5) == "x 1.10, y 0.55 mm"


def test_readout_of_a_slide_at_rest() -> None:
    status = status_of(queued=0, in_flight=0, rate=0.0, seconds_left=0.0)
    assert queue_text(status) == speed_text(status) == time_text(status) == ""
    assert time_text(status_of(seconds_left=None)) == ""


@given(st.integers(256, MAX_SIDE), st.integers(256, MAX_SIDE))
def test_the_cost_counts_every_tile_the_model_draws(height: int, width: int) -> None:
    recipe = recipe_of(height, width)
    cost, spec = cost_of(recipe), recipe.spec
    counted = 0
    for level in range(recipe.coarsest + 1):
        bounds = spec.bounds(level)
        counted += len(range(0, bounds.height, 256)) * len(range(0, bounds.width, 256))
    assert cost.tiles == counted
    assert 3 * height * width <= cost.largest < 3 * height * width * 4 / 3 + 12 * (height + width)
    assert cost.seconds(0.0) is None
    assert cost.seconds(2.0) == cost.tiles / 2


def test_places_are_remembered_and_the_missing_dropped(tmp_path: Path) -> None:
    places = SlidePlaces(tmp_path / "slides.json")
    assert places.recent() == []
    assert places.folder.name == "slides"
    for name in ("a", "b", "a"):
        (tmp_path / f"{name}{SUFFIX}").mkdir(exist_ok=True)
        places.add(tmp_path / f"{name}{SUFFIX}")
    places.use_folder(tmp_path)
    again = SlidePlaces(tmp_path / "slides.json")
    assert [path.name for path in again.recent()] == [f"a{SUFFIX}", f"b{SUFFIX}"]
    assert again.folder == tmp_path
    (tmp_path / f"a{SUFFIX}").rmdir()
    assert [path.name for path in again.recent()] == [f"b{SUFFIX}"]


def test_a_new_name_is_free(tmp_path: Path) -> None:
    places = SlidePlaces(tmp_path / "slides.json")
    assert places.free_name(tmp_path / "nowhere") == "slide-1"
    (tmp_path / f"slide-1{SUFFIX}").mkdir()
    assert places.free_name(tmp_path) == "slide-2"


def test_a_garbled_memory_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "slides.json").write_text('{"recent": "x", "folder": 3}')
    places = SlidePlaces(tmp_path / "slides.json")
    assert places.recent() == []
    assert places.folder.name == "slides"
