"""What is unlike the drawings of a model stands out, in units that are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histodiff.core.errors import Cancelled, InvalidImage, InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.evaluation.maps import anomaly
from napari_histodiff.evaluation.maps.anomaly import (
    HELD_OUT,
    OWN,
    AnomalyMap,
    AnomalySettings,
    Paint,
    anomaly_request,
)
from napari_histodiff.evaluation.maps.running import anomaly_of, level_near, place_of
from napari_histodiff.evaluation.maps.tiles import ArraySource
from tests.fakes import FAKE_INFO

PINK = np.array([214, 150, 190], np.uint8)
INK = np.array([40, 140, 110], np.uint8)


def tissue(height: int = 300, width: int = 200, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(-12, 13, (height, width, 3))
    return (PINK + noise).clip(0, 255).astype(np.uint8)


def draw(request: EditRequest) -> NDArray[np.uint8]:
    """A model that knows nothing but pink."""
    shape = request.shape
    return np.stack([tissue(*shape, seed=1 + v) for v in range(request.variants)])


def no_paint(image: NDArray[np.uint8], mpp: float) -> Paint:
    return None, None, None


def found_in(image: NDArray[np.uint8], mpp: float | None = 0.5, **changes: Any) -> AnomalyMap:
    height, width = image.shape[:2]
    given: dict[str, Any] = {
        "source": ArraySource(image),
        "area": Region(0, 0, 0, height, width),
        "mpp": mpp,
        "info": FAKE_INFO,
        "draw": draw,
        "propose": no_paint,
        "settings": AnomalySettings(),
    }
    return anomaly_of(**given | changes)


def test_ink_stands_out_and_the_rest_is_about_one() -> None:
    image = tissue()
    image[100:140, 60:120] = INK
    found = found_in(image)
    assert found.values.shape == (300, 200)
    assert found.values[110:130, 75:105].min() > 3
    assert np.median(found.values[200:]) == pytest.approx(1, abs=0.2)
    assert found.unit == OWN


def test_ink_does_not_decide_the_stain_it_is_compared_in() -> None:
    image = tissue(512, 512)
    image[:100] = INK
    stains = []

    def remembered(request: EditRequest) -> NDArray[np.uint8]:
        stains.append(request.stain)
        return draw(request)

    found_in(image, draw=remembered)
    clean: list[Any] = []
    found_in(tissue(512, 512), draw=lambda r: clean.append(r.stain) or draw(r))
    np.testing.assert_allclose(stains[0][:3], clean[0][:3], atol=0.02)


def test_glass_is_not_drawn() -> None:
    image = np.full((64, 1200, 3), 245, np.uint8)
    image[:, :100] = tissue(64, 100)
    drawn: list[Region] = []
    found = found_in(image, draw=lambda r: drawn.append(r.region) or draw(r))
    assert len(drawn) == 1
    assert not found.values[:, 700:].any()
    assert found.values[:, :100].all()


def test_tiles_leave_no_seams() -> None:
    image = tissue(500, 900)
    values = found_in(image).values
    rows = np.abs(np.diff(values, axis=1)).mean(0)
    assert rows[440:456].max() < 3 * np.median(rows)


@pytest.mark.parametrize("side", [10, 63])
def test_an_image_that_is_too_small_is_refused(side) -> None:
    with pytest.raises(InvalidImage, match="at least 64 pixels a side"):
        found_in(tissue(side, 200))
    with pytest.raises(InvalidImage, match="at least 256 pixels a side"):
        found_in(tissue(), mpp=0.125, info=replace(FAKE_INFO, mpp=(0.5, 1.0), reach=(0.125, 1.0)))


def test_an_image_without_tissue_is_refused() -> None:
    with pytest.raises(InvalidImage, match="choose a place with tissue"):
        found_in(np.full((200, 200, 3), 250, np.uint8))


@pytest.mark.parametrize(("mpp", "match"), [(None, "give mpp"), (7.0, "0.25 to 1 um")])
def test_a_scale_that_is_unknown_or_unfit_is_refused(mpp, match) -> None:
    with pytest.raises(InvalidRequest, match=match):
        found_in(tissue(), mpp=mpp)


@pytest.mark.parametrize("smooth", [0.0, 90.0])
def test_a_smoothing_that_is_none_is_refused(smooth) -> None:
    with pytest.raises(InvalidRequest, match="a nucleus is about 4"):
        AnomalySettings(smooth=smooth)


def paint() -> Paint:
    ids = np.zeros((64, 64), np.int32)
    ids[:9, :9] = 1
    return ids.astype(np.uint8), ids, np.full((64, 64), 8, np.uint8)


def request_for(info: Any, settings: AnomalySettings | None = None) -> EditRequest:
    region = Region(0, 5, 6, 64, 64)
    how = settings or AnomalySettings()
    return anomaly_request(tissue(64, 64), region, 0.5, paint(), None, how, info)


def test_the_request_redraws_all_from_a_little_noise() -> None:
    request = request_for(FAKE_INFO)
    assert (request.kind, request.strength, request.variants) == (EditKind.INPAINT, 0.2, 2)
    assert request.edit_mask.all()
    assert request.class_map is not None
    assert request.tissue_map is None  # a tissue beyond the model's schema
    assert not request.inverted
    assert request.model_name == "fake"


def test_a_model_without_paint_is_told_none_and_inverts() -> None:
    foreign = replace(FAKE_INFO, paint=(), kind="DDPMPipeline", steps=10)
    request = request_for(foreign)
    assert request.class_map is request.instance_map is request.tissue_map is None
    assert request.inverted
    assert (request.steps, request.variants) == (20, 1)
    assert not request_for(foreign, AnomalySettings(inverted=False)).inverted


def test_a_model_that_jumps_takes_one_jump() -> None:
    assert request_for(replace(FAKE_INFO, jump_steps=4)).steps == 1
    assert request_for(FAKE_INFO).steps == FAKE_INFO.steps


def test_measured_ordinary_tissue_is_the_unit(monkeypatch) -> None:
    key = AnomalySettings().key(FAKE_INFO)
    monkeypatch.setattr(anomaly, "_measured", lambda: {key: (0.5, 1.5)})
    found = found_in(tissue())
    assert (found.unit, found.ordinary, found.limits) == (HELD_OUT, 0.5, (3.0, 9.0))
    assert found_in(tissue(), settings=AnomalySettings(draws=3)).unit == OWN


def test_a_map_in_a_file_is_the_map_in_memory(tmp_path) -> None:
    image = tissue(600, 300)
    found = found_in(image, folder=tmp_path / "tiles")
    assert isinstance(found.values, np.memmap)
    plain = found_in(image)
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-5)
    assert found.limits == plain.limits


def test_it_stops_when_asked(tmp_path) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        found_in(tissue(), on_tile=stop, folder=tmp_path / "tiles")
    assert (tmp_path / "tiles" / "tile-000000.npz").exists()


def test_a_level_is_chosen_and_a_place_is_checked() -> None:
    spec = PyramidSpec(1000, 800, 256, 4, 0.25)
    assert level_near(spec) == 1
    assert place_of(spec, 1, (100, 200, 300, 400)) == Region(1, 50, 100, 150, 200)
    assert place_of(spec, 1, None) == Region(1, 0, 0, 500, 400)
    with pytest.raises(InvalidRequest, match="inside the slide"):
        place_of(spec, 1, (900, 0, 300, 300))
