"""The paint of a place follows the variant in view, wherever the frame is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from tests.ui.suggesting import Studio, finish, shown

HOME = Region(0, 0, 0, 64, 64)
AWAY = Region(0, 64, 64, 64, 64)
NEAR = Region(0, 32, 32, 64, 64)
GLASS = TISSUE_NAMES.index("glass")


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A frame in a corner, and two variants of it on their way."""
    studio = Studio(tmp_path)
    studio.document.set_frame(HOME)
    tissue = np.zeros(HOME.shape, np.uint8)
    tissue[16:48, 16:48] = 1
    studio.document.paint_tissue(tissue)
    studio.controller.set(variants=2)
    studio.controller.generate()
    studio.wait()
    return studio


def shows(studio: Studio, variant: int) -> bool:
    part = studio.engine.submitted[0].apart[variant]
    classes, tissue = shown(studio)
    return np.array_equal(classes, part.class_map) and np.array_equal(tissue, part.tissue_map)


@pytest.mark.parametrize("elsewhere", [AWAY, NEAR])
def test_the_variant_applied_from_elsewhere_is_what_its_place_shows(
    studio: Studio, elsewhere: Region
) -> None:
    studio.document.set_frame(elsewhere)
    finish(studio)
    staged = studio.controller.staged
    staged.step(1)
    common = HOME.intersect(elsewhere)
    if not common.is_empty:  # at once, in the part that the frame has of it
        part = studio.engine.submitted[0].apart[1].tissue_map[common.slices]
        inside = common.relative_to(elsewhere).slices
        np.testing.assert_array_equal(shown(studio)[1][inside], part)
    staged.apply()
    assert staged.now is None
    studio.document.set_frame(HOME)
    assert shows(studio, 1)


def test_paint_and_variant_stay_in_step_when_the_frame_comes_and_goes(studio: Studio) -> None:
    finish(studio)
    studio.document.set_frame(AWAY)
    studio.controller.staged.step(1)
    studio.document.set_frame(HOME)
    assert shows(studio, 1)
    for variant in (0, 1):
        studio.controller.staged.step(1)
        assert shows(studio, variant)


def test_what_was_painted_at_the_place_since_stays_while_the_frame_is_elsewhere(studio) -> None:
    finish(studio)
    edited = studio.document.tissue.tissue.copy()
    edited[:8, :8] = GLASS
    studio.document.paint_tissue(edited)
    studio.document.set_frame(AWAY)
    studio.controller.staged.step(1)
    studio.document.set_frame(HOME)
    np.testing.assert_array_equal(studio.document.tissue.tissue, edited)


def test_nuclei_beside_the_place_keep_numbers_of_their_own(studio: Studio) -> None:
    finish(studio)
    studio.document.set_frame(AWAY)
    classes, instances = np.zeros(AWAY.shape, np.uint8), np.zeros(AWAY.shape, np.int32)
    classes[:8, :8], instances[:8, :8] = 2, 1
    studio.document.paint_nuclei(classes, instances)
    studio.controller.staged.step(1)
    assert studio.document.nuclei.labels[0, 0] not in (0, *_labels_at(studio, HOME))
    classes[20:28, 20:28], instances[20:28, 20:28] = 2, 2
    studio.document.paint_nuclei(classes, instances)
    assert not set(np.unique(studio.document.nuclei.labels)[1:]) & set(_labels_at(studio, HOME))


def _labels_at(studio: Studio, place: Region) -> list[int]:
    before = studio.document.region
    studio.document.set_frame(place)
    labels = studio.document.nuclei.labels.copy()
    studio.document.set_frame(before)
    return np.unique(labels[labels > 0]).tolist()
