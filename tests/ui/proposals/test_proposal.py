from __future__ import annotations

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidMap
from napari_histodiff.ui.proposals.process import UNCERTAIN, Proposal, make_proposal


def _arrays(**changes: object) -> dict[str, object]:
    instances = np.zeros((32, 48), np.int32)
    instances[4:10, 4:12] = 7
    instances[20:24, 40:44] = 3
    classes = np.where(instances == 7, 2, np.where(instances == 3, 5, 0))
    classes[4, 4] = 6  # the judge speaks of nuclei, not of pixels
    ids, uncertainty = np.array([7, 3]), np.array([0.1, 0.9])
    found = {"instance_map": instances, "class_map": classes}
    found["tissue_map"] = np.zeros(instances.shape, np.uint8)
    return found | {"ids": ids, "uncertainty": uncertainty} | changes


def _proposal(**changes: object) -> Proposal:
    return make_proposal(_arrays(**changes), np.ones((32, 48), bool))


def test_nuclei_are_numbered_and_measured() -> None:
    proposal = _proposal()
    assert len(proposal) == 2
    np.testing.assert_array_equal(proposal.classes, [5, 2])
    np.testing.assert_allclose(proposal.uncertainty, [0.9, 0.1])
    np.testing.assert_allclose(proposal.centres, [(21.5, 41.5), (6.5, 7.5)])
    np.testing.assert_allclose(np.pi * proposal.diameters**2 / 4, [16, 48])
    assert proposal.text() == "2 nuclei proposed (1 uncertain)"


def test_the_limit_hides_the_less_certain() -> None:
    proposal = _proposal()
    instances, classes = proposal.maps(0.5)
    assert set(np.unique(instances)) == {0, 2}
    assert set(np.unique(classes)) == {0, 2}
    assert proposal.text(0.5) == "2 nuclei proposed (1 uncertain), 1 hidden"
    assert proposal.shown(0.9).tolist() == [False, True]  # exactly as certain as asked for
    assert not proposal.maps(1.0)[0].any()


def test_uncertain_starts_at_its_constant() -> None:
    below = np.nextafter(np.float32(UNCERTAIN), np.float32(0))
    assert _proposal(uncertainty=[UNCERTAIN, below]).uncertain.tolist() == [False, True]


def test_nuclei_on_no_pixels_are_left_out() -> None:
    coverage = np.zeros((32, 48), bool)
    coverage[:, :20] = True
    proposal = make_proposal(_arrays(), coverage)
    assert proposal.classes.tolist() == [2]
    assert set(np.unique(proposal.instance_map)) == {0, 1}


def test_tissue_on_no_pixels_is_left_out() -> None:
    coverage = np.zeros((32, 48), bool)
    coverage[:, :20] = True
    proposal = make_proposal(_arrays(tissue_map=np.full((32, 48), 3, np.uint8)), coverage)
    np.testing.assert_array_equal(proposal.tissue_map > 0, coverage)
    assert proposal.text() == "1 nucleus proposed (0 uncertain), and tissue"
    with pytest.raises(InvalidMap):
        _proposal(tissue_map=np.full((32, 48), 12, np.uint8))


def test_nuclei_everywhere_and_nowhere() -> None:
    all_ = np.full((32, 48), 4, np.int32)
    assert len(_proposal(instance_map=all_, ids=[4], uncertainty=[0.5])) == 1
    none = np.zeros((32, 48), np.int32)
    assert _proposal(instance_map=none, class_map=none, ids=[], uncertainty=[]).text() == (
        "0 nuclei proposed (0 uncertain)"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": np.array([7])}, "2 uncertainties"),
        ({"ids": np.array([7, 4])}, "2 uncertainties"),
        ({"uncertainty": np.array([0.1, 1.5])}, "outside 0-1"),
        ({"uncertainty": np.array([0.1, np.nan])}, "outside 0-1"),
        ({"class_map": np.zeros((32, 32), np.uint8)}, "maps of"),
        ({"class_map": np.full((32, 48), 9)}, "ids 0-6"),
    ],
)
def test_what_does_not_belong_together_is_refused(changes: dict, words: str) -> None:
    with pytest.raises(InvalidMap, match=words):
        _proposal(**changes)


def test_a_missing_array_is_named() -> None:
    arrays = _arrays()
    del arrays["uncertainty"]
    with pytest.raises(InvalidMap, match="no uncertainty"):
        make_proposal(arrays, np.ones((32, 48), bool))
