"""The command line, in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from PIL import Image
from skimage.io import imread, imsave

from napari_histodiff.cli.main import main
from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES, encode_labels
from napari_histodiff.core.requests import EditKind, EditRequest
from tests.diffusion.tiny import save_tiny, tiny_pipeline


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tiny_pipeline(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def run(model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object) -> Result:
        command, *rest = map(str, arguments)
        drawing = command in {"generate", "inpaint", "info"}
        model = ["--model", str(model_folder), "--device", "cpu"] if drawing else []
        return CliRunner().invoke(main, [command, *model, *rest])

    return invoke


def class_map() -> np.ndarray:
    classes = np.zeros((24, 40), np.uint8)
    classes[5:12, 5:12] = 2
    return classes


def saved_request(path: Path) -> EditRequest:
    return EditRequest.from_dict(json.loads(path.read_text()))


def test_models_that_are_compared_draw_the_same(run, model_folder, tmp_path) -> None:
    np.save("classes.npy", class_map())
    arguments = ("generate", "--classes", "classes.npy", "--steps", 2, "-o", "out", "--seed", 4)
    result = run(*arguments, "--compare-with", model_folder)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        f"{Path('out') / f'generate-00{n}.png'} (tiny 1)" for n in (1, 2)
    ]
    pictures = [imread(tmp_path / "out" / f"generate-00{n}.png") for n in (1, 2)]
    np.testing.assert_array_equal(*pictures)
    missing = run(*arguments, "--compare-with", "nowhere")
    assert missing.exit_code == 2
    assert not list((tmp_path / "out").glob("generate-003*"))


def test_generate_writes_pictures_and_requests(run, tmp_path) -> None:
    np.save("classes.npy", class_map())
    arguments = ("generate", "--classes", "classes.npy", "--steps", 2, "--variants", 2, "-o", "out")
    result = run(*arguments, "--caption", "colon", "--seed", 4, "--guidance", 2)
    assert result.exit_code == 0, result.output
    pictures = [tmp_path / "out" / f"generate-00{n}.png" for n in (1, 2)]
    assert [imread(p).shape for p in pictures] == [(24, 40, 3)] * 2
    request = saved_request(tmp_path / "out" / "generate-001.json")
    assert (request.caption, request.seed, request.guidance_scale) == ("colon", 4, 2.0)
    np.testing.assert_array_equal(request.class_map, class_map())


def test_captions_of_single_tissues(run, tmp_path) -> None:
    tissue = np.ones((24, 40), np.uint8)
    np.save("tissue.npy", tissue)
    arguments = ("generate", "--tissue", "tissue.npy", "--steps", 2, "--caption", "colon")
    said = ("--caption-for", 'gland="high neutrophil"', "--caption-for", "fat=low plasma")
    result = run(*arguments, *said, "-o", "out")
    assert result.exit_code == 0, result.output
    request = saved_request(tmp_path / "out" / "generate-001.json")
    assert request.region_captions == (("gland", "high neutrophil"), ("fat", "low plasma"))
    for wrong, told in (("gland", "as gland="), ("bone=x", "captions by tissue")):
        result = run(*arguments, "--caption-for", wrong)
        assert result.exit_code == 2
        assert told in result.output


def test_tissue_of_an_edit_that_another_model_drew_is_read_by_its_names(run, tmp_path) -> None:
    names = ["unspecified", "cartilage", "lumen", "gland"]
    ids = np.repeat(np.arange(4, dtype=np.uint8), 10)[None].repeat(24, axis=0)
    imsave("other_tissue.png", ids, check_contrast=False)
    Path("other.json").write_text(json.dumps({"model": {"tissue_names": names}}))
    np.save("classes.npy", class_map())
    arguments = ("generate", "--tissue", "other_tissue.png", "--steps", 1, "--no-suggest")
    result = run(*arguments, "-o", "out")
    assert result.exit_code == 0, result.output
    assert "has no cartilage, which other_tissue.png holds" in result.stderr
    found = saved_request(tmp_path / "out" / "generate-001.json").tissue_map
    known = TISSUE_NAMES.index("lumen"), TISSUE_NAMES.index("gland")
    np.testing.assert_array_equal(found[0, ::10], [0, 0, *known])
    # Refused: ids beyond the names beside it, and maps of another size than the nuclei.
    imsave("other_tissue.png", ids + 1, check_contrast=False)
    result = run(*arguments, "-o", "out")
    assert result.exit_code == 2
    assert "ids 0-3, got uint8 with values 1 to 4" in result.output
    assert "other_tissue.png" in result.output
    np.save("small.npy", ids[:, :20])
    result = run("generate", "--classes", "classes.npy", "--tissue", "small.npy", "--steps", 1)
    assert result.exit_code == 2
    assert "got (24, 20)" in result.output
    assert "Traceback" not in result.output


def test_a_second_run_overwrites_nothing(run, tmp_path) -> None:
    for _ in range(2):
        assert run("generate", "--size", 16, 16, "--steps", 1, "-o", "out").exit_code == 0
    written = [p for p in (tmp_path / "out").glob("*.png") if "_tissue" not in p.name]
    assert len(written) == 2


def test_labels_hold_instances_and_classes(run, tmp_path) -> None:
    instances = (class_map() > 0).astype(np.int32) * 5
    imsave(
        "labels.png", encode_labels(instances, class_map()).astype(np.uint8), check_contrast=False
    )
    result = run("generate", "--labels", "labels.png", "--steps", 1, "-o", "out")
    assert result.exit_code == 0, result.output
    request = saved_request(tmp_path / "out" / "generate-001.json")
    np.testing.assert_array_equal(request.class_map, class_map())
    np.testing.assert_array_equal(request.instance_map, instances)


def test_inpaint_changes_nothing_outside_the_edit_mask(run, tmp_path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    mask = class_map() > 0
    imsave("image.png", image, check_contrast=False)
    imsave("mask.png", mask.astype(np.uint8) * 255, check_contrast=False)
    result = run("inpaint", "image.png", "--edit-mask", "mask.png", "--steps", 2, "-o", "out")
    assert result.exit_code == 0, result.output
    drawn = imread(tmp_path / "out" / "inpaint-001.png")
    np.testing.assert_array_equal(drawn[~mask], image[~mask])
    assert not np.array_equal(drawn[mask], image[mask])
    assert saved_request(tmp_path / "out" / "inpaint-001.json").kind is EditKind.INPAINT


def inpainted(run, image: Path | str, mask: Path | str, *more: object) -> EditRequest:
    result = run("inpaint", image, "--edit-mask", mask, "--steps", 1, "-o", "out", *more)
    assert result.exit_code == 0, result.output
    return saved_request(sorted(Path("out").glob("*.json"))[-1])


def test_an_edit_mask_is_what_it_shows(run) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    imsave("image.png", image, check_contrast=False)
    mask = class_map() > 0
    white_first = Image.fromarray((~mask).astype(np.uint8), "L")
    white_first.putpalette([255, 255, 255, 0, 0, 0] + [0] * 762)
    white_first.save("white.png")
    white_first.save("white.gif")
    tifffile.imwrite("white.tif", np.where(mask, 0, 255).astype("u1"), photometric="miniswhite")
    for name in ("white.png", "white.gif", "white.tif"):
        np.testing.assert_array_equal(inpainted(run, "image.png", name).edit_mask, mask, name)
    Image.fromarray(mask * np.uint8(255)).save("mask.jpg")
    result = run("inpaint", "image.png", "--edit-mask", "mask.jpg", "--steps", 1)
    assert result.exit_code == 2
    assert "save it as black and white PNG" in result.stderr


def test_the_pixel_size_of_a_file_is_the_default_and_a_conflict_is_said(run) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    imsave("mask.png", class_map() * np.uint8(100), check_contrast=False)
    tifffile.imwrite("image.tif", image, resolution=(4e4, 4e4), resolutionunit=3)
    assert inpainted(run, "image.tif", "mask.png").mpp == 0.25
    assert inpainted(run, "out/inpaint-001.tif", "mask.png").mpp == 0.25  # our own export
    told = run(
        "inpaint", "image.tif", "--edit-mask", "mask.png", "--steps", 1, "--mpp", 0.5, "-o", "out"
    )
    assert "image.tif states 0.25 um per pixel; 0.5 is taken as told" in told.stderr
    assert saved_request(sorted(Path("out").glob("*.json"))[-1]).mpp == 0.5
    tifffile.imwrite("print.tif", image, resolution=(300, 300), resolutionunit=2)
    assert inpainted(run, "print.tif", "mask.png").mpp == 0.5


@pytest.mark.parametrize("ids", [np.arange(1, 65), np.arange(1, 9), np.arange(3, 130, 2)])
def test_plain_nucleus_ids_are_no_labels(run, ids) -> None:
    labels = np.zeros((12, 4 * len(ids)), np.uint16)
    labels[3:9, 1::4] = labels[3:9, 2::4] = ids
    tifffile.imwrite("ids.tif", labels)
    result = run("generate", "--labels", "ids.tif", "--steps", 1)
    assert result.exit_code == 2
    assert "plain nucleus ids in ids.tif; give the file as --instances" in result.stderr
    assert run("generate", "--instances", "ids.tif", "--steps", 1).exit_code == 0


def test_labels_without_instances_are_told_to_be_classes(run) -> None:
    imsave("labels.png", class_map(), check_contrast=False)
    result = run("generate", "--labels", "labels.png", "--steps", 1)
    assert "are read as classes" in result.stderr


def test_a_nucleus_of_several_classes_is_told(run) -> None:
    classes = class_map()
    np.save("instances.npy", (classes > 0).astype(np.uint8))
    classes[5:7, 5:12] = 3
    np.save("classes.npy", classes)
    result = run(
        "generate", "--classes", "classes.npy", "--instances", "instances.npy", "--steps", 1
    )
    assert result.exit_code == 0
    assert "Warning: nuclei that hold pixels of several classes: 1" in result.stderr


def test_a_class_map_saved_as_jpeg_is_refused(run) -> None:
    Image.fromarray(class_map()).save("classes.jpg")
    result = run("generate", "--classes", "classes.jpg", "--steps", 1)
    assert result.exit_code == 2
    assert "lossless format, got JPEG" in result.stderr


def test_a_crop_too_small_for_a_stain_is_not_called_background(run) -> None:
    imsave("crop.png", np.full((8, 8, 3), (170, 90, 150), np.uint8), check_contrast=False)
    imsave("glass.png", np.full((64, 64, 3), 245, np.uint8), check_contrast=False)
    small, bare = (
        run("generate", "--size", 16, 16, "--steps", 1, "--stain-from", name)
        for name in ("crop.png", "glass.png")
    )
    assert (small.exit_code, bare.exit_code) == (2, 2)
    assert "at least 400 pixels of tissue, got 64 among 8 x 8 pixels" in small.stderr
    assert "got background" in bare.stderr


def test_a_console_of_another_code_page_gets_escapes(model_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["generate", "--model", model_folder, "--device", "cpu", "--size", 16, 16]
    command += ["--steps", 1, "--caption", "colon, 淋巴", "-o", "组织"]
    ended = CliRunner(charset="cp1252").invoke(main, list(map(str, command)))
    assert ended.exit_code == 0, ended.stderr
    assert b"\\u7ec4\\u7ec7" in ended.stdout_bytes
    assert b"\\u6dcb\\u5df4" in ended.stderr_bytes
    assert (tmp_path / "组织" / "generate-001.png").is_file()


def test_info_says_what_the_model_is(run) -> None:
    result = run("info")
    assert result.exit_code == 0
    assert "tiny 1" in result.output
    assert "neutrophil 0" in result.output


def test_words_without_effect_are_told(run) -> None:
    result = run("generate", "--size", 8, 8, "--steps", 1, "--caption", "colon, xylophone")
    assert result.exit_code == 0
    assert "Warning" in result.stderr
    assert "xylophone" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate",),
        ("generate", "--size", 8, 8, "--steps", 0),
        ("generate", "--size", 10**6, 10**6),
        ("suggest",),
        ("suggest", "--size", 10**6, 10**6),
        ("change", "remove the gland"),
        ("generate", "--classes", "text.png"),
        ("generate", "--classes", "text.tif"),
        ("generate", "--classes", "text.npy"),
        ("generate", "--classes", "empty.npy"),
        ("inpaint", "image.png", "--edit-mask", "nan.npy"),
        ("generate", "--size", 8, 8, "--mpp", 9),
        ("info", "--device", "cuda:99"),
    ],
)
def test_errors_of_ours_are_one_line(run, arguments) -> None:
    Path("text.png").write_text("hello")
    Path("text.tif").write_text("hello")
    Path("text.npy").write_text("hello")
    Path("empty.npy").write_bytes(b"")
    np.save("nan.npy", np.full((8, 8), np.nan))
    imsave("image.png", np.zeros((8, 8, 3), np.uint8), check_contrast=False)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: expected ")
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_full_disk_is_one_line(run, monkeypatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_histodiff.slide.export.Image.Image.save", full)
    result = run("generate", "--size", 8, 8, "--steps", 1, "-o", "out")
    assert result.exit_code == 2
    assert "No space left" in result.stderr
    assert not list(Path("out").iterdir())


def test_a_folder_that_cannot_be_made_is_told_before_drawing(run, monkeypatch) -> None:
    Path("taken").write_text("")
    monkeypatch.setattr("napari_histodiff.cli.main._run", lambda *_: pytest.fail("was drawn"))
    result = run("generate", "--size", 8, 8, "-o", "taken/out")
    assert result.exit_code == 2
    assert "another folder" in result.stderr


def test_what_was_found_in_a_folder_is_printed(run, tmp_path, monkeypatch) -> None:
    def ended(config: object, **_: object) -> Path:
        return tmp_path

    monkeypatch.setattr("napari_histodiff.diffusion.training.fine_tuning.train", ended)
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    (tmp_path / "slides" / "images").mkdir(parents=True)
    (tmp_path / "slides" / "masks").mkdir()
    for name in ("images/a.png", "images/b.gif", "masks/a.png"):
        imsave(tmp_path / "slides" / name, pixels, check_contrast=False)
    result = run("train", "--data", "slides", "-o", "run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "1 images (1 without labels), 1 tiles" in result.stderr
    assert "files that nothing was read from: images/*.gif 1, masks/*.png 1" in result.stderr


def test_a_stopped_training_says_how_to_go_on(run, monkeypatch) -> None:
    def stopped(config: object, *, resume: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_histodiff.diffusion.training.flow_matching.train", stopped)
    Path("config.json").write_text('{"data": "a", "output": "b"}')
    result = run("train", "config.json")
    assert result.exit_code == 130
    assert "histodiff train config.json --resume" in result.stderr


def test_labels_exclude_the_maps_they_hold(run) -> None:
    np.save("a.npy", class_map())
    result = run("generate", "--labels", "a.npy", "--classes", "a.npy")
    assert result.exit_code == 2
    assert "not both" in result.stderr


def test_training_and_packing_are_handed_on(run, tmp_path, monkeypatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(
        "napari_histodiff.datasets.packing.pack", lambda *a, **k: calls.append((a, k)) or a[1]
    )
    (tmp_path / "splits.json").write_text("{}")
    assert run("pack", tmp_path, "out.npz", "--split", "test").exit_code == 0
    assert run("pack", tmp_path, "out.npz", "--fine").exit_code == 0
    assert calls == [
        ((tmp_path, Path("out.npz")), {"split": "test", "fine": False, "change": None}),
        ((tmp_path, Path("out.npz")), {"split": "train", "fine": True, "change": None}),
    ]

    def diverged(config: object, *, resume: bool) -> None:
        raise TrainingError(f"expected a finite loss, got nan; resume={resume}")

    monkeypatch.setattr("napari_histodiff.diffusion.training.flow_matching.train", diverged)
    Path("config.json").write_text('{"data": "a", "output": "b"}')
    result = run("train", "config.json", "--resume")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: expected a finite loss, got nan; resume=True\n",
    )


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from napari_histodiff.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(sorted({'torch', 'napari', 'skimage', 'diffusers'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
