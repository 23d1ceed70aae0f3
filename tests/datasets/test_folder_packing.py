from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from skimage.io import imsave

from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import StorageError, TrainingError
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.datasets import annotated
from napari_histodiff.datasets.folders import pack_folder, pack_split, read_folder
from napari_histodiff.datasets.packing import (
    LAYERS,
    PackWriter,
    class_counts,
    held_out_slides,
    load_pack,
    slide_of,
)
from napari_histodiff.datasets.sources import Sample
from tests.data_folder import write_data_folder
from tests.datasets.formats import (
    drawing,
    feature,
    square,
    write_conic,
    write_geojson,
    write_lizard,
    write_plain,
)

_WRITERS: dict[str, Callable[[Path], object]] = {
    "conic": write_conic,
    "lizard": write_lizard,
    "folder": write_plain,
    "geojson": lambda folder: write_geojson(folder, [feature(square(4, 4, 9), name="Tumor")]),
}


@pytest.mark.parametrize("name", _WRITERS)
def test_every_format_packs_with_its_counts(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    _WRITERS[name](folder)
    done = pack_folder(folder, tmp_path / "out.npz", mpp=0.5, validation=0.0)
    counts = class_counts(load_pack(done.train))
    assert counts == {c: done.report.nuclei[c] for c in CLASS_NAMES}
    assert sum(counts.values()) > 0
    assert done.validation is None


def _write_slides(folder: Path, slides: int = 6, each: int = 3) -> None:
    rows = ["name,caption,slide"]
    for slide in range(slides):
        for i in range(each):
            write_plain(folder, f"t{slide}_{i}")
            rows.append(f"t{slide}_{i},colon,slide {slide}")
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")


def test_a_slide_is_never_in_both_files(tmp_path: Path) -> None:
    _write_slides(tmp_path / "data")
    done = pack_folder(tmp_path / "data", tmp_path / "out.npz", mpp=0.5, validation=0.3)
    assert done.validation is not None
    train, test = (load_pack(path).items for path in (done.train, done.validation))
    assert len(train) + len(test) == 18
    assert len({item.slide for item in test}) == 2
    assert not {item.slide for item in train} & {item.slide for item in test}


def test_splits_of_own_images_are_those_of_training(tmp_path: Path) -> None:
    data = tmp_path / "data"
    _write_slides(data)
    done = pack_folder(data, tmp_path / "out.npz", mpp=0.5)
    assert done.validation is not None
    for split, wanted in (("train", done.train), ("test", done.validation)):
        path = tmp_path / f"{split}.npz"
        run = CliRunner().invoke(main, ["pack", str(data), str(path), "--split", split])
        assert (run.exit_code, run.stdout) == (0, f"{path}\n"), run.output
        assert "images (0 without labels)" in run.stderr
        other = {"train": "test split: 3\n", "test": "train split: 15\n"}[split]
        assert f"images left out, which are the {other}" in run.stderr
        names = [[item.name for item in load_pack(file).items] for file in (path, wanted)]
        assert names[0] == names[1]


def test_packing_keeps_what_is_there(tmp_path: Path) -> None:
    own, data = tmp_path / "own", tmp_path / "data"
    _write_slides(own)
    data.mkdir()
    write_data_folder(data)
    for folder in (own, data):
        out = tmp_path / f"{folder.name}.npz"
        out.write_text("mine")
        run = CliRunner().invoke(main, ["pack", str(folder), str(out)])
        assert run.exit_code == 2
        said = f"got {out}, which exists; choose another name, or give --overwrite"
        assert said in run.stderr
        assert out.read_text() == "mine"
        run = CliRunner().invoke(main, ["pack", str(folder), str(out), "--overwrite"])
        assert run.exit_code == 0, run.output
        assert load_pack(out).items


def test_of_one_slide_nothing_is_kept_aside(tmp_path: Path) -> None:
    _write_slides(tmp_path / "data", slides=1)
    with pytest.raises(TrainingError, match=r"two slides or more .* pack the train split"):
        pack_split(tmp_path / "data", tmp_path / "test.npz", "test")
    assert pack_split(tmp_path / "data", tmp_path / "train.npz", "train", organ="lung").images == 3


def test_options_of_the_other_kind_of_folder_are_refused(tmp_path: Path) -> None:
    _write_slides(tmp_path / "data", slides=1)
    (tmp_path / "splits.json").write_text("{}")
    for folder, option in ((tmp_path / "data", ["--fine"]), (tmp_path, ["--mpp", "0.5"])):
        run = CliRunner().invoke(main, ["pack", str(folder), str(tmp_path / "a.npz"), *option])
        assert run.exit_code == 2
        assert "without splits.json" in run.stderr or "with splits.json" in run.stderr


def test_the_split_is_the_same_every_time(tmp_path: Path) -> None:
    _write_slides(tmp_path / "data", each=1)
    files = [pack_folder(tmp_path / "data", tmp_path / n, mpp=0.5) for n in ("a.npz", "b.npz")]
    names = [[i.name for i in load_pack(f.validation or f.train).items] for f in files]
    assert names[0] == names[1]
    assert len(names[0]) == 1


def test_a_stale_validation_file_does_not_stay(tmp_path: Path) -> None:
    _write_slides(tmp_path / "data", each=1)
    first = pack_folder(tmp_path / "data", tmp_path / "out.npz", mpp=0.5)
    assert first.validation is not None
    assert pack_folder(
        tmp_path / "data", tmp_path / "out.npz", mpp=0.5, validation=0
    ).train.exists()
    assert not first.validation.exists()


def test_slides_are_held_out_but_never_all() -> None:
    names = [f"s{i}" for i in range(20)]
    assert len(held_out_slides(names, 0.1)) == 2
    assert held_out_slides(names, 0.1) == held_out_slides(reversed(names), 0.1)
    assert len(held_out_slides(names[:2], 0.5)) == len(held_out_slides(names[:3], 0.01)) == 1
    assert held_out_slides(["M\udcfcl", "Mul"], 0.5)  # names of files that are no UTF-8
    assert held_out_slides(names[:1], 0.5) == held_out_slides(names, 0) == frozenset()
    with pytest.raises(TrainingError, match="validation share"):
        held_out_slides(names, 0.9)


def test_barcodes_of_one_patient_are_one_slide() -> None:
    assert slide_of("TCGA-HT-8564-01Z-00-DX1") == slide_of("tcga-ht-8564-02A_3") == "TCGA-HT-8564"
    assert slide_of("train_3") == "train_3"


def test_large_images_are_cut_and_their_nuclei_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotated, "MOST_PIXELS", 24)
    pixels, _, _ = write_plain(tmp_path / "data")
    done = pack_folder(tmp_path / "data", tmp_path / "out.npz", mpp=0.5)
    packed = load_pack(done.train)
    assert len(packed.items) == done.report.tiles == 9
    assert done.report.images == 1
    assert class_counts(packed) == {
        c: int(c in {"neutrophil", "lymphocyte", "connective"}) for c in CLASS_NAMES
    }
    assert sum((p == 9).any() for p in packed.instances) > 1
    rows = [np.concatenate(packed.pixels[i : i + 3], 1) for i in (0, 3, 6)]
    assert np.array_equal(np.concatenate(rows), pixels)


def _sample(tmp_path: Path) -> Sample:
    write_plain(tmp_path / "one")
    return next(read_folder(tmp_path / "one", mpp=0.5))


def test_ids_above_16_bits_are_renumbered_not_wrapped(tmp_path: Path) -> None:
    sample = _sample(tmp_path)
    instances = np.where(sample.instances > 0, sample.instances * 65536, 0).astype(np.int32)
    with PackWriter(tmp_path / "out.npz") as writer:
        writer.add(replace(sample, instances=instances))
    packed = load_pack(tmp_path / "out.npz")
    assert set(np.unique(packed.instances[0])) == {0, 1, 2, 3}
    assert sum(class_counts(packed).values()) == 3


def test_more_nuclei_than_16_bits_are_refused(tmp_path: Path) -> None:
    sample = _sample(tmp_path)
    many = np.arange(1, 300 * 300 + 1, dtype=np.int32).reshape(300, 300)
    plane = np.ones((300, 300), np.uint8)
    crowded = replace(sample, instances=many, classes=plane, tissue=plane, valid=plane)
    with (
        pytest.raises(TrainingError, match="at most 65535 nuclei"),
        PackWriter(tmp_path / "out.npz") as writer,
    ):
        writer.add(crowded)
    assert list(tmp_path.glob("*.npz")) == []


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    write_plain(tmp_path / "data")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another place"):
        pack_folder(tmp_path / "data", tmp_path / "file" / "out.npz", mpp=0.5)


def test_a_full_disk_is_a_storage_error_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plain(tmp_path / "data")
    done = pack_folder(tmp_path / "data", tmp_path / "out.npz", mpp=0.5)
    before = done.train.read_bytes()

    def full(*args: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(StorageError, match="No space left"):
        pack_folder(tmp_path / "data", tmp_path / "out.npz", mpp=0.5)
    assert done.train.read_bytes() == before
    assert [path.name for path in tmp_path.glob("*.npz")] == ["out.npz"]


def test_a_damaged_image_leaves_no_half_file(tmp_path: Path) -> None:
    write_plain(tmp_path / "data")
    (tmp_path / "data" / "images" / "b.png").write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"b\.png"):
        pack_folder(tmp_path / "data", tmp_path / "out.npz", mpp=0.5)
    assert list(tmp_path.glob("*.npz")) == []


def test_conic_is_not_read_before_its_turn(tmp_path: Path) -> None:
    write_conic(tmp_path / "data", count=3)
    labels = np.load(tmp_path / "data" / "labels.npy")
    labels[2, 0, 0, 1] = 99
    np.save(tmp_path / "data" / "labels.npy", labels)
    samples = read_folder(tmp_path / "data", mpp=0.5)
    assert np.array_equal(next(samples).pixels, drawing()[0])
    next(samples)
    with pytest.raises(TrainingError, match="patch 2"):
        next(samples)


def test_glands_that_a_network_sees_are_labelled(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_plain(folder)
    gland = TISSUE_NAMES.index("gland")

    def tissue(likely: float) -> set[int]:
        done = pack_folder(
            folder,
            tmp_path / "out.npz",
            mpp=1.0,
            validation=0.0,
            opinion=lambda pixels, mpp: np.full(pixels.shape[:2], likely, np.float32),
        )
        layers = load_pack(done.train).layers[0]
        return set(np.unique(layers[..., LAYERS.index("tissue")]).tolist())

    assert gland in tissue(1.0)
    assert gland not in tissue(0.0)


def _unlabelled(folder: Path, number: int) -> None:
    (folder / "images").mkdir(parents=True)
    for i in range(number):
        pixels = np.full((64, 64, 3), 200 + i, np.uint8)
        imsave(folder / "images" / f"{i}.png", pixels, check_contrast=False)


def test_who_labelled_and_what_is_kept_aside_is_told(tmp_path: Path) -> None:
    _unlabelled(tmp_path / "data", 4)

    def opinion(pixels: np.ndarray, mpp: float) -> np.ndarray:
        return np.zeros(pixels.shape[:2], np.float32)

    out = tmp_path / "out.npz"
    by_rules = pack_folder(tmp_path / "data", out, mpp=1.0)
    by_both = pack_folder(tmp_path / "data", out, mpp=1.0, opinion=opinion)
    assert "images whose tissue was labelled by rules: 4" in str(by_rules.report)
    assert "images whose tissue was labelled by rules and a network: 4" in str(by_both.report)
    assert "images kept for validation: 1" in str(by_both.report)
    alone = pack_folder(tmp_path / "data", out, mpp=1.0, validation=0.0)
    assert "kept for validation" not in str(alone.report)


def test_nuclei_that_a_network_found_are_told(tmp_path: Path) -> None:
    _unlabelled(tmp_path / "data", 3)

    def found(sample: Sample) -> Sample:
        item = replace(sample.item, has_nuclei=True, soft=True)
        return replace(sample, item=item, tissue=sample.tissue + 1)

    report = pack_split(tmp_path / "data", tmp_path / "a.npz", "train", mpp=1.0, change=found)
    assert report.notes["images whose nuclei were found by a network"] == 2
    assert report.notes["images whose tissue was labelled by rules and a network"] == 2
    plain = pack_split(tmp_path / "data", tmp_path / "a.npz", "train", mpp=1.0)
    assert "network" not in str(plain)
