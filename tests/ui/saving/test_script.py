from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_histodiff as hd
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.diffusion.backend import DiffusionBackend
from napari_histodiff.ui.saving.script import python_of
from tests.diffusion.tiny import tiny_info, tiny_pipeline
from tests.fakes import FakeBackend

SIDE = 64


def _request(kind: EditKind, seed: int = 3, fill: Fill = Fill.ORIGINAL) -> EditRequest:
    rng = np.random.default_rng(seed)
    classes = np.zeros((SIDE, SIDE), np.uint8)
    classes[10:22, 12:24] = 2
    tissue = np.ones((SIDE, SIDE), np.uint8)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[16:48, 16:48] = True
    changes = kind in (EditKind.INPAINT, EditKind.OUTPAINT)
    return EditRequest(
        kind=kind,
        region=Region(0, -32, 96, SIDE, SIDE),
        class_map=classes,
        instance_map=(classes > 0).astype(np.int32),
        tissue_map=tissue,
        image=rng.integers(90, 250, (SIDE, SIDE, 3), dtype=np.uint8) if changes else None,
        edit_mask=mask if changes else None,
        caption='colon, an "odd" word',
        guidance_scale=2.0,
        steps=2,
        strength=0.6 if kind is EditKind.INPAINT else 1.0,
        seed=seed,
        variants=2,
        mpp=0.7,
        fill=fill,
        stain=None if changes else (0.6, 0.7, 0.3, 0.1, 0.9, 0.2, 1.0),
    )


def _run(code: str, folder: Path) -> np.ndarray:
    (folder / "copied.py").write_text(code)
    images: np.ndarray = runpy.run_path(str(folder / "copied.py"))["images"]
    return images


@pytest.mark.parametrize("kind", [EditKind.GENERATE, EditKind.INPAINT, EditKind.OUTPAINT])
def test_what_was_copied_draws_the_same_pixels(
    kind: EditKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request(kind)
    asked: list[str | None] = []

    def load(path: str | None = None) -> hd.Model:
        asked.append(path)
        return hd.Model(FakeBackend())

    monkeypatch.setattr(hd, "load_model", load, raising=False)
    drawn = FakeBackend().render([request])[0]
    np.testing.assert_array_equal(_run(python_of(request, folder=tmp_path), tmp_path), drawn)
    code = python_of(request, model=Path("my/model"), folder=tmp_path)
    np.testing.assert_array_equal(_run(code, tmp_path), drawn)
    assert asked == [None, str(Path("my/model"))]


@pytest.mark.slow
def test_what_was_copied_draws_the_same_pixels_with_the_bundled_model(tmp_path: Path) -> None:
    from napari_histodiff.diffusion.backend import default_backend

    request = replace(_request(EditKind.INPAINT), caption="colon", stain=None)
    drawn = default_backend().render([request])[0]
    assert (drawn[:, ~request.edit_mask] == request.image[~request.edit_mask]).all()
    np.testing.assert_array_equal(_run(python_of(request, folder=tmp_path), tmp_path), drawn)


def test_the_file_is_named_after_what_it_holds(tmp_path: Path) -> None:
    first = python_of(_request(EditKind.GENERATE), folder=tmp_path)
    assert first == python_of(_request(EditKind.GENERATE), folder=tmp_path)
    python_of(_request(EditKind.GENERATE, seed=4), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(hd.HistodiffError, match="copy again"):
        python_of(_request(EditKind.GENERATE), folder=tmp_path / "file")


def test_what_was_started_from_a_blur_is_drawn_again_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request(EditKind.INPAINT, fill=Fill.BLUR)
    model = hd.Model(DiffusionBackend(tiny_pipeline(), tiny_info()))
    monkeypatch.setattr(hd, "load_model", lambda *_: model, raising=False)
    request = replace(request, mpp=model.info.mpp[0])
    drawn = model.draw(request)
    np.testing.assert_array_equal(_run(python_of(request, folder=tmp_path), tmp_path), drawn)
    assert (drawn != model.draw(replace(request, fill=Fill.ORIGINAL))).any()
