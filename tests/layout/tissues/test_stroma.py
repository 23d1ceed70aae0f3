"""Muscle, fat, lymphoid tissue, vessels and goblet cells lie where the anatomy plans them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout import SlideLayout
from napari_histodiff.layout.anatomy import Anatomy
from napari_histodiff.layout.fields import Pixels
from napari_histodiff.layout.plan import CONNECTIVE, EPITHELIAL, LYMPHOCYTE, plan_of
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.layout.tissues.kinds import (
    BLOOD,
    FAT,
    GLAND,
    GLASS,
    LUMEN,
    LYMPHOID,
    MUCUS,
    MUSCLE,
    SEPTUM,
    STROMA,
    VESSEL,
)
from tests.layout.slides import layout, recipe

MPP = 0.5


def anatomy(caption: str, seed: int = 3, home: int = 8192) -> Anatomy:
    return Anatomy(seed, plan_of(caption), MPP, (home, home), None)


def test_muscle_lies_in_its_layers_and_fills_them() -> None:
    one, pixels = anatomy("colon"), Pixels(0, 0, 8, 1024, 1024)
    assert one.wall is not None
    parts, (depth, _, _) = one.parts(pixels), one.wall.on(pixels)
    layer = one.wall.layer(depth)
    inner = np.ones(depth.shape, bool)
    for edge in one.wall.edges[1:]:  # borders are frayed
        inner &= np.abs(depth - edge) > 22 / MPP
    there = inner & (parts != GLASS)
    for band in (3, 5):
        assert (parts[there & (layer == band)] == MUSCLE).mean() > 0.85
    # Arteries have some.
    assert (parts[there & np.isin(layer, (0, 2))] == MUSCLE).mean() < 0.02


def test_a_tumour_takes_the_place_of_muscle() -> None:
    pixels = Pixels(0, 0, 16, 512, 512)
    shares = [(anatomy(c).parts(pixels) == MUSCLE).mean() for c in ("colon", "colon, tumour")]
    assert 0.05 < shares[1] < 0.75 * shares[0]


def test_vessels_hold_blood_and_arteries_have_walls() -> None:
    one, pixels = anatomy("colon", home=16_384), Pixels(2000, 2000, 2, 3000, 3000)
    parts = one.parts(pixels)
    inside = np.isin(parts, (BLOOD, VESSEL))
    areas, count = ndimage.label(ndimage.binary_closing(inside))
    assert count > 8
    filled, ringed = [], []
    for number, box in enumerate(ndimage.find_objects(areas), 1):
        wide = tuple(slice(max(0, part.start - 4), part.stop + 4) for part in box)
        own, around = areas[wide] == number, parts[wide]
        ring = ndimage.binary_dilation(own, iterations=2) & ~inside[wide]
        filled.append((around[own] == BLOOD).any())
        ringed.append((around[ring] == MUSCLE).mean() > 0.9)
    assert 0.3 < np.mean(filled) < 1
    assert 0 < np.mean(ringed) < 0.9
    edge = ndimage.binary_dilation(parts == BLOOD) & (parts != BLOOD)
    assert (parts[edge] == VESSEL).mean() > 0.9


@pytest.mark.parametrize(("caption", "least"), [("colon", 0.15), ("breast", 0.0), ("brain", 0.0)])
def test_goblet_cells_stand_above_the_nuclei_of_crypts(caption: str, least: float) -> None:
    parts = anatomy(caption).parts(Pixels(600, 3000, 1, 1500, 1500))
    lined = np.isin(parts, (GLAND, MUCUS))
    assert (parts == MUCUS).sum() >= least * lined.sum()
    assert (parts == MUCUS).any() == (least > 0)
    if least:
        far = ndimage.distance_transform_edt(lined | np.isin(parts, (LUMEN, GLASS))) * MPP
        assert far[parts == MUCUS].min() > 7


def test_mucus_in_a_caption_fills_glands() -> None:
    pixels, words = Pixels(0, 0, 8, 512, 512), ("colon, tumour", "colon, tumour, mucus")
    shares = [(anatomy(caption).parts(pixels) == MUCUS).mean() for caption in words]
    assert shares[1] > 2 * shares[0]


def test_tubules_of_a_kidney_lie_back_to_back_around_glomeruli() -> None:
    # Interstitium of a healthy cortex is 5 to 20 % of it, glomeruli about 5 %.
    one, pixels = anatomy("kidney", home=16_384), Pixels(4000, 4000, 4, 1200, 1200)
    parts, crowd = one.parts(pixels), one.glomeruli.on(pixels)
    tubules = np.isin(parts, (GLAND, LUMEN)) & (crowd == 0)
    assert 0.72 < tubules.mean() < 0.92
    assert (parts == GLAND).mean() > 3 * (parts[crowd == 0] == LUMEN).mean()
    tufts, count = ndimage.label(crowd > 0.95)
    assert count > 8
    assert (parts[tufts > 0] == STROMA).all()
    across = 2 * np.sqrt(np.bincount(tufts.ravel())[1:] / np.pi) * 4 * MPP
    assert 130 < np.median(across) < 220  # um
    # A space around each, which opens into no tubule.
    spaces, _ = ndimage.label(parts == LUMEN)
    ring = (crowd > 0.55) & (crowd < 0.8)
    assert (parts[ring] == LUMEN).all()
    assert (crowd[np.isin(spaces, np.unique(spaces[ring]))] > 0.3).all()


def test_muscle_without_a_wall_is_asked_for() -> None:
    pixels = Pixels(0, 0, 16, 400, 400)
    assert (anatomy("prostate").parts(pixels) == MUSCLE).mean() < 0.03
    assert 0.1 < (anatomy("prostate, smooth muscle").parts(pixels) == MUSCLE).mean() < 0.7


@pytest.mark.parametrize("caption", ["breast", "skin"])
def test_fat_is_fat_between_its_cells_too(caption: str) -> None:
    parts = anatomy(caption).parts(Pixels(0, 0, 4, 2000, 2000))
    cells, septa = (parts == FAT).sum(), (parts == SEPTUM).sum()
    assert cells > 2 * septa > 0
    tissue = layout(caption, side=8192).tissue(Region(2, 0, 0, 2000, 2000))
    np.testing.assert_array_equal(tissue == FAT, np.isin(parts, (FAT, SEPTUM)))


@pytest.mark.parametrize("seed", [3, 4])
def test_a_lung_is_air_between_thin_septa(seed: int) -> None:
    parts = anatomy("lung", seed).parts(Pixels(0, 0, 2, 2400, 2400))
    tissue = np.isin(parts, (STROMA, GLAND, LUMEN))
    assert not np.isin(parts, (FAT, SEPTUM)).any()
    assert 0.6 < (parts == LUMEN).sum() / tissue.sum() < 0.9
    spaces, count = ndimage.label(parts == LUMEN)
    areas = ndimage.sum_labels(parts == LUMEN, spaces, range(1, count + 1))
    across = 2 * np.sqrt(areas[areas > 500] / np.pi)  # um, as a pixel is one
    assert 110 < np.median(across) < 230
    # Half as wide as the distance from the nearest air: most septa are a few um.
    septa = ndimage.distance_transform_edt(parts == STROMA)[parts == STROMA]
    assert np.median(septa) < 12


def test_septa_of_a_lung_have_nuclei_and_what_is_drawn_as_fat_is_fat() -> None:
    region = Region(1, 500, 500, 1000, 1000)
    classes, instances = layout("lung").nuclei(region)
    septa = layout("lung").tissue(region) == STROMA
    assert len(np.unique(instances[septa])) / (septa.sum() * 1e-6) > 2500
    assert (classes[septa] == CONNECTIVE + 1).sum() > (classes[septa] == LYMPHOCYTE + 1).sum()
    drawn = SlideLayout(recipe("lung", side=2400), Sketch(np.full((12, 12), FAT, np.uint8), 200))
    place = Region(0, 600, 600, 1200, 1200)
    assert (drawn.tissue(place) == FAT).all()
    assert (drawn.tissue_to_draw(place) == LUMEN).mean() > 0.5  # cell by cell


def test_a_liver_is_large_cells_with_little_between() -> None:
    region = Region(1, 500, 500, 1000, 1000)
    tissue, (classes, instances) = (
        get(region) for get in (layout("liver").tissue, layout("liver").nuclei)
    )
    cells = tissue == GLAND
    assert cells.mean() > 0.7
    assert not np.isin(tissue, (LUMEN, FAT)).any()
    per_mm2 = len(np.unique(instances[(classes == EPITHELIAL + 1) & cells])) / cells.sum() * 1e6
    assert 1500 < per_mm2 < 4000  # cells of some 20 um; nests of carcinoma have twice as many


def test_follicles_are_lymphoid_tissue() -> None:
    one, pixels = anatomy("colon, high lymphocytes"), Pixels(0, 0, 8, 1024, 1024)
    parts, crowd = one.parts(pixels), one.aggregates.on(pixels)
    assert (parts == LYMPHOID).any()
    assert crowd[parts == LYMPHOID].min() > 0.5
    assert (parts[(crowd > 0.5) & (parts != GLASS)] == LYMPHOID).mean() > 0.8


def test_a_sketch_may_hold_every_tissue() -> None:
    classes = np.zeros((10, 12), np.uint8)
    classes[2:8] = np.arange(len(TISSUE_NAMES), dtype=np.uint8)
    slide = SlideLayout(recipe("breast", side=2400), Sketch(classes, 200))
    region = Region(0, 600, 0, 800, 2400)
    tissue, (nuclei, _), colours = slide.tissue(region), slide.nuclei(region), slide.colours(region)

    def strip(number: int, margin: int = 60) -> tuple[slice, slice]:
        return slice(100, 700), slice(number * 200 + margin, number * 200 + 200 - margin)

    for number, name in enumerate(TISSUE_NAMES[2:], 2):
        assert (tissue[strip(number)] == number).mean() > 0.7, name
    crowd, loose = (
        (nuclei[strip(number, 40)] == LYMPHOCYTE + 1).mean() for number in (LYMPHOID, STROMA)
    )
    assert crowd > 3 * loose
    assert (nuclei[strip(MUSCLE)] == CONNECTIVE + 1).any()
    assert not nuclei[strip(BLOOD)].any()
    assert colours[strip(FAT)].mean() > 215
    red, green, _ = colours[strip(BLOOD)].reshape(-1, 3).mean(axis=0)
    assert red > green + 60
