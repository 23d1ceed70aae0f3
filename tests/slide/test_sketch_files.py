from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_histodiff.core.colours import TISSUE_HEX, rgb_of
from napari_histodiff.core.errors import InvalidImage, InvalidMap
from napari_histodiff.slide.sketch_files import MAX_SKETCH_SIDE, read_sketch

IDS = np.array([[0, 1, 2], [3, 4, 0]], np.uint8)
COLOURS = np.array([rgb_of(colour) for colour in TISSUE_HEX], np.uint8)


def saved(path: Path, picture: Image.Image) -> Path:
    picture.save(path)
    return path


def with_palette(palette: np.ndarray) -> Image.Image:
    picture = Image.fromarray(IDS)
    picture = picture.convert("L")
    picture.putpalette(palette.ravel().tolist())
    return picture


def test_every_way_of_writing_ids(tmp_path: Path) -> None:
    clear = np.dstack([COLOURS[np.where(IDS == 0, 3, IDS)], np.where(IDS == 0, 0, 255)])
    pictures = {
        "gray": Image.fromarray(IDS),
        "deep": Image.fromarray(IDS.astype(np.uint16)),
        "colours": Image.fromarray(COLOURS[IDS]),
        "clear": Image.fromarray(clear.astype(np.uint8)),
        "palette": with_palette(COLOURS),
        "other palette": with_palette(np.eye(5, 3, dtype=np.uint8) * 90),
    }
    for name, picture in pictures.items():
        sketch = read_sketch(saved(tmp_path / f"{name}.png", picture), 2000, 3000)
        np.testing.assert_array_equal(sketch.classes, IDS, name)
        assert (sketch.pixel, sketch.origin) == (1000, (0, 0)), name


def test_a_sketch_in_the_colours_of_earlier_releases_is_still_read(tmp_path: Path) -> None:
    earlier = ("#000000", "#8e44ad", "#f4a6c0", "#5dade2", "#ffffff")
    colours = np.array([rgb_of(colour) for colour in earlier], np.uint8)
    path = saved(tmp_path / "s.png", Image.fromarray(colours[IDS]))
    np.testing.assert_array_equal(read_sketch(path, 2000, 3000).classes, IDS)


def test_black_and_white_are_colours(tmp_path: Path) -> None:
    glass = IDS > 1
    pictures = (glass, glass * np.uint8(255))
    for number, picture in enumerate(pictures):
        path = saved(tmp_path / f"{number}.png", Image.fromarray(picture))
        np.testing.assert_array_equal(read_sketch(path, 2000, 3000).classes, glass * 4)


def test_a_tiff_sketch_is_read_as_it_shows(tmp_path: Path) -> None:
    planes = np.moveaxis(COLOURS[IDS], -1, 0)
    tifffile.imwrite(tmp_path / "s.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_sketch(tmp_path / "s.tif", 2000, 3000).classes, IDS)
    tifffile.imwrite(tmp_path / "w.tif", IDS, photometric="miniswhite")
    with pytest.raises(InvalidMap, match="WhiteIsZero"):
        read_sketch(tmp_path / "w.tif", 2000, 3000)
    Image.fromarray(IDS).save(tmp_path / "s.jpg")
    with pytest.raises(InvalidMap, match="lossless"):
        read_sketch(tmp_path / "s.jpg", 2000, 3000)


def test_colours_win_over_the_indices_of_a_palette(tmp_path: Path) -> None:
    path = saved(tmp_path / "s.png", with_palette(COLOURS[::-1].copy()))
    np.testing.assert_array_equal(read_sketch(path, 2000, 3000).classes, len(TISSUE_HEX) - 1 - IDS)


@pytest.mark.parametrize(("height", "width"), [(3001, 2999), (4000, 700), (300, 9000), (256, 256)])
def test_it_is_stretched_over_the_whole_slide(tmp_path: Path, height: int, width: int) -> None:
    ids = np.arange(7 * 5, dtype=np.uint8).reshape(7, 5) % 5
    sketch = read_sketch(saved(tmp_path / "s.png", Image.fromarray(ids)), height, width)
    rows, cols = sketch.classes.shape
    assert 0 <= rows * sketch.pixel - height < sketch.pixel
    assert 0 <= cols * sketch.pixel - width < sketch.pixel
    for share_y in (0.1, 0.5, 0.9):
        for share_x in (0.1, 0.5, 0.9):
            y, x = int(share_y * height), int(share_x * width)
            found = sketch.classes[y // sketch.pixel, x // sketch.pixel]
            assert found == ids[y * 7 // height, x * 5 // width]


def test_a_sketch_finer_than_the_slide_is_reduced(tmp_path: Path) -> None:
    ids = np.repeat(np.repeat(IDS, 400, 0), 400, 1)
    sketch = read_sketch(saved(tmp_path / "s.png", Image.fromarray(ids)), 256, 300)
    assert (sketch.classes.shape, sketch.pixel) == ((256, 300), 1)
    np.testing.assert_array_equal(sketch.classes[64::128, 50::100], IDS)


@pytest.mark.parametrize(
    ("picture", "error", "tells"),
    [
        pytest.param(
            np.full((4, 4), 12, np.uint8), InvalidMap, "4 or #f2e05a for glass", id="id 12"
        ),
        pytest.param(np.full((4, 4, 3), 7, np.uint8), InvalidMap, "#070707 on 16", id="a colour"),
        pytest.param(np.zeros((1, MAX_SKETCH_SIDE + 1), np.uint8), InvalidImage, "4096", id="wide"),
    ],
)
def test_other_pictures_are_refused(
    tmp_path: Path, picture: np.ndarray, error: type[Exception], tells: str
) -> None:
    with pytest.raises(error, match=tells):
        read_sketch(saved(tmp_path / "s.png", Image.fromarray(picture)), 4096, 4096)


@pytest.mark.parametrize("contents", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_other_files_are_refused(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "s.png"
    path.write_bytes(contents)
    with pytest.raises(InvalidImage, match="save it as PNG"):
        read_sketch(path, 4096, 4096)
    with pytest.raises(InvalidImage, match=r"expected a file .*none\.png, got none"):
        read_sketch(tmp_path / "none.png", 4096, 4096)


def test_a_picture_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "s.png",
        Image.fromarray(np.random.default_rng(0).integers(0, 5, (99, 99), np.uint8)),
    )
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InvalidImage, match="expected an image"):
        read_sketch(path, 4096, 4096)
