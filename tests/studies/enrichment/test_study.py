"""Whole enrichment studies, tiny, with a model whose drawings are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import InvalidRequest, StorageError, TrainingError
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.evaluation.fidelity import TileScore
from napari_histodiff.evaluation.metrics.agreement import Interval
from napari_histodiff.evaluation.metrics.instances import PanopticQuality
from napari_histodiff.evaluation.tiles import study_tiles
from napari_histodiff.studies.enrichment.options import EnrichmentOptions
from napari_histodiff.studies.enrichment.report import enrichment_tables
from napari_histodiff.studies.enrichment.runs import MixRun
from napari_histodiff.studies.enrichment.segmenters import ours
from napari_histodiff.studies.enrichment.study import run_enrichment
from tests.evaluation.doubles import Echo, write_pack

TINY = EnrichmentOptions(
    mixes=("100_0", "0_100", "50_50c"),
    tiles=4,
    test_tiles=4,
    size=128,
    updates=12,
    batch=2,
    crop=48,
    seeds=2,
    widths=(8, 8),
    draws=10,
)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("packs")
    return write_pack(folder / "train.npz", prefix="a-"), write_pack(folder / "test.npz", seed=1)


@pytest.fixture
def echo(packs) -> Echo:
    return Echo(study_tiles(load_pack(packs[0]), TINY.tiles, TINY.size, "all"))


def test_a_model_that_gives_real_tissue_back_trains_as_real_tissue_does(
    packs, echo, tmp_path
) -> None:
    tables = {t.key: t for t in run_enrichment(echo, *packs, tmp_path, TINY)}
    rows = tables["mixes"].rows
    assert list(rows) == list(TINY.mixes)
    for column in ("Dice", "PQ", "count R2"):
        first, second = (tables["mixes"].get(mix, column) for mix in ("100_0", "0_100"))
        assert first == pytest.approx(second, nan_ok=True)
    assert tables["mixes"].get("0_100", "gain in PQ") == 0
    losses = [
        json.loads((tmp_path / "runs" / f"{mix}-1.json").read_text())["losses"]
        for mix in ("100_0", "0_100", "50_50c")
    ]
    assert losses[0] == losses[1] != losses[2]
    assert len(losses[0]) == TINY.updates
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<img") >= 2
    facts = json.loads((tmp_path / "figures.json").read_text("utf-8"))["facts"]
    assert facts["training nuclei"]["epithelial"] > 0


def test_a_study_that_was_stopped_goes_on(packs, echo, tmp_path, monkeypatch) -> None:
    first = run_enrichment(echo, *packs, tmp_path, TINY)
    drawn = echo.drawn
    (tmp_path / "runs" / "0_100-1.json").write_text("{")
    trained = []
    real = ours.train_segmenter

    def train(targets, options, seed, *, classical):
        trained.append(seed)
        return real(targets, options, seed, classical=classical)

    monkeypatch.setattr(ours, "train_segmenter", train)
    again = run_enrichment(echo, *packs, tmp_path, TINY)
    assert trained == [1]
    assert echo.drawn == drawn
    assert [t.to_dict() for t in again] == [t.to_dict() for t in first]
    run_enrichment(echo, *packs, tmp_path, replace(TINY, updates=11, mixes=("100_0",)))
    assert trained == [1, 0, 1]


def test_patients_on_both_sides_and_unknown_sources_are_refused(packs, echo, tmp_path) -> None:
    with pytest.raises(InvalidRequest, match="in both; split by patient"):
        run_enrichment(echo, packs[0], packs[0], tmp_path / "out", TINY)
    with pytest.raises(TrainingError, match="expected images of nothing"):
        run_enrichment(echo, *packs, tmp_path / "out", replace(TINY, sources=("nothing",)))
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        run_enrichment(echo, *packs, tmp_path / "file" / "out", TINY)


def run_of(mix: str, hits: float) -> MixRun:
    """Four tiles with 100 epithelial nuclei and three eosinophils in all."""
    scores = []
    for i in range(4):
        support = np.array([0, 25, 0, 0, 3 if i == 0 else 0, 0], float)
        found = np.array([0, 20, 0, 0, hits if i == 0 else 0, 0], float)
        quality = PanopticQuality(0.5, 0.7, 0.7, 10, 4, 4, 7.0)
        scores.append(TileScore(0.7, 0.5, quality, found, 2 * support, support, (20.0, 18.0)))
    return MixRun(mix, 0, 4, 0, (1.0, 0.5), tuple(scores))


def test_a_class_of_three_nuclei_has_rows_of_its_own_and_an_honest_interval() -> None:
    runs = [run_of("100_0", 1), run_of("100_100", 3)]
    whole, classes, rare = enrichment_tables(runs, TINY, {"epithelial": 800, "eosinophil": 9})
    assert set(classes.columns) == {"F1 epithelial", "F1 eosinophil"}
    assert list(rare.rows) == ["eosinophil, 100_0", "eosinophil, 100_100"]
    assert rare.get("eosinophil, 100_100", "F1") == 1
    assert rare.get("eosinophil, 100_100", "gain over 100_0") == pytest.approx(2 / 3)
    assert rare.get("eosinophil, 100_0", "tested on") == 3
    assert rare.get("eosinophil, 100_0", "real, trained on") == 9
    same = whole.rows["100_0"][whole.columns.index("PQ")]
    assert isinstance(same, Interval)
    assert same.low == same.high == pytest.approx(same.value)
    assert math.isnan(whole.get("100_0", "gain in PQ"))
    common = enrichment_tables(runs, TINY, {"epithelial": 9, "eosinophil": 9})[2]
    assert list(common.rows) == list(rare.rows)  # still few among those tested on


def test_runs_are_kept_by_what_decided_them(tmp_path) -> None:
    path = tmp_path / "runs" / "a.json"
    run = run_of("100_0", 2)
    run.write(path, "d")
    again = MixRun.read(path, "d")
    assert again is not None
    assert again.losses == run.losses
    assert np.array_equal(again.scores[0].hits, run.scores[0].hits)
    assert MixRun.read(path, "other") is None
    path.write_text("[]")
    assert MixRun.read(path, "d") is None


def test_the_command_refuses_an_empty_mix_before_work(packs, tmp_path) -> None:
    arguments = ["enrich", *map(str, packs), "-o", str(tmp_path / "out")]
    told = CliRunner().invoke(main, [*arguments, "--mixes", "100_0,0_0"])
    assert told.exit_code == 2
    assert "not both 0" in told.output
    assert not (tmp_path / "out").exists()
