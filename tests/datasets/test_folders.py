from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.files import ReadReport
from napari_histodiff.datasets.folders import detect_format, read_folder
from napari_histodiff.datasets.sources import Sample
from tests.datasets.formats import (
    Maps,
    drawing,
    save,
    write_conic,
    write_lizard,
    write_plain,
)


def _same(sample: Sample, maps: Maps) -> bool:
    found = (sample.pixels, sample.instances, sample.classes)
    return all(np.array_equal(a, b) for a, b in zip(found, maps, strict=True))


def test_lizard_classes_follow_the_list_of_ids_not_its_order(tmp_path: Path) -> None:
    maps = write_lizard(tmp_path)
    assert detect_format(tmp_path) == "lizard"
    report = ReadReport()
    (sample,) = read_folder(tmp_path, mpp=0.5, report=report)
    assert _same(sample, maps)
    assert (report.nuclei["neutrophil"], report.nuclei["lymphocyte"]) == (1, 1)
    assert sample.item.mpp == 0.5
    assert sample.item.has_nuclei
    assert sample.item.has_classes


def test_lizard_nuclei_that_no_list_names_are_of_unknown_class(tmp_path: Path) -> None:
    _, instances, _ = write_lizard(tmp_path)
    content = {"inst_map": instances, "id": [[3], [9]], "class": [[1], [6]]}
    savemat(tmp_path / "Labels" / "dpath_1.mat", content)
    report = ReadReport()
    (sample,) = read_folder(tmp_path, mpp=0.5, report=report)
    assert set(sample.classes[sample.instances == 7]) == {0}
    assert report.nuclei["unknown"] == 1
    assert "nuclei without a class in their .mat: 1" in str(report)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"type_map": np.ones((64, 64))}, "expected inst_map"),
        ({"inst_map": np.ones((64, 64)), "id": [[1]], "class": [[7]]}, "class from 1 to 6"),
        ({"inst_map": np.ones((64, 64)), "id": [[1], [2]], "class": [[1]]}, "each of 2 ids"),
        ({"inst_map": np.full((64, 64), 0.5), "id": [[1]], "class": [[1]]}, "whole numbers"),
        ({"inst_map": np.ones((8, 8)), "id": [[1]], "class": [[1]]}, "like the image dpath_1"),
    ],
)
def test_damaged_mat_files_are_refused(
    tmp_path: Path, content: dict[str, object], match: str
) -> None:
    write_lizard(tmp_path)
    savemat(tmp_path / "Labels" / "dpath_1.mat", content)
    with pytest.raises(TrainingError, match=match):
        list(read_folder(tmp_path, mpp=0.5))


def test_conic_patches_keep_pixels_ids_and_classes(tmp_path: Path) -> None:
    patches = write_conic(tmp_path)
    assert detect_format(tmp_path) == "conic"
    report = ReadReport()
    samples = list(read_folder(tmp_path, mpp=0.5, report=report))
    assert all(_same(s, m) for s, m in zip(samples, patches, strict=True))
    assert report.nuclei["connective"] == len(patches)


def test_conic_patches_of_one_lizard_image_share_a_slide(tmp_path: Path) -> None:
    write_conic(tmp_path)
    rows = ["patch_info", "consep_1-0000", "consep_1-0001", "glas_2-0000", "glas_2-0001"]
    (tmp_path / "patch_info.csv").write_text("\n".join(rows) + "\n")
    samples = list(read_folder(tmp_path, mpp=0.5))
    assert [s.item.slide for s in samples] == ["consep_1", "consep_1", "glas_2", "glas_2"]
    (tmp_path / "patch_info.csv").write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(TrainingError, match="expected 4 rows"):
        read_folder(tmp_path, mpp=0.5)


def test_conic_arrays_of_another_kind_are_refused(tmp_path: Path) -> None:
    write_conic(tmp_path)
    labels = np.load(tmp_path / "labels.npy")
    np.save(tmp_path / "labels.npy", labels[:2])
    with pytest.raises(TrainingError, match=r"expected labels.npy of shape \(4, 64, 64, 2\)"):
        read_folder(tmp_path, mpp=0.5)
    labels[1, 0, 0, 1] = 7
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(TrainingError, match=r"ids 0-6.*patch 1 of labels\.npy"):
        list(read_folder(tmp_path, mpp=0.5))
    np.save(tmp_path / "images.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(TrainingError, match=r"plain \.npy array"):
        read_folder(tmp_path, mpp=0.5)


def test_a_plain_folder_takes_png_tiff_and_npy(tmp_path: Path) -> None:
    maps = write_plain(tmp_path)
    save(tmp_path / "tissue" / "a.png", np.full((64, 64), 2, np.uint8))
    assert detect_format(tmp_path) == "folder"
    (sample,) = read_folder(tmp_path, mpp=0.5, organ="colon")
    assert _same(sample, maps)
    assert sample.item.has_tissue
    assert set(sample.tissue.ravel()) == {2}
    assert sample.item.organ == "colon"


def test_images_without_labels_say_so(tmp_path: Path) -> None:
    write_plain(tmp_path)
    save(tmp_path / "images" / "b.png", drawing()[0])
    report = ReadReport()
    labelled, bare = read_folder(tmp_path, mpp=0.5, report=report)
    assert labelled.item.has_nuclei
    assert not bare.item.has_nuclei
    assert not bare.item.has_classes
    assert (report.images, report.unlabelled) == (2, 1)


def test_classes_alone_make_one_nucleus_of_each_patch(tmp_path: Path) -> None:
    _, _, classes = write_plain(tmp_path)
    (tmp_path / "instances" / "a.tif").unlink()
    report = ReadReport()
    (sample,) = read_folder(tmp_path, mpp=0.5, report=report)
    assert len(np.unique(sample.instances)) == 4
    assert np.array_equal(sample.classes, classes)
    assert "touching nuclei" in str(report)


def test_a_nucleus_of_two_classes_gets_that_of_most_of_its_pixels(tmp_path: Path) -> None:
    pixels, instances, classes = drawing()
    dented = classes.copy()
    dented[4:6, 4:6] = 5
    write_plain(tmp_path, maps=(pixels, instances, dented))
    report = ReadReport()
    (sample,) = read_folder(tmp_path, mpp=0.5, report=report)
    assert np.array_equal(sample.classes, classes)
    assert report.nuclei["eosinophil"] == 0
    assert "nuclei of several classes" in str(report)


def test_pixel_sizes_come_from_the_files_unless_told(tmp_path: Path) -> None:
    pixels = drawing()[0]
    (tmp_path / "images").mkdir()
    for name, mpp in (("a", 0.5), ("b", 0.25), ("c", 84.7)):  # the last prints at 300 dpi
        tifffile.imwrite(
            tmp_path / "images" / f"{name}.tif",
            pixels,
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
        )
    report = ReadReport()
    samples = list(read_folder(tmp_path, report=report))
    assert [s.item.mpp for s in samples] == [0.5, 0.5, 0.5]
    assert [s.pixels.shape[0] for s in samples] == [64, 32, 64]
    assert "images of 0.25 um per pixel, as their files state: 1" in str(report)
    assert "images that state no pixel size, taken as 0.5 um per pixel: 1" in str(report)
    report = ReadReport()
    told = list(read_folder(tmp_path, mpp=0.5, report=report))
    assert [s.pixels.shape[0] for s in told] == [64, 64, 64]
    assert "images whose files state 0.25 um per pixel, read at 0.5 as told: 1" in str(report)


def test_a_picture_on_its_side_meets_its_upright_map(tmp_path: Path) -> None:
    pixels, instances, classes = drawing()
    wide = pixels[:, :48]
    write_plain(tmp_path, maps=(wide, instances[:, :48], classes[:, :48]))
    (tmp_path / "images" / "a.png").unlink()
    lying = np.rot90(wide)  # to be turned back by a quarter: orientation 6
    orientation = (274, "H", 1, 6, True)
    tifffile.imwrite(
        tmp_path / "images" / "a.tif", lying, photometric="rgb", extratags=[orientation]
    )
    (sample,) = read_folder(tmp_path, mpp=0.5)
    assert np.array_equal(sample.pixels, wide)


def test_lossy_maps_are_refused(tmp_path: Path) -> None:
    _, _, classes = write_plain(tmp_path)
    (tmp_path / "classes" / "a.npy").unlink()
    save(tmp_path / "classes" / "a.jpg", classes)
    with pytest.raises(TrainingError, match="lossless format, got JPEG"):
        list(read_folder(tmp_path, mpp=0.5))


def test_captions_name_organs_and_report_unknown_words(tmp_path: Path) -> None:
    for name in "ab":
        write_plain(tmp_path, name)
    (tmp_path / "captions.csv").write_text('name,caption,slide\na.png,"kidney, frobnicated",s1\n')
    report = ReadReport()
    first, second = read_folder(tmp_path, mpp=0.5, organ="colon", report=report)
    assert (first.item.caption, first.item.organ) == ("kidney, frobnicated", None)
    assert (first.item.slide, second.item.slide) == ("s1", "b")
    assert second.item.organ == "colon"
    assert "'frobnicated'" in str(report)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name,text\na,x\n", "columns name and caption"),
        ("name,caption\nz,colon\n", "got 'z'"),
        ("name,caption\na.png,colon\na,lung\n", "one row for a in .*, got two that differ"),
        ("name,caption,slide\na,colon,s1\na,colon,s2\n", "got two that differ; remove one"),
    ],
)
def test_captions_that_cannot_be_used_are_refused(tmp_path: Path, text: str, match: str) -> None:
    write_plain(tmp_path)
    (tmp_path / "captions.csv").write_text(text)
    with pytest.raises(TrainingError, match=match):
        read_folder(tmp_path, mpp=0.5)


def test_two_rows_of_an_image_that_say_the_same_are_one(tmp_path: Path) -> None:
    write_plain(tmp_path)
    (tmp_path / "captions.csv").write_text("name,caption,slide\na.png,colon,s1\na, colon,s1\n")
    (sample,) = read_folder(tmp_path, mpp=0.5)
    assert (sample.item.caption, sample.item.slide) == ("colon", "s1")


def test_a_label_without_image_is_refused(tmp_path: Path) -> None:
    write_plain(tmp_path)
    save(tmp_path / "instances" / "z.png", np.zeros((64, 64), np.uint8))
    with pytest.raises(TrainingError, match=r"none for z\.png"):
        read_folder(tmp_path, mpp=0.5)


def test_every_file_that_is_not_read_is_counted_by_kind(tmp_path: Path) -> None:
    write_plain(tmp_path)
    for name in (
        "masks/a.png",
        "masks/b.png",
        "labels/a.tif",
        "images/b.gif",
        "images/c.heic",
        "images/deep/er/d.png",
        "annotations/a.xml",
        "notes.txt",
        "LICENSE",
        ".DS_Store",
        "images/._a.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "captions.csv").write_text("name,caption\na,colon\n")
    report = ReadReport()
    assert len(list(read_folder(tmp_path, mpp=0.5, report=report))) == 1
    assert report.unread == {
        "masks/*.png": 2,
        "labels/*.tif": 1,
        "images/*.gif": 1,
        "images/*.heic": 1,
        "images/deep/er/*.png": 1,
        "annotations/*.xml": 1,
        "*.txt": 1,
        "LICENSE": 1,
    }
    assert "files that nothing was read from: masks/*.png 2, " in str(report)


@pytest.mark.parametrize("write", [write_lizard, write_conic, write_plain])
def test_files_that_are_read_are_not_called_unread(tmp_path: Path, write: object) -> None:
    write(tmp_path)  # type: ignore[operator]
    report = ReadReport()
    list(read_folder(tmp_path, mpp=0.5, report=report))
    assert not report.unread


def test_names_that_look_the_same_are_the_same(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "dünn") for form in ("NFC", "NFD"))
    pixels, instances, classes = drawing()
    save(tmp_path / "images" / f"{apart}.png", pixels)
    save(tmp_path / "instances" / f"{composed}.png", instances.astype(np.uint8))
    save(tmp_path / "classes" / f"{apart}.npy", classes)
    table = f"name,caption,slide\n{composed}.png,colon,{apart}\n"
    (tmp_path / "captions.csv").write_text(table, encoding="utf-8")
    (sample,) = read_folder(tmp_path, mpp=0.5)
    assert _same(sample, (pixels, instances, classes))
    assert (sample.item.name, sample.item.slide) == (composed, composed)
    save(tmp_path / "images" / f"{composed}.png", pixels)
    with pytest.raises(TrainingError, match=r"expected one file named dünn.*spelt"):
        read_folder(tmp_path, mpp=0.5)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write_plain(tmp_path)
    save(tmp_path / "images" / "a.tif", drawing()[0])
    with pytest.raises(TrainingError, match="expected one file named a"):
        read_folder(tmp_path, mpp=0.5)


@pytest.mark.parametrize(
    ("part", "array", "match"),
    [
        ("instances/a.tif", np.zeros((32, 64), np.int32), "instance map of shape"),
        ("classes/a.npy", np.full((64, 64), 9, np.uint8), "ids 0-6"),
        ("instances/a.tif", np.full((64, 64), -1, np.int32), "ids 0-"),
        ("images/a.png", np.zeros((64, 64), np.uint8), "gray"),
    ],
)
def test_maps_that_do_not_fit_are_refused(
    tmp_path: Path, part: str, array: np.ndarray, match: str
) -> None:
    write_plain(tmp_path)
    save(tmp_path / part, array)
    with pytest.raises(TrainingError, match=match):
        list(read_folder(tmp_path, mpp=0.5))


def test_pickled_and_damaged_files_are_refused(tmp_path: Path) -> None:
    write_plain(tmp_path)
    np.save(tmp_path / "classes" / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(TrainingError, match="unpickled"):
        list(read_folder(tmp_path, mpp=0.5))
    (tmp_path / "images" / "a.png").write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"a\.png, got something else"):
        list(read_folder(tmp_path, mpp=0.5))


def test_a_folder_without_images_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="got nothing"):
        read_folder(tmp_path, mpp=0.5)
    (tmp_path / "Labels").mkdir()
    savemat(tmp_path / "Labels" / "x.mat", {"inst_map": np.ones((4, 4))})
    with pytest.raises(TrainingError, match="expected images"):
        read_folder(tmp_path, mpp=0.5)
    with pytest.raises(TrainingError, match="check the path"):
        read_folder(tmp_path / "none", mpp=0.5)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"mpp": 250.0}, "micrometres per pixel"),
        ({"mpp": 0.5, "organ": "moon"}, "expected an organ"),
        ({"mpp": 0.5, "data_format": "coco"}, "got 'coco'"),
    ],
)
def test_arguments_out_of_range_are_refused(
    tmp_path: Path, arguments: dict[str, object], match: str
) -> None:
    write_plain(tmp_path)
    with pytest.raises(TrainingError, match=match):
        read_folder(tmp_path, **arguments)  # type: ignore[arg-type]


def test_forty_times_images_are_halved(tmp_path: Path) -> None:
    pixels, instances, classes = write_plain(tmp_path)
    (sample,) = read_folder(tmp_path, mpp=0.25)
    means = pixels.reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert sample.item.mpp == 0.5
    assert np.abs(sample.pixels - means).max() <= 0.5
    assert np.array_equal(sample.instances, instances[1::2, 1::2])
    assert np.array_equal(sample.classes, classes[1::2, 1::2])


@pytest.mark.parametrize("suffix", [".bmp", ".webp"])
def test_bitmaps_and_webp_are_read_like_other_pictures(tmp_path: Path, suffix: str) -> None:
    maps = write_plain(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(maps[0]).save(tmp_path / "images" / f"a{suffix}", **options)
    report = ReadReport()
    (sample,) = read_folder(tmp_path, mpp=0.5, report=report)
    assert _same(sample, maps)
    assert not report.unread
