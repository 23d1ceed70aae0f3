"""Arrays that nobody can change any more, so that requests share them and need no copies."""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

__all__ = ["give", "is_given"]

A = TypeVar("A", bound=NDArray[Any])

#: By their identity: an array can be read-only for one and have a view that another writes to.
_GIVEN: WeakValueDictionary[int, NDArray[Any]] = WeakValueDictionary()


def give(array: A) -> A:
    """Freeze an array and return it: a request takes it as it is.

    Parameters
    ----------
    array : ndarray
        Its own, or one of whose pixels nobody holds a view that can be written to.
    """
    array.setflags(write=False)
    _GIVEN[id(array)] = array
    return array


def is_given(array: Any) -> bool:
    """Tell whether an array was given, and is as it was then."""
    return (
        isinstance(array, np.ndarray)
        and _GIVEN.get(id(array)) is array
        and not array.flags.writeable
    )
