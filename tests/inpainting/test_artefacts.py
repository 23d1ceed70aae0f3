from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.inpainting.artefacts import find_pen_marks

TISSUE = (200, 120, 180)


@pytest.mark.parametrize("ink", [(20, 150, 120), (30, 60, 190), (205, 70, 94)])
def test_ink_is_found_and_tissue_is_not(ink: tuple[int, int, int]) -> None:
    image = np.full((160, 160, 3), TISSUE, np.uint8)
    image[60:100] = ink
    found = find_pen_marks(image, 1.0)
    assert found[60:100].all()
    assert not found[:45].any()
    assert not found[115:].any()


def test_small_specks_are_no_strokes() -> None:
    image = np.full((160, 160, 3), TISSUE, np.uint8)
    image[80:86, 80:86] = (20, 150, 120)
    assert not find_pen_marks(image, 1.0).any()


def test_a_pixel_size_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="pixel size"):
        find_pen_marks(np.zeros((8, 8, 3), np.uint8), 0.0)


@pytest.mark.data
@pytest.mark.parametrize(("colour", "recall", "shared"), [("green", 0.9, 0.4), ("red", 0.85, 0.65)])
def test_marks_of_real_pens_are_found(
    data_root: Path, colour: str, recall: float, shared: float
) -> None:
    folder = data_root / "wsi" / "artefacts"
    if not folder.is_dir():
        pytest.skip(f"no slides with pen marks at {folder}")
    name = f"histoqc_pen_1k_version_pen_{colour}"
    image = read_picture(folder / f"{name}.png").rgb()
    marked = read_picture(folder / f"{name}_mask.png").edit_mask()
    found = find_pen_marks(image, 8.0)
    both = (found & marked).sum()
    assert both / marked.sum() > recall
    assert both / (found | marked).sum() > shared
