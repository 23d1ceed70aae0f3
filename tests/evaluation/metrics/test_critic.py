from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.evaluation.metrics.critic import critic_auc

TILES = np.repeat(np.arange(20), 15)


def crops(seed: int, shift: float = 0.0) -> NDArray[np.float64]:
    """Features of crops, the tiles differing far more than the crops of one."""
    rng = np.random.default_rng(seed)
    tile_colours = np.random.default_rng(99).normal(0, 3, (20, 6))
    features = rng.normal(size=(len(TILES), 6)) + tile_colours[TILES]
    features[:, 2] += shift
    return features


def test_equal_distributions_cannot_be_told_apart() -> None:
    score = critic_auc(crops(0), crops(1), TILES, TILES)
    assert score.auc == pytest.approx(0.5, abs=0.07)
    assert score.low <= score.auc <= score.high
    assert (score.n_real, score.n_generated, score.tiles) == (300, 300, 20)


def test_a_shift_is_found_and_named() -> None:
    features = [np.random.default_rng(s).normal(size=(300, 3)) for s in (0, 1)]
    features[1][:, 1] += 6
    score = critic_auc(*features, TILES, TILES, names=["red", "green", "blue"], top=2)
    assert score.auc > 0.99
    assert score.low > 0.98
    assert len(score.top) == 2
    assert score.top[0][0] == "green"
    assert score.top[0][1] > 0


def test_the_shift_of_known_size_has_its_known_auc() -> None:
    real, generated = (np.random.default_rng(s).normal(size=(300, 1)) for s in (0, 1))
    score = critic_auc(real, generated + 1, TILES, TILES)
    assert score.auc == pytest.approx(0.76, abs=0.04)  # Phi(1 / sqrt 2)


def test_what_holds_in_one_tile_only_is_no_evidence() -> None:
    real, generated = crops(0), crops(1)
    for tile in range(20):  # each tile gives itself away, each in another way
        generated[tile == TILES] += 2 * (-1) ** tile
    assert critic_auc(real, generated, TILES, TILES).auc < 0.65


def test_unequal_numbers_do_not_tilt_chance() -> None:
    score = critic_auc(crops(0), crops(1)[::3], TILES, TILES[::3])
    assert score.auc == pytest.approx(0.5, abs=0.1)
    assert score.n_generated == 100


def test_unusable_crops_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="in one way"):
        critic_auc(crops(0), crops(1)[:, :2], TILES, TILES)
    with pytest.raises(InvalidRequest, match="name the tile of every crop"):
        critic_auc(crops(0), crops(1), TILES, TILES[1:])
    with pytest.raises(InvalidRequest, match="at least two tiles"):
        critic_auc(crops(0), crops(1), TILES, TILES + 19)
