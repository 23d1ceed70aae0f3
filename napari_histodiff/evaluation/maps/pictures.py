"""Maps as files: numbers with their pixel size and unit, and a picture with a scale to look at."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.files import move_into_place
from napari_histodiff.slide.exporting.targets import without_ending

__all__ = ["Legend", "check_free", "map_files", "write_map"]

#: Longest side of the picture in pixels.
_PICTURE: Final = 1400

_TILE: Final = 256


@dataclass(frozen=True, slots=True)
class Legend:
    """How a map is shown.

    Attributes
    ----------
    title : str
    unit : str
        What 1 is.
    limits : (float, float)
        Values of the first and the last colour; what is below the first is clear.
    colours : str
        A colormap of matplotlib.
    """

    title: str
    unit: str
    limits: tuple[float, float]
    colours: str = "inferno"


def map_files(out: Path) -> tuple[Path, Path, Path]:
    """Return the files of a map: the numbers, the picture and what it was made of."""
    name = without_ending(out).name
    return tuple(out.with_name(name + end) for end in (".ome.tiff", ".png", ".json"))  # type: ignore[return-value]


def check_free(paths: tuple[Path, ...]) -> None:
    """Refuse to replace files.

    Raises
    ------
    InvalidRequest
        When one of them is there.
    """
    for path in paths:
        if path.exists():
            raise InvalidRequest(
                f"expected to write {path}, got a file that is there; choose another --out"
            )


def write_map(
    out: Path,
    values: NDArray[np.float32],
    mpp: float,
    image: NDArray[np.uint8],
    legend: Legend,
    facts: dict[str, Any],
) -> tuple[Path, ...]:
    """Write a map, all of its files or none, and return them.

    Parameters
    ----------
    out : Path
        See `map_files`.
    values : (h, w) float32
    mpp : float
        Micrometres per value.
    image : (h', w', 3) uint8
        The same place as a picture, of any size.
    legend : Legend
    facts : dict
        What it was made of, for the JSON.

    Raises
    ------
    StorageError
        When they cannot be written.
    """
    paths = map_files(out)
    told = {"title": legend.title, "unit": legend.unit, "mpp": mpp, "limits": legend.limits} | facts
    writers: tuple[Callable[[Path], None], ...] = (
        partial(_write_numbers, values=values, mpp=mpp, legend=legend),
        partial(_write_picture, values=values, mpp=mpp, image=image, legend=legend),
        partial(_write_facts, facts=told),
    )
    scratch = [path.with_name(f".{os.getpid()}.{path.name}") for path in paths]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for temporary, write in zip(scratch, writers, strict=True):
            write(temporary)
        for temporary, path in zip(scratch, paths, strict=True):
            move_into_place(temporary, path)
    except OSError as error:
        raise StorageError(
            f"expected to write {paths[0]}, got '{error.strerror or error}'; free some space or "
            "choose another folder"
        ) from error
    finally:
        for temporary in scratch:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    return paths


def _write_facts(path: Path, *, facts: dict[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def _write_numbers(path: Path, *, values: NDArray[np.float32], mpp: float, legend: Legend) -> None:
    size = {f"PhysicalSize{axis}": mpp for axis in "XY"}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    about = {"axes": "YX", "Name": legend.title, "Description": f"1 = {legend.unit}"}
    with tifffile.TiffWriter(path, ome=True, bigtiff=values.nbytes > 2**31) as tiff:
        tiff.write(
            values,
            tile=(_TILE, _TILE),
            compression="zlib",
            metadata=about | size | units,
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
        )


def _write_picture(
    path: Path,
    *,
    values: NDArray[np.float32],
    mpp: float,
    image: NDArray[np.uint8],
    legend: Legend,
) -> None:
    step = max(1, -(-max(values.shape) // _PICTURE))
    small = np.asarray(values[::step, ::step])
    low, high = legend.limits
    height, width = values.shape
    inches = 10 * min(1.0, max(0.5, max(height, width) / 800))
    figure = Figure(
        figsize=(
            inches * width / max(values.shape) + 1.4,
            inches * height / max(values.shape) + 0.6,
        )
    )
    axes = figure.add_subplot()
    extent = (0, width * mpp, height * mpp, 0)
    axes.imshow(image, extent=extent)
    share = ((small - low) / (high - low)).clip(0, 1)
    shown = axes.imshow(
        small,
        extent=extent,
        cmap=legend.colours,
        vmin=low,
        vmax=high,
        alpha=(0.85 * np.minimum(1, 3 * share)).astype(np.float32),
        interpolation="bilinear",
    )
    axes.set_xlabel("µm")
    axes.set_title(legend.title, fontsize=10)
    bar = figure.colorbar(shown, ax=axes, fraction=0.045, pad=0.02, extend="max")
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    bar.set_label(legend.unit, fontsize=9)
    figure.savefig(path, format="png", dpi=120, bbox_inches="tight")
