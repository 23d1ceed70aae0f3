from __future__ import annotations

from tests.contracts import BackendContract
from tests.fakes import FakeBackend


class TestFakeBackend(BackendContract):
    def make(self) -> FakeBackend:
        return FakeBackend()
