"""`histodiff anomaly` and `histodiff uncertainty`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from skimage.io import imread, imsave

import napari_histodiff as hd
from napari_histodiff.cli.main import main
from napari_histodiff.evaluation.maps.running import Segmenters
from napari_histodiff.segmenter.model import Judge
from tests.evaluation.maps.test_anomaly import INK, tissue
from tests.fakes import FakeBackend
from tests.segmenter.tiny import write_tiny_judge


class NoSegmenters(Segmenters):
    @classmethod
    def load(cls, device: str) -> Segmenters:
        return cls(None, None)  # type: ignore[arg-type]

    def paint(self, image, mpp):
        return None, None, None


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = hd.Model(FakeBackend())
    model._segmenters = NoSegmenters.load("cpu")
    monkeypatch.setattr("napari_histodiff.api.load_model", lambda *_: model)
    judge = Judge.load(write_tiny_judge(tmp_path / "judge"), device="cpu")
    monkeypatch.setattr(Judge, "load", classmethod(lambda cls, **_: judge))
    image = tissue(200, 300)
    image[50:90, 60:120] = INK
    imsave("slide.png", image, check_contrast=False)

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke


def test_anomaly_writes_numbers_a_picture_and_what_made_them(run) -> None:
    result = run("anomaly", "slide.png", "--mpp", 0.5, "--region", 20, 40, 128, 200)
    assert result.exit_code == 0, result.output
    assert result.output.split() == [f"slide.anomaly.{end}" for end in ("ome.tiff", "png", "json")]
    with tifffile.TiffFile("slide.anomaly.ome.tiff") as tiff:
        values = tiff.asarray()
        assert values.shape == (128, 200)
        assert values.dtype == np.float32
        assert 'PhysicalSizeX="0.5"' in tiff.ome_metadata
        assert "median" in tiff.ome_metadata
    assert imread("slide.anomaly.png").ndim == 3
    facts = json.loads(Path("slide.anomaly.json").read_text())
    assert facts["region"] == {"level": 0, "y": 20, "x": 40, "height": 128, "width": 200}
    assert (facts["model"], facts["strength"], facts["seed"]) == ("fake", 0.2, 0)
    assert "median" in facts["unit"]


def test_a_map_is_never_written_over_another(run) -> None:
    assert run("anomaly", "slide.png", "--mpp", 0.5, "--out", "a").exit_code == 0
    again = run("anomaly", "slide.png", "--mpp", 0.5, "--out", "a.tif")
    assert again.exit_code == 2
    assert "choose another --out" in again.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --mpp"),
        (("--mpp", 9), "um per pixel"),
        (("--mpp", 0.5, "--region", 150, 0, 100, 100), "inside the slide"),
        (("--mpp", 0.5, "--region", 0, 0, 20, 100), "at least 64 pixels"),
        (("--mpp", 0.5, "--smooth", 0), "a nucleus is about 4"),
        (("--mpp", 0.5, "--level", 3), "level from 0"),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_a_line(run, tmp_path, arguments, said) -> None:
    result = run("anomaly", "slide.png", *arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.glob("slide.anomaly*"))


def test_a_stopped_map_is_gone_on_with(run, tmp_path, monkeypatch) -> None:
    real = FakeBackend.render
    seen: list[int] = []

    def stopped(self, requests, *, on_step=None):
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(self, requests, on_step=on_step)

    imsave("wide.png", tissue(64, 1000), check_contrast=False)
    monkeypatch.setattr(FakeBackend, "render", stopped)
    result = run("anomaly", "wide.png", "--mpp", 0.5)
    assert result.exit_code == 2
    assert "the same command goes on" in result.output
    assert not (tmp_path / "wide.anomaly.png").exists()
    result = run("anomaly", "wide.png", "--mpp", 0.5)
    assert result.exit_code == 0, result.output
    assert len(seen) == 4  # three tiles, one of them twice
    assert not (tmp_path / "wide.anomaly.tiles").exists()


def test_uncertainty_has_a_row_for_each_nucleus(run) -> None:
    result = run("uncertainty", "slide.png", "--mpp", 0.5, "--region", 0, 0, 128, 128)
    assert result.exit_code == 0, result.output
    values = tifffile.imread("slide.uncertainty.ome.tiff")
    assert values.shape == (128, 128)
    assert 0 <= values.min() <= values.max() <= 1
    with open("slide.uncertainty.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert json.loads(Path("slide.uncertainty.json").read_text())["nuclei"] == len(rows)
    for row in rows:
        assert 0 <= float(row["agreement"]) <= 1
        assert 0 <= float(row["y"]) < 128
    assert run("uncertainty", "slide.png", "--mpp", 0.5).exit_code == 2


def test_nuclei_are_not_told_on_pixels_that_are_too_coarse(run) -> None:
    result = run("uncertainty", "slide.png", "--mpp", 2)
    assert result.exit_code == 2
    assert "at most 0.75 um" in result.output
