from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import StorageError, TrainingError
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.datasets.packing import PackWriter
from napari_histodiff.datasets.sources import PackItem, Sample
from napari_histodiff.evaluation.judge_quality import GROUP_NAMES, JudgeQuality, measure_judge
from tests.evaluation.doubles import FakeInfo, Found

SHAPE = (60, 80)
Change = Callable[[Sample], tuple[NDArray[np.int32], NDArray[np.uint8]]]


def sample(
    source: str, *nuclei: tuple[int, int, int], valid: NDArray[np.bool_] | None = None, **known: Any
) -> Sample:
    """An image of noise with square nuclei of 6 px: (row, column, class) of each corner."""
    instances, classes = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.uint8)
    for ident, (y, x, class_id) in enumerate(nuclei, 1):
        instances[y : y + 6, x : x + 6] = ident
        classes[y : y + 6, x : x + 6] = class_id
    named = bool(classes.any())
    name = f"{source} {nuclei}"
    item = PackItem(name, source, 0.5, None, "", True, named, False)
    seed = sum(name.encode())
    pixels = np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    blank = np.zeros(SHAPE, np.uint8)
    area = np.ones(SHAPE, np.uint8) if valid is None else valid.astype(np.uint8)
    return Sample(replace(item, **known), pixels, classes, instances, blank, area)


def write(path: Path, *samples: Sample) -> Path:
    with PackWriter(path) as writer:
        for entry in samples:
            writer.add(entry)
    return path


@dataclass
class Oracle:
    """Knows the nuclei of every image and tells what `change` makes of them."""

    samples: tuple[Sample, ...]
    change: Change = field(default=lambda s: (s.instances, s.classes))
    info: FakeInfo = field(default_factory=FakeInfo)
    asked: list[str] = field(default_factory=list)

    def segment(self, image: NDArray[np.uint8]) -> Found:
        return self._answer(image, "segment")

    def propose(self, image: NDArray[np.uint8]) -> Found:
        return self._answer(image, "propose")

    def _answer(self, image: NDArray[np.uint8], how: str) -> Found:
        self.asked.append(how)
        known = next(s for s in self.samples if np.array_equal(s.pixels, image))
        return Found(*self.change(known))


def nothing(_: Sample) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    return np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.uint8)


def measured(path: Path, *samples: Sample, change: Change | None = None) -> JudgeQuality:
    judge = Oracle(samples) if change is None else Oracle(samples, change)
    return measure_judge(judge, write(path, *samples))


ALL = (
    sample("lizard", (3, 3, 1), (3, 23, 2), (3, 43, 3), (30, 3, 4), (30, 23, 5), (30, 43, 6)),
    sample("lizard", (8, 8, 2), (40, 40, 6)),
    sample("consep", (3, 3, 2), (30, 30, 0), (30, 60, 6), unknown_is_inflammatory=True),
    sample("monuseg", (10, 10, 0), (40, 60, 0)),
    sample("glas", has_nuclei=False),
)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write(tmp_path / "pack.npz", *ALL)


def test_a_perfect_judge_has_ones_everywhere(tmp_path: Path) -> None:
    def right(s: Sample) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        unknown = (s.instances > 0) & (s.classes == 0)
        return s.instances, np.where(unknown, 3, s.classes).astype(np.uint8)

    quality = measured(tmp_path / "pack.npz", *ALL, change=right)
    assert [(s.source, s.images, s.scores.true) for s in quality.sources] == [
        ("lizard", 2, 8),
        ("consep", 1, 3),
        ("monuseg", 1, 2),
    ]
    assert [s.class_names for s in quality.sources] == [CLASS_NAMES, GROUP_NAMES, ()]
    for s in quality.sources:
        assert (s.dice, s.aji, s.pq, s.sq, s.rq) == (1, 1, 1, 1, 1)
        for scores in (s.scores, s.published):
            assert scores.detection_f1 == 1
            assert [c.f1 for c in scores.per_class] == [1] * len(s.class_names)
            assert [c.hovernet_f1 for c in scores.per_class] == [1] * len(s.class_names)
    assert [c.support for c in quality.sources[0].scores.per_class] == [1, 2, 1, 1, 1, 2]


def test_a_blind_judge_has_no_hit_and_undefined_precision(tmp_path: Path) -> None:
    quality = measured(tmp_path / "pack.npz", *ALL, change=nothing)
    for s in quality.sources:
        assert (s.dice, s.aji, s.pq, s.rq) == (0, 0, 0, 0)
        assert (s.scores.detection_f1, s.scores.detection_recall) == (0, 0)
        assert math.isnan(s.scores.detection_precision)
        assert all(c.f1 == 0 and math.isnan(c.precision) for c in s.scores.per_class)
    figures = quality.to_dict()["tables"]
    assert figures["sets"]["lizard"]["precision"] is None
    assert "| monuseg | 1 | 2 | 0 | 0 | 0 | 0 | 0 | – | 0 | 0 |" in quality.table()


def test_an_image_without_nuclei_takes_no_part_in_means(tmp_path: Path) -> None:
    full, bare = sample("monuseg", (10, 10, 0)), sample("monuseg")
    (both,) = measured(tmp_path / "both.npz", full, bare).sources
    assert (both.images, both.dice, both.aji, both.pq) == (2, 1, 1, 1)
    (alone,) = measured(tmp_path / "bare.npz", bare).sources
    assert all(math.isnan(v) for v in (alone.dice, alone.pq, alone.scores.detection_f1))


def test_what_is_not_valid_is_ignored(tmp_path: Path) -> None:
    valid = np.ones(SHAPE, bool)
    valid[:, 40:] = False
    # inside; 4 of 6 columns inside, so cut; 2 of 6 columns inside, so left out; outside
    nuclei = ((5, 5, 2), (20, 36, 3), (35, 38, 6), (50, 60, 1))
    mosaic = sample("lizard", *nuclei, valid=valid)

    def scribbled(s: Sample) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        instances, classes = s.instances.copy(), s.classes.copy()
        instances[:, 40:], classes[:, 40:] = 0, 0
        instances[5:25, 50:70], classes[5:25, 50:70] = 9, 5
        instances[35:41, 38:45], classes[35:41, 38:45] = 3, 6
        return instances, classes

    (lizard,) = measured(tmp_path / "pack.npz", mosaic, change=scribbled).sources
    assert (lizard.dice, lizard.aji, lizard.pq) == (1, 1, 1)
    assert (lizard.scores.true, lizard.scores.predicted, lizard.scores.matched) == (2, 2, 2)
    assert [c.support for c in lizard.scores.per_class] == [0, 1, 1, 0, 0, 0]


def test_groups_of_consep_by_hand(tmp_path: Path) -> None:
    # nuclei 1 epithelial, 2 and 3 inflammatory, 4 none of the classes, 5 connective
    nuclei = ((3, 3, 2), (3, 30, 0), (3, 60, 0), (40, 3, 0), (40, 30, 6))
    tile = sample("consep", *nuclei, unknown_is_inflammatory=True, other_nuclei=(4,))
    told = np.array([0, 2, 1, 6, 4, 6], np.uint8)  # neutrophil, connective and plasma for 2, 3, 4

    quality = measured(
        tmp_path / "pack.npz", tile, change=lambda s: (s.instances, told[s.instances])
    )
    (consep,) = quality.sources
    epithelial, inflammatory, spindle = consep.scores.per_class
    assert consep.class_names == ("epithelial", "inflammatory", "spindle")
    assert (epithelial.f1, epithelial.support) == (1, 1)
    assert (inflammatory.support, inflammatory.recall, inflammatory.precision) == (2, 0.5, 1)
    assert (spindle.support, spindle.recall, spindle.precision) == (1, 1, 0.5)
    assert consep.scores.detection_f1 == 1
    assert quality.tables()[1].get("inflammatory", "F1") == pytest.approx(2 / 3)


def test_classes_of_other_images_of_the_set_are_grouped_too(tmp_path: Path) -> None:
    vague = sample("own", (3, 3, 2), (30, 30, 0), unknown_is_inflammatory=True)
    exact = sample("own", (3, 3, 5), (30, 30, 0))
    told = {vague.item.name: (0, 2, 4), exact.item.name: (0, 1, 6)}

    def said(s: Sample) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        return s.instances, np.array(told[s.item.name], np.uint8)[s.instances]

    (own,) = measured(tmp_path / "pack.npz", vague, exact, change=said).sources
    assert [c.support for c in own.scores.per_class] == [1, 2, 0]  # one nucleus stays unknown
    assert [c.f1 for c in own.scores.per_class[:2]] == [1, 1]


def test_published_figures_pair_within_three_micrometres(tmp_path: Path) -> None:
    tile = sample("lizard", (10, 10, 2))

    def beside(by: int) -> Change:
        return lambda s: (np.roll(s.instances, by, 1), np.roll(s.classes, by, 1))

    for by, ours, theirs in ((6, 1, 1), (7, 1, 0), (12, 1, 0), (13, 0, 0)):
        (s,) = measured(tmp_path / "pack.npz", tile, change=beside(by)).sources
        assert (s.scores.detection_f1, s.published.detection_f1) == (ours, theirs)


def test_views_are_asked_for(pack: Path) -> None:
    judge = Oracle(ALL)
    assert measure_judge(judge, pack, views=True).views
    assert judge.asked == ["propose"] * 4
    assert not measure_judge(judge, pack).views
    assert judge.asked[4:] == ["segment"] * 4


def test_the_folder_receives_table_and_figures(pack: Path, tmp_path: Path) -> None:
    quality = measure_judge(Oracle(ALL), pack, tmp_path / "new" / "out")
    text = (tmp_path / "new" / "out" / "judge.md").read_text("utf-8")
    assert text.startswith("# fake judge (0), one view\n")
    assert quality.table() in text
    figures = json.loads((tmp_path / "new" / "out" / "figures.json").read_text("utf-8"))
    assert figures == quality.to_dict()
    assert figures["tables"]["classes lizard"]["connective"]["nuclei"] == 2


def test_errors_come_before_any_work(pack: Path, tmp_path: Path) -> None:
    judge = Oracle(ALL)
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="another place"):
        measure_judge(judge, pack, tmp_path / "taken" / "out")
    bare = write(tmp_path / "bare.npz", ALL[-1])
    with pytest.raises(TrainingError, match="annotated nuclei"):
        measure_judge(judge, bare)
    with pytest.raises(TrainingError, match="histodiff pack"):
        measure_judge(judge, tmp_path / "none.npz")
    assert judge.asked == []


def test_a_full_disk_is_told(pack: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "figures.json").mkdir(parents=True)
    with pytest.raises(StorageError, match="expected a folder to write into"):
        measure_judge(Oracle(ALL), pack, tmp_path / "out")


def test_the_command_hands_on_and_prints_the_table(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[tuple[object, ...]] = []
    judge = Oracle(ALL)
    monkeypatch.setattr(
        "napari_histodiff.segmenter.model.Judge.load", lambda *given: loads.append(given) or judge
    )
    given = ["--judge", "mine", "--device", "cpu", "--views", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["evaluate-judge", str(pack), *given])
    assert result.exit_code == 0, result.output
    assert loads == [(Path("mine"), "cpu")]
    assert judge.asked == ["propose"] * 4
    assert "**Nuclei named, consep**" in result.stdout
    assert (tmp_path / "out" / "judge.md").is_file()


def test_the_command_needs_no_folder(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        "napari_histodiff.segmenter.model.Judge.load",
        lambda *given: loads.append(given) or Oracle(ALL),
    )
    before = sorted(pack.parent.iterdir())
    result = CliRunner().invoke(main, ["evaluate-judge", str(pack)])
    assert result.exit_code == 0, result.output
    assert loads == [(None, "auto")]
    assert sorted(pack.parent.iterdir()) == before
