"""The sampler of tissue maps and its network."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.captions import ORGANS, parse_caption
from napari_histodiff.core.errors import ModelInvalid, ModelNotFound
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.completion.cells import CellGrid
from napari_histodiff.layout.completion.network import TissueNetwork, context_of, tissue_network
from napari_histodiff.layout.completion.sampler import KnownCells, sample_tissue
from napari_histodiff.layout.completion.unet import UNet


def known(tissue: np.ndarray, y: int = 0) -> KnownCells:
    return KnownCells(
        Region(0, y, -16, *tissue.shape),
        tissue,
        np.zeros((7, *tissue.shape), np.float32),
        np.zeros(tissue.shape, bool),
        context_of(parse_caption("colon, gland, smooth muscle").caption),
    )


def test_known_cells_stay_and_all_others_are_drawn() -> None:
    tissue = np.zeros((24, 32), np.uint8)
    tissue[4:9, 5:20] = TISSUE_NAMES.index("blood")
    for steps in (1, 3, 12):
        drawn = sample_tissue(tissue_network(), known(tissue), 7, steps)
        np.testing.assert_array_equal(drawn[tissue > 0], tissue[tissue > 0])
        assert (drawn > 0).all()


def test_a_place_decides_with_the_seed() -> None:
    tissue = np.zeros((16, 16), np.uint8)
    draws = [
        sample_tissue(tissue_network(), known(tissue, y), s) for s, y in ((1, 0), (1, 8), (2, 0))
    ]
    assert len({draw.tobytes() for draw in draws}) == 3


def test_the_network_tells_nuclei_apart() -> None:
    # Crowded epithelial nuclei are gland, crowded lymphocytes are not.
    empty = known(np.zeros((24, 24), np.uint8))
    seen = np.ones((24, 24), bool)
    likely = []
    for kind in (1, 2):
        nuclei = empty.nuclei.copy()
        nuclei[kind] = 0.5
        scores = tissue_network()(empty.tissue, nuclei, seen, empty.context)
        likely.append(TISSUE_NAMES[int(scores.mean(axis=(1, 2)).argmax())])
        assert np.isneginf(scores[0]).all()
    assert likely[0] == "gland"
    assert likely[1] in ("lymphoid", "stroma")


def test_a_caption_is_told_by_organ_and_tissue() -> None:
    context = context_of(parse_caption("colon, gland, smooth muscle").caption)
    assert [i for i in range(len(ORGANS) + 1) if context[i]] == [ORGANS.index("colon")]
    tissues = context[len(ORGANS) + 1 :]
    assert {TISSUE_NAMES[i] for i in np.flatnonzero(tissues)} == {"gland", "muscle"}
    assert context_of(parse_caption("").caption)[len(ORGANS)] == 1


def test_weights_that_are_missing_or_damaged_are_refused(tmp_path) -> None:
    path = tmp_path / "sampler.safetensors"
    with pytest.raises(ModelNotFound, match="got no file"):
        TissueNetwork.read(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelInvalid, match="weights of a network"):
        TissueNetwork.read(path)
    with pytest.raises(ModelInvalid, match=r"stem\.weight"):
        UNet({})


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0, 2.3, 4.0])
def test_cells_and_pixels_lie_at_the_same_place(mpp: float) -> None:
    frame = Region(0, -37, 55, 90, 64)
    tissue = np.zeros(frame.shape, np.uint8)
    tissue[:45], tissue[45:] = 2, 4
    grid = CellGrid(frame, mpp)
    cells = grid.tissue(tissue)
    assert grid.share(np.ones(frame.shape, bool)).max() <= 1
    whole = np.where(cells == 0, np.uint8(2), cells)
    whole[np.flatnonzero((cells == 4).any(axis=1)).max() :] = 4
    back = grid.pixels(whole, 0)
    wrong = np.flatnonzero((back != tissue).mean(axis=1) > 0.5)
    assert all(abs(row - 45) <= 8 / mpp for row in wrong)
