"""Layouts made up: by seed, as many nuclei as asked for, like an example."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.captions.vocabulary import class_said
from napari_histodiff.core.errors import Cancelled, InvalidMap, InvalidRequest, ModelInvalid
from napari_histodiff.core.maps import CLASS_NAMES, FIRST_TISSUE_NAMES, TISSUE_NAMES
from napari_histodiff.layout.completion.unet import UNet
from napari_histodiff.layout.invention import EVALUATIONS, Invention, invent
from napari_histodiff.layout.invention.told import count_nuclei, told_by_caption

SHAPE = 192, 224
ID = {name: number for number, name in enumerate(TISSUE_NAMES)}


@pytest.fixture(scope="module")
def colon() -> Invention:
    return invent(SHAPE, "colon, gland, high lymphocytes", seed=3)


def test_a_layout_has_tissue_everywhere_and_whole_nuclei_of_one_class(colon: Invention) -> None:
    assert colon.class_map.shape == colon.instance_map.shape == colon.tissue_map.shape == SHAPE
    assert (colon.tissue_map > 0).all()
    assert ((colon.class_map > 0) == (colon.instance_map > 0)).all()
    pairs = np.unique(colon.instance_map.astype(np.int64) * 7 + colon.class_map)
    assert len(pairs) == len(np.unique(colon.instance_map)) > 20
    assert colon.facts["counts"]["lymphocyte"] == (np.unique(pairs) % 7 == 3).sum()


def test_one_seed_is_the_same_again_and_another_differs(colon: Invention) -> None:
    again = invent(SHAPE, "colon, gland, high lymphocytes", seed=3)
    other = invent(SHAPE, "colon, gland, high lymphocytes", seed=4)
    np.testing.assert_array_equal(again.instance_map, colon.instance_map)
    np.testing.assert_array_equal(again.tissue_map, colon.tissue_map)
    assert (other.tissue_map != colon.tissue_map).any()


def test_counts_are_kept_within_a_fifth() -> None:
    wanted = {"lymphocyte": 40, "plasma": 0, "connective": 25, "epithelial": 60}
    found = invent((256, 256), "colon, gland, stroma", counts=wanted, seed=1).facts["counts"]
    for name, count in wanted.items():
        assert found[name] == pytest.approx(count, rel=0.2, abs=3), name


def test_density_is_a_factor() -> None:
    few, many = (
        sum(invent(SHAPE, "colon", density=d, seed=2).facts["counts"].values()) for d in (0.5, 1.0)
    )
    assert few == pytest.approx(many / 2, rel=0.3)


def test_an_example_gives_its_classes_and_tissue_in_another_arrangement(colon: Invention) -> None:
    example = colon.class_map, colon.instance_map, colon.tissue_map
    made = invent(SHAPE, "colon", like=example, seed=9)
    before, after = (count_nuclei(m.class_map, m.instance_map) for m in (colon, made))
    assert after.sum() == pytest.approx(before.sum(), rel=0.25)
    assert (made.class_map != colon.class_map).mean() > 0.05


def test_no_means_none_and_levels_are_more_or_less() -> None:
    none = invent(SHAPE, "colon, no lymphocytes", seed=0).facts["counts"]
    assert none["lymphocyte"] <= 1
    low, high = (
        told_by_caption(f"colon, {w} lymphocytes", 1).densities[3] for w in ("low", "high")
    )
    assert high > 2 * low


def test_a_model_that_knows_fewer_tissues_gets_those() -> None:
    made = invent(SHAPE, "colon, smooth muscle", seed=1, tissue_names=FIRST_TISSUE_NAMES)
    assert made.tissue_map.max() < len(FIRST_TISSUE_NAMES)


def test_progress_is_told_and_ends_it() -> None:
    told: list[tuple[int, int]] = []

    def leave(done: int, total: int) -> None:
        told.append((done, total))
        if done == 5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        invent((64, 64), on_step=leave)
    assert told == [(n, EVALUATIONS) for n in range(1, 6)]
    told.clear()
    invent((64, 64), on_step=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == EVALUATIONS


@pytest.mark.parametrize("mpp", [0.25, 1.0, 3.7])
def test_any_scale(mpp: float) -> None:
    made = invent((100, 60), "colon", mpp=mpp, origin=(-333, 77))
    assert made.tissue_map.shape == (100, 60)
    assert made.tissue_map.all()


def test_what_cannot_be_is_refused() -> None:
    empty = np.zeros((50, 50), np.uint8)
    refused = [
        ({"shape": (0, 5)}, "at least one pixel"),
        ({"shape": (5.5, 5)}, "two whole numbers"),
        ({"shape": (10, 10), "mpp": "x"}, "mpp as a number"),
        ({"shape": (10, 10), "mpp": 1e-3}, "mpp between"),
        ({"shape": (10, 10), "seed": 1.5}, "seed as a whole number"),
        ({"shape": (10, 10), "seed": -1}, "seed between"),
        ({"shape": (10, 10), "like_mpp": 0}, "like_mpp between"),
        ({"shape": (10, 10), "mpp": 9.0}, "another scale"),
        ({"shape": (8000, 8000)}, "lay out a slide"),
        ({"shape": (64, 64), "density": 0}, "density above 0"),
        ({"shape": (64, 64), "counts": {"zebra": 3}}, "expected counts of"),
        ({"shape": (64, 64), "counts": {"zebra": 3}}, "whole numbers of at most nine digits"),
        ({"shape": (64, 64), "counts": {"gland": 3}}, "expected counts of"),
        ({"shape": (64, 64), "counts": {"plasma": 3, "Plasma cells": 4}}, "one count of each"),
        ({"shape": (64, 64), "counts": {"lymphocyte": 10**400}}, "expected counts of"),
        ({"shape": (64, 64), "counts": {"lymphocyte": float("nan")}}, "expected counts of"),
        ({"shape": (64, 64), "counts": {"lymphocyte": 1.5}}, "expected counts of"),
        ({"shape": (64, 64), "counts": {"lymphocyte": "12"}}, "expected counts of"),
        ({"shape": (64, 64), "counts": {3: 12}}, "expected counts of"),
        ({"shape": (64, 64), "counts": ["lymphocyte"]}, "expected counts by class"),
        ({"shape": (64, 64), "counts": {"lymphocyte": 100_000}}, "nuclei per mm²"),
        ({"shape": (64, 64), "like": (empty, empty, empty)}, "empty maps"),
    ]
    for arguments, said in refused:
        with pytest.raises(InvalidRequest, match=said):
            invent(**arguments)
    with pytest.raises(InvalidMap, match="one shape as example"):
        invent((64, 64), like=(empty, empty, empty[:9]))


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ModelInvalid, match=r"stem\.weight"):
        UNet({})


def test_captions_choose_among_real_fields() -> None:
    told = told_by_caption("breast, gland", 0)
    assert told.organ == "breast"
    assert "gland" in told.words
    assert told.densities[0] > 500
    assert len(told.densities) == len(CLASS_NAMES) + 1


@pytest.mark.parametrize("name", ["lymphocytes", "Lymphocyte", "LYMPHOCYTES"])
def test_classes_of_counts_are_said_as_in_captions(name: str) -> None:
    plain = invent((96, 96), "colon", counts={"lymphocyte": 12}, seed=3)
    other = invent((96, 96), "colon", counts={name: 12}, seed=3)
    np.testing.assert_array_equal(other.class_map, plain.class_map)


def test_every_class_goes_by_its_own_name() -> None:
    assert [class_said(name) for name in CLASS_NAMES] == [1, 2, 3, 4, 5, 6]
    assert class_said("Plasma cells") == CLASS_NAMES.index("plasma") + 1
    assert class_said("zebra") is None
