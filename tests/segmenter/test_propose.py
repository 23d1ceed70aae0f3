"""The program that proposes nuclei and tissue; stand-ins need no weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.errors import ModelNotFound
from napari_histodiff.segmenter import propose


@dataclass
class Found:
    instance_map: np.ndarray
    class_map: np.ndarray
    uncertainty: np.ndarray


class StandIn:
    def propose(
        self, image: np.ndarray, *, mpp: float, on_step: Callable[[int, int], None]
    ) -> Found:
        on_step(1, 1)
        instances = np.where(image[..., 0] > 0, image[..., 0].astype(np.int32), 0)
        return Found(instances, (instances > 0) * 2, np.array([mpp, 0.9]))


class StandInTissue:
    def propose(self, image: np.ndarray, *, mpp: float, nuclei: Found) -> np.ndarray:
        return np.where(nuclei.instance_map > 0, 1, round(8 * mpp)).astype(np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    image = np.zeros((16, 20, 3), np.uint8)
    image[2:5, 2:6], image[9:12, 8:14] = 3, 8
    np.savez(tmp_path / "in.npz", image=image, mpp=0.25)
    return tmp_path / "in.npz", tmp_path / "out.npz"


def _run(files: tuple[Path, Path], *more: str) -> int:
    return propose.main([str(file) for file in files] + list(more))


def test_what_is_found_is_written(
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Path | None, str]] = []

    def load(folder: Path | None, device: str) -> StandIn:
        asked.append((folder, device))
        return StandIn()

    def load_tissue(device: str) -> StandInTissue:
        asked.append((None, device))
        return StandInTissue()

    monkeypatch.setattr(propose, "load_judge", load)
    monkeypatch.setattr(propose, "load_tissue", load_tissue)
    assert _run(files, "--device", "cpu") == 0
    assert asked == [(None, "cpu")] * 2
    assert json.loads(capsys.readouterr().out) == {"done": 1, "total": 1}
    with np.load(files[1]) as arrays:
        assert arrays["ids"].tolist() == [3, 8]
        np.testing.assert_allclose(arrays["uncertainty"], [0.25, 0.9])
        assert set(np.unique(arrays["instance_map"])) == {0, 3, 8}
        assert arrays["class_map"].max() == 2
        assert arrays["tissue_map"].shape == (16, 20)
        assert set(np.unique(arrays["tissue_map"])) == {1, 2}


def test_an_error_of_ours_is_one_line_of_json(
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(folder: Path | None, device: str) -> StandIn:
        raise ModelNotFound("expected a model folder, got none; fetch it")

    monkeypatch.setattr(propose, "load_judge", load)
    assert _run(files) == 1
    said = json.loads(capsys.readouterr().err)
    assert said == {"error": "expected a model folder, got none; fetch it"}
    assert not files[1].exists()


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.npz").write_bytes(b"not an archive")
    assert _run((tmp_path / "in.npz", tmp_path / "out.npz")) == 1
    assert "expected an npz file with image and mpp" in json.loads(capsys.readouterr().err)["error"]
