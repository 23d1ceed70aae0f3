from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_histodiff.core.errors import InvalidRequest, ModelNotFound, TrainingError
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.evaluation.checks import checks
from napari_histodiff.evaluation.consistency import seam_section
from napari_histodiff.evaluation.drawing import TileDrawer
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.report import Study
from napari_histodiff.evaluation.study import run_study
from napari_histodiff.evaluation.tiles import frames_of, study_tiles
from napari_histodiff.inpainting.stains import stain_vector
from tests.evaluation.doubles import TINY, Echo, FakeJudge, Grey, write_pack


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("packs") / "test.npz")


@pytest.fixture(scope="module")
def echo(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    packed = load_pack(data)
    tiles = study_tiles(packed, TINY.tiles, TINY.size, TINY.part)
    frames = frames_of(packed, TINY.frames, TINY.frame_size, TINY.part)
    train = write_pack(data.parent / "train.npz", seed=1)
    folder = tmp_path_factory.mktemp("echo")
    return run_study(Echo([*tiles, *frames]), FakeJudge(), data, folder, train=train, options=TINY)


@pytest.fixture(scope="module")
def grey(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run_study(Grey(), FakeJudge(), data, tmp_path_factory.mktemp("grey"), options=TINY)


def test_real_tissue_given_back_is_found_to_be_real(echo: Study) -> None:
    for row in ("Dice", "PQ", "F1 epithelial"):
        assert echo.table("fidelity").get(row, "drawn / real") == 1
    distances = echo.table("distances")
    assert distances.get("FD 32 px", "drawn") == pytest.approx(0, abs=1e-6)
    assert distances.get("FD 32 px", "drawn / real") < 0.01
    assert distances.get("FD 32 px", "real, half") > 0
    assert distances.get("FD 32 px", "shuffled, half") > 0
    assert distances.get("appearance FD 32 px", "drawn / real") < 0.01
    assert distances.get("appearance FD 32 px", "blurred, half") > 1
    assert echo.table("critic").get("drawn", "AUC") <= 0.55
    assert echo.table("captions").get("all classes", "kappa drawn") == 1
    assert echo.table("zoom").get("drawn", "mean") == echo.table("zoom").get("real tissue", "mean")
    assert echo.table("borders").get("inpainted", "colour") == pytest.approx(
        echo.table("borders").get("real tissue", "colour")
    )
    assert echo.table("memory").get("features", "ratio") == 1
    assert echo.table("memory").get("pixels", "ratio") == 1


def test_confusions_count_what_was_asked_for_and_what_was_found(echo: Study, grey: Study) -> None:
    levels = echo.table("captions_drawn")
    names = list(levels.rows)
    assert sum(levels.get(a, b) for a in names for b in names if a != b) == 0
    assert sum(levels.get(a, a) for a in names) > 0
    classes = echo.table("classes_drawn")
    assert classes.get("epithelial", "epithelial") > 0
    assert classes.get("epithelial", "plasma") == classes.get("epithelial", "not found") == 0
    lost = grey.table("classes_drawn")
    assert lost.get("epithelial", "not found") == sum(classes.rows["epithelial"])


def test_the_nearest_training_crops_are_shown_beside(echo: Study, grey: Study) -> None:
    with Image.open(echo.folder / "memory.png") as sheet:
        assert sheet.size[0] == 8 * (128 + 6)
    assert not (grey.folder / "memory.png").exists()
    assert "memory.png" in (echo.folder / "report.md").read_text("utf-8")


def test_grey_is_found_to_be_no_tissue(grey: Study) -> None:
    assert grey.table("fidelity").get("PQ", "drawn") == 0
    assert grey.table("fidelity").get("PQ", "real tissue") > 0.5
    assert grey.table("distances").get("FD 32 px", "drawn / real") > 10
    assert grey.table("critic").get("drawn", "AUC") > 0.95
    verdicts = {check.name: check.met for check in grey.checks}
    assert verdicts["Dice, drawn / real"] is False
    assert verdicts["critic AUC"] is False


def test_blur_and_shuffling_are_seen_and_mirroring_is_not(grey: Study) -> None:
    critic = grey.table("critic")
    assert critic.get("mirrored real", "AUC") < 0.6
    assert critic.get("blurred real", "AUC") > 0.9
    assert critic.get("shuffled real", "AUC") > critic.get("mirrored real", "AUC")


def test_the_summary_says_what_was_met_and_by_how_much_not(echo: Study, grey: Study) -> None:
    good = {check.name: check.verdict for check in echo.checks}
    assert good["PQ, drawn / real"] == "met"
    assert good["F1 connective, drawn / real"] == "met"
    bad = {check.name: check.verdict for check in grey.checks}
    assert bad["Dice, drawn / real"] == "short by 0.95"
    assert "short by 0.95" in grey.summary()
    assert str(grey.folder) in grey.summary()


def test_the_report_holds_every_section_and_needs_no_other_file(echo: Study) -> None:
    markdown = (echo.folder / "report.md").read_text(encoding="utf-8")
    page = (echo.folder / "report.html").read_text(encoding="utf-8")
    assert {section.key for section in echo.sections} == {
        *("fidelity", "captions", "distances", "critic", "guidance", "steps"),
        *("seams", "zoom", "borders", "memory", "rare"),
    }
    for section in echo.sections:
        assert f"## {section.title}" in markdown
        assert f"<h2>{section.title}</h2>" in page
    sheets = {"guidance.png", "steps.png", "editing.png", "frames.png", "rare.png"}
    sheets |= {"memory.png"}
    assert {path.name for path in echo.folder.glob("*.png")} == sheets
    assert page.count("data:image/jpeg;base64,") >= len(sheets)
    assert 'src="data:' in page
    assert "http" not in page


def test_figures_are_valid_json_with_the_settings(echo: Study) -> None:
    text = (echo.folder / "figures.json").read_text(encoding="utf-8")
    figures = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert figures["options"]["size"] == 128
    assert figures["sections"]["fidelity"]["fidelity"]["Dice"]["drawn / real"]["value"] == 1
    assert figures["checks"]["PQ, drawn / real"]["verdict"] == "met"
    assert sum(figures["tiles_by_source"].values()) == TINY.tiles


def test_what_was_drawn_is_not_drawn_again(data: Path, grey: Study) -> None:
    tiles = study_tiles(load_pack(data), TINY.tiles, TINY.size, TINY.part)
    backend = Grey()
    drawer = TileDrawer(backend, grey.folder / "drawn", TINY)
    for steps in (*TINY.steps, TINY.default_steps):
        drawer.tiles(tiles[: TINY.sweep_tiles], steps=steps)
    drawer.tiles(tiles)
    assert backend.drawn == 0
    drawer.tiles(tiles, guidance=3.5)
    assert backend.drawn == len(tiles)


def test_a_drawing_that_was_cut_short_or_of_another_model_is_drawn_again(
    data: Path, tmp_path: Path
) -> None:
    tiles = study_tiles(load_pack(data), TINY.tiles, TINY.size, TINY.part)
    TileDrawer(Grey(), tmp_path, TINY).tiles(tiles)
    next(tmp_path.glob("*.npz")).write_bytes(b"cut short")
    again, other = Grey(), Echo(tiles)
    TileDrawer(again, tmp_path, TINY).tiles(tiles)
    assert again.drawn == 1
    images = TileDrawer(other, tmp_path, TINY).tiles(tiles)
    assert other.drawn == len(tiles)
    np.testing.assert_array_equal(images[0], tiles[0].image)


def test_tiles_are_drawn_in_their_own_stain_unless_it_is_sampled(
    data: Path, tmp_path: Path
) -> None:
    tiles = study_tiles(load_pack(data), TINY.tiles, TINY.size, TINY.part)
    backend = Grey()
    TileDrawer(backend, tmp_path, TINY).generate(tiles[0])
    TileDrawer(backend, tmp_path, replace(TINY, stain="sampled")).generate(tiles[0])
    assert [r.stain for r in backend.requests] == [stain_vector(tiles[0].image), None]


def test_tissue_is_given_when_asked_for_and_packed(data: Path, tmp_path: Path) -> None:
    tile = study_tiles(load_pack(data), TINY.tiles, TINY.size, TINY.part)[0]
    tile = replace(tile, tissue_map=np.ones_like(tile.class_map))
    backend = Grey()
    for tissue in ("none", "given", "suggested"):
        TileDrawer(backend, tmp_path / tissue, replace(TINY, tissue=tissue)).generate(tile)
    assert [request.tissue_map is None for request in backend.requests] == [True, False, False]
    assert (backend.requests[2].tissue_map > 0).all()
    np.testing.assert_array_equal(backend.requests[2].class_map, tile.class_map)


def test_a_model_is_not_told_of_tissue_it_does_not_know(data: Path, tmp_path: Path) -> None:
    tile = study_tiles(load_pack(data), TINY.tiles, TINY.size, TINY.part)[0]
    tissue = np.ones_like(tile.class_map)
    tissue[:9] = 11
    backend = Grey()
    drawer = TileDrawer(backend, tmp_path, replace(TINY, tissue="given"))
    drawer.generate(replace(tile, tissue_map=tissue))
    np.testing.assert_array_equal(backend.requests[0].tissue_map, np.where(tissue == 11, 0, tissue))


def test_without_large_frames_seams_are_not_measured(tmp_path: Path) -> None:
    section = seam_section(TileDrawer(Grey(), tmp_path, TINY), [], TINY)
    verdicts = {check.name: check.verdict for check in checks([section], TINY)}
    assert set(verdicts.values()) == {"not measured"}
    assert "seam p" in verdicts


def test_nothing_is_drawn_when_the_study_cannot_be_carried_out(data: Path, tmp_path: Path) -> None:
    backend, output = Grey(), tmp_path / "out"
    with pytest.raises(TrainingError, match="smaller tiles"):
        run_study(
            backend, FakeJudge(), data, output, options=replace(TINY, size=640, frame_size=640)
        )
    with pytest.raises(TrainingError, match="packed file"):
        run_study(backend, FakeJudge(), data, output, train=tmp_path / "none", options=TINY)
    weights = replace(TINY, inception_weights=tmp_path / "none.pth")
    with pytest.raises(ModelNotFound, match="Inception"):
        run_study(backend, FakeJudge(), data, output, options=weights)
    assert backend.drawn == 0
    assert not output.exists()


def test_missing_packages_are_named_before_anything_is_drawn(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_histodiff.evaluation.study.find_spec", lambda name: None)
    backend = Grey()
    with pytest.raises(InvalidRequest, match=r"no sklearn and no torchmetrics; .*\[evaluate\]"):
        run_study(backend, FakeJudge(), data, tmp_path, options=TINY)
    assert backend.drawn == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"tiles": 0},
        {"size": 100},
        {"part": "best"},
        {"stain": "blue"},
        {"guidances": (0.5,)},
        {"steps": (4,)},
        {"frame_size": 64},
        {"draws": 0},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match=r"expected .*, got .*;"):
        StudyOptions(**wrong)  # type: ignore[arg-type]


def test_parts_share_no_pixel(data: Path) -> None:
    packed = load_pack(data)
    parts = {p: study_tiles(packed, 100, 128, p) for p in ("choice", "final", "all")}
    names = {part: {tile.name for tile in tiles} for part, tiles in parts.items()}
    assert names["choice"] | names["final"] == names["all"]
    assert not names["choice"] & names["final"]
    images = {p: {t.name.split(" ")[0] for t in parts[p] if t.source != "lizard"} for p in parts}
    assert images["choice"] == {"test_1", "TCGA-1"}
    assert images["final"] == {"test_2", "TCGA-2"}
    right = [int(t.name.split("x")[-1]) for t in parts["final"] if t.source == "lizard"]
    assert min(right) >= 150


def test_tiles_are_valid_nucleated_and_spread_over_sources(data: Path) -> None:
    tiles = study_tiles(load_pack(data), 6, 128, "all")
    assert {tile.source for tile in tiles} == {"consep", "monuseg", "lizard"}
    assert {tile.source for tile in tiles[:3]} == {"consep", "monuseg", "lizard"}
    assert all(tile.nuclei >= 4 for tile in tiles)
    # the mosaic has no square of 128 px without a hole
    assert {len(t.image) for t in tiles if t.source == "lizard"} == {64}
    assert {len(t.image) for t in tiles if t.source != "lizard"} == {128}
    unclassed = [tile for tile in tiles if tile.source == "monuseg"]
    assert all("epithelial" not in tile.caption for tile in unclassed)


def test_frames_are_filled_by_mirroring_off_the_lattice(data: Path) -> None:
    frame = frames_of(load_pack(data), 1, 512, "all")[0]
    assert frame.image.shape == (512, 512, 3)
    start = (512 - 300) // 3
    np.testing.assert_array_equal(frame.image[start - 1], frame.image[start])
    assert start % 256 != 0
