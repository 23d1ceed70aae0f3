"""Every refusal says what was expected, what came, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from napari_histodiff.core.errors import HistodiffError

THREE_PARTS = re.compile(r"expected .+, got .+; \w.+", re.DOTALL)


@contextmanager
def refused(error: type[HistodiffError], *words: str) -> Iterator[None]:
    """Expect exactly `error`, a message of three parts, and each of `words` in it."""
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    assert caught.type is error
    assert THREE_PARTS.fullmatch(message), message
    assert [word for word in words if word not in message] == [], message
