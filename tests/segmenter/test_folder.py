"""What a judge folder must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_histodiff.core.errors import ModelInvalid, ModelNotFound, StorageError
from napari_histodiff.segmenter.folder import JudgeInfo, read_judge, write_judge
from tests.segmenter.tiny import CONFIG, tiny_network, write_tiny_judge

WEIGHTS = "judge.safetensors"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network, info = read_judge(write_tiny_judge(tmp_path / "judge"))
    for name, value in tiny_network().state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert info.name == "tiny"
    assert info.mpp == (0.4, 0.63)
    assert info.class_counts["plasma"] == 7
    assert info.held_out == ("set/held",)
    assert len(info.revision) == 12
    assert (tmp_path / "judge" / "README.md").read_text() == "# A card\n"


def test_the_revision_follows_the_weights(tmp_path: Path) -> None:
    first, again, other = (
        read_judge(write_tiny_judge(tmp_path / name, seed))[1].revision
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again != other


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "judge_info.json"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    folder = write_tiny_judge(tmp_path / "judge")
    (folder / name).unlink()
    with pytest.raises(ModelNotFound, match=name):
        read_judge(folder)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="judge folder"):
        read_judge(tmp_path / "nowhere")


def test_pickles_are_never_read(tmp_path: Path) -> None:
    folder = write_tiny_judge(tmp_path / "judge")
    (folder / WEIGHTS).rename(folder / "judge.pt")
    with pytest.raises(ModelInvalid, match=r"judge\.pt"):
        read_judge(folder)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _spoil(path: Path) -> None:
    weights = load_file(path)
    weights["head.bias"][0] = torch.nan
    save_file(weights, path)


def _lose(path: Path) -> None:
    weights = load_file(path)
    del weights["head.bias"]
    save_file(weights, path)


@pytest.mark.parametrize(
    ("damage", "told"), [(_truncate, "truncated"), (_spoil, "finite"), (_lose, "head.bias")]
)
def test_damaged_weights(tmp_path: Path, damage: Callable[[Path], None], told: str) -> None:
    folder = write_tiny_judge(tmp_path / "judge")
    damage(folder / WEIGHTS)
    with pytest.raises(ModelInvalid, match=told):
        read_judge(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", json.dumps({"_class_name": "os.system"})),
        ("config.json", json.dumps({"_class_name": "JudgeNetwork", "heads": 3})),
        ("config.json", json.dumps({"_class_name": "JudgeNetwork", "widths": [8, 8]})),
        ("judge_info.json", "{}"),
        ("judge_info.json", json.dumps({"name": "a", "licence": "b", "mpp": [1]})),
    ],
)
def test_damaged_descriptions(tmp_path: Path, name: str, text: str) -> None:
    folder = write_tiny_judge(tmp_path / "judge")
    (folder / name).write_text(text)
    with pytest.raises(ModelInvalid):
        read_judge(folder)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    info = JudgeInfo("tiny", "CC0", (0.4, 0.6), {})
    with pytest.raises(StorageError, match="free space"):
        write_judge(tmp_path / "file", tiny_network(), CONFIG, info, "")
