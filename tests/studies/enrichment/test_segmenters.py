"""The seam of segmenters: ours and a double behind one contract, and what is refused at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.evaluation.tiles import study_tiles
from napari_histodiff.studies.enrichment.options import EnrichmentOptions
from napari_histodiff.studies.enrichment.segmenters import SEGMENTERS, base, load_segmenter
from napari_histodiff.studies.enrichment.segmenters.base import Segmenter
from napari_histodiff.studies.enrichment.segmenters.ours import OwnSegmenter
from napari_histodiff.studies.enrichment.study import run_enrichment
from tests.evaluation.doubles import Echo, write_pack
from tests.studies.enrichment.doubles import DarkSegmenter
from tests.studies.enrichment.segmenter_contract import SegmenterContract

OTHERS = [name for name in SEGMENTERS if name != "ours"]
TINY = EnrichmentOptions(
    mixes=("100_0", "0_100"), tiles=4, test_tiles=4, size=128, updates=3, batch=2, crop=48, draws=5
)


class TestOurs(SegmenterContract):
    @pytest.fixture(scope="class")
    @classmethod
    def segmenter(cls) -> Segmenter:
        return OwnSegmenter()


class TestDouble(SegmenterContract):
    @pytest.fixture(scope="class")
    @classmethod
    def segmenter(cls) -> Segmenter:
        return DarkSegmenter()


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("packs")
    return write_pack(folder / "train.npz", prefix="a-"), write_pack(folder / "test.npz", seed=1)


@pytest.fixture
def echo(packs: tuple[Path, Path]) -> Echo:
    return Echo(study_tiles(load_pack(packs[0]), TINY.tiles, TINY.size, "all"))


def test_a_segmenter_without_classes_has_figures_of_nuclei_alone(packs, echo, tmp_path) -> None:
    segmenter = DarkSegmenter()
    tables = run_enrichment(echo, *packs, tmp_path, TINY, segmenter)
    assert [table.key for table in tables] == ["mixes"]
    assert tables[0].get("100_0", "Dice") > 0.5  # it does find what is dark
    text = (tmp_path / "report.md").read_text("utf-8")
    assert segmenter.about.training in text
    assert "F1" not in text
    facts = json.loads((tmp_path / "figures.json").read_text("utf-8"))["facts"]
    assert facts["segmenter"] == {"name": "dark 1.0", "weights": "abc"}


def test_runs_are_kept_by_segmenter_and_weights(packs, echo, tmp_path) -> None:
    first, second = DarkSegmenter(), DarkSegmenter(weights="def")
    run_enrichment(echo, *packs, tmp_path, TINY, first)
    run_enrichment(echo, *packs, tmp_path, TINY, first)
    assert first.trained == len(TINY.mixes) * TINY.seeds
    run_enrichment(echo, *packs, tmp_path, TINY, second)
    assert second.trained == first.trained


def test_augmented_mixes_are_for_those_that_can(packs, echo, tmp_path) -> None:
    options = replace(TINY, mixes=("100_0", "100_0c", "100_100c"))
    with pytest.raises(InvalidRequest, match=r"dark 1.0, got 100_0c, 100_100c; leave c out"):
        run_enrichment(echo, *packs, tmp_path / "out", options, DarkSegmenter())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", OTHERS)
def test_others_need_weights_that_are_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=rf"weights for {name}, got none.*nothing is fetched"):
        load_segmenter(name)
    with pytest.raises(InvalidRequest, match="got nothing there"):
        load_segmenter(name, tmp_path / "cyto3")


def test_ours_takes_none_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    assert load_segmenter().about.name == "ours"
    with pytest.raises(InvalidRequest, match="trained from nothing"):
        load_segmenter("ours", tmp_path)
    with pytest.raises(InvalidRequest, match="expected a segmenter of ours, cellpose"):
        load_segmenter("hovernet", tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_a_package_that_is_not_installed_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Callable[[str], Path]
) -> None:
    def missing(module: str) -> object:
        raise ImportError(f"No module named {module!r}")

    path = weights(name)
    monkeypatch.setattr(base, "import_module", missing)
    with pytest.raises(InvalidRequest, match="or use our segmenter") as told:
        load_segmenter(name, path)
    packages = {
        "cellpose": "cellpose",
        "stardist": "tensorflow",
        "instanseg": "instanseg-torch seaborn edt",
    }
    assert f"install {packages[name]}" in str(told.value)


@pytest.fixture
def weights(tmp_path: Path) -> Callable[[str], Path]:
    """Files that look like weights of a segmenter from outside."""

    def write(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if name == "cellpose":
            (folder / "cyto").write_bytes(b"")
            return folder / "cyto"
        if name == "stardist":
            (folder / "config.json").write_text('{"n_dim": 2, "n_channel_in": 3}')
            (folder / "weights_best.h5").write_bytes(b"")
            return folder
        rows = {"dim_in": 3, "n_sigma": 2, "dim_out": 5, "dim_coords": 2}
        rows |= {"model_str": "InstanSeg_UNet", "layers": '"[8, 16]"'}
        text = "\n".join(f"{key},{value}" for key, value in rows.items())
        (folder / "experiment_log.csv").write_text(text)
        return folder

    return write


def test_folders_of_stardist_and_instanseg_are_looked_at_before_they_are_used(weights) -> None:
    stardist, instanseg = weights("stardist"), weights("instanseg")
    (stardist / "config.json").write_text('{"n_dim": 3, "n_channel_in": 1}')
    with pytest.raises(InvalidRequest, match="got 3 dimensions and 1 channels"):
        load_segmenter("stardist", stardist)
    (stardist / "config.json").write_text("[]")
    with pytest.raises(InvalidRequest, match=r"config.json and weights_best"):
        load_segmenter("stardist", stardist)
    log = instanseg / "experiment_log.csv"
    text = log.read_text()
    log.write_text(text.replace('"[8, 16]"', "\"__import__('os').abort()\""))  # read, never run
    with pytest.raises(InvalidRequest, match=r"experiment_log.csv of a training"):
        load_segmenter("instanseg", instanseg)
    log.write_text(text.replace("InstanSeg_UNet", "UNETR"))
    with pytest.raises(InvalidRequest, match="got UNETR for nuclei"):
        load_segmenter("instanseg", instanseg)


def test_the_command_refuses_before_work(packs, tmp_path) -> None:
    arguments = ["enrich", *map(str, packs), "-o", str(tmp_path / "out")]
    told = CliRunner().invoke(main, [*arguments, "--segmenter", "cellpose"])
    assert told.exit_code == 2
    assert "--segmenter-weights" in told.output
    assert not (tmp_path / "out").exists()
