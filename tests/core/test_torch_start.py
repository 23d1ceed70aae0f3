"""Seen from fresh interpreters: OpenMP reads its variable once, when torch loads."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from types import ModuleType

import pytest

from napari_histodiff.backends import default_backend
from napari_histodiff.core import torch_start
from napari_histodiff.core.torch_start import without_garbage_searches

REPORT = """
import os
from napari_histodiff.core import torch_start
print(os.environ["OMP_WAIT_POLICY"], torch_start.busy_waiting())
"""


def told(code: str, **environment: str) -> str:
    """What a fresh interpreter prints of the policy after `code`."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    run = subprocess.run(
        [sys.executable, "-c", code + REPORT],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return run.stdout.strip()


@pytest.mark.parametrize("way_in", ["napari_histodiff", "napari_histodiff.cli.main"])
def test_threads_are_quiet_whichever_way_the_package_is_entered(way_in: str) -> None:
    assert told(f"import {way_in}") == "PASSIVE False"


def test_what_the_user_set_stays() -> None:
    assert told("import napari_histodiff", OMP_WAIT_POLICY="ACTIVE") == "ACTIVE False"


def test_torch_that_came_first_is_noticed() -> None:
    fake = "import sys, types; sys.modules['torch'] = types.ModuleType('torch')"
    assert told(f"{fake}; import napari_histodiff") == "PASSIVE True"


class Searches:
    """Stands for `gc`: a thread of an earlier test may be loading a model, and has switched it."""

    def __init__(self) -> None:
        self.on = True

    def isenabled(self) -> bool:
        return self.on

    def enable(self) -> None:
        self.on = True

    def disable(self) -> None:
        self.on = False


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Searches:
    stand_in = Searches()
    monkeypatch.setattr(torch_start, "gc", stand_in)
    return stand_in


def fail_unsearched(searches: Searches) -> None:
    assert not searches.on
    raise ImportError


@pytest.mark.parametrize("on", [True, False])
def test_searches_for_garbage_go_on_as_before(searches: Searches, on: bool) -> None:
    searches.on = on
    with pytest.raises(ImportError), without_garbage_searches():
        fail_unsearched(searches)
    assert searches.on is on


def test_it_is_pythons_own_searches_that_rest() -> None:
    assert torch_start.gc is gc


def test_a_model_is_imported_without_a_search(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[bool] = []

    class Fake(ModuleType):
        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(name)
            searched.append(searches.on)
            return lambda *_: searched.append(searches.on)

    for name in ("diffusion.backend", "segmenter.scores"):
        monkeypatch.setitem(sys.modules, f"napari_histodiff.{name}", Fake(name))
    default_backend()
    assert searched == [False, False, True, True]
