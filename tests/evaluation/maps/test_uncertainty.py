"""Uncertainty over slides, in tiles: the same as of the whole, and each nucleus once."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.errors import Cancelled, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.evaluation.maps import running
from napari_histodiff.evaluation.maps.running import NucleusTable, uncertainty_of
from napari_histodiff.evaluation.maps.tiles import ArraySource
from napari_histodiff.segmenter.ensemble import Ensemble
from napari_histodiff.segmenter.model import Judge
from tests.segmenter.tiny import write_tiny_judge

#: Two rows of three of the tiles of these tests.
IMAGE = np.random.default_rng(2).integers(0, 256, (96, 160, 3), np.uint8)
AREA = Region(0, 0, 0, *IMAGE.shape[:2])


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    folder = write_tiny_judge(tmp_path_factory.mktemp("judges") / "tiny")
    return Ensemble(Judge.load(folder, device="cpu", dtype="float32"))


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_WIDE", 64)


@pytest.fixture(scope="module")
def mapped(ensemble: Ensemble) -> tuple[NDArray[np.float32], NucleusTable, list[tuple[int, int]]]:
    """What is found in tiles that are not kept, and what was told after each."""
    told: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "_WIDE", 64)
        found = uncertainty_of(
            ArraySource(IMAGE), AREA, 0.5, ensemble, on_tile=lambda *at: told.append(at)
        )
    return *found, told


def test_tiles_make_the_map_of_the_whole(ensemble, mapped) -> None:
    whole = ensemble.propose(IMAGE, mpp=0.5)
    entropy, nuclei, told = mapped
    assert told == [(done, 6) for done in range(1, 7)]
    np.testing.assert_allclose(entropy, whole.entropy, atol=1e-4)
    assert len(nuclei.y) == len(whole.agreement) > 0
    np.testing.assert_allclose(np.sort(nuclei.agreement), np.sort(whole.agreement), atol=1e-6)
    sizes = np.bincount(whole.instance_map.ravel())[1:] * 0.25
    np.testing.assert_allclose(np.sort(nuclei.area), np.sort(sizes))


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("mpp", [0.25, 0.37])
def test_other_scales_leave_no_seams(ensemble, mpp) -> None:
    entropy, _ = uncertainty_of(ArraySource(IMAGE), AREA, mpp, ensemble)
    steps = np.abs(np.diff(entropy, axis=1)).mean(0)
    assert steps[60:68].max() < 2 * np.median(steps)


@pytest.mark.usefixtures("small_tiles")
def test_it_goes_on_where_it_was_stopped(ensemble, mapped, tmp_path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 4:
            raise Cancelled("stop")

    kept = tmp_path / "tiles"
    with pytest.raises(Cancelled):
        uncertainty_of(ArraySource(IMAGE), AREA, 0.5, ensemble, folder=kept, on_tile=stop)
    assert len(list(kept.glob("tile-*"))) == 4
    entropy, nuclei = uncertainty_of(ArraySource(IMAGE), AREA, 0.5, ensemble, folder=kept)
    again, others, _ = mapped
    np.testing.assert_array_equal(entropy, again)
    for field in fields(NucleusTable):
        name = field.name
        np.testing.assert_array_equal(getattr(nuclei, name), getattr(others, name))


@pytest.mark.parametrize("mpp", [None, 1.0])
def test_pixels_that_are_too_coarse_or_of_no_size_are_refused(ensemble, mpp) -> None:
    with pytest.raises(InvalidRequest, match=r"at most 0.75 um"):
        uncertainty_of(ArraySource(IMAGE), AREA, mpp, ensemble)


def test_a_map_is_of_whole_tiles(ensemble) -> None:
    with pytest.raises(InvalidRequest, match="1, 2, 4"):
        uncertainty_of(ArraySource(IMAGE), AREA, 0.5, ensemble, factor=3)
