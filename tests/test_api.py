"""The Python interface."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import napari_histodiff as hd
from napari_histodiff.core.errors import InvalidImage, InvalidMap, InvalidRequest, ModelNotFound
from napari_histodiff.core.requests import EditKind
from tests.diffusion.tiny import save_tiny, tiny_pipeline
from tests.fakes import FakeBackend

MODEL = hd.Model(FakeBackend())


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tiny_pipeline(), tmp_path_factory.mktemp("models") / "tiny")


def test_every_public_name_loads_and_others_do_not() -> None:
    for name in hd.__all__:
        assert getattr(hd, name) is not None
        assert name in dir(hd)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = hd.nonsense


def test_one_variant_is_an_image_and_more_are_a_stack() -> None:
    classes = np.full((21, 30), 2)
    assert MODEL(classes).shape == (21, 30, 3)
    assert MODEL(classes, variants=3).shape == (3, 21, 30, 3)
    assert MODEL(classes).dtype == np.uint8


def test_a_loaded_model_draws(model_folder) -> None:
    model = hd.load_model(model_folder, device="cpu")
    steps: list[int] = []
    image = model(np.full((20, 35), 2), steps=2, on_step=lambda step: steps.append(step.total))
    assert image.shape == (20, 35, 3)
    assert len(steps) == steps[0] == model.evaluations(model.request(np.full((20, 35), 2), steps=2))


def test_spinning_threads_are_told_once_the_model_is_loaded(model_folder, monkeypatch) -> None:
    monkeypatch.setattr("napari_histodiff.api.busy_waiting", lambda: True)
    with pytest.warns(hd.BusyThreads, match="import napari_histodiff before torch"):
        hd.load_model(model_folder, device="cpu")


def test_a_missing_model_says_where_it_was_expected(tmp_path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere"):
        hd.load_model(tmp_path / "nowhere")


def test_the_request_carries_every_argument() -> None:
    instances = np.arange(12).reshape(3, 4)
    request = MODEL.request(
        instance_map=instances,
        tissue_map=np.ones((3, 4)).astype(int),
        caption="colon",
        guidance_scale=2.0,
        steps=9,
        strength=0.7,
        fill="blur",
        seed=3,
        variants=2,
        image=np.zeros((3, 4, 3), np.uint8),
        edit_mask=np.eye(3, 4, dtype=bool),
        mpp=0.25,
        origin=(-5, 7),
    )
    assert request.kind is EditKind.INPAINT
    assert (request.region.y, request.region.x) == (-5, 7)
    assert (request.guidance_scale, request.steps, request.strength) == (2.0, 9, 0.7)
    assert request.fill == "blur"
    assert (request.seed, request.variants, request.mpp) == (3, 2, 0.25)
    np.testing.assert_array_equal(request.instance_map, instances)
    assert not request.class_map.any()


def test_a_shape_alone_leaves_the_nuclei_to_the_model() -> None:
    request = MODEL.request(shape=(5, 6))
    assert request.class_map is None
    assert request.shape == (5, 6)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, InvalidRequest, "a map, an image or a shape"),
        ({"class_map": np.full((4, 4), 9)}, InvalidMap, "class map"),
        ({"class_map": np.ones((4, 4), int), "shape": (5, 5)}, InvalidRequest, "class_map"),
        ({"image": np.zeros((4, 4, 3), np.uint8)}, InvalidRequest, "edit_mask"),
        ({"edit_mask": np.ones((4, 4), bool)}, InvalidRequest, "image"),
        (
            {"image": np.zeros((4, 4)), "edit_mask": np.ones((4, 4), bool)},
            InvalidImage,
            "RGB",
        ),
        ({"shape": (4, 4), "steps": 0}, InvalidRequest, "steps"),
        ({"shape": (4, 4), "guidance_scale": float("nan")}, InvalidRequest, "guidance_scale"),
        ({"tissue_map": np.full((4, 4), 9)}, InvalidMap, "tissue"),
        ({"shape": 4}, InvalidRequest, "two whole numbers"),
        ({"shape": (4, 4), "origin": (1, 2, 3)}, InvalidRequest, "origin"),
        ({"shape": (0, 4)}, InvalidRequest, "at least one pixel"),
        ({"shape": (10**6, 10**6)}, InvalidRequest, "at most 1,073,741,824 pixels"),
        ({"shape": (4, 4), "region_captions": "stroma"}, InvalidRequest, "captions by tissue"),
        ({"class_map": np.full((4, 4), np.nan)}, InvalidMap, "float64"),
        (
            {
                "image": np.full((4, 4, 3), np.nan),
                "edit_mask": np.ones((4, 4), bool),
            },
            InvalidImage,
            "NaN",
        ),
        (
            {"image": np.zeros((4, 4, 3), np.uint8), "edit_mask": np.zeros((4, 4), bool)},
            InvalidRequest,
            "empty",
        ),
    ],
)
def test_bad_input_is_refused_before_drawing(arguments, error, words) -> None:
    with pytest.raises(error, match=words):
        MODEL(**arguments)


def test_unknown_caption_words_are_told() -> None:
    with pytest.warns(hd.UnknownCaptionWords, match="xylophone") as caught:
        MODEL(shape=(4, 4), caption="colon, xylophone")
    assert caught[0].message.report.ignored
    assert caught[0].filename == __file__
    with pytest.warns(hd.UnknownCaptionWords) as caught:
        MODEL.request(shape=(4, 4), caption="xylophone")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "call",
    [
        lambda caption: hd.invent((64, 64), caption),
        lambda caption: hd.change_paint(np.full((8, 8), 2), None, None, "2 cells", caption=caption),
        lambda caption: MODEL.invent((64, 64), caption),
        lambda caption: MODEL.suggest(shape=(64, 64), caption=caption),
    ],
)
def test_what_lays_tissue_out_tells_unknown_caption_words(call) -> None:
    with pytest.warns(hd.UnknownCaptionWords, match='did you mean "gland"') as caught:
        call("colon, glnad")
    assert [one.filename for one in caught] == [__file__]


def test_a_number_in_a_caption_is_told_to_belong_to_counts() -> None:
    with pytest.warns(hd.UnknownCaptionWords, match='by counts={"lymphocyte": 120}'):
        hd.invent((64, 64), "12 lymphocytes")
    with pytest.warns(hd.UnknownCaptionWords) as caught:
        MODEL.suggest(shape=(64, 64), caption="12 lymphocytes")
    assert "has levels, no numbers" in str(caught[0].message)
    assert "counts" not in str(caught[0].message)


def test_a_class_the_model_never_saw_is_told() -> None:
    with pytest.warns(hd.UnseenClass, match="neutrophil"):
        MODEL(np.ones((4, 4), int))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MODEL(np.full((4, 4), 2), caption="colon")


@pytest.mark.parametrize("numbered", [True, False])
def test_nuclei_in_lumen_or_glass_are_told_and_drawn_as_painted(numbered: bool) -> None:
    names = MODEL.info.tissue_names
    tissue = np.full((12, 12), names.index("stroma"))
    tissue[:, 4:8], tissue[:, 8:] = names.index("lumen"), names.index("glass")
    classes, instances = np.zeros((12, 12), int), np.zeros((12, 12), int)
    for number, (row, col) in enumerate([(1, 1), (1, 5), (6, 5), (1, 9), (6, 3)], 1):
        classes[row : row + 3, col : col + 3] = 2
        instances[row : row + 3, col : col + 3] = number
    maps = (classes, instances if numbered else None, tissue)
    with pytest.warns(hd.AstrayNuclei, match="in lumen and 1 in glass") as caught:
        request = MODEL.request(*maps)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(request.class_map, classes)
    np.testing.assert_array_equal(request.tissue_map, tissue)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MODEL.request(classes[:, :4], None, tissue[:, :4])


def test_tissue_is_proposed_from_an_image(model_folder) -> None:
    model = hd.load_model(model_folder, device="cpu")
    image = np.full((96, 120, 3), 246, np.uint8)
    found = model.propose_tissue(image, mpp=0.5)
    assert found.shape == (96, 120)
    assert (found == model.info.tissue_names.index("glass")).mean() > 0.9
    with pytest.raises(InvalidRequest, match="micrometres per pixel"):
        model.propose_tissue(image, mpp=50)
