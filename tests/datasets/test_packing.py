from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread, imsave

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.packing import LAYERS, Pack, class_counts, load_pack, pack
from napari_histodiff.datasets.sources import read_all
from napari_histodiff.datasets.tissue_labels import label_sample
from napari_histodiff.diffusion.training.crops import CropSampler, MixedSampler, collect_stains
from napari_histodiff.inpainting.stains import stain_vector
from tests.data_folder import write_data_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def packed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return load_pack(pack(data, tmp_path_factory.mktemp("packed") / "train.npz"))


def _layer(packed: Pack, source: str, name: str) -> np.ndarray:
    i = next(i for i, item in enumerate(packed.items) if item.source == source)
    return packed.layers[i][..., LAYERS.index(name)]


def test_splits_do_not_mix(data: Path, packed: Pack, tmp_path: Path) -> None:
    test = load_pack(pack(data, tmp_path / "test.npz", split="test"))
    assert {item.name for item in packed.items} == {"train_1"}
    assert {item.name for item in test.items} == {"test_1"}


def test_forty_times_sets_are_halved_and_the_rest_is_not(packed: Pack) -> None:
    sizes = {item.source: p.shape[0] for item, p in zip(packed.items, packed.pixels, strict=True)}
    assert sizes == {"lizard": 200, "consep": 200, "monuseg": 200, "tcga_lgg36": 200, "glas": 248}


def test_inflammatory_nuclei_of_consep_are_of_unknown_class(packed: Pack) -> None:
    assert 3 not in _layer(packed, "consep", "class")
    assert 3 in _layer(packed, "lizard", "class")
    unknown = (_layer(packed, "consep", "union") > 0) & (_layer(packed, "consep", "class") == 0)
    assert unknown.any()


def test_organs_come_from_the_index_files(packed: Pack) -> None:
    organs = {item.source: item.organ for item in packed.items}
    assert organs["monuseg"] == "kidney"
    assert organs["tcga_lgg36"] == "brain"


def test_counts_leave_out_what_is_not_valid_or_not_classed(packed: Pack) -> None:
    lizard = next(i for i, item in enumerate(packed.items) if item.source == "lizard")
    valid = packed.layers[lizard][..., LAYERS.index("valid")] > 0
    ids = np.unique(packed.instances[lizard][valid])
    consep = np.unique(_layer(packed, "consep", "class"))
    assert 3 not in consep
    assert class_counts(packed)["lymphocyte"] == sum(1 for i in ids if i and 1 + i % 6 == 3)


def test_crops_stay_inside_valid_areas(packed: Pack) -> None:
    sampler = CropSampler(packed, seed=0)
    for _ in range(50):
        crop = sampler.draw(64)
        assert crop.pixels.shape == (64, 64, 3)
        assert crop.layers[..., LAYERS.index("valid")].mean() > 0.8


def test_the_detail_of_a_changed_crop_is_what_its_stain_says(packed: Pack) -> None:
    rng = np.random.default_rng(0)
    pixels = [
        (np.array([150, 80, 160]) + rng.integers(-30, 31, (*p.shape[:2], 1))).astype(np.uint8)
        for p in packed.pixels
    ]
    layers = [np.ones_like(planes) for planes in packed.layers]
    noisy = replace(packed, pixels=pixels, layers=layers)
    crops = [CropSampler(noisy, seed=s, rare=0.0, scales={1: 1.0}).draw(96) for s in range(40)]
    # All of an image is alike, so that a crop tells what its surroundings do.
    told = np.array([crop.stain[7] for crop in crops if crop.stain])
    seen = np.array([(stain_vector(crop.pixels) or ())[7] for crop in crops])
    np.testing.assert_allclose(told, seen, atol=0.1)
    usual = np.abs(told - np.median(told)) < 0.02
    assert 0.2 < usual.mean() < 0.8  # about half of the crops are as they were scanned
    assert np.ptp(told) > 0.3


def test_scarce_tissue_is_drawn_more_often_than_it_occurs(packed: Pack) -> None:
    mucus, tissue = TISSUE_NAMES.index("mucus"), LAYERS.index("tissue")
    layers = [np.ones_like(planes) for planes in packed.layers]
    layers[0][:24, :24, tissue] = mucus
    held = replace(packed, layers=layers)

    def share(scarce: float) -> float:
        sampler = CropSampler(held, 0, rare=0.0, scarce=scarce, scales={1: 1.0})
        seen = [(sampler.draw(32).layers[..., tissue] == mucus).any() for _ in range(80)]
        return float(np.mean(seen))

    assert share(0.0) < 0.15
    assert share(0.5) > 0.3


def test_coarse_crops_name_their_scale(packed: Pack) -> None:
    sampler = CropSampler(packed, seed=0, scales={2: 1.0})
    assert {sampler.draw(64).mpp for _ in range(20)} <= {1.0, 1.1}


def test_a_scale_without_large_enough_valid_areas_is_passed_over(packed: Pack) -> None:
    striped = [layers.copy() for layers in packed.layers]
    for layers in striped:
        layers[80:, :, LAYERS.index("valid")] = 0
        layers[:80, :, LAYERS.index("valid")] = 1
    narrow = replace(packed, layers=striped)
    sampler = CropSampler(narrow, seed=0, rare=0.0, scales={2: 1.0})
    assert {sampler.draw(64).mpp for _ in range(10)} <= {0.5, 0.55}


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text(json.dumps({}))
    with pytest.raises(TrainingError, match="expected images"):
        pack(tmp_path, tmp_path / "out.npz")


def test_a_missing_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="histodiff pack"):
        load_pack(tmp_path / "none.npz")


@pytest.mark.data
def test_the_real_splits_share_no_item_and_no_patient(data_root: Path) -> None:
    splits = json.loads((data_root / "splits.json").read_text())
    for source, by_split in splits.items():
        train, test = set(by_split["train"]), set(by_split.get("test", []))
        assert not train & test, source
    brains = splits["tcga_lgg36"]["test"]
    assert {name[:12] for name in brains} == {"TCGA-FG-A4MU"}
    assert not any("A4MU" in name for by in splits.values() for name in by["train"])


def test_inflammatory_nuclei_are_marked_as_one_of_four(data: Path, packed: Pack) -> None:
    marked = {item.source for item in packed.items if item.unknown_is_inflammatory}
    assert marked == {"consep"}


def test_other_nuclei_of_consep_are_not_called_inflammatory(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "consep", tmp_path / "consep")
    (tmp_path / "splits.json").write_text(json.dumps({"consep": {"train": ["train_1"]}}))
    data = tmp_path
    own = data / "consep" / "type_orig" / "train_1.png"
    instances = imread(data / "consep" / "inst" / "train_1.png")
    kinds = imread(own)
    kinds[instances == 5] = 1
    imsave(own, kinds, check_contrast=False)
    (item,) = load_pack(pack(data, tmp_path / "train.npz")).items
    assert item.other_nuclei == (5,)


def test_sets_outside_the_splits_are_trained_on_without_labels(tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text(json.dumps({}))
    folder = tmp_path / "camelyon_tiles"
    for part in ("img", "tumour_mask"):
        (folder / part).mkdir(parents=True)
    for name, tumour in (("1", 255), ("2", 0)):
        pixels = np.full((32, 32, 3), 180, np.uint8)
        imsave(folder / "img" / f"{name}.jpg", pixels, check_contrast=False)
        mask = np.full((32, 32), tumour, np.uint8)
        imsave(folder / "tumour_mask" / f"{name}.png", mask, check_contrast=False)
    loose = load_pack(pack(tmp_path, tmp_path / "train.npz")).items
    assert [item.caption for item in loose] == ["tumour", ""]
    assert {item.organ for item in loose} == {"lymph node"}
    assert not any(item.has_nuclei or item.has_classes for item in loose)
    assert list(read_all(tmp_path, "test")) == []


def test_the_atlas_is_split_by_case_and_its_scales_are_sources(tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text(json.dumps({}))
    rows = ["file,case,slide,mpp_estimate,size"]
    for case in ("metaplasia", "giardia"):
        for scale, mpp in (("fine", 0.25), ("half", 0.5), ("wide1", 1.0), ("overview", 16.0)):
            path = tmp_path / "atlas" / scale / f"{case}_HE.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            imsave(path, np.full((32, 32, 3), 180, np.uint8), check_contrast=False)
            rows.append(f"{scale}/{path.name},{case},HE,{mpp},32")
    (tmp_path / "atlas" / "index.csv").write_text("\n".join(rows))
    train = [sample.item for sample in read_all(tmp_path, "train")]
    assert [(item.source, item.mpp) for item in train] == [("atlas", 0.5), ("atlas_wide1", 1.0)]
    assert {(item.slide, item.organ) for item in train} == {("metaplasia", "stomach")}
    assert {sample.item.slide for sample in read_all(tmp_path, "test")} == {"giardia"}
    assert [sample.item.mpp for sample in read_all(tmp_path, "train", fine=True)] == [0.25]


def test_monusac_is_split_by_patient_and_macrophages_are_of_no_class(tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text(json.dumps({}))
    folder = tmp_path / "monusac"
    for part in ("images", "inst", "type"):
        (folder / part).mkdir(parents=True)
    for name in ("TCGA-2Z-A9JG_1", "TCGA-DW-7838_1"):
        pixels = np.full((32, 32, 3), 180, np.uint8)
        labels = np.zeros((32, 32), np.uint8)
        labels[:8], labels[16:24] = 1, 9
        imsave(folder / "images" / f"{name}.jpg", pixels, check_contrast=False)
        for part in ("inst", "type"):
            imsave(folder / part / f"{name}.png", labels, check_contrast=False)
    rows = ["name,patient", "TCGA-2Z-A9JG_1,TCGA-2Z-A9JG", "TCGA-DW-7838_1,TCGA-DW-7838"]
    (folder / "index.csv").write_text("\n".join(rows))
    (train,), (test,) = (list(read_all(tmp_path, split)) for split in ("train", "test"))
    assert (train.item.slide, test.item.slide) == ("TCGA-2Z-A9JG", "TCGA-DW-7838")
    assert train.item.has_classes
    assert set(np.unique(train.classes)) == {0, 1}
    assert set(np.unique(train.instances)) == {0, 1, 9}


def test_what_is_packed_can_be_changed_and_what_was_labelled_is_told(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "napari_histodiff"):
        whole = load_pack(pack(data, tmp_path / "labelled.npz", change=label_sample))
    told = f"images whose tissue was labelled by rules and a network: {len(whole.items)}"
    assert caplog.messages == [told]
    assert all(item.has_tissue for item in whole.items)
    assert all(layers[..., LAYERS.index("tissue")].any() for layers in whole.layers)


def test_soft_nuclei_count_for_nothing_but_painting(packed: Pack) -> None:
    items = [replace(item, soft=item.source != "consep") for item in packed.items]
    soft = replace(packed, items=items)
    assert {entry.organ for entry in collect_stains(soft)} == {"colon"}
    crops = [CropSampler(soft, seed=0, rare=1.0).draw(64) for _ in range(4)]
    assert not any(crop.soft for crop in crops)


def test_a_crop_of_glass_has_no_nuclei_for_certain(packed: Pack) -> None:
    glass = TISSUE_NAMES.index("glass")
    layers = [np.zeros_like(planes) for planes in packed.layers]
    for planes in layers:
        planes[..., LAYERS.index("tissue")], planes[..., LAYERS.index("valid")] = glass, 1
    items = [replace(item, has_nuclei=False, soft=True) for item in packed.items]
    crop = CropSampler(replace(packed, items=items, layers=layers), seed=0).draw(64)
    assert crop.has_nuclei
    assert not crop.soft


def test_files_of_earlier_versions_load(data: Path, packed: Pack, tmp_path: Path) -> None:
    path = pack(data, tmp_path / "new.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    index = json.loads(str(arrays["index"]))
    later = {"slide", "nuclei", "unknown_is_inflammatory", "other_nuclei"}
    arrays["index"] = np.array(
        json.dumps([{k: v for k, v in e.items() if k not in later} for e in index])
    )
    np.savez_compressed(tmp_path / "old.npz", **arrays)
    old = load_pack(tmp_path / "old.npz")
    assert class_counts(old) == class_counts(packed)
    assert not any(item.unknown_is_inflammatory for item in old.items)


def test_what_was_scanned_at_40x_can_be_packed_at_that_scale(data: Path, tmp_path: Path) -> None:
    fine = load_pack(pack(data, tmp_path / "fine.npz", fine=True))
    assert {item.source: item.mpp for item in fine.items} == {
        "consep": 0.275,
        "monuseg": 0.25,
        "tcga_lgg36": 0.25,
    }
    assert {pixels.shape for pixels in fine.pixels} == {(400, 400, 3)}
    assert 3 not in _layer(fine, "consep", "class")


def test_fine_crops_come_now_and_then(data: Path, packed: Pack, tmp_path: Path) -> None:
    fine = load_pack(pack(data, tmp_path / "fine.npz", fine=True))
    usual, finer = (CropSampler(p, 0, scales={1: 1.0}) for p in (packed, fine))
    sampler = MixedSampler(usual, finer, 0, share=0.3)
    mpps = [sampler.draw(64).mpp for _ in range(100)]
    assert 10 < sum(mpp < 0.4 for mpp in mpps) < 60


def test_nothing_is_reduced_beyond_the_coarsest_scale(packed: Pack) -> None:
    items = [replace(item, mpp=4.0) for item in packed.items]
    sampler = CropSampler(replace(packed, items=items), seed=0, scales={2: 1.0})
    assert {sampler.draw(64).mpp for _ in range(10)} == {4.0}


def test_sections_at_low_power_are_packed_and_thumbnails_are_not(
    data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    folder = tmp_path / "data" / "overview"
    (folder / "images").mkdir(parents=True)
    rows = ["core,breast core biopsy,4.0", "thumbnail,breast,40.0"]
    (folder / "index.csv").write_text("\n".join(["name,organ,um_per_px_estimate", *rows]))
    for name in ("core", "thumbnail"):
        imsave(
            folder / "images" / f"{name}.png", np.zeros((90, 80, 3), np.uint8), check_contrast=False
        )
    whole = load_pack(pack(tmp_path / "data", tmp_path / "out.npz"))
    found = [item for item in whole.items if item.source == "overview"]
    assert [(item.name, item.mpp, item.organ) for item in found] == [("core", 4.0, "breast")]
