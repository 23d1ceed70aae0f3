"""Noise that suits its tissue: weaker where tissue is calm, along fibres where it has some."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.core.noise import noise_field
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.canvas import Noise
from napari_histodiff.diffusion.conditioning import (
    PlacedConditions,
    RequestConditions,
    conditions_from_request,
)
from napari_histodiff.diffusion.tissue_noise import (
    NOISE_REACH,
    PlaneNoise,
    TissueNoise,
    WhiteNoise,
    noise_reach,
    suited_noise,
    tissue_noise,
)
from tests.contracts import edit_request

CPU = torch.device("cpu")
FRAME = Region(0, -40, 24, 256, 256)
CLASSES = len(TISSUE_NAMES) - 1
SPINDLE = CLASS_NAMES.index("connective") + 1


def conditions(
    tissue: NDArray[np.uint8], nuclei: NDArray[np.uint8] | None = None, frame: Region = FRAME
) -> PlacedConditions:
    request = edit_request(size=tissue.shape, class_map=nuclei, tissue_map=tissue)
    return PlacedConditions(frame, conditions_from_request(request, CLASSES))


def whole(name: str, frame: Region = FRAME) -> NDArray[np.uint8]:
    return np.full(frame.shape, TISSUE_NAMES.index(name), np.uint8)


def shape_of(told: PlacedConditions, frame: Region = FRAME, seed: int = 3) -> TissueNoise:
    shape = tissue_noise(told, frame, TISSUE_NAMES, seed)
    assert shape is not None
    return shape


def drawn(told: PlacedConditions, frame: Region = FRAME, seed: int = 3) -> NDArray[np.float32]:
    shape = shape_of(told, frame, seed)
    noise: NDArray[np.float32] = shape.of(Noise(seed, 0, CPU, kinds=shape.kinds)).values.numpy()
    return noise


def white(tissue: NDArray[np.uint8], frame: Region = FRAME, seed: int = 3) -> NDArray[np.float32]:
    return noise_field(seed, frame, kinds=tissue)


def coarse(noise: NDArray[np.float32], rows: float = 6, cols: float = 6) -> float:
    """Spread of what is left of noise when it is blurred."""
    return float(gaussian_filter(noise, (0, rows, cols)).std())


def spindles(frame: Region = FRAME) -> NDArray[np.uint8]:
    """Nuclei of 24 x 6 pixels that lie along the rows."""
    nuclei = np.zeros(frame.shape, np.uint8)
    for row in range(8, frame.height - 8, 20):
        for col in range(4 + row % 3 * 11, frame.width - 26, 40):
            nuclei[row : row + 6, col : col + 24] = SPINDLE
    return nuclei


def test_without_tissue_noise_is_white() -> None:
    assert tissue_noise(conditions(whole("unspecified")), FRAME, TISSUE_NAMES, 3) is None
    vessel = whole("vessel")  # nothing is known of its noise
    np.testing.assert_allclose(drawn(conditions(vessel)), white(vessel), atol=1e-6)


@pytest.mark.parametrize(("name", "strength"), [("gland", 0.5), ("glass", 0.3), ("mucus", 0.2)])
def test_calm_tissue_has_weak_coarse_noise(name: str, strength: float) -> None:
    tissue = whole(name)
    noise, plain = drawn(conditions(tissue)), white(tissue)
    assert coarse(noise) / coarse(plain) == pytest.approx(strength, abs=0.06)
    fine = noise[:, ::2, ::2] - noise[:, ::2, 1::2]
    assert fine.std() == pytest.approx(np.sqrt(2), rel=0.1)
    assert np.corrcoef(noise.ravel(), plain.ravel())[0, 1] > 0.9  # the same noise, else


@pytest.mark.parametrize(("name", "least"), [("muscle", 1.25), ("stroma", 1.15)])
def test_coarse_noise_lies_along_drawn_out_nuclei(name: str, least: float) -> None:
    tissue, nuclei = whole(name), spindles()
    along = drawn(conditions(tissue, nuclei))
    assert coarse(along, 1, 8) / coarse(along, 8, 1) > least
    across = drawn(conditions(tissue.T.copy(), nuclei.T.copy()))
    assert coarse(across, 8, 1) / coarse(across, 1, 8) > least
    assert along.std() == pytest.approx(1, abs=0.04)
    assert abs(along.mean()) < 0.01


def test_lymphoid_noise_is_calm_beside_its_nuclei_and_that_of_glands_is_not() -> None:
    nuclei = spindles()
    weak, left = (
        coarse(drawn(conditions(whole(name), nuclei))) / coarse(white(whole(name)))
        for name in ("lymphoid", "gland")
    )
    assert weak == pytest.approx(0.45, abs=0.06)
    assert left > 0.8


def test_fibres_without_nuclei_go_by_the_seed_and_by_the_place() -> None:
    told = conditions(whole("muscle"))
    one, again, other = (drawn(told, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    ways = [
        np.log(coarse(drawn(told, seed=seed), 1, 8) / coarse(drawn(told, seed=seed), 8, 1))
        for seed in range(6)
    ]
    assert min(ways) < -0.1 < 0.1 < max(ways)
    assert not np.array_equal(one, other)
    # A frame beside it goes on with the same fibres: near its middle the noise is the same.
    moved = FRAME.translate(0, 64)
    beside = drawn(conditions(whole("muscle"), frame=moved), moved)
    middle = np.s_[:, 96:160, 96:128]
    shifted = np.s_[:, 96:160, 160:192]
    assert np.abs(one[shifted] - beside[middle]).max() < 0.2


def test_nuclei_tell_more_than_the_seed_and_lymphocytes_nothing() -> None:
    nuclei = spindles()
    ways = [
        coarse(noise, 1, 8) / coarse(noise, 8, 1)
        for noise in (drawn(conditions(whole("muscle"), nuclei), seed=seed) for seed in range(6))
    ]
    assert min(ways) > 1.25
    others = np.where(nuclei > 0, np.uint8(CLASS_NAMES.index("lymphocyte") + 1), nuclei)
    bare, crowded = (
        drawn(conditions(whole("stroma"), each)) for each in (np.zeros_like(nuclei), others)
    )
    np.testing.assert_array_equal(bare, crowded)


def test_noise_beside_nuclei_is_not_calmed() -> None:
    nuclei = np.zeros(FRAME.shape, np.uint8)
    nuclei[::8, :128] = SPINDLE  # every 4 um on one half
    tissue = whole("gland")
    noise, plain = drawn(conditions(tissue, nuclei)), white(tissue)
    change = noise[..., :120] - plain[..., :120]
    np.testing.assert_allclose(change, change[:, :1, :1] + np.zeros_like(change), atol=1e-6)
    assert coarse(noise[..., 144:]) < 0.6 * coarse(plain[..., 144:])


@pytest.mark.parametrize(
    ("name", "lighter", "darker"),
    [("lumen", "rgb", ""), ("gland", "", "rgb")],
)
def test_the_mean_of_noise_leans_to_the_colour_of_its_tissue(
    name: str, lighter: str, darker: str
) -> None:
    tissue, nuclei = whole(name), np.zeros(FRAME.shape, np.uint8)
    tissue[:, 128:] = TISSUE_NAMES.index("vessel")  # nothing is known of its noise
    nuclei[::8, ::8] = CLASS_NAMES.index("lymphocyte") + 1  # what is calm is so beside nuclei
    change = drawn(conditions(tissue, nuclei)) - white(tissue)
    assert np.ptp(change[..., :124], axis=(1, 2)).max() < 1e-5
    lean = dict(zip("rgb", change[..., :124].mean(axis=(1, 2)), strict=True))
    assert all(0.004 < lean[colour] < 0.08 for colour in lighter)
    assert all(-0.08 < lean[colour] < -0.004 for colour in darker)
    np.testing.assert_allclose(change[..., 132:], 0, atol=1e-6)


def test_tissues_are_known_by_their_names() -> None:
    names = ("unspecified", "mucus", "gland")
    tissue = np.ones(FRAME.shape, np.uint8)
    shape = tissue_noise(conditions(tissue), FRAME, names, 3)
    assert shape is not None
    noise = shape.of(Noise(3, 0, CPU, kinds=shape.kinds)).values.numpy()
    assert coarse(noise) / coarse(white(tissue)) == pytest.approx(0.2, abs=0.06)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    y=st.integers(-99, 99),
    name=st.sampled_from(["muscle", "gland", "stroma"]),
)
def test_any_frame_has_finite_noise(height: int, width: int, y: int, name: str) -> None:
    frame = Region(0, y, -7, height, width)
    noise = drawn(conditions(whole(name, frame), frame=frame), frame)
    assert noise.shape == (3, height, width)
    assert noise.dtype == np.float32
    assert np.isfinite(noise).all()


PLANE = Region(1, -400, 200, 400, 400)
_PAINT = np.random.default_rng(5)
PAINT = {
    "class_map": _PAINT.integers(0, 60, (50, 50)),
    "tissue_map": _PAINT.integers(0, CLASSES + 1, (50, 50)),
    "fibres": _PAINT.integers(0, 17, (50, 50)),
}
PAINT = {name: cells.repeat(8, 0).repeat(8, 1) for name, cells in PAINT.items()}
PAINT["class_map"] *= PAINT["class_map"] < 7


def of_plane(region: Region = PLANE, *, tinted: bool = False, **maps: Any) -> EditRequest:
    """A request of a part of `PLANE`, of maps of all of it."""
    inside = region.relative_to(PLANE).slices
    return EditRequest(
        kind=EditKind.GENERATE,
        region=region,
        target=region,
        tinted=tinted,
        **{name: np.broadcast_to(values, PLANE.shape)[inside] for name, values in maps.items()},
    )


def on_plane(request: EditRequest, region: Region, seed: int = 3) -> NDArray[np.float32]:
    noise = PlaneNoise(RequestConditions(request, CLASSES)).of(Noise(seed, 0, CPU))
    values: NDArray[np.float32] = noise.read(region).numpy()
    return values


@given(
    y=st.integers(0, 90),
    x=st.integers(0, 90),
    height=st.integers(1, 99),
    width=st.integers(1, 99),
    tinted=st.booleans(),
)
def test_noise_of_the_plane_is_that_of_its_place_whatever_is_read(
    y: int, x: int, height: int, width: int, tinted: bool
) -> None:
    part = Region(1, PLANE.y + 100 + y, PLANE.x + 100 + x, height, width)
    whole_ = on_plane(of_plane(tinted=tinted, **PAINT), PLANE.pad(-NOISE_REACH))
    own = on_plane(of_plane(part.pad(NOISE_REACH), tinted=tinted, **PAINT), part)
    inside = part.relative_to(PLANE.pad(-NOISE_REACH)).slices
    np.testing.assert_array_equal(own, whole_[:, *inside])


@pytest.mark.parametrize(("fibres", "way"), [(1, 1), (9, -1), (0, 0)])
def test_noise_of_the_plane_lies_along_its_fibres(fibres: int, way: int) -> None:
    muscle = TISSUE_NAMES.index("muscle")
    noise = on_plane(of_plane(tissue_map=muscle, fibres=fibres), PLANE.pad(-NOISE_REACH))
    ratio = coarse(noise, 1, 8) / coarse(noise, 8, 1)
    assert np.log(ratio) * way > 0.2 if way else abs(np.log(ratio)) < 0.1
    assert noise.std() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(("name", "lighter"), [("lumen", True), ("gland", False)])
def test_noise_of_the_plane_leans_to_the_colour_of_its_tissue_where_it_is_asked_to(
    name: str, lighter: bool
) -> None:
    maps = {"tissue_map": TISSUE_NAMES.index(name), "fibres": 3}
    plain, tinted = (
        on_plane(of_plane(tinted=tinted, **maps), PLANE.pad(-NOISE_REACH))
        for tinted in (False, True)
    )
    lean = (tinted - plain).mean((1, 2))
    assert np.ptp(tinted - plain, axis=(1, 2)).max() < 1e-5
    assert (lean > 0.004).all() if lighter else (lean < -0.004).all()


def test_noise_of_the_plane_is_calm_where_tissue_is_and_nuclei_are_not() -> None:
    inner = PLANE.pad(-NOISE_REACH)
    plain = noise_field(3, inner)
    gland = of_plane(tissue_map=TISSUE_NAMES.index("gland"), fibres=3)
    assert coarse(on_plane(gland, inner)) / coarse(plain) == pytest.approx(0.5, abs=0.06)
    nuclei = np.zeros(PLANE.shape, np.uint8)
    nuclei[::8] = SPINDLE
    crowded = of_plane(tissue_map=TISSUE_NAMES.index("gland"), class_map=nuclei, fibres=3)
    np.testing.assert_array_equal(on_plane(crowded, inner), plain)
    bare = of_plane(tissue_map=0, fibres=3)
    np.testing.assert_array_equal(on_plane(bare, inner), plain)


def test_blocks_that_are_filtered_apart_meet_without_a_seam() -> None:
    noise = on_plane(of_plane(tissue_map=TISSUE_NAMES.index("muscle"), fibres=5), PLANE.pad(-16))
    added = noise - noise_field(3, PLANE.pad(-16))
    steps = np.abs(np.diff(added, axis=1)).mean((0, 2))
    rows = PLANE.y + 16 + 1 + np.arange(len(steps))
    between = rows % 2 == 0  # halved pixels, as blocks
    assert (rows % 96 == 0).sum() > 2
    assert steps[rows % 96 == 0].mean() < 1.1 * steps[between & (rows % 96 != 0)].mean()


def test_noise_of_the_plane_is_white_without_fibres_or_tissue() -> None:
    for maps in ({"tissue_map": PAINT["tissue_map"]}, {"fibres": PAINT["fibres"]}):
        request = of_plane(**maps)
        told = RequestConditions(request, CLASSES)
        suited = suited_noise(told, told, PLANE, 3, plane=True)
        assert type(suited) is WhiteNoise
        assert noise_reach(request) == 0
        noise = Noise(3, 0, CPU)
        assert suited.of(noise) is noise


def test_a_kept_window_is_known_by_what_makes_its_noise() -> None:
    place = Region(1, PLANE.y + 100, PLANE.x + 100, 64, 64)
    beside = place.pad(NOISE_REACH).relative_to(PLANE)
    digests = set()
    for name in (None, "fibres", "tissue_map"):
        maps = {key: values.copy() for key, values in PAINT.items()}
        if name is not None:
            maps[name][beside.y, beside.x] = (maps[name][beside.y, beside.x] + 1) % 3
        told = RequestConditions(of_plane(**maps), CLASSES)
        digests.add(PlaneNoise(told).digest(place))
    assert len(digests) == 3
