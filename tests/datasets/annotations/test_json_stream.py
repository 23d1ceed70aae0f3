"""JSON value by value: the values of the standard library, in the memory of one."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histodiff.datasets.annotations import json_stream
from napari_histodiff.datasets.annotations.json_stream import json_values

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside),
    max_leaves=12,
)


def read(text: str) -> list[Any]:
    return list(json_values(io.StringIO(text), "features"))


def wanted(value: Any) -> list[Any]:
    if isinstance(value, dict) and isinstance(value.get("features"), list):
        value = value["features"]
    return value if isinstance(value, list) else [value]


@pytest.fixture(params=[1, 3, 1000], ids=lambda n: f"{n} at a time")
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_PIECE", request.param)


@pytest.mark.usefixtures("_pieces")
@settings(suppress_health_check=[], max_examples=100)
@given(values, st.sampled_from([None, 1, 3]), st.booleans())
def test_values_are_those_of_the_standard_library(
    value: Any, indent: int | None, ascii_only: bool
) -> None:
    for one in (value, {"type": "FeatureCollection", "features": [value, 3], "crs": None}):
        text = json.dumps(one, indent=indent, ensure_ascii=ascii_only)
        assert read(text) == wanted(one)
        assert read(f" \n{text}\r\n ") == wanted(one)


@pytest.mark.usefixtures("_pieces")
@settings(suppress_health_check=[], max_examples=100)
@given(values, st.data())
def test_what_is_cut_or_garbled_is_refused_as_the_standard_library_does(
    value: Any, data: st.DataObject
) -> None:
    text = json.dumps({"features": [value, value]})
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    garbled = cut + data.draw(st.sampled_from('"{}[],:x0\\\0')) + text[len(cut) + 1 :]
    for one in (cut, garbled):
        try:
            whole = json.loads(one)
        except ValueError:
            with pytest.raises(ValueError, match=r"."):
                read(one)
        else:
            assert read(one) == wanted(whole)


@pytest.mark.parametrize(
    "text", ["", "[1, 2", "[1 2]", "[1] 2", '{"features": [1], 3: 4}', '{"a" 1}', "[1,]", '{"a":1,']
)
def test_it_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(text)


def test_what_is_nested_too_deep_ends_in_an_error_and_no_crash() -> None:
    for text in ("[" * 200_000, '{"a":' * 200_000, '{"features":[' + "[" * 200_000):
        with pytest.raises((RecursionError, ValueError)):
            read(text)


def test_one_value_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_PIECE", 1000)
    monkeypatch.setattr(json_stream, "_LARGEST", 10_000)
    with pytest.raises(ValueError, match="an entry of more than"):
        read(json.dumps(["x" * 100_000]))


def test_memory_does_not_grow_with_the_file() -> None:
    class Endless(io.StringIO):
        """A collection of as many features as are asked for, made as it is read."""

        def __init__(self, count: int) -> None:
            super().__init__()
            one = json.dumps({"geometry": {"coordinates": [[n + 0.5, n] for n in range(200)]}})
            self._parts = iter(['{"features": [', *([one + ","] * count), one, "]}"])

        def read(self, size: int | None = -1) -> str:
            return next(self._parts, "")

    tracemalloc.start()
    peaks = []
    for count in (50, 1000):
        tracemalloc.reset_peak()
        assert sum(1 for _ in json_values(Endless(count), "features")) == count + 1
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000
