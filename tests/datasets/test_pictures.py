"""Pictures are read as what they show, whatever their files' numbers mean, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from skimage.color import rgb2lab

from napari_histodiff.core.errors import InvalidImage, InvalidMap
from napari_histodiff.datasets.pictures import (
    read_picture,
)

MASK = np.zeros((48, 64), bool)
MASK[8:30, 10:50] = True
GRAY = np.where(MASK, 255, 0).astype(np.uint8)

#: Flat patches of tissue colours, so that lossy encodings change little.
COLOURS = np.array([(230, 180, 205), (90, 50, 140), (255, 255, 255), (200, 90, 130)], np.uint8)
RGB = COLOURS[np.kron(np.arange(12).reshape(3, 4) % 4, np.ones((16, 16), int))]


def saved(path: Path, array: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


def pillow(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def indexed(mask: np.ndarray, black: int, colours: tuple[int, ...]) -> Image.Image:
    """A picture of two indices; `colours` are those of index 0 and 1."""
    picture = Image.fromarray(np.where(mask, 1 - black, black).astype(np.uint8), "L")
    picture.putpalette([*colours, *[0] * (768 - len(colours))])
    return picture


@pytest.fixture
def masks(tmp_path: Path) -> dict[str, Path]:
    white_first = indexed(MASK, 1, (255, 255, 255, 0, 0, 0))
    return {
        "gray png": pillow(tmp_path / "gray.png", Image.fromarray(GRAY)),
        "one bit png": pillow(tmp_path / "bit.png", Image.fromarray(MASK)),
        "ones": pillow(tmp_path / "ones.png", Image.fromarray(MASK.astype(np.uint8))),
        "deep": pillow(tmp_path / "deep.png", Image.fromarray(GRAY.astype(np.uint16) * 257)),
        "colours": pillow(tmp_path / "rgb.png", Image.fromarray(GRAY).convert("RGBA")),
        "indexed png": pillow(tmp_path / "white.png", white_first),
        "indexed gif": pillow(tmp_path / "white.gif", white_first),
        "red index": pillow(tmp_path / "red.png", indexed(MASK, 0, (0, 0, 0, 128, 0, 0))),
        "white is zero": saved(tmp_path / "white.tif", 255 - GRAY, photometric="miniswhite"),
        "one bit white is zero": saved(tmp_path / "w1.tif", ~MASK, photometric="miniswhite"),
        "group 4": pillow(tmp_path / "g4.tif", Image.fromarray(MASK), compression="group4"),
        "lzw": saved(tmp_path / "lzw.tif", GRAY, compression="lzw"),
        "lossless webp": pillow(tmp_path / "a.webp", Image.fromarray(GRAY), lossless=True),
        "upper case": pillow(tmp_path / "A.PNG", Image.fromarray(GRAY)),
    }


def test_edit_masks_are_what_they_show(masks: dict[str, Path], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MASK * np.int64(7))
    masks["array"] = tmp_path / "a.npy"
    for name, path in masks.items():
        np.testing.assert_array_equal(read_picture(path).edit_mask(), MASK, name)


@pytest.mark.parametrize(
    ("array", "expected"), [(np.zeros((4, 4), np.uint8), False), (np.full((4, 4), 255, "u1"), True)]
)
def test_an_edit_mask_may_be_all_black_or_all_white(
    tmp_path: Path, array: np.ndarray, expected: bool
) -> None:
    path = pillow(tmp_path / "a.png", Image.fromarray(array))
    assert (read_picture(path).edit_mask() == expected).all()


def test_edit_masks_that_show_something_else_are_refused(tmp_path: Path) -> None:
    blurred = GRAY.copy()
    blurred[:, 9] = 60
    clear = np.dstack([np.full((48, 64, 3), 255, np.uint8), GRAY])
    pictures = {
        "a.jpg": (Image.fromarray(GRAY), "JPEG, which blurs its rim"),
        "b.webp": (Image.fromarray(GRAY), "WEBP"),
        "c.png": (Image.fromarray(blurred), r"3 values \(0, 60, 255\)"),
        "d.png": (Image.fromarray(clear), "transparent pixels"),
        "e.png": (indexed(MASK, 0, (255, 255, 255, 200, 0, 0)), "2 values"),
        "f.png": (Image.fromarray(np.full((4, 4), 90, np.uint8)), "one value"),
        "g.png": (Image.fromarray(RGB), "4 values"),
    }
    for name, (picture, match) in pictures.items():
        path = pillow(tmp_path / name, picture)
        with pytest.raises(InvalidMap, match=f"two values, black.*{match}.*save it as black"):
            read_picture(path).edit_mask()
    jpeg = saved(tmp_path / "h.tif", np.dstack([GRAY] * 3), photometric="rgb", compression="jpeg")
    with pytest.raises(InvalidMap, match="JPEG"):
        read_picture(jpeg).edit_mask()


def test_maps_are_read_by_their_ids(tmp_path: Path) -> None:
    ids = (np.arange(48).reshape(6, 8) % 7).astype(np.uint8)
    picture = Image.fromarray(ids, "L")
    picture.putpalette([*range(30, 51), *[0] * 747])
    paths = [
        pillow(tmp_path / "a.png", Image.fromarray(ids)),
        pillow(tmp_path / "b.png", picture),
        saved(tmp_path / "c.tif", ids.astype(np.int32), compression="zlib"),
        saved(tmp_path / "d.tif", ids, compression="lzw"),
    ]
    for path in paths:
        np.testing.assert_array_equal(read_picture(path).ids(), ids, path.name)


def test_maps_whose_ids_can_not_be_trusted_are_refused(tmp_path: Path) -> None:
    ids = (MASK * 2).astype(np.uint8)
    grays = indexed(MASK, 0, (0, 0, 0, 4, 4, 4))
    paths = [
        (pillow(tmp_path / "a.jpg", Image.fromarray(ids)), "lossless format, got JPEG"),
        (pillow(tmp_path / "b.webp", Image.fromarray(ids)), "lossless format, got WEBP"),
        (saved(tmp_path / "c.tif", ids, compression="jpeg"), "lossless format, got JPEG"),
        (saved(tmp_path / "d.tif", ids, photometric="miniswhite"), "WhiteIsZero"),
        (pillow(tmp_path / "e.png", grays), "palette of grays"),
    ]
    for path, match in paths:
        with pytest.raises(InvalidMap, match=match):
            read_picture(path).ids()


def lab_of_photoshop(path: Path) -> Path:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return pillow(
        path, ImageCms.profileToProfile(Image.fromarray(RGB), *profiles, outputMode="LAB")
    )


def lab_of_d65(path: Path) -> Path:
    lab = rgb2lab(RGB)
    signed = np.rint(lab[..., 1:]).clip(-128, 127).astype(np.int8).view(np.uint8)
    coded = np.dstack([np.rint(lab[..., :1] * 2.55).astype(np.uint8), signed])
    white = (318, "2I", 2, (3127, 10000, 3290, 10000), True)
    return saved(path, coded, photometric="cielab", extratags=[white])


def test_colours_are_those_that_a_viewer_shows(tmp_path: Path) -> None:
    image = Image.fromarray(RGB)
    ycbcr = np.asarray(image.convert("YCbCr"))
    planes = {"planarconfig": "separate", "photometric": "rgb"}
    levels = {"photometric": "ycbcr"}
    deep = np.moveaxis(RGB, -1, 0)
    paths = {
        "png": (pillow(tmp_path / "a.png", image), 0),
        "palette": (pillow(tmp_path / "b.png", image.quantize(16)), 1),
        "gif": (pillow(tmp_path / "b.gif", image.quantize(16)), 1),
        "palette tiff": (pillow(tmp_path / "c.tif", image.quantize(16)), 1),
        "jpeg": (pillow(tmp_path / "d.jpg", image, quality=95), 3),
        "ycbcr": (saved(tmp_path / "e.tif", ycbcr, **levels), 2),
        "ycbcr lzw": (saved(tmp_path / "f.tif", ycbcr, compression="lzw", **levels), 2),
        "ycbcr jpeg": (pillow(tmp_path / "g.tif", image, compression="jpeg"), 3),
        "lzw": (saved(tmp_path / "h.tif", RGB, compression="lzw"), 0),
        "planes": (saved(tmp_path / "i.tif", deep, **planes), 0),
        "lab": (lab_of_photoshop(tmp_path / "j.tif"), 2),
        "lab d65": (lab_of_d65(tmp_path / "k.tif"), 2),
    }
    for name, (path, most) in paths.items():
        found = read_picture(path).rgb()
        assert found.shape == RGB.shape, name
        assert np.abs(found.astype(int) - RGB).mean() <= most, name


FOURTH = np.arange(48 * 64).reshape(48, 64)  # from 0 up


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colours_that_were_multiplied_by_their_opacity_are_as_they_were(
    tmp_path: Path, dtype: Any, planar: str
) -> None:
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    whole = np.rint if top > 1 else np.asarray
    opacity = whole((FOURTH / FOURTH.max() / 2 + 0.5) * top)[..., None]
    stored = np.dstack([whole(RGB / 255 * opacity), opacity]).astype(dtype)
    layout = stored if planar == "contig" else np.moveaxis(stored, -1, 0)
    options = {"photometric": "rgb", "planarconfig": planar, "extrasamples": ["assocalpha"]}
    shown = read_picture(saved(tmp_path / "a.tif", layout, **options)).shown
    assert shown.dtype == dtype
    np.testing.assert_allclose(shown[..., :3] / top * 255, RGB, atol=1.1)
    np.testing.assert_array_equal(shown[..., 3], stored[..., 3])


def test_what_is_as_transparent_as_glass_has_no_colour_to_find(tmp_path: Path) -> None:
    stored = np.zeros((8, 8, 4), np.uint8)
    options = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    np.testing.assert_array_equal(
        read_picture(saved(tmp_path / "a.tif", stored, **options)).shown, stored
    )


def test_gray_that_was_multiplied_by_its_opacity_is_as_it_was(tmp_path: Path) -> None:
    opacity = np.where(MASK, 100, 255)
    stored = np.dstack([200 * opacity // 255, opacity]).astype(np.uint8)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    path = saved(tmp_path / "a.tif", stored, extrasamples=["assocalpha"], **options)
    shown = read_picture(path).shown
    np.testing.assert_allclose(shown[..., 0], 200, atol=2)
    np.testing.assert_array_equal(shown[..., 1], opacity)


@pytest.mark.parametrize("value", [0, 90, 255])
def test_a_fourth_number_that_is_no_opacity_hides_nothing(tmp_path: Path, value: int) -> None:
    stored = np.dstack([RGB, np.full(RGB.shape[:2], value, np.uint8)])
    options = {"photometric": "rgb", "extrasamples": ["unspecified"]}
    picture = read_picture(saved(tmp_path / "a.tif", stored, **options))
    np.testing.assert_array_equal(picture.rgb(), RGB)
    mask = np.dstack([GRAY, GRAY, GRAY, np.full(GRAY.shape, value, np.uint8)])
    assert (read_picture(saved(tmp_path / "b.tif", mask, **options)).edit_mask() == MASK).all()


def test_opacity_stays_opacity_and_is_refused_where_it_hides(tmp_path: Path) -> None:
    stored = np.dstack([RGB, (FOURTH % 256).astype(np.uint8)])
    path = saved(
        tmp_path / "a.tif",
        stored,
        photometric="rgb",
        extrasamples=["unassalpha"],
        compression="lzw",
    )
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.shown, stored)
    with pytest.raises(InvalidImage, match="not opaque everywhere"):
        picture.rgb()


def test_colours_of_another_kind_are_refused(tmp_path: Path) -> None:
    cmyk = pillow(tmp_path / "a.jpg", Image.fromarray(RGB).convert("CMYK"))
    with pytest.raises(InvalidImage, match="got CMYK"):
        read_picture(cmyk)
    separated = saved(tmp_path / "b.tif", np.zeros((8, 8, 4), np.uint8), photometric="separated")
    with pytest.raises(InvalidImage, match="got SEPARATED"):
        read_picture(separated)
    scaled = (532, "2I", 6, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1), True)
    studio = tmp_path / "c.tif"
    with tifffile.TiffWriter(studio) as writer:
        writer.write(np.zeros((8, 8, 3), np.uint8), photometric="ycbcr", extratags=[scaled])
    with tifffile.TiffFile(studio, mode="r+") as tif:
        tif.pages[0].tags["ReferenceBlackWhite"].overwrite(scaled[3])
    with pytest.raises(InvalidImage, match="other coefficients"):
        read_picture(studio)
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    moving = pillow(tmp_path / "d.gif", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(InvalidImage, match="2 frames"):
        read_picture(moving)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.png"])
def test_pictures_are_upright(tmp_path: Path, orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    plain = pillow(tmp_path / f"plain-{name}", Image.fromarray(RGB))
    path = tmp_path / name
    if name.endswith("tif"):
        saved(path, RGB, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    else:
        pillow(path, Image.fromarray(RGB), exif=exif)
    upright = read_picture(plain).shown
    turns = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, -1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright),
    }
    np.testing.assert_array_equal(read_picture(path).shown, turns[orientation])


def ome(path: Path, size: float, unit: str) -> Path:
    metadata: dict[str, Any] = {"axes": "YXS"}
    for axis in "XY":
        metadata[f"PhysicalSize{axis}"] = size
        metadata[f"PhysicalSize{axis}Unit"] = unit
    return saved(path, RGB, photometric="rgb", metadata=metadata, ome=True)


def test_the_length_of_a_pixel_is_taken_from_the_file(tmp_path: Path) -> None:
    quarter = 1e4 / 0.25
    inches = 25_400 / 0.25
    paths = {
        "cm": saved(tmp_path / "a.tif", RGB, resolution=(quarter, quarter), resolutionunit=3),
        "inch": saved(tmp_path / "b.tif", RGB, resolution=(inches, inches), resolutionunit=2),
        "ome um": ome(tmp_path / "c.ome.tif", 0.25, "µm"),
        "ome nm": ome(tmp_path / "d.ome.tif", 250, "nm"),
        "ome mm": ome(tmp_path / "e.ome.tif", 0.00025, "mm"),
        "imagej": saved(
            tmp_path / "f.tif", RGB, imagej=True, resolution=(4, 4), metadata={"unit": "um"}
        ),
        "png": pillow(tmp_path / "g.png", Image.fromarray(RGB), dpi=(inches, inches)),
    }
    for name, path in paths.items():
        assert read_picture(path).mpp == pytest.approx(0.25, rel=1e-3), name


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 600, 1200])
def test_a_printers_resolution_is_not_believed(tmp_path: Path, dpi: int) -> None:
    paths = [
        saved(tmp_path / "a.tif", RGB, resolution=(dpi, dpi), resolutionunit=2),
        saved(tmp_path / "b.tif", RGB, resolution=(dpi / 2.54, dpi / 2.54), resolutionunit=3),
        pillow(tmp_path / "c.png", Image.fromarray(RGB), dpi=(dpi, dpi)),
        pillow(tmp_path / "d.jpg", Image.fromarray(RGB), dpi=(dpi, dpi)),
    ]
    assert [read_picture(path).mpp for path in paths] == [None] * 4


def test_axes_of_two_scales_state_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", RGB, resolution=(4e4, 2e4), resolutionunit=3)
    assert read_picture(path).mpp is None


@pytest.mark.data
def test_whole_slides_state_theirs(data_root: Path) -> None:
    slide = read_picture(data_root / "wsi" / "CMU-1-Small-Region.svs")
    assert slide.mpp == pytest.approx(0.499)
    assert slide.rgb().shape == (2967, 2220, 3)
    pyramid = read_picture(data_root / "wsi" / "tiff" / "diag_packer_example.tif")
    assert pyramid.mpp == pytest.approx(0.987, abs=1e-3)


@pytest.mark.parametrize("contents", [b"", b"hello", b"II*\0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_other_files_are_refused(tmp_path: Path, contents: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(InvalidImage, match=r"expected an image or a plain \.npy array"):
        read_picture(tmp_path / name)


def test_a_file_that_is_not_there_is_told_from_one_that_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match=r"gone\.png, got none; choose one that is there"):
        read_picture(tmp_path / "gone.png")


def test_a_picture_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    for path in (pillow(tmp_path / "a.png", Image.fromarray(RGB)), saved(tmp_path / "a.tif", RGB)):
        with pytest.raises(InvalidImage, match="at most 60 pixels a side, got 48 x 64"):
            read_picture(path, max_side=60)
