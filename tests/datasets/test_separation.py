"""No slide, and no patient where the names tell, is both trained on and tested on."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from napari_histodiff.datasets.packing import load_pack, pack, slide_of
from tests.data_folder import write_data_folder


def _origins(data: Path) -> dict[str, str]:
    """Lizard mosaics that show a region of another set, with that region as "set name"."""
    with (data / "lizard" / "mosaics.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    return {row["mosaic"]: row["same_region_as"] for row in rows if row.get("same_region_as")}


def _slides(data: Path, split: str) -> set[str]:
    """Slides of a split over all sets: a patient has one name in all, a tile its set's."""
    origins = _origins(data)
    found = set()
    for source, by_split in json.loads((data / "splits.json").read_text()).items():
        for name in by_split.get(split, ()):
            slide = slide_of(name)
            found.add(slide if slide.startswith("TCGA") else f"{source} {slide}")
            if source == "lizard" and name in origins:
                found.add(origins[name])
    return found


@pytest.mark.data
def test_no_slide_of_the_real_data_is_on_both_sides(data_root: Path) -> None:
    train, test = _slides(data_root, "train"), _slides(data_root, "test")
    assert {"TCGA-FG-A4MU", "consep test_1", "lizard dpath_66"} <= test
    assert {"consep train_16", "glas train_12", "TCGA-DB-5270"} <= train
    assert not train & test


@pytest.mark.data
def test_the_patients_of_the_index_are_those_of_the_names(data_root: Path) -> None:
    with (data_root / "monuseg" / "index.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert all(slide_of(row["name"]) == row["patient"] for row in rows)


@pytest.mark.data
def test_images_outside_the_splits_are_of_no_test_patient(data_root: Path) -> None:
    test = _slides(data_root, "test")
    loose = [p.name for s in ("camelyon_tiles/img", "wsi") for p in (data_root / s).glob("*")]
    patients = {slide_of(name) for name in loose if re.match("TCGA", name)}
    assert loose
    assert not patients & test


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_folder(tmp_path_factory.mktemp("data"))


def test_a_mosaic_of_a_test_region_would_be_found(data: Path, tmp_path: Path) -> None:
    (tmp_path / "lizard").mkdir()
    (tmp_path / "splits.json").write_text((data / "splits.json").read_text())
    rows = "mosaic,um_per_px,same_region_as\ntrain_1,0.5,consep test_1\n"
    (tmp_path / "lizard" / "mosaics.csv").write_text(rows)
    assert _slides(tmp_path, "train") & _slides(tmp_path, "test") == {"consep test_1"}


def test_packed_files_share_no_image_of_a_set(data: Path, tmp_path: Path) -> None:
    files = [load_pack(pack(data, tmp_path / f"{s}.npz", split=s)) for s in ("train", "test")]
    train, test = ({(i.source, slide_of(i.name)) for i in f.items} for f in files)
    assert train
    assert test
    assert not train & test
