from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.diffusion.windows import WindowLayout, plan
from napari_histodiff.evaluation.checks import Check
from napari_histodiff.evaluation.consistency import lattice_lines
from napari_histodiff.evaluation.metrics.agreement import Interval
from napari_histodiff.evaluation.panels import Blocks, blurred, cut, mirrored, shuffled
from napari_histodiff.evaluation.realism import halves
from napari_histodiff.evaluation.tables import Table, format_cell
from tests.fakes import FAKE_INFO


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def test_crops_lie_side_by_side(image: np.ndarray) -> None:
    crops = cut(image, 16)
    assert crops.shape == (12, 16, 16, 3)
    np.testing.assert_array_equal(crops[5], image[16:32, 16:32])
    assert len(cut(image, 30)) == 2


def test_changed_images_keep_what_they_should(image: np.ndarray) -> None:
    np.testing.assert_array_equal(mirrored(mirrored(image)), image)
    assert blurred(image).std() < 0.5 * image.std()
    assert blurred(image).mean() == pytest.approx(image.mean(), abs=1)
    mixed = shuffled(image)
    assert (mixed != image).any()
    np.testing.assert_array_equal(np.sort(mixed.ravel()), np.sort(image.ravel()))


def test_blocks_repeat_tiles_and_name_their_rows() -> None:
    blocks = Blocks((np.zeros((2, 3)), np.ones((1, 3))))
    np.testing.assert_array_equal(blocks.of([1, 0, 1])[:, 0], [1, 0, 0, 1])
    np.testing.assert_array_equal(blocks.groups([1, 0, 1]), [1, 0, 0, 1])
    assert blocks.beside(blocks).of([0]).shape == (2, 6)


def test_halves_are_disjoint_and_alike_in_size() -> None:
    for first, second in halves(7, seed=0):
        assert len(first) == len(second) == 3
        assert not set(first) & set(second)


def test_lattice_lines_are_where_the_weights_of_windows_cross() -> None:
    info = replace(FAKE_INFO, window=288)
    assert lattice_lines(768, info) == [256, 512]
    assert lattice_lines(256, info) == []
    layout = WindowLayout()
    last = plan(Region(0, 0, 0, 768, 768), layout, layout.phases)[-1]
    weights = last.windows[0].weights(layout.ramp)
    assert weights[0, 255] > 0.5 > weights[0, 256]


def test_cells_without_a_figure_are_dashes_and_null() -> None:
    assert format_cell(float("nan")) == format_cell(None) == "–"
    assert format_cell(Interval(0.5, 0.25, 1.0)) == "0.5 (0.25 to 1)"
    assert format_cell(Interval(0.5, float("nan"), 1.0)) == "0.5"
    table = Table("t", "T", ("a", "b"), {"r": (float("nan"), Interval(1.0, float("nan"), 2.0))})
    assert table.to_dict() == {"r": {"a": None, "b": {"value": 1.0, "low": None, "high": 2.0}}}
    assert np.isnan(table.get("none", "a"))


def test_a_bound_is_met_on_its_own_side() -> None:
    assert Check("c", 0.5, ">=", 0.5).met
    assert not Check("c", 0.05, ">", 0.05).met
    assert Check("c", 0.6, "<=", 0.5).verdict == "short by 0.1"
    assert Check("c", float("nan"), "<=", 0.5).verdict == "not measured"
