from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.ui.generation.history import THUMBNAIL, History, thumbnail


def _request(**changes: object) -> EditRequest:
    return EditRequest(kind=EditKind.GENERATE, region=Region(0, 0, 0, 16, 16), **changes)


def _images(variants: int = 1) -> np.ndarray:
    return np.zeros((variants, 16, 16, 3), np.uint8)


def test_the_newest_comes_first_and_the_oldest_leave() -> None:
    history = History(max_entries=2)
    for _ in range(4):
        history.add(_request(), _images(), 1.0)
    assert [entry.number for entry in history.entries] == [4, 3]


def test_memory_is_capped_but_the_newest_stays() -> None:
    history = History(max_bytes=_images().nbytes * 2)
    for _ in range(3):
        history.add(_request(), _images(), 1.0)
    assert [entry.number for entry in history.entries] == [3, 2]
    history.add(_request(), _images(9), 1.0)
    assert [entry.number for entry in history.entries] == [4]


def test_the_tissue_of_an_entry_counts_as_memory() -> None:
    tissue = np.ones((16, 16), np.uint8)
    entry = History().add(_request(tissue_map=tissue), _images(), 1.0, None, tissue)
    assert entry.nbytes == _images().nbytes + 2 * tissue.nbytes


@pytest.mark.parametrize("shape", [(512, 512), (100, 300), (16, 16), (7, 2000), (73, 71)])
def test_thumbnails_fit_and_keep_the_mean_colour(shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 0] = 200
    small = thumbnail(image)
    assert max(small.shape[:2]) <= THUMBNAIL
    assert min(small.shape[:2]) >= 1
    np.testing.assert_array_equal(np.unique(small.reshape(-1, 3), axis=0), [[200, 0, 0]])
