from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from napari_histodiff.core.json_data import fields_from_json, from_json, read_json_object


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    size: int
    share: float = 1.0


@dataclass(frozen=True)
class Whole:
    name: str
    mpp: tuple[float, float]
    counts: dict[str, int]
    parts: tuple[Part, ...] = ()
    first: Part = field(default_factory=lambda: Part(1))
    colour: Colour = Colour.RED
    organ: str | None = None
    mode: Literal["fast", "slow"] = "fast"
    on: bool = False
    free: Any = None


LEAST: dict[str, Any] = {"name": "a", "mpp": [0.5, 2], "counts": {"plasma": 3}}


def test_what_is_written_is_read() -> None:
    whole = Whole("a", (0.5, 2.0), {"b": 1}, (Part(2, 0.5), Part(3)), Part(4), Colour.BLUE, "colon")
    assert from_json(Whole, json.loads(json.dumps(asdict(whole)))) == whole


def test_what_lacks_takes_its_default_and_numbers_take_their_type() -> None:
    found = from_json(Whole, LEAST | {"parts": [{"size": 3.0}], "organ": None, "name": 2, "x": 1})
    assert found == Whole("2", (0.5, 2.0), {"plasma": 3}, (Part(3),))
    assert [type(value) for value in (*found.mpp, found.parts[0].size)] == [float, float, int]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": None}, "None for name, which is text"),
        ({"mpp": "fine"}, "'fine' for mpp, which is a list"),
        ({"mpp": [1]}, "1 values for mpp, which has 2"),
        ({"mpp": [1, True]}, r"True for mpp\[1\], which is a number"),
        ({"counts": {"b": 0.5}}, r"0.5 for counts\.b, which is a whole number"),
        ({"counts": {"b": float("inf")}}, r"inf for counts\.b"),
        ({"parts": [3]}, "3 instead of an object"),
        ({"parts": [{}]}, "one without size"),
        ({"on": 1}, "1 for on, which is true or false"),
        ({"colour": "green"}, "'green' for colour"),
        ({"mode": "idle"}, "'idle' for mode, which is 'fast' or 'slow'"),
    ],
)
def test_what_is_garbled_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        from_json(Whole, LEAST | change)
    assert set(fields_from_json(Whole, LEAST | change)) == {*LEAST, *change} - set(change)


@pytest.mark.parametrize(
    ("change", "words"), [({"x": 1}, "unknown x"), ({"first": {"size": 1, "px": 2}}, "unknown px")]
)
def test_other_names_are_refused_when_asked(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_json(Whole, LEAST | change, strict=True)
    assert from_json(Whole, LEAST | change).name == "a"


@pytest.mark.parametrize(("text", "words"), [("{", "no JSON"), ("[]", "another kind .list")])
def test_a_file_that_holds_no_object(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_json_object(tmp_path / "a.json")


def test_a_default_is_not_taken_where_only_some_fields_may_lack() -> None:
    assert from_json(Part, {"size": 2}, optional={"share"}) == Part(2)
    with pytest.raises(ValueError, match="one without share"):
        from_json(Part, {"size": 2}, optional=())
