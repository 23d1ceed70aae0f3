from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.requests import LIMITS
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.ui.generation.settings import SeedMode, Settings, SettingsStore


def test_settings_are_remembered(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "deep" / "studio.json")
    for slide_guidance in (4.5, None):
        chosen = Settings(
            "colon", 2.5, slide_guidance, seed=7, seed_mode=SeedMode.NEXT, fill=Fill.BORDER
        )
        store.save(chosen)
        assert store.load() == chosen
    assert [path.name for path in store.path.parent.iterdir()] == ["studio.json"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[1, 2]", "null", '{"steps": "many", "shoe": 44}', '{"fill": "grey"}'),
        *('{"slide_guidance": "as drawn"}', '{"slide_guidance": true}'),
    ],
)
def test_a_garbled_file_means_defaults(tmp_path: Path, text: str) -> None:
    store = SettingsStore(tmp_path / "studio.json")
    store.path.write_text(text)
    assert store.load() == Settings()


def test_numbers_of_another_release_are_brought_into_range(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "studio.json")
    store.path.write_text('{"steps": 100000, "guidance_scale": -3, "seed": -1, "variants": 0}')
    loaded = store.load()
    assert (loaded.steps, loaded.guidance_scale, loaded.seed, loaded.variants) == (100, 1.0, 0, 1)
    store.path.write_text('{"slide_guidance": 40}')
    assert store.load() == Settings(slide_guidance=10.0)


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SettingsStore(tmp_path / "file" / "studio.json")
    store.save(Settings(seed=3))
    assert store.load() == Settings()


GUIDANCE = st.floats(*LIMITS["guidance_scale"])


def test_a_slide_is_edited_as_it_was_drawn_until_told_otherwise() -> None:
    settings = Settings(guidance_scale=1.5)
    assert settings.at(None) == settings
    assert [settings.at(own).guidance_scale for own in (3.0, 2.75)] == [3.0, 2.75]
    chosen = settings.changed(3.0, guidance_scale=4.0)
    assert [chosen.at(own).guidance_scale for own in (None, 3.0, 2.75)] == [1.5, 4.0, 4.0]
    back = chosen.changed(3.0, guidance_scale=3.0)
    assert [back.at(own).guidance_scale for own in (None, 3.0, 2.75)] == [1.5, 3.0, 2.75]


@given(GUIDANCE, st.none() | GUIDANCE, st.none() | GUIDANCE, GUIDANCE)
def test_what_is_chosen_on_an_image_counts_there_and_not_on_the_other(
    canvas: float, slide: float | None, drawn_at: float | None, value: float
) -> None:
    before = Settings(guidance_scale=canvas, slide_guidance=slide)
    after = before.changed(drawn_at, guidance_scale=value, steps=7)
    assert after.at(drawn_at).guidance_scale == value
    assert after.steps == 7
    if drawn_at is None:
        assert after.slide_guidance == slide
    else:
        assert after.guidance_scale == canvas


def test_captions_of_tissues_are_remembered(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "studio.json")
    chosen = Settings(region_captions=(("gland", "high neutrophil"), ("stroma", "low plasma")))
    store.save(chosen)
    assert store.load() == chosen
