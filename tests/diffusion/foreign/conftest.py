"""Captions are read by a stand-in, as transformers may not be there."""

from __future__ import annotations

import pytest

from napari_histodiff.diffusion.foreign import loading
from tests.diffusion.foreign.tiny import fake_text


@pytest.fixture(autouse=True)
def _texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_text_encoder", fake_text)
