"""The building blocks of the layout: hashes, fields, stars, fibres, plans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histodiff.layout.aggregates import Aggregates
from napari_histodiff.layout.fields import Pixels, ValueNoise, bits, key_of, uniform, uniforms
from napari_histodiff.layout.plan import plan_of
from napari_histodiff.layout.star_lattice import DIRECTIONS, StarLattice, inset, paint
from napari_histodiff.layout.wall import Fibres

FAR = 2**40
points = st.tuples(st.integers(-FAR, FAR), st.integers(-FAR, FAR))
GOLDEN = [5254333956427110299, 5277621154031541672, 16288646930692809030]
FIELD = ValueNoise(3, 1, (300, 70, 9), (1.0, 0.5, 0.2))


def everywhere(*cell: np.ndarray) -> np.ndarray:
    return np.ones(cell[2].shape, np.bool_)


def test_a_cell_keeps_its_bits() -> None:
    # Slides on disk rely on these numbers.
    found = bits(key_of(7, 1, 2), np.array([0, -1, 2**40]), np.array([0, 5, -3]))
    assert [int(n) for n in found] == GOLDEN


def test_hashes_are_uniform_and_independent() -> None:
    rows, cols = np.mgrid[-100:100, -100:100]
    numbers = [uniform(key_of(1, 0), rows, cols), *uniforms(key_of(1, 1), rows, cols)]
    numbers.append(uniform(key_of(2, 0), rows, cols))
    for number in numbers:
        assert number.dtype == np.float32
        assert number.min() >= 0
        assert number.max() < 1
        assert np.histogram(number, 20, (0, 1))[0].std() < 4 * 2000**0.5
    assert np.abs(np.corrcoef([n.ravel() for n in numbers]) - np.eye(5)).max() < 0.02
    beside = np.corrcoef(numbers[0][1:].ravel(), numbers[0][:-1].ravel())[0, 1]
    assert abs(beside) < 0.02


@given(points, st.sampled_from([1, 2, 8, 64]))
def test_a_field_is_the_same_on_lattices_and_at_points(place: tuple[int, int], step: int) -> None:
    pixels = Pixels(*place, step, 9, 7)
    on = FIELD.on(pixels)
    at = FIELD.at(pixels.ys[:, None], pixels.xs[None, :])
    np.testing.assert_array_equal(on, at)
    part = pixels.part(2, 3, 100, 2)
    np.testing.assert_array_equal(FIELD.on(part), on[2:, 3:5])


def test_a_field_is_smooth_and_within_bounds() -> None:
    value = FIELD.on(Pixels(-500, 900, 1, 1200, 1200))
    assert np.abs(value).max() <= FIELD.rest(0)
    assert 0.6 < value.std() / FIELD.sigma < 1.5
    steepest = 3 * sum(a / c for a, c in zip(FIELD.amplitudes, FIELD.cells, strict=True))
    assert np.abs(np.diff(value, axis=0)).max() <= steepest
    assert np.abs(np.diff(value, axis=1)).max() <= steepest


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), points, st.integers(40, 300))
def test_stars_never_overlap(seed: int, place: tuple[int, int], pitch: int) -> None:
    lattice = StarLattice(seed, 1, pitch, 4.0, (0.4, 0.95), 2.2, 0.3, everywhere)
    pixels = Pixels(*place, max(1, pitch // 20), 90, 90)
    stars = lattice.within(pixels.box)
    hits = np.zeros(pixels.shape, int)
    for index in range(len(stars)):
        one, out = stars[np.array([index])], np.zeros(pixels.shape, np.uint8)
        paint(out, pixels, one, [(one.outer, np.ones(1, np.uint8))])
        hits += out
    assert hits.max() == 1
    assert 0.25 < hits.mean() < 0.95


def test_insets_are_measured_across_the_border() -> None:
    turn = np.arctan2(*DIRECTIONS.astype(float))
    radii = (1 / np.sqrt((np.cos(turn) / 200) ** 2 + (np.sin(turn) / 100) ** 2))[None]
    inner = inset(radii.astype(np.float32), np.float32(20))
    border = (radii * np.stack([np.sin(turn), np.cos(turn)])).T
    points_ = (inner * np.stack([np.sin(turn), np.cos(turn)])).T
    distance = np.hypot(*(points_[:, None] - border[None]).transpose(2, 0, 1)).min(axis=1)
    assert np.abs(distance - 20).max() < 6


def test_aggregates_are_the_same_on_lattices_and_at_points() -> None:
    aggregates = Aggregates(5, 800, 0.7)
    for step in (1, 16, 512):
        pixels = Pixels(-900, 300, step, 60, 50)
        on = aggregates.on(pixels)
        np.testing.assert_array_equal(on, aggregates.at(pixels.ys[:, None], pixels.xs[None]))
    assert 0.02 < (on > 0).mean() < 0.3
    assert not Aggregates(5, 800, 0.0).on(pixels).any()


def test_streaks_run_along_the_fibres() -> None:
    fibres = Fibres(4, 0.5)
    streaks = fibres.streaks(Pixels(0, 0, 1, 400, 400))
    assert np.abs(streaks).max() <= 1
    down, right = np.gradient(streaks)
    y, x = (a.ravel() for a in np.mgrid[50:350:7, 50:350:7])
    across = fibres.across(y, x)
    across /= np.hypot(*across)
    slope = np.stack([down[y, x], right[y, x]])
    along = across[0] * slope[1] - across[1] * slope[0]
    assert np.abs((across * slope).sum(axis=0)).mean() > 2 * np.abs(along).mean()


def test_captions_shape_the_plan() -> None:
    plain = plan_of("")
    assert plan_of("brain").glands == plan_of("no epithelial cells").glands == 0
    assert plan_of("fat").fat > plain.fat
    assert plan_of("vessel").vessels > plain.vessels
    assert plan_of("tumour").nests > plain.nests
    assert plan_of("inflammation").densities[2] > plain.densities[2]
    assert plan_of("no lymphocytes").crowd[2] == plan_of("no lymphocytes").aggregates == 0
    crowded = plan_of("high lymphocytes, high plasma cells, high neutrophils, high eosinophils")
    assert sum(crowded.densities) == pytest.approx(12_500)
