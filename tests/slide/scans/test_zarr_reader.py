from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_histodiff.core.errors import ScanInvalid
from napari_histodiff.slide.scans.opening import open_scan
from napari_histodiff.slide.scans.scan import ScanError
from tests.slide.scans.layouts import MPP, pyramid_of, tissue
from tests.slide.scans.scan_contract import ScanContract

RGB = [{"label": "R", "color": "FF0000"}, {"label": "G", "color": "00FF00"}]
RGB.append({"label": "B", "color": "0000FF"})


def write_zarr(
    path: Path,
    levels: list[NDArray[Any]],
    axes: str = "cyx",
    *,
    version: str = "0.5",
    omero: list[dict[str, str]] | None = None,
    unit: str | None = "micrometer",
    group: str = "",
    mpp: float = MPP,
    **options: Any,
) -> Path:
    """`levels` are (h, w, 3); they are stored with other axes, of which all but y, x, c are 1."""
    root = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    image = root.create_group(group) if group else root
    kinds = {"c": "channel", "t": "time"}
    described = []
    for axis in axes:
        entry = {"name": axis, "type": kinds.get(axis, "space")}
        described.append(entry | ({"unit": unit} if axis in "yx" and unit else {}))
    datasets = []
    for number, pixels in enumerate(levels):
        stored = pixels.transpose(["yxc".index(axis) for axis in axes if axis in "yxc"])
        for at, axis in enumerate(axes):
            if axis not in "yxc":
                stored = np.expand_dims(stored, at)
        chunks = tuple(256 if axis in "yx" else 1 for axis in axes)
        array = image.create_array(
            str(number), shape=stored.shape, dtype=stored.dtype, chunks=chunks, **options
        )
        array[:] = stored
        scale = [mpp * 2**number if axis in "yx" else 1.0 for axis in axes]
        transforms = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    ome: dict[str, Any] = {"multiscales": [{"axes": described, "datasets": datasets}]}
    if omero:
        ome["omero"] = {"channels": omero}
    if version == "0.5":
        image.attrs["ome"] = ome | {"version": "0.5"}
    else:
        ome["multiscales"][0]["version"] = "0.4"
        image.attrs.update(ome)
    return path


class ZarrContract(ScanContract):
    """An OME-Zarr image of another program."""

    reader = "zarr"


class TestV5(ZarrContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        return write_zarr(folder / "a.ome.zarr", pyramid_of(pixels, 2), omero=RGB)


class TestV4(ZarrContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        levels = pyramid_of(pixels, 2)
        return write_zarr(folder / "a.ome.zarr", levels, "tczyx", version="0.4", group="0")


class TestSharded(ZarrContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        return write_zarr(folder / "a.zarr", [pixels], "yxc", shards=(512, 512, 3))


class TestZip(ZarrContract):
    def write(self, folder: Path, pixels: NDArray[np.uint8]) -> Path:
        unpacked = write_zarr(folder / "unpacked" / "a.ome.zarr", pyramid_of(pixels, 2))
        packed = shutil.make_archive(str(folder / "a.zarr"), "zip", unpacked.parent)
        return Path(packed)


def test_fluorescence_is_refused(tmp_path: Path) -> None:
    channels = [{"label": name, "color": "0000FF"} for name in ("DAPI", "FITC", "CY3")]
    path = write_zarr(tmp_path / "a.zarr", [tissue(300, 300)], omero=channels)
    with pytest.raises(ScanInvalid, match="only bright-field"):
        open_scan(path)


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (np.zeros((300, 300, 1), np.uint8), "one channel of uint8"),
        (np.zeros((300, 300, 5), np.uint8), "5 channels"),
        (np.zeros((300, 300, 3), np.float32), "RGB of float32"),
    ],
)
def test_what_is_not_bright_field_is_refused(
    tmp_path: Path, pixels: NDArray[Any], why: str
) -> None:
    path = write_zarr(tmp_path / "a.zarr", [pixels])
    with pytest.raises(ScanInvalid, match=why):
        open_scan(path)


def test_16_bits_are_windowed(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", [tissue(300, 300).astype(np.uint16) * 16])
    with pytest.raises(ScanInvalid, match="window="):
        open_scan(path)
    scan = open_scan(path, window=(0, 255 * 16))
    np.testing.assert_array_equal(scan.read(scan.spec.bounds(0)), tissue(300, 300))
    scan.close()


@pytest.mark.parametrize(("unit", "mpp", "known"), [(None, 1.0, False), ("nanometer", 250, True)])
def test_units_count(tmp_path: Path, unit: str | None, mpp: float, known: bool) -> None:
    path = write_zarr(tmp_path / "a.zarr", [tissue(300, 300)], unit=unit, mpp=mpp)
    scan = open_scan(path)
    assert scan.facts.mpp == ((0.25, 0.25) if known else None)
    scan.close()


def test_a_missing_chunk_is_told_where_it_is(tmp_path: Path) -> None:
    pixels = tissue(700, 700)
    path = write_zarr(tmp_path / "a.zarr", [pixels])
    (path / "0" / "c" / "2" / "1" / "1").unlink()
    scan = open_scan(path)
    with pytest.raises(ScanError, match="copy the file again") as caught:
        scan.read(scan.spec.bounds(0))
    assert (caught.value.region.y, caught.value.region.x) == (256, 256)
    np.testing.assert_array_equal(
        scan.read(caught.value.region.translate(0, 256))[:, :188], pixels[256:512, 512:]
    )
    scan.close()


@pytest.mark.parametrize("lost", ["1", "zarr.json"])
def test_half_a_copy_is_refused(tmp_path: Path, lost: str) -> None:
    path = write_zarr(tmp_path / "a.zarr", pyramid_of(tissue(700, 700), 2))
    gone = path / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.write_text("{}")
    with pytest.raises(ScanInvalid, match="copy the folder again"):
        open_scan(path)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("text")
    packed = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "in")
    with pytest.raises(ScanInvalid, match="unpack it"):
        open_scan(packed)
