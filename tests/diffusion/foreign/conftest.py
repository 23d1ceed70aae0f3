"""Folders of tiny pipelines; captions are read by a stand-in, as transformers may not be there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_histodiff.diffusion.foreign import loading
from tests.diffusion.foreign.tiny import fake_text, tiny_pipeline

#: Gives the folder of a class; copy it before changing it.
FolderOf = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_text_encoder", fake_text)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    made: dict[str, Path] = {}

    def folder(class_name: str) -> Path:
        if class_name not in made:
            made[class_name] = tiny_pipeline(tmp_path_factory.mktemp("m") / "tiny", class_name)
        return made[class_name]

    return folder
