from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.errors import InvalidImage, InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.maps import TISSUE_NAMES, encode_labels
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.storage.tile_table import TileState
from napari_histodiff.slide.store import SlideStore
from tests.slide.slides import (
    PlainLayout,
    draw_all,
    drawn,
    edit,
    everything,
    make,
    pixels,
    recipe,
    reopen,
    request,
    same,
    tissue,
)

CORNER = TileAddress(2, 0, 0)
FAT = TISSUE_NAMES.index("fat")


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[SlideStore]:
    with make(tmp_path) as slide:
        yield slide


def colours(slide: SlideStore, region: Region) -> np.ndarray:
    return PlainLayout(slide.recipe, slide.sketch).colours(region)


def test_an_edit_changes_only_what_its_mask_covers(slide: SlideStore) -> None:
    draw_all(slide)
    bounds = slide.spec.bounds(1)
    before = slide.read(bounds)
    region = Region(1, 200, 190, 90, 110)
    mask = np.random.default_rng(1).random(region.shape) < 0.3
    where = edit(slide, region, 5, mask)
    expected = before.copy()
    expected[region.slices][mask] = pixels(region.shape, 5)[mask]
    np.testing.assert_array_equal(slide.read(bounds), expected)
    assert region.contains(where)
    assert (slide.state(1) == TileState.EDITED).all()


def test_coarser_levels_take_the_means_of_what_changed(slide: SlideStore) -> None:
    draw_all(slide)
    before = [slide.read(slide.spec.bounds(level)) for level in range(3)]
    bases = [slide.base(slide.spec.bounds(level)) for level in range(3)]
    region = Region(0, 251, 253, 40, 33)
    edit(slide, region)
    changed = np.zeros(before[0].shape[:2], bool)
    changed[region.slices] = True
    for level in (1, 2):
        below = slide.read(slide.spec.bounds(level - 1))
        height, width = before[level].shape[:2]
        padded = np.zeros((2 * height, 2 * width), bool)
        padded[: changed.shape[0], : changed.shape[1]] = changed
        changed = padded.reshape(height, 2, width, 2).any(axis=(1, 3))
        now = slide.read(slide.spec.bounds(level))
        np.testing.assert_array_equal(now[changed], box_down(below)[changed])
        np.testing.assert_array_equal(now[~changed], before[level][~changed])
        np.testing.assert_array_equal(slide.base(slide.spec.bounds(level)), bases[level])
        assert (slide.state(level) == TileState.GENERATED).all()


def test_finer_tiles_under_an_edit_become_stale(slide: SlideStore) -> None:
    draw_all(slide)
    region = Region(1, 20, 20, 40, 40)
    edit(slide, region)
    expected = np.full((3, 3), TileState.GENERATED)
    expected[0, 0] = TileState.STALE
    np.testing.assert_array_equal(slide.state(0), expected)
    part = slide.base(slide.spec.bounds(1))[region.slices]
    np.testing.assert_array_equal(part, pixels(region.shape))
    assert slide.edited_under(Region(2, 0, 0, 20, 20)) == [TileAddress(1, 0, 0)]
    assert slide.edited_under(region) == []
    edit(slide, Region(1, 20, 120, 10, 10))
    expected[0, 1] = TileState.STALE
    np.testing.assert_array_equal(slide.state(0), expected)


def test_the_rest_of_a_tile_edited_before_it_was_drawn_is_drawn_later(slide: SlideStore) -> None:
    region = Region(2, 10, 10, 50, 60)
    edit(slide, region)
    assert slide.state(2)[0, 0] == TileState.STALE
    draw_all(slide)
    assert slide.state(2)[0, 0] == TileState.EDITED
    whole = slide.read(slide.spec.bounds(2))
    expected = drawn(slide, CORNER)
    expected[region.slices] = pixels(region.shape)
    np.testing.assert_array_equal(whole, expected)
    assert not slide.put_generated(CORNER, pixels((175, 150)))


def test_undo_and_redo_outlive_the_process(slide: SlideStore) -> None:
    draw_all(slide)
    seen = [everything(slide)]
    for number in range(3):
        edit(slide, Region(number % 2, 20 * number, 30, 60, 70), number)
        seen.append(everything(slide))
    assert slide.can_undo
    assert not slide.can_redo
    for before in reversed(seen[:-1]):
        slide = reopen(slide)
        assert slide.undo() is not None
        assert same(everything(slide), before)
    assert slide.undo() is None
    assert not slide.can_undo
    slide = reopen(slide)
    for after in seen[1:]:
        assert slide.redo() is not None
        found = everything(slide)
        assert all(np.array_equal(found[f"pixels {k}"], after[f"pixels {k}"]) for k in range(3))
    assert slide.redo() is None
    slide.undo()
    edit(slide, Region(0, 0, 0, 3, 3))
    assert not slide.can_redo
    slide.close()


def test_old_edits_are_dropped_when_they_take_too_much_room(slide: SlideStore) -> None:
    draw_all(slide)
    with reopen(slide, max_undo_bytes=1) as again:
        for number in range(3):
            edit(again, Region(0, 40, 40, 20, 20), number)
        now = again.read(Region(0, 40, 40, 20, 20))
        assert len(list(again.path.rglob("*.edit"))) == 1
        assert again.undo() is not None
        assert again.undo() is None
        again.redo()
        np.testing.assert_array_equal(again.read(Region(0, 40, 40, 20, 20)), now)


def test_labels_of_an_edit_go_where_its_mask_is(slide: SlideStore) -> None:
    region = Region(1, 100, 120, 30, 40)
    classes = np.full(region.shape, 2, np.uint8)
    instances = np.arange(1, 1201, dtype=np.int32).reshape(region.shape)
    mask = np.zeros(region.shape, bool)
    mask[3:20, 5:9] = True
    drawn_as = request(region, class_map=classes, instance_map=instances)
    slide.write(drawn_as, pixels(region.shape), mask)
    expected = np.where(mask, encode_labels(instances, classes), 0)
    np.testing.assert_array_equal(slide.labels(region), expected)
    below = slide.labels(slide.spec.at_level(region, 0))
    np.testing.assert_array_equal(below, expected.repeat(2, axis=0).repeat(2, axis=1))
    slide.undo()
    assert not slide.labels(region).any()


def test_tissue_of_an_edit_is_kept_at_its_level_alone(slide: SlideStore) -> None:
    region = Region(1, 70, 120, 60, 40)
    mask = np.random.default_rng(1).random(region.shape) < 0.5
    told = tissue(region.shape, 1)
    slide.write(request(region, tissue_map=told), pixels(region.shape), mask)
    layout = slide.layout.tissue(region)
    fat = told == slide.layout.tissue_to_draw(region)
    assert (layout[fat] == FAT).any()  # which the model was told by its cells
    expected = np.where(mask, np.where(fat, layout, told), 0)
    np.testing.assert_array_equal(slide.tissue(region), expected)
    assert not slide.tissue(slide.spec.bounds(0)).any()
    assert not slide.tissue(slide.spec.bounds(2)).any()
    slide = reopen(slide)
    np.testing.assert_array_equal(slide.tissue(region), expected)
    slide.set_sketch(Sketch(np.full((3, 4), 2, np.uint8), 100))
    slide.grow(left=1024)
    moved = region.translate(0, 512)
    np.testing.assert_array_equal(slide.tissue(moved), expected)
    slide.undo_growth()
    slide.undo()
    edit(slide, Region(2, 30, 40, 90, 90))  # over all of it
    assert not slide.tissue(region).any()
    slide.undo()
    np.testing.assert_array_equal(slide.tissue(region), expected)
    slide.undo()
    assert not slide.tissue(region).any()
    slide.close()


def test_tissue_that_another_model_named_keeps_its_number(slide: SlideStore) -> None:
    region = Region(0, 10, 10, 4, 4)
    assert "lymphoid" not in slide.recipe.tissue_names
    lymphoid = np.full(region.shape, TISSUE_NAMES.index("lymphoid"), np.uint8)
    slide.write(request(region, tissue_map=lymphoid), pixels(region.shape))
    np.testing.assert_array_equal(slide.tissue(region), lymphoid)


def test_tissue_is_kept_by_name_whatever_the_model_s_numbers(tmp_path: Path) -> None:
    names = ("unspecified", "fat", "gland")
    with make(tmp_path, tissue_names=names) as slide:
        region = Region(0, 10, 10, 1, 3)
        slide.write(request(region, tissue_map=np.array([[0, 1, 2]])), pixels(region.shape))
        assert [TISSUE_NAMES[n] for n in slide.tissue(region)[0]] == list(names)


def test_the_mask_of_an_edit_is_that_of_its_request_when_none_is_given(slide: SlideStore) -> None:
    draw_all(slide)
    region = Region(0, 30, 40, 50, 60)
    before = slide.read(region)
    mask = np.zeros(region.shape, bool)
    mask[4:9, 5:7] = True
    inpaint = EditRequest(kind=EditKind.INPAINT, region=region, image=before, edit_mask=mask)
    assert slide.write(inpaint, pixels(region.shape)) == Region(0, 34, 45, 5, 2)
    expected = np.where(mask[..., None], pixels(region.shape), before)
    np.testing.assert_array_equal(slide.read(region), expected)


def test_what_of_an_edit_lies_beyond_the_slide_is_dropped(slide: SlideStore) -> None:
    region = Region(0, 690, -20, 30, 40)
    assert edit(slide, region) == Region(0, 690, 0, 10, 20)
    found = slide.read(Region(0, 690, 0, 10, 20))
    np.testing.assert_array_equal(found, pixels(region.shape)[:10, 20:])
    outside = Region(0, 700, 0, 10, 20)
    np.testing.assert_array_equal(slide.read(outside), colours(slide, outside))


def test_edits_that_can_not_be_are_refused(slide: SlideStore) -> None:
    region = Region(0, 0, 0, 10, 10)
    with pytest.raises(InvalidRequest, match="changes pixels"):
        edit(slide, Region(0, 900, 0, 10, 10))
    with pytest.raises(InvalidRequest, match="changes pixels"):
        edit(slide, region, mask=np.zeros((10, 10), bool))
    with pytest.raises(InvalidImage, match="one variant"):
        slide.write(request(region), pixels((9, 10)))
    with pytest.raises(InvalidMap, match="crop it"):
        edit(slide, region, mask=np.ones((9, 10), bool))
    assert not slide.can_undo


def test_an_edit_of_a_level_that_is_never_drawn_is_refused(tmp_path: Path) -> None:
    with make(tmp_path, coarsest=0) as slide, pytest.raises(InvalidRequest, match="zoom in"):
        edit(slide, Region(1, 0, 0, 10, 10))


# --------------------------------------------------------------------------- sketch


def test_a_sketch_makes_stale_what_it_may_change(tmp_path: Path) -> None:
    slide = make(tmp_path, height=2000, width=2000, coarsest=1)
    draw_all(slide)
    edit(slide, Region(0, 20, 20, 30, 30))
    classes = np.zeros((10, 10), np.uint8)
    classes[0, 0] = 2
    regions = slide.set_sketch(Sketch(classes, 50))
    assert regions == [Region(0, 0, 0, 50, 50)]
    expected = np.full((4, 4), TileState.GENERATED)
    expected[0, 0] = TileState.STALE
    np.testing.assert_array_equal(slide.state(1), expected)
    slide = reopen(slide)
    assert slide.sketch is not None
    np.testing.assert_array_equal(slide.sketch.classes, classes)
    np.testing.assert_array_equal(slide.read(Region(0, 20, 20, 30, 30)), pixels((30, 30)))
    draw_all(slide)
    np.testing.assert_array_equal(slide.read(Region(0, 20, 20, 30, 30)), pixels((30, 30)))
    slide.undo()
    assert slide.sketch is None
    assert slide.state(1)[0, 0] == TileState.STALE
    slide.close()


def test_averages_of_dropped_tiles_go_with_the_sketch_they_were_drawn_from(
    tmp_path: Path,
) -> None:
    slide = make(tmp_path, height=2000, width=2000, coarsest=1)
    draw_all(slide)
    far = slide.spec.bounds(slide.spec.levels - 1)
    averages = slide.read(far)
    slide.evict(0)
    np.testing.assert_array_equal(slide.read(far), averages)
    above = slide.spec.at_level(slide.spec.bounds(1), 2)
    enlarged = slide.read(above).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(slide.read(slide.spec.bounds(1)), enlarged)
    classes = np.full((1, 1), 2, np.uint8)
    slide.set_sketch(Sketch(classes, 400))
    part = Region(far.level, 0, 0, 60, 60)
    np.testing.assert_array_equal(slide.read(part), colours(slide, part))
    rest = averages[256:]
    np.testing.assert_array_equal(slide.read(far)[256:], rest)
    slide.close()


def test_the_sketch_a_slide_is_made_with_stays(tmp_path: Path) -> None:
    sketch = Sketch(np.full((3, 4), 2, np.uint8), 100, (5, -7))
    path = tmp_path / "slide.ome.zarr"
    SlideStore.create(path, recipe(), sketch, layout=PlainLayout).close()
    with SlideStore.open(path, layout=PlainLayout) as slide:
        assert slide.sketch is not None
        assert (slide.sketch.pixel, slide.sketch.origin) == (100, (5, -7))
        np.testing.assert_array_equal(slide.sketch.classes, sketch.classes)
