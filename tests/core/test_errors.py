from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from napari_histodiff.core import errors

FAMILY = [value for name in errors.__all__ if isinstance(value := getattr(errors, name), type)]


@pytest.mark.parametrize("error", FAMILY, ids=lambda error: error.__name__)
def test_one_family_that_travels_between_processes(error: type[errors.HistodiffError]) -> None:
    assert issubclass(error, errors.HistodiffError)
    back = pickle.loads(pickle.dumps(error("expected a, got b; do c")))
    assert type(back) is error
    assert str(back) == "expected a, got b; do c"


def test_what_is_already_there_travels_with_its_path() -> None:
    back = pickle.loads(pickle.dumps(errors.AlreadyThere.at(Path("a.tif"))))
    assert back.path == Path("a.tif")
    assert str(back).endswith(
        "got a.tif, which exists; choose another name, or give overwrite=True"
    )
    other = errors.AlreadyThere.at(back.path, "--overwrite")
    assert str(other).endswith("; choose another name, or give --overwrite")


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InvalidMap, ValueError),
        (errors.InvalidImage, ValueError),
        (errors.ModelNotFound, FileNotFoundError),
        (errors.ModelInvalid, ValueError),
        (errors.DeviceUnavailable, RuntimeError),
        (errors.OutOfMemory, MemoryError),
        (errors.WorkerDied, errors.EngineUnavailable),
        (errors.StorageError, OSError),
    ],
)
def test_errors_are_also_what_python_calls_them(
    error: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(error, builtin)


def test_every_error_of_the_module_is_public() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert defined == {error.__name__ for error in FAMILY}
