from __future__ import annotations

from pathlib import Path

import pytest

from napari_histodiff.ui.settings import SeedMode, Settings, SettingsStore


def test_settings_are_remembered(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "deep" / "studio.json")
    chosen = Settings(caption="colon", guidance_scale=2.5, seed=7, seed_mode=SeedMode.NEXT)
    store.save(chosen)
    assert store.load() == chosen
    assert [path.name for path in store.path.parent.iterdir()] == ["studio.json"]


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '{"steps": "many", "shoe": 44}'])
def test_a_garbled_file_means_defaults(tmp_path: Path, text: str) -> None:
    store = SettingsStore(tmp_path / "studio.json")
    store.path.write_text(text)
    assert store.load() == Settings()


def test_numbers_of_another_release_are_brought_into_range(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "studio.json")
    store.path.write_text('{"steps": 100000, "guidance_scale": -3, "seed": -1, "variants": 0}')
    loaded = store.load()
    assert (loaded.steps, loaded.guidance_scale, loaded.seed, loaded.variants) == (100, 1.0, 0, 1)


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SettingsStore(tmp_path / "file" / "studio.json")
    store.save(Settings(seed=3))
    assert store.load() == Settings()
