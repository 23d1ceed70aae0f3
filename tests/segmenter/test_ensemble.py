"""An ensemble of proposals, and how far its members agree."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.errors import Cancelled, InvalidImage, InvalidRequest
from napari_histodiff.segmenter.ensemble import Ensemble, agreement
from napari_histodiff.segmenter.model import Judge
from napari_histodiff.segmenter.postprocess import FoundNuclei
from tests.segmenter.tiny import write_tiny_judge


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    folder = write_tiny_judge(tmp_path_factory.mktemp("judges") / "tiny")
    return Ensemble(Judge.load(folder, device="cpu"))


def nuclei(*squares: tuple[int, int, int]) -> FoundNuclei:
    """Squares of 8 px at (y, x), each of a class."""
    ids = np.zeros((40, 40), np.int32)
    shares = np.zeros((len(squares), 6), np.float32)
    for i, (y, x, kind) in enumerate(squares, start=1):
        ids[y : y + 8, x : x + 8] = i
        shares[i - 1, kind] = 1
    return FoundNuclei(ids, (ids > 0).astype(np.uint8), shares)


def test_members_agree_on_place_and_class() -> None:
    found = nuclei((2, 2, 1), (20, 20, 3))
    same = nuclei((20, 20, 3), (2, 2, 1))
    shifted = nuclei((3, 3, 1))
    another_class = nuclei((2, 2, 0), (20, 20, 3))
    beside = nuclei((8, 8, 1), (24, 24, 3))
    members = [same, shifted, another_class, beside]
    np.testing.assert_allclose(agreement(found, members), [0.5, 0.5])


def test_a_nucleus_that_a_member_joins_with_another_is_not_found_by_it() -> None:
    joined = nuclei((2, 2, 1))
    joined.instance_map[2:10, 2:30] = 1
    np.testing.assert_allclose(agreement(nuclei((2, 2, 1)), [joined]), [0])


def test_without_nuclei_there_is_nothing_to_agree_on() -> None:
    assert agreement(nuclei(), [nuclei((2, 2, 1))]).shape == (0,)
    np.testing.assert_array_equal(agreement(nuclei((2, 2, 1)), [nuclei()]), [0])


@pytest.mark.parametrize("mpp", [0.5, 0.25, 0.9])
def test_a_proposal_says_how_sure_it_is_everywhere(ensemble, mpp) -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    steps: list[tuple[int, int]] = []
    found = ensemble.propose(image, mpp=mpp, on_step=lambda *at: steps.append(at))
    assert steps == [(i, 8) for i in range(1, 9)]
    assert found.entropy.shape == found.instance_map.shape == (90, 70)
    assert found.entropy.dtype == np.float32
    assert 0 <= found.entropy.min() < found.entropy.max() <= 1
    count = len(found.probabilities)
    assert len(found.agreement) == len(found.uncertainty) == count
    assert ((found.agreement >= 0) & (found.agreement <= 1)).all()


def test_a_flat_image_may_have_no_nuclei_and_still_a_map(ensemble) -> None:
    found = ensemble.propose(np.full((40, 40, 3), 255, np.uint8), mpp=0.5)
    assert found.entropy.shape == (40, 40)
    assert len(found.agreement) == len(found.probabilities)


def test_bad_images_and_scales_are_refused(ensemble) -> None:
    with pytest.raises(InvalidImage, match="8-bit RGB"):
        ensemble.propose(np.zeros((20, 20), np.uint8), mpp=0.5)
    with pytest.raises(InvalidRequest, match="micrometres per pixel"):
        ensemble.propose(np.zeros((20, 20, 3), np.uint8), mpp=30)


def test_it_stops_when_asked(ensemble) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        ensemble.propose(np.zeros((20, 20, 3), np.uint8), mpp=0.5, on_step=stop)
