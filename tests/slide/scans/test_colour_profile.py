from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from napari_histodiff.core.errors import InvalidRequest, ScanInvalid
from napari_histodiff.slide.scans.opening import open_scan
from tests.slide.scans.layouts import tissue, write_pyramid


def swapped() -> bytes:
    """A profile whose red and blue are those of sRGB, the other way round."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack(">I", profile[128:132])
    entries = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_colours_are_managed_when_asked(tmp_path: Path, kind: str) -> None:
    pixels, path = tissue(300, 300), tmp_path / f"a.{kind}"
    if kind == "png":
        Image.fromarray(pixels).save(path, icc_profile=swapped())
    else:
        write_pyramid(path, [pixels], iccprofile=swapped())
    plain, managed = open_scan(path), open_scan(path, icc=True)
    whole = plain.spec.bounds(0)
    assert plain.facts.has_icc
    np.testing.assert_array_equal(plain.read(whole), pixels)
    assert np.abs(managed.read(whole).astype(int) - pixels[..., ::-1]).max() <= 2
    plain.close()
    managed.close()


def test_without_a_profile_that_is_told(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", [tissue(300, 300)])
    with pytest.raises(InvalidRequest, match="leave icc out"):
        open_scan(path, icc=True)


def test_a_garbled_profile_is_told(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", [tissue(300, 300)], iccprofile=b"none" * 50)
    with pytest.raises(ScanInvalid, match="leave icc out"):
        open_scan(path, icc=True)
