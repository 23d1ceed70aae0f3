"""Numbers as people write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.captions.numbers import NUMBER, count_in, measure_in

COUNTS = st.integers(0, 999_999_999)


@given(COUNTS, st.sampled_from(["", ",", ".", " ", "\u00a0", "\u202f"]))
def test_counts_are_read_however_thousands_are_marked(count: int, mark: str) -> None:
    said = f"{count:,}".replace(",", mark)
    assert re.fullmatch(NUMBER, said)
    assert count_in(said) == count


@given(COUNTS, st.integers(0, 99), st.sampled_from([("", ","), ("", "."), (".", ","), (" ", ".")]))
def test_measures_are_read_with_either_mark(whole: int, cents: int, marks: tuple[str, str]) -> None:
    said = f"{whole:,}".replace(",", marks[0]) + f"{marks[1]}{cents:02d}"
    assert re.fullmatch(NUMBER, said)
    assert measure_in(said) == whole + cents / 100
    assert count_in(said) is None


@given(st.text(alphabet="0123456789., \u00a0", max_size=14))
def test_no_text_is_read_as_two_things(text: str) -> None:
    count, measure = count_in(text), measure_in(text)
    assert count is None or measure in (None, count)


@pytest.mark.parametrize(
    "text", ["", "1,500", "1.500", "1.2.3", "1,2345.6,7", "12,34,567", "-5", "1e3", "9" * 5000]
)
def test_what_may_be_two_or_none_is_no_measure(text: str) -> None:
    assert measure_in(text) is None
