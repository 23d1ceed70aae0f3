from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.inpainting.strokes import around_stroke


def tissue(seed: int = 0) -> NDArray[np.float32]:
    """Optical densities of something like stroma with nuclei, (200, 200, 3)."""
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.standard_normal((200, 200)), 4)
    nuclei = (blobs > 1.3 * blobs.std())[..., None] * np.array((0.5, 0.7, 0.3))
    grain = gaussian_filter(rng.standard_normal((200, 200, 3)), (1, 1, 0)) * 0.1
    return (np.array((0.2, 0.5, 0.25)) + nuclei + grain).clip(0.02).astype(np.float32)


def picture(density: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (255 * np.exp(-density)).astype(np.uint8)


def line(width: int = 4) -> NDArray[np.bool_]:
    stroke = np.zeros((200, 200), bool)
    stroke[40:160, 100 - width // 2 : 100 + width // 2] = True
    return stroke


def shared(found: NDArray[np.bool_], there: NDArray[np.bool_]) -> float:
    return float((found & there).sum() / (found | there).sum())


@pytest.mark.parametrize("kind", ["fold", "tear"])
def test_a_line_grows_to_what_it_lies_on(kind: str) -> None:
    there = np.zeros((200, 200), bool)
    there[30:170, 86:114] = True
    density = tissue()
    density[there] = density[there] + tissue(1)[there] if kind == "fold" else 0.03
    found = around_stroke(picture(density), line(), 0.5)
    assert shared(found, there) > 0.6
    assert found[line()].all()


def test_on_plain_tissue_it_stays_within_its_reach() -> None:
    found = around_stroke(picture(tissue()), line(), 0.5, reach=10)
    near = np.abs(np.arange(200) - 100) <= 24
    assert not found[:, ~near].any()


def test_a_ring_is_filled() -> None:
    y, x = np.indices((200, 200))
    far = np.hypot(y - 100, x - 100)
    found = around_stroke(picture(tissue()), np.abs(far - 50) < 2, 0.5, reach=5)
    assert found[far < 50].all()
    assert not found[far > 70].any()


def test_a_stroke_over_everything_stays() -> None:
    assert around_stroke(picture(tissue()), np.ones((200, 200), bool)).all()


def test_one_colour_has_no_border() -> None:
    image = np.full((200, 200, 3), 200, np.uint8)
    found = around_stroke(image, line(), 0.5, reach=10)
    assert found[line()].all()
    assert found.shape == (200, 200)


def test_what_is_no_stroke_is_refused() -> None:
    image = picture(tissue())
    with pytest.raises(InvalidMap, match="got none"):
        around_stroke(image, np.zeros((200, 200), bool))
    with pytest.raises(InvalidMap, match="shape"):
        around_stroke(image, np.ones((10, 10), bool))
    for mpp in (0.0, float("nan")):
        with pytest.raises(InvalidRequest, match="pixel size"):
            around_stroke(image, line(), mpp)


@pytest.mark.data
def test_a_stroke_along_a_real_pen_mark_finds_its_width(data_root: Path) -> None:
    folder = data_root / "wsi" / "artefacts"
    if not folder.is_dir():
        pytest.skip(f"no slides with pen marks at {folder}")
    name = "histoqc_pen_1k_version_pen_red"
    window = (slice(120, 420), slice(0, 200))
    image = read_picture(folder / f"{name}.png").rgb()[window]
    marked = read_picture(folder / f"{name}_mask.png").edit_mask()[window]
    stroke = np.zeros_like(marked)
    for row in range(20, 280):  # along the middle of what is marked there, two pixels wide
        (columns,) = np.nonzero(marked[row])
        if len(columns):
            stroke[row, int(np.median(columns)) + np.array((0, 1))] = True
    found = around_stroke(image, stroke, 8.0, reach=400)
    assert shared(found, marked) > 0.4
    assert (found & marked).sum() / marked.sum() > 0.6
