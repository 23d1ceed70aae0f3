"""Dataclasses from JSON, every field checked by its type hint; arrays in JSON."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

__all__ = ["array_from_json", "array_to_json", "fields_from_json", "from_json", "read_json_object"]

T = TypeVar("T")


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it holds something else, which the message names.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"no JSON ({error})") from error
    if not isinstance(data, dict):
        raise ValueError(f"JSON of another kind ({type(data).__name__})")
    return data


def from_json(
    cls: type[T], data: Any, *, strict: bool = False, optional: Collection[str] | None = None
) -> T:
    """Rebuild a dataclass from what `json.loads` returns.

    Lists become tuples, and objects the dataclasses, that type hints ask for; whole numbers pass
    for real ones. Fields that may lack take their defaults.

    Parameters
    ----------
    cls : dataclass
        Its hints are numbers, text, bool, enums, Literal, None, tuple, dict and such dataclasses.
    data : object
        Of field names and values.
    strict : bool
        Whether names that are no fields are refused; otherwise they are passed over.
    optional : collection of str, optional
        Fields that may lack, where that is not every one with a default: a default is for new
        objects, and what was made before was not made with it.

    Raises
    ------
    ValueError
        When a field lacks or is garbled; the message goes on after "expected ..., got ".
        What the class itself raises goes through.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{_shown(data)} instead of an object")
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(known))
    if strict and unknown:
        raise ValueError(f"unknown {', '.join(unknown)} beside {', '.join(sorted(known))}")
    if optional is None:
        optional = {name for name, field in known.items() if _has_default(field)}
    for name in known:
        if name not in data and name not in optional:
            raise ValueError(f"one without {name}")
    hints = get_type_hints(cls)
    values = {
        name: _convert(hints[name], data[name], name, strict) for name in known if name in data
    }
    return cls(**values)


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def fields_from_json(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return those fields of a dataclass that are there and not garbled; others are passed over."""
    found = {}
    hints = get_type_hints(cls)
    for field in fields(cls):
        if field.name in data:
            try:
                found[field.name] = _convert(hints[field.name], data[field.name], "", False)
            except ValueError:
                continue
    return found


def _convert(hint: Any, value: Any, name: str, strict: bool) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not NoneType)
        return _convert(hint, value, name, strict)
    if origin is tuple:
        return _tuple(arguments, value, name, strict)
    if origin is dict and isinstance(value, Mapping):
        return {
            str(key): _convert(arguments[1], entry, f"{name}.{key}", strict)
            for key, entry in value.items()
        }
    if origin is Literal and value in arguments:
        return value
    if isinstance(hint, type) and issubclass(hint, Enum) and value in list(hint):
        return hint(value)
    if is_dataclass(hint):
        return from_json(hint, value, strict=strict)  # type: ignore[arg-type]
    return _scalar(hint, value, name)


def _tuple(arguments: tuple[Any, ...], value: Any, name: str, strict: bool) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{_shown(value)} for {name}, which is a list")
    if arguments[-1] is Ellipsis:
        arguments = arguments[:1] * len(value)
    if len(value) != len(arguments):
        raise ValueError(f"{len(value)} values for {name}, which has {len(arguments)}")
    return tuple(
        _convert(hint, entry, f"{name}[{i}]", strict)
        for i, (hint, entry) in enumerate(zip(arguments, value, strict=True))
    )


def _scalar(hint: Any, value: Any, name: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is Any or (hint is not float and type(value) is hint):
        return value
    if hint is float and number:
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is str and number:
        return str(value)
    kind = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    expected = kind.get(hint) or " or ".join(map(repr, choices)) or "of another kind"
    raise ValueError(f"{_shown(value)} for {name}, which is {expected}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def array_to_json(array: NDArray[Any] | None) -> dict[str, Any] | None:
    """Return an array ready for JSON: zlib-compressed and base64-coded; None stays None."""
    if array is None:
        return None
    packed = zlib.compress(np.ascontiguousarray(array).tobytes(), 6)
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "zlib": base64.b64encode(packed).decode("ascii"),
    }


def array_from_json(data: dict[str, Any] | None) -> NDArray[Any] | None:
    """Return the array of `array_to_json`; KeyError, TypeError, ValueError or zlib.error."""
    if data is None:
        return None
    raw = zlib.decompress(base64.b64decode(data["zlib"]))
    return np.frombuffer(raw, dtype=np.dtype(data["dtype"])).reshape(data["shape"])
