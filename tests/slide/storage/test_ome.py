"""Other programs open a slide while it is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.slide.storage.chunks import FILL
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import draw_all, edit, make, pixels


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[SlideStore]:
    with make(tmp_path, height=1501, width=1203, coarsest=1) as slide:
        draw_all(slide)
        edit(slide, Region(0, 700, 800, 120, 130))
        yield slide


def planar(slide: SlideStore, level: int) -> np.ndarray:
    return slide.read(slide.spec.bounds(level)).transpose(2, 0, 1)


def test_zarr_reads_every_level(slide: SlideStore) -> None:
    group = zarr.open_group(slide.path, mode="r")
    for level in range(slide.spec.levels):
        np.testing.assert_array_equal(group[str(level)][:], planar(slide, level))
    assert group["0"].chunks == (3, 256, 256)
    assert group["0"].metadata.dimension_names == ("c", "y", "x")


def test_ome_zarr_reads_pixels_and_pixel_size(slide: SlideStore) -> None:
    location = parse_url(slide.path)
    assert location is not None
    image, *_ = Reader(location)()
    for level, data in enumerate(image.data):
        np.testing.assert_array_equal(np.asarray(data), planar(slide, level))
    scales = [
        next(step["scale"] for step in steps if step["type"] == "scale")
        for steps in image.metadata["coordinateTransformations"]
    ]
    assert scales == [[1.0, 0.5 * 2**level, 0.5 * 2**level] for level in range(slide.spec.levels)]
    assert [axis["name"] for axis in image.metadata["axes"]] == ["c", "y", "x"]
    assert {axis.get("unit") for axis in image.metadata["axes"][1:]} == {"micrometer"}


def test_the_metadata_follow_the_specification(slide: SlideStore) -> None:
    models = pytest.importorskip("ome_zarr_models.v05")
    models.Image.from_zarr(zarr.open_group(slide.path, mode="r"))
    models.Labels.from_zarr(zarr.open_group(slide.path / "labels", mode="r"))
    models.ImageLabel.from_zarr(zarr.open_group(slide.path / "labels" / "nuclei", mode="r"))


def test_napari_ome_zarr_opens_it(slide: SlideStore) -> None:
    reader = pytest.importorskip("napari_ome_zarr._reader")
    read = reader.napari_get_reader(str(slide.path))
    layers: list[Any] = read(str(slide.path))
    kinds = [layer[2] for layer in layers]
    assert kinds == ["image", "labels", "labels"]
    data, settings, _ = layers[0]
    axis = settings["channel_axis"]
    assert len(data) == slide.spec.levels
    np.testing.assert_array_equal(np.moveaxis(np.asarray(data[0]), axis, 0), planar(slide, 0))


def test_labels_are_read_too(slide: SlideStore) -> None:
    labels = np.random.default_rng(0).integers(0, 2**31 - 1, (256, 256), np.int32)
    slide.put_generated(TileAddress(0, 0, 1), pixels((256, 256)), labels)
    group = zarr.open_group(slide.path / "labels" / "nuclei", mode="r")
    np.testing.assert_array_equal(group["0"][:256, 256:512], labels)
    assert not group["0"][:256, :256].any()


def test_tissue_of_edits_is_read_and_named(slide: SlideStore) -> None:
    group = zarr.open_group(slide.path / "labels" / "tissue", mode="r")
    np.testing.assert_array_equal(group["0"][:], slide.tissue(slide.spec.bounds(0)))
    assert group["0"][:].any()
    said = group.attrs["ome"]["image-label"]["properties"]
    named = {one["label-value"]: one["class"] for one in said}
    assert named == {n: name for n, name in enumerate(TISSUE_NAMES) if n}


def test_nothing_drawn_is_the_background_of_a_slide(tmp_path: Path) -> None:
    with make(tmp_path) as slide:
        group = zarr.open_group(slide.path, mode="r")
        assert (group["0"][:] == FILL).all()
        mark = group.attrs["histodiff"]
        assert mark["synthetic"] is True
        assert mark["recipe"]["seed"] == slide.recipe.seed
        assert "histodiff" not in group.attrs["ome"]


def test_a_grown_slide_says_so(slide: SlideStore) -> None:
    slide.grow(left=512, bottom=512)
    group = zarr.open_group(slide.path, mode="r")
    for level in range(slide.spec.levels):
        assert group[str(level)].shape[1:] == slide.spec.bounds(level).shape
    draw_all(slide)
    for level in range(slide.spec.levels):
        np.testing.assert_array_equal(group[str(level)][:], planar(slide, level))
