from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.nucleus_shapes import nucleus_statistics
from napari_histodiff.layout.fields import Pixels
from napari_histodiff.layout.nucleus_templates import (
    AXES,
    REACH,
    TURNS,
    VARIANTS,
    templates_of,
    turn_of,
)
from napari_histodiff.layout.tissues.kinds import GLAND, GLASS, LUMEN, LYMPHOID, STROMA
from tests.layout.slides import layout

NEUTROPHIL, EPITHELIAL, LYMPHOCYTE, PLASMA, EOSINOPHIL, CONNECTIVE = range(1, 7)
PLACE = Region(1, 0, 0, 1024, 1024)
MM2 = (1024 * 1e-3) ** 2


def counts(caption: str, region: Region = PLACE, seed: int = 3) -> list[int]:
    classes, instances = layout(caption, seed=seed).nuclei(region)
    return [len(np.unique(instances[classes == c])) for c in range(1, 7)]


def test_densities_are_those_of_cellular_tissue() -> None:
    for seed in range(3):
        tissue = layout("colon", seed=seed).tissue(PLACE) != GLASS
        total = sum(counts("colon", seed=seed))
        assert 2000 < total / (MM2 * tissue.mean()) < 6000


def test_tubules_hold_as_many_nuclei_as_in_a_cortex() -> None:
    found = counts("kidney", Region(0, 3000, 3000, 2048, 2048))[EPITHELIAL - 1]
    assert 2500 < found / MM2 < 5000  # they stand 12 um apart, those of crypts 5.8


@pytest.mark.parametrize("index", [0, 2, 3, 4, 5])
def test_levels_of_a_caption_change_how_many_there_are(index: int) -> None:
    noun = ("neutrophils", "", "lymphocytes", "plasma cells", "eosinophils", "connective cells")
    found = [counts(f"{level} {noun[index]}")[index] for level in ("no", "low", "medium", "high")]
    assert found[0] == 0
    assert 0 < found[1] < found[2] < found[3]


def test_levels_of_epithelium_change_how_many_there_are() -> None:
    found = []
    for level in ("no", "low", "high"):
        caption = f"{level} epithelial cells"
        found.append(sum(counts(caption, seed=seed)[EPITHELIAL - 1] for seed in range(2)))
    assert found[0] == 0
    assert 0 < found[1] < 0.7 * found[2]


def test_classes_lie_where_they_belong() -> None:
    slide, region = layout("colon, inflammation"), Region(0, 0, 0, 2048, 2048)
    tissue = slide._anatomy.tissue(Pixels.of(region))
    classes, _ = slide.nuclei(region)
    shares = np.zeros((7, 5))
    np.add.at(shares, (classes.ravel(), tissue.ravel()), 1)
    shares /= shares.sum(axis=1, keepdims=True)
    assert shares[EPITHELIAL, GLAND] > 0.97
    assert shares[CONNECTIVE, STROMA] > 0.97
    for inflammatory in (LYMPHOCYTE, PLASMA, EOSINOPHIL, NEUTROPHIL):
        assert shares[inflammatory, STROMA] > 0.97
    assert (shares[1:, LUMEN] < 0.02).all()
    assert (shares[1:, GLASS] < 0.02).all()


def test_nuclei_are_whole_and_apart() -> None:
    classes, instances = layout("colon, high lymphocytes").nuclei(Region(0, 0, 0, 1024, 1024))
    y, x = np.nonzero(instances)
    numbers = instances[y, x]
    assert len(numbers)
    inner = set(np.unique(numbers)) - set(instances[[0, -1]].ravel())
    inner -= set(instances[:, [0, -1]].ravel())
    cut = 0
    templates = templates_of(0.5)
    smallest = np.diff(templates.starts).reshape(len(CLASS_NAMES), -1).min(axis=1)
    for number in sorted(inner)[::7]:
        here = numbers == number
        kinds = np.unique(classes[y[here], x[here]])
        assert len(kinds) == 1
        assert np.ptp(y[here]) <= 2 * REACH / 0.5 + 2
        assert np.ptp(x[here]) <= 2 * REACH / 0.5 + 2
        cut += here.sum() < smallest[kinds[0] - 1]
    assert cut < 0.02 * len(sorted(inner)[::7])


def test_ids_are_unique_in_4096_pixels() -> None:
    # A nucleus lies within 16 um, so an id met farther apart belongs to two.
    _, instances = layout("kidney, high lymphocytes").nuclei(Region(2, -300, 40, 1024, 1024))
    y, x = np.nonzero(instances)
    _, index = np.unique(instances[y, x], return_inverse=True)
    for axis in (y, x):
        low = np.full(index.max() + 1, 10**6)
        high = np.full(index.max() + 1, -1)
        np.minimum.at(low, index, axis)
        np.maximum.at(high, index, axis)
        assert (high - low).max() * 4 * 0.5 <= 2 * REACH + 2


def test_epithelial_nuclei_stand_on_their_gland() -> None:
    # Long axes point across the border of the gland, those of connective nuclei along it.
    slide, region = layout("colon"), Region(0, 0, 0, 2048, 2048)
    tissue = slide.tissue(region)
    found = slide._nuclei.within((40, 2000, 40, 2000))
    push = np.zeros((2, len(found)))
    for dy, dx in np.argwhere(np.ones((41, 41))) - 20:
        hit = tissue[found.y + dy, found.x + dx] == STROMA
        push += np.stack([hit * dy, hit * dx])
    norm = np.hypot(*push)
    across = np.abs((push * AXES[:, found.turn]).sum(axis=0)) / np.maximum(norm, 1e-9)
    clear = norm > 2000
    kind = found.shape // VARIANTS + 1
    assert across[clear & (kind == EPITHELIAL)].mean() > 0.85
    assert across[clear & (kind == CONNECTIVE)].mean() < 0.5


def test_lymphocytes_crowd_in_aggregates() -> None:
    slide = layout("lymph node")
    per_mm2 = counts("lymph node")[LYMPHOCYTE - 1] / MM2
    assert per_mm2 > 3000
    assert not (slide.tissue(PLACE) == GLAND).any()


@pytest.mark.parametrize("caption", ["lymph node", "colon, high lymphocytes"])
def test_lymphoid_tissue_is_as_crowded_as_in_scans(caption: str) -> None:
    region = Region(0, 0, 0, 4096, 4096)
    slide = layout(caption, side=4096)
    lymphoid = slide.tissue(region) == LYMPHOID
    _, instances = slide.nuclei(region)
    nuclei = len(np.unique(instances[lymphoid])) / (lymphoid.sum() * 0.25e-6)
    assert 16_000 < nuclei < 27_000  # per mm^2; 58 training images have 18,000 to 30,000
    assert (instances[lymphoid] > 0).mean() > 0.22  # 0.27 to 0.40


def test_the_bank_keeps_the_sizes_of_real_nuclei() -> None:
    templates = templates_of(0.5)
    areas = np.diff(templates.starts).reshape(len(CLASS_NAMES), VARIANTS, TURNS) * 0.25
    for index in range(len(CLASS_NAMES)):
        statistics = nucleus_statistics(index + 1)
        typical = np.log(areas[index]).mean()
        assert abs(typical - statistics.log_area_mean) < 2 * statistics.log_area_sd / VARIANTS**0.5
        assert (np.diff(areas[index].mean(axis=1)) > -3).all()
    assert max(abs(templates.dy).max(), abs(templates.dx).max()) * 0.5 <= REACH + 0.5
    assert (templates.major >= templates.minor).all()


def test_outlines_lie_along_their_turn() -> None:
    templates = templates_of(0.25)
    slim = np.flatnonzero(templates.major > 1.8 * templates.minor)
    for shape in slim[::5]:
        for turn in range(0, TURNS, 3):
            part = slice(*templates.starts[shape * TURNS + turn : shape * TURNS + turn + 2])
            pixels = np.stack([templates.dy[part], templates.dx[part]]).astype(float)
            along, across = AXES[:, turn], AXES[::-1, turn] * [-1, 1]
            assert np.std(along @ pixels) > 1.4 * np.std(across @ pixels)


def test_turns_follow_vectors() -> None:
    angles = np.linspace(0.01, 6.27, 200)
    dy, dx = np.sin(angles).astype(np.float32), np.cos(angles).astype(np.float32)
    error = np.abs(np.sin(turn_of(dy, dx) * np.pi / TURNS - angles))
    assert error.max() < np.sin(np.pi / TURNS)
