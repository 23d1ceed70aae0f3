from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.captions import Caption
from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.recipe import LAYOUT, MAX_SIDE, TILE, SlideRecipe
from napari_histodiff.core.stain_bank import StainEntry, stains_of_levels
from tests.fakes import FAKE_INFO

BANK = tuple(
    StainEntry("colon", "pale", mpp, (red, 0.7, 0.3, 0.2 / mpp, 0.3 / mpp, 0.1 / mpp, -mpp))
    for red in (0.2, 0.3, 0.4)
    for mpp in (0.5, 1.0, 2.0)
)
INFO: BackendInfo = replace(FAKE_INFO, mpp=(0.5, 2.48), stains=BANK, margin=144)

#: A model that draws finer than slides are made by default.
FINE: BackendInfo = replace(
    INFO,
    mpp=(0.25, 2.48),
    stains=(*BANK, StainEntry("colon", "pale", 0.25, (0.5, 0.7, 0.3, 0.8, 1.2, 0.4, -0.25))),
)


@given(
    st.integers(TILE, MAX_SIDE),
    st.integers(TILE, MAX_SIDE),
    st.integers(0, 2**31 - 1),
    st.sampled_from(["", "colon, high lymphocytes"]),
)
def test_a_recipe_survives_json(height: int, width: int, seed: int, caption: str) -> None:
    recipe = SlideRecipe.plan(INFO, height=height, width=width, seed=seed, caption=caption)
    assert SlideRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_the_coarsest_drawn_level_is_the_last_the_model_knows() -> None:
    recipe = SlideRecipe.plan(INFO, height=MAX_SIDE, width=MAX_SIDE)
    assert recipe.coarsest == 2
    assert max(recipe.spec.bounds(recipe.spec.levels - 1).shape) <= 512
    small = SlideRecipe.plan(INFO, height=300, width=300)
    assert (small.coarsest, small.spec.levels) == (0, 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"height": 255},
        {"width": MAX_SIDE + 1},
        {"mpp": 0.3},
        {"mpp": 3.0},
        {"seed": -1},
        {"steps": 0},
        {"guidance_scale": 0.5},
    ],
)
def test_impossible_slides_are_refused(settings: dict[str, float]) -> None:
    sizes = {"height": 512, "width": 512, **settings}
    with pytest.raises(InvalidRequest, match=r"expected .*, got .*; choose"):
        SlideRecipe.plan(INFO, **sizes)


def test_new_slides_have_the_newest_layout_and_slides_that_do_not_say_it_the_first() -> None:
    recipe = SlideRecipe.plan(INFO, height=512, width=512)
    assert recipe.layout == LAYOUT == recipe.finer(FINE).layout
    before = recipe.to_dict()
    del before["layout"]
    assert SlideRecipe.from_dict(before).layout == 1
    with pytest.raises(InvalidRequest, match="newer"):
        replace(recipe, layout=LAYOUT + 1)


def test_bare_glass_has_the_colour_that_the_model_gives_it_in_the_slides_stain() -> None:
    toned = replace(INFO, stains=tuple(replace(entry, glass=(250, 248, 251)) for entry in BANK))
    slide = partial(SlideRecipe.plan, height=512, width=512, caption="colon")
    assert slide(toned).glass == (250, 248, 251)
    assert slide(INFO).glass == slide(replace(INFO, stains=())).glass == GLASS_COLOUR
    again = SlideRecipe.from_dict(json.loads(json.dumps(slide(toned).to_dict())))
    assert again.glass == (250, 248, 251)
    before = slide(toned).to_dict()
    del before["glass"]
    assert SlideRecipe.from_dict(before).glass == GLASS_COLOUR


@pytest.mark.parametrize("data", [None, [], {}, {"height": 512}])
def test_a_garbled_recipe_is_refused(data: object) -> None:
    with pytest.raises(InvalidRequest, match="damaged"):
        SlideRecipe.from_dict(data)


def test_growing_moves_the_origin() -> None:
    recipe = SlideRecipe.plan(INFO, height=2048, width=2048)
    grown = recipe.grown(top=1024, right=2048)
    assert (grown.height, grown.width, grown.origin) == (3072, 4096, (-1024, 0))
    assert grown.home == recipe.home == (2048, 2048)


def test_a_finer_level_covers_the_same_place() -> None:
    recipe = SlideRecipe.plan(FINE, height=2048, width=1024, caption="colon", seed=3)
    recipe = recipe.grown(top=1024, left=2048)
    finer = recipe.finer(FINE)
    assert (finer.height, finer.width, finer.mpp) == (6144, 6144, 0.25)
    assert (finer.origin, finer.home) == ((-2048, -4096), (4096, 2048))
    assert (finer.coarsest, finer.refined) == (recipe.coarsest + 1, 1)
    assert finer.spec.levels == recipe.spec.levels + 1
    for level in range(recipe.spec.levels):
        assert finer.spec.bounds(level + 1).shape == recipe.spec.bounds(level).shape
    assert finer.finer(replace(FINE, mpp=(0.1, 2.5))).refined == 2


@given(st.integers(TILE, MAX_SIDE), st.integers(TILE, MAX_SIDE), st.integers(0, 9))
def test_a_finer_level_adds_one_and_keeps_the_others(height: int, width: int, seed: int) -> None:
    recipe = SlideRecipe.plan(FINE, height=height, width=width, seed=seed)
    finer = recipe.finer(FINE)
    assert finer.stains[1:] == recipe.stains
    assert finer.spec.levels == recipe.spec.levels + 1
    assert SlideRecipe.from_dict(json.loads(json.dumps(finer.to_dict()))) == finer


def test_the_stain_of_a_finer_level_has_the_slides_colour_and_more_contrast() -> None:
    recipe = SlideRecipe.plan(FINE, height=2048, width=1024, seed=3)
    finer = recipe.finer(FINE).stains
    assert finer[0][:3] == finer[1][:3]
    assert finer[0][3] > finer[1][3]
    at_once = stains_of_levels(FINE.stains, Caption(), (0.5, 0.25), 3)
    assert finer[0] == at_once[1]
    plain = replace(FINE, stains=())
    recipe = SlideRecipe.plan(plain, height=2048, width=1024)
    assert recipe.finer(plain).stains[0] == recipe.stains[0]


def test_no_level_finer_than_the_model_draws_and_none_of_another_model() -> None:
    recipe = SlideRecipe.plan(FINE, height=2048, width=1024)
    with pytest.raises(InvalidRequest, match=r"expected .* 0.125 um per pixel, got .*; choose"):
        recipe.finer(FINE).finer(FINE)
    with pytest.raises(InvalidRequest, match=r"expected the model .*, got .*; choose"):
        recipe.finer(replace(FINE, revision="other"))


def test_a_recipe_of_before_levels_could_be_added_is_read() -> None:
    recipe = SlideRecipe.plan(INFO, height=2048, width=2048)
    data = recipe.to_dict()
    del data["refined"]
    assert SlideRecipe.from_dict(data) == recipe
    with pytest.raises(InvalidRequest, match="damaged"):
        SlideRecipe.from_dict(data | {"refined": "many"})
    with pytest.raises(InvalidRequest, match="added levels"):
        SlideRecipe.from_dict(data | {"refined": 9})


def test_slides_follow_fibres_where_their_model_does_and_were_not_made_before() -> None:
    recipe = SlideRecipe.plan(replace(INFO, fibres=True), height=2048, width=2048)
    assert recipe.fibres
    assert recipe.grown(top=1024).fibres
    assert not SlideRecipe.plan(INFO, height=2048, width=2048).fibres
    data = recipe.to_dict()
    del data["fibres"]
    assert not SlideRecipe.from_dict(data).fibres


def test_levels_are_drawn_finer_where_the_model_can_unless_it_is_to_be_quick() -> None:
    info = replace(INFO, coarse_levels=2)
    plan = partial(SlideRecipe.plan, height=2048, width=2048)
    assert plan(info).drawn_finer
    assert not plan(info, quick=True).drawn_finer
    assert not plan(INFO).drawn_finer


def test_guidance_and_steps_are_the_models_own_where_none_are_asked_for() -> None:
    info = replace(INFO, guidance_scale=5.0, steps=20)
    recipe = SlideRecipe.plan(info, height=2048, width=2048, guidance_scale=None)
    assert (recipe.guidance_scale, recipe.steps) == (5.0, 20)
    recipe = SlideRecipe.plan(info, height=2048, width=2048, guidance_scale=1.5, steps=4)
    assert (recipe.guidance_scale, recipe.steps) == (1.5, 4)


def test_the_stains_of_a_slide_share_their_colour_and_lose_contrast() -> None:
    stains = stains_of_levels(BANK, Caption(), (0.5, 1.0, 2.0), seed=5)
    assert len({stain[:3] for stain in stains}) == 1
    assert stains[0][3] > stains[1][3] > stains[2][3]
    assert stains[0][6] > stains[1][6] > stains[2][6]
    assert stains_of_levels((), Caption(), (0.5,), seed=5) == ()


def test_how_fine_the_detail_of_a_slide_is_follows_the_bank_where_all_of_it_knows() -> None:
    fine = {0.5: 0.4, 1.0: 0.7}
    bank = [replace(entry, vector=(*entry.vector, fine.get(entry.mpp, 0.9))) for entry in BANK]
    stains = stains_of_levels(bank, Caption(), (0.5, 1.0), seed=5)
    assert [len(stain) for stain in stains] == [8, 8]
    assert stains[1][7] > stains[0][7]
    assert [stain[:7] for stain in stains] == list(
        stains_of_levels(BANK, Caption(), (0.5, 1.0), seed=5)
    )
    mixed = [*bank[:-1], BANK[-1]]
    assert [len(s) for s in stains_of_levels(mixed, Caption(), (0.5, 2.0), seed=5)] == [8, 7]
