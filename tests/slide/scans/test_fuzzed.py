"""Whatever is in a file, opening and reading it ends in pixels or in an error of this package."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_histodiff.core.errors import HistodiffError
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.scans.opening import open_scan
from tests.slide.scans.layouts import JPEG_2000, pyramid_of, tissue, write_pyramid, write_svs
from tests.slide.scans.test_tiff_reader import write_ome
from tests.slide.scans.test_zarr_reader import write_zarr

#: How many damaged files each test opens; HISTODIFF_FUZZ makes it more.
COUNT = int(os.environ.get("HISTODIFF_FUZZ", "40"))

#: Bytes from either end that are changed most: where headers are.
HEAD = 3000

OUTCOMES: Counter[str] = Counter()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
    print(dict(OUTCOMES))  # noqa: T201  shown with `pytest -s`


@pytest.fixture(scope="module")
def originals(folder: Path) -> dict[str, bytes]:
    levels = pyramid_of(tissue(300, 400), 2)
    (folder / "made").mkdir()
    made = folder / "made"
    paths = [
        write_pyramid(made / "flat.tif", levels, tile=(128, 128)),
        write_pyramid(made / "jpeg.tif", levels, tile=(128, 128), compression="jpeg"),
        write_ome(made / "a.ome.tif", levels, tile=(128, 128)),
        write_svs(made / "a.svs", levels),
        write_svs(made / "j2k.svs", levels, **JPEG_2000),
    ]
    Image.fromarray(levels[0]).save(made / "a.png")
    Image.fromarray(levels[0]).save(made / "a.jpg")
    packed = write_zarr(made / "packed" / "a.ome.zarr", levels)
    shutil.make_archive(str(made / "a.zarr"), "zip", packed)
    paths += [made / "a.png", made / "a.jpg", made / "a.zarr.zip"]
    return {path.name: path.read_bytes() for path in paths}


def changes(data: st.DataObject, size: int) -> list[tuple[int, bytes]]:
    place = st.one_of(
        st.integers(0, min(size, HEAD) - 1),
        st.integers(max(0, size - HEAD), size - 1),
        st.integers(0, size - 1),
    )
    return data.draw(st.lists(st.tuples(place, st.binary(min_size=1, max_size=8)), max_size=6))


def read_all(path: Path) -> str:
    """Return what came of it; anything but pixels and errors of this package goes through."""
    try:
        scan = open_scan(path)
    except HistodiffError as error:
        return _told(error, "refused")
    try:
        for level in (0, scan.spec.levels - 1):
            bounds = scan.spec.bounds(level)
            part = Region(level, bounds.height // 3, bounds.width // 3, 200, 200)
            pixels = scan.read(part)
            assert pixels.shape == (200, 200, 3)
            assert pixels.dtype == np.uint8
        scan.identity()
    except HistodiffError as error:
        return _told(error, "damaged")
    finally:
        scan.close()
    return "read"


def _told(error: HistodiffError, outcome: str) -> str:
    assert str(error).startswith("expected ")
    return outcome


@settings(max_examples=COUNT)
@given(data=st.data())
@pytest.mark.parametrize(
    "name",
    ["flat.tif", "jpeg.tif", "a.ome.tif", "a.svs", "j2k.svs", "a.png", "a.jpg", "a.zarr.zip"],
)
@pytest.mark.filterwarnings("ignore")
def test_changed_bytes(
    originals: dict[str, bytes], folder: Path, name: str, data: st.DataObject
) -> None:
    changed = bytearray(originals[name])
    for place, new in changes(data, len(changed)):
        changed[place : place + len(new)] = new
    if data.draw(st.booleans()):
        changed = changed[: data.draw(st.integers(0, len(changed)))]
    path = folder / name
    path.write_bytes(changed)
    OUTCOMES[f"{name} {read_all(path)}"] += 1


def test_a_slide_without_pixels_is_refused(originals: dict[str, bytes], folder: Path) -> None:
    """Its sides read as 0: found by the changes of above."""
    changed = bytearray(originals["a.ome.tif"])
    changed[15:23] = bytes(8)
    path = folder / "a.ome.tif"
    path.write_bytes(changed[:224])
    assert read_all(path) == "refused"


@settings(max_examples=COUNT)
@given(content=st.binary(max_size=400), head=st.sampled_from([b"", b"II*\0", b"MM\0+", b"PK\3\4"]))
@example(content=b"", head=b"")
@pytest.mark.filterwarnings("ignore")
def test_any_bytes(folder: Path, content: bytes, head: bytes) -> None:
    path = folder / "any.tif"
    path.write_bytes(head + content)
    OUTCOMES[f"any {read_all(path)}"] += 1
