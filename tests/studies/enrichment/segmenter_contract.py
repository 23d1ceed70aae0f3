"""What an enrichment study may expect of any segmenter; one class of tests a segmenter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.evaluation.tiles import study_tiles
from napari_histodiff.studies.enrichment.options import EnrichmentOptions
from napari_histodiff.studies.enrichment.segmenters.base import Lesson, Segmenter
from tests.evaluation.doubles import write_pack


class SegmenterContract:
    """Subclasses make the segmenter, of weights as small as it allows."""

    options = EnrichmentOptions(
        tiles=4, test_tiles=4, size=128, updates=3, batch=2, crop=64, widths=(8, 8)
    )

    @pytest.fixture(scope="class")
    @classmethod
    def segmenter(cls, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def lesson(cls, tmp_path_factory: pytest.TempPathFactory) -> Lesson:
        """Two tiles with classes, and one without."""
        pack = load_pack(write_pack(tmp_path_factory.mktemp("pack") / "train.npz"))
        tiles = study_tiles(pack, 6, 128, "all")
        chosen = [next(t for t in tiles if not t.has_classes)]
        chosen += [t for t in tiles if t.has_classes and t.image.shape[0] == 128][:2]
        return Lesson(chosen, [tile.image for tile in chosen], cls.options, 1)

    def test_it_says_what_it_is(self, segmenter: Segmenter) -> None:
        about = segmenter.about
        assert about.name
        assert about.training.endswith(".")
        assert about == segmenter.about

    def test_it_trains_for_so_many_updates_and_finds_nuclei_in_maps_of_the_image(
        self, segmenter: Segmenter, lesson: Lesson
    ) -> None:
        before = np.random.get_state()[1].copy()
        trained = segmenter.train(lesson)
        assert len(trained.losses) == self.options.updates
        assert np.isfinite(trained.losses).all()
        image = lesson.images[0][:100]
        found = trained.find(image)
        assert found.instance_map.shape == found.class_map.shape == image.shape[:2]
        assert (found.instance_map.dtype, found.class_map.dtype) == (np.int32, np.uint8)
        inside = found.instance_map > 0
        if segmenter.about.tells_classes:
            assert ((found.class_map > 0) == inside).all()
            assert found.class_map.max() <= 6
        else:
            assert not found.class_map.any()
        np.testing.assert_array_equal(np.random.get_state()[1], before)

    def test_every_training_begins_alike_and_the_seed_decides(
        self, segmenter: Segmenter, lesson: Lesson
    ) -> None:
        first, again = segmenter.train(lesson), segmenter.train(lesson)
        np.testing.assert_allclose(first.losses, again.losses, rtol=1e-4)
        other = Lesson(lesson.tiles, lesson.images, lesson.options, 7)
        assert not np.allclose(segmenter.train(other).losses, first.losses, rtol=1e-4)

    def test_tiles_smaller_than_a_crop_are_refused(
        self, segmenter: Segmenter, lesson: Lesson
    ) -> None:
        small = [
            replace(t, class_map=t.class_map[:40], instance_map=t.instance_map[:40])
            for t in lesson.tiles
        ]
        images = [image[:40] for image in lesson.images]
        with pytest.raises(TrainingError, match=r"smaller crops|larger images"):
            segmenter.train(Lesson(small, images, self.options, 0))
