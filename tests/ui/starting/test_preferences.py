from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import napari_histodiff
from napari_histodiff.core.errors import DeviceUnavailable
from napari_histodiff.devices import dtype_named
from napari_histodiff.ui.starting import preferences as module
from napari_histodiff.ui.starting.preferences import Preferences, preferences

MANIFEST = Path(napari_histodiff.__file__).parent / "napari.yaml"


def test_the_manifest_offers_the_same_choices() -> None:
    groups = yaml.safe_load(MANIFEST.read_text())["contributions"]["configurations"]
    assert set(groups) == {"drawing", "files"}
    offered = {
        name: said["default"] for one in groups.values() for name, said in one["properties"].items()
    }
    assert Preferences(**offered) == Preferences()


def test_a_file_counts_where_napari_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_of_napari", lambda: None)
    path = tmp_path / "preferences.json"
    assert preferences(path) == Preferences()
    path.write_text(json.dumps({"device": "cpu", "cache_mb": "many", "folder": str(tmp_path)}))
    found = preferences(path)
    assert found == Preferences(device="cpu", folder=str(tmp_path))
    assert found.place("history") == tmp_path / "history"
    assert found.environment["HISTODIFF_DEVICE"] == "cpu"
    assert found.environment["HISTODIFF_SPARE_MEMORY"] == "0"


def test_napari_s_own_preferences_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def group(**values: Any) -> SimpleNamespace:
        return SimpleNamespace(model_dump=lambda: values)

    found = SimpleNamespace(
        drawing=group(device="cuda:1", precision="float16"), files=group(cache_mb=64)
    )
    monkeypatch.setattr("napari.settings.get_plugin_settings", lambda _: found, raising=False)
    assert preferences() == Preferences(device="cuda:1", precision="float16", cache_mb=64)


def test_napari_reads_the_manifest_s_choices() -> None:
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    if not hasattr(manifest.contributions, "configurations"):
        pytest.skip("this npe2 has no configurations")
    chosen = manifest.contributions.configurations
    assert set(chosen["drawing"].properties) == {"device", "precision", "spare_memory"}


def test_a_precision_that_is_none_is_refused() -> None:
    assert dtype_named("bfloat16") == "bfloat16"
    with pytest.raises(DeviceUnavailable, match="float64"):
        dtype_named("float64")
