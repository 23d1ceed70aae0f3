from __future__ import annotations

from napari_histodiff.core.backend import BackendFactory
from napari_histodiff.engine import InlineEngine
from tests.contracts import EngineContract


class TestInlineEngine(EngineContract):
    def make(self, factory: BackendFactory | str) -> InlineEngine:
        return InlineEngine(factory)
