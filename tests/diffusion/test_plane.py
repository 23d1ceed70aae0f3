"""The endless plane: a tile's bytes depend on its place alone, and neighbours share windows."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_histodiff.core.backend import Step
from napari_histodiff.core.errors import Cancelled, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import N_CLASSES
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.stain_bank import StainEntry
from napari_histodiff.diffusion.backend import _MICRO_BATCH, DiffusionBackend
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline
from napari_histodiff.diffusion.tissue_noise import NOISE_REACH
from napari_histodiff.inpainting.stains import stain_vector
from tests.contracts import edit_request
from tests.diffusion.tiny import TILE, tiny_info, tiny_pipeline

#: A layout of this many pixels holds everything the tests look at; it starts at this place.
WORLD = Region(1, -512, -512, 1024, 1024)

_RNG = np.random.default_rng(3)
_CELLS = _RNG.integers(0, 3 * N_CLASSES, (128, 128))
CLASSES = np.where(_CELLS > N_CLASSES, 0, _CELLS).astype(np.uint8).repeat(8, 0).repeat(8, 1)
INSTANCES = np.arange(1, 128**2 + 1, dtype=np.int32).reshape(128, 128).repeat(8, 0).repeat(8, 1)
INSTANCES = np.where(CLASSES > 0, INSTANCES, 0).astype(np.int32)
TISSUE = _RNG.integers(0, 5, (16, 16), dtype=np.uint8).repeat(64, 0).repeat(64, 1)
FIBRES = np.random.default_rng(4).integers(0, 17, (128, 128)).repeat(8, 0).repeat(8, 1)
COARSE = _RNG.integers(0, 256, (512, 512, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
IMAGE = _RNG.integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
FREE = _RNG.random((64, 64)).repeat(16, 0).repeat(16, 1) > 0.2

#: Half a ramp and half a stride of the tiny windows.
MARGIN = 48

BLOCK = Region(1, -TILE, 2 * TILE, 2 * TILE, 2 * TILE)
TILES = [
    Region(1, y, x, TILE, TILE)
    for y in range(BLOCK.y, BLOCK.bottom, TILE)
    for x in range(BLOCK.x, BLOCK.right, TILE)
]


def backend(pipeline: HistoDiffusionPipeline | None = None, **settings: Any) -> DiffusionBackend:
    return DiffusionBackend(pipeline or tiny_pipeline(), tiny_info(), **settings)


def on_plane(
    target: Region,
    *,
    kind: EditKind = EditKind.GENERATE,
    known: bool = False,
    margin: int | None = None,
    fibres: bool = False,
    **changes: Any,
) -> EditRequest:
    """A request whose conditions are cut from one endless world."""
    region = target.snap(TILE).pad(margin or MARGIN + NOISE_REACH * fibres)
    inside = region.relative_to(WORLD).slices
    given: dict[str, Any] = {
        "class_map": CLASSES[inside],
        "instance_map": INSTANCES[inside],
        "tissue_map": TISSUE[inside],
        "steps": 2,
        "guidance_scale": 1.0,
        "mpp": 1.0,
    }
    if fibres:
        given["fibres"] = FIBRES[inside]
    if kind is EditKind.ZOOM:
        given["coarse"] = COARSE[inside]
    if known:
        given |= {"image": IMAGE[inside], "edit_mask": FREE[inside]}
    return EditRequest(kind=kind, region=region, target=target, **given | changes)


def draw(drawer: DiffusionBackend, request: EditRequest, **settings: Any) -> NDArray[np.uint8]:
    (images,) = drawer.render([request], **settings)
    return images


def assert_parts_equal(whole: NDArray[np.uint8], parts: dict[Region, NDArray[np.uint8]]) -> None:
    for tile, image in parts.items():
        np.testing.assert_array_equal(image, whole[:, *tile.relative_to(BLOCK).slices])


@pytest.mark.parametrize(
    ("kind", "micro_batch", "cache_bytes", "fibres", "coarse_levels"),
    [
        (EditKind.GENERATE, 1, 0, False, 1),
        (EditKind.GENERATE, 3, 2**20, True, 1),
        (EditKind.ZOOM, 1, 2**28, True, 1),
        (EditKind.ZOOM, 3, 2**28, False, 1),
        (EditKind.ZOOM, 1, 2**28, True, 2),
    ],
)
def test_tiles_alone_in_any_order_equal_a_block_byte_for_byte(
    kind, micro_batch, cache_bytes, fibres, coarse_levels, monkeypatch
) -> None:
    monkeypatch.setitem(_MICRO_BATCH, "cpu", micro_batch)
    settings: dict[str, Any] = {"kind": kind, "known": True, "fibres": fibres}
    settings["coarse_levels"] = coarse_levels
    whole = draw(backend(cache_bytes=0), on_plane(BLOCK, **settings))
    drawer = backend(cache_bytes=cache_bytes)
    order = TILES + TILES[:2]
    random.Random(micro_batch).shuffle(order)
    for tile in order:
        image = draw(drawer, on_plane(tile, margin=MARGIN + NOISE_REACH + 8, **settings))
        assert_parts_equal(whole, {tile: image})


@pytest.mark.parametrize("phases", [1, 3, 4])
def test_any_number_of_phases_is_independent_of_order(phases) -> None:
    pipeline = tiny_pipeline()
    pipeline.layout = replace(pipeline.layout, phases=phases)
    drawer = backend(pipeline)
    settings: dict[str, Any] = {"margin": drawer.info.margin, "steps": 4}
    parts = {tile: draw(drawer, on_plane(tile, **settings)) for tile in reversed(TILES)}
    assert_parts_equal(draw(backend(pipeline), on_plane(BLOCK, **settings)), parts)


def test_cancelled_jobs_change_nothing_and_leave_what_they_solved() -> None:
    whole = draw(backend(), on_plane(BLOCK))
    drawer = backend()
    for stop_at, tile in ((3, TILES[0]), (5, TILES[3]), (8, TILES[1]), (9, TILES[2])):

        def stop(step: Step, at: int = stop_at) -> None:
            if step.done >= at:
                raise Cancelled("expected no cancel, got one; submit again")

        with pytest.raises(Cancelled):
            draw(drawer, on_plane(tile), on_step=stop)
    for tile in TILES:
        seen: list[Step] = []
        request = on_plane(tile)
        assert_parts_equal(whole, {tile: draw(drawer, request, on_step=seen.append)})
        assert len(seen) < drawer.evaluations(request)


def test_paint_and_fibres_beside_a_window_that_was_kept_are_seen() -> None:
    """Noise reaches a few pixels farther than the conditions of a window."""
    drawer, tile = backend(), TILES[0]
    before = draw(drawer, on_plane(tile, fibres=True))
    told = on_plane(tile, fibres=True)
    fibres = np.where(told.fibres == 0, 0, 1 + told.fibres % 16).astype(np.uint8)
    for changed in (
        replace(told, fibres=fibres),
        replace(told, class_map=np.zeros_like(told.class_map), instance_map=None),
    ):
        after = draw(drawer, changed)
        np.testing.assert_array_equal(after, draw(backend(cache_bytes=0), changed))
        assert (after != before).any()


@pytest.mark.parametrize("kind", [EditKind.GENERATE, EditKind.ZOOM])
def test_a_target_of_any_shape_is_a_part_of_the_tiles_it_touches(kind) -> None:
    whole = draw(backend(), on_plane(BLOCK, kind=kind))
    odd = Region(1, BLOCK.y + 5, BLOCK.x + 7, 71, 100)
    assert_parts_equal(whole, {odd: draw(backend(), on_plane(odd, kind=kind))})


def test_neighbours_reuse_windows_until_one_per_phase_is_left() -> None:
    """Far inside a drawn area a tile costs its own window in every phase."""
    pipeline = tiny_pipeline()
    drawer = backend(pipeline)
    calls = _count_calls(pipeline)
    costs = []
    for row in range(3):
        for column in range(3):
            tile = Region(1, row * TILE - 128, column * TILE - 128, TILE, TILE)
            before = len(calls)
            draw(drawer, on_plane(tile))
            costs.append(len(calls) - before)
    # Heun takes two evaluations for the first step and one for the last.
    assert costs[0] == 4 * 2 + 1
    assert costs[1] == costs[3] == 2 * 2 + 1
    assert costs[4] == costs[-1] == 2 + 1


def _count_calls(pipeline: HistoDiffusionPipeline) -> list[int]:
    calls: list[int] = []
    pipeline.network.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_progress_ends_at_the_total_whatever_the_cache_holds() -> None:
    drawer = backend()
    for tile in (TILES[0], TILES[1], TILES[0]):
        seen: list[Step] = []
        request = on_plane(tile, variants=2)
        draw(drawer, request, on_step=seen.append)
        counts = [step.done for step in seen]
        assert counts == sorted(set(counts))
        assert {step.total for step in seen} == {drawer.evaluations(request)}
        assert counts[-1] == drawer.evaluations(request)
    assert len(counts) < counts[-1]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"steps": 3},
        {"guidance_scale": 2.0},
        {"caption": "colon"},
        {"mpp": 0.5},
        {"stain": (0.3,) * 7},
        {"tissue_map": None},
        {"class_map": None, "instance_map": None},
        {"instance_map": None},
        {"known": True},
        {"kind": EditKind.ZOOM},
    ],
)
def test_another_setting_is_never_answered_from_the_cache(changes) -> None:
    drawer, tile = backend(), TILES[0]
    draw(drawer, on_plane(tile))
    np.testing.assert_array_equal(
        draw(drawer, on_plane(tile, **changes)), draw(backend(), on_plane(tile, **changes))
    )


def test_names_of_nuclei_do_not_matter_to_the_cache() -> None:
    drawer, tile = backend(), TILES[0]
    request = on_plane(tile)
    assert request.instance_map is not None
    renamed = np.where(request.instance_map > 0, request.instance_map + 1000, 0)
    draw(drawer, request)
    seen: list[Step] = []
    draw(drawer, replace(request, instance_map=renamed), on_step=seen.append)
    assert len(seen) == 1


@pytest.mark.parametrize("kind", [EditKind.GENERATE, EditKind.ZOOM])
def test_known_pixels_come_back_and_the_network_sees_them(kind) -> None:
    tile = TILES[2]
    request, without = on_plane(tile, kind=kind, known=True), on_plane(tile, kind=kind)
    image, other = draw(backend(), request)[0], draw(backend(), without)[0]
    inside = tile.relative_to(WORLD).slices
    free = FREE[inside]
    np.testing.assert_array_equal(image[~free], IMAGE[inside][~free])
    assert not np.array_equal(image[free], other[free])


def test_windows_that_are_known_all_over_cost_nothing() -> None:
    pipeline = tiny_pipeline()
    drawer, tile = backend(pipeline), TILES[0]
    request = on_plane(tile, known=True)
    assert request.edit_mask is not None
    free = request.edit_mask.copy()
    free[:, : request.region.width // 2] = False
    calls = _count_calls(pipeline)
    seen: list[Step] = []
    image = draw(drawer, replace(request, edit_mask=free), on_step=seen.append)[0]
    assert len(calls) == len(seen) == 4 * 2 + 1
    calls.clear()
    blank = draw(drawer, replace(request, edit_mask=np.zeros_like(free)), on_step=seen.append)[0]
    assert not calls
    np.testing.assert_array_equal(blank, IMAGE[tile.relative_to(WORLD).slices])
    left = image[:, : TILE // 2]
    np.testing.assert_array_equal(left, blank[:, : TILE // 2])


def test_zooming_out_gives_the_coarse_image_back() -> None:
    tile = TILES[1]
    saturated = np.where(IMAGE > 128, 255, 0).astype(np.uint8)[::2, ::2].repeat(2, 0).repeat(2, 1)
    for world in (COARSE, saturated):
        request = on_plane(tile, kind=EditKind.ZOOM)
        coarse = world[request.region.relative_to(WORLD).slices]
        image = draw(backend(), replace(request, coarse=coarse))[0].astype(int)
        means = image.reshape(TILE // 2, 2, TILE // 2, 2, 3).mean((1, 3))
        np.testing.assert_array_equal(means, world[tile.relative_to(WORLD).slices][::2, ::2])


def test_the_stain_of_a_place_is_chosen_by_caption_and_seed_alone() -> None:
    bank = tuple(StainEntry(None, None, 1.0, (0.2 + 0.1 * i,) * 7) for i in range(4))
    drawer = DiffusionBackend(tiny_pipeline(), tiny_info(stains=bank))
    assert drawer.info.stains == bank
    settings: dict[str, Any] = {"kind": EditKind.ZOOM, "known": True}
    whole = draw(drawer, on_plane(BLOCK, **settings))
    assert_parts_equal(whole, {tile: draw(drawer, on_plane(tile, **settings)) for tile in TILES})


def test_a_zoom_has_the_colours_of_its_coarse_image_and_detail_as_fine_as_a_slide_there() -> None:
    pipeline = tiny_pipeline()
    network = HistoUNet(**{**pipeline.network.config, "stain_numbers": 8})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for weights in network.parameters():
            torch.nn.init.normal_(weights, std=0.15)
    pipeline.register_modules(network=network.eval())
    slide = (0.4, 0.7, 0.3, 0.2, 0.3, 0.1, -0.9, 0.5)
    drawer = DiffusionBackend(pipeline, tiny_info(stains=(StainEntry(None, None, 1.0, slide),)))
    coarse = np.repeat(np.repeat(IMAGE[:32, :32] // 2 + 60, 2, 0), 2, 1)
    zoom = edit_request(kind=EditKind.ZOOM, size=(64, 64), coarse=coarse)
    measured = stain_vector(coarse)
    assert measured is not None
    told = [(*measured[:6], *slide[6:]), measured]
    drawn = [drawer.render([replace(zoom, stain=stain)])[0][0] for stain in (None, *told)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"margin": MARGIN - 1}, str(TILES[0].pad(MARGIN))),
        ({"margin": MARGIN + NOISE_REACH - 1, "fibres": True}, str(MARGIN + NOISE_REACH)),
        ({"steps": 1}, "at least 2 steps on the endless plane"),
    ],
)
def test_a_target_that_cannot_be_drawn_is_refused_before_any_drawing(changes, words) -> None:
    drawer, tile = backend(), TILES[0]
    assert drawer.info.margin == MARGIN + NOISE_REACH
    steps: list[Step] = []
    with pytest.raises(InvalidRequest) as caught:
        drawer.render([on_plane(tile), on_plane(tile, **changes)], on_step=steps.append)
    assert words in str(caught.value)
    assert not steps
