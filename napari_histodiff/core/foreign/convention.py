"""How paint becomes the control image of a foreign model, and what else its folder should say.

A small file `histodiff.json` beside the model's own files holds it; presets for public models are
in the folder `presets` of this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import ModelInvalid, make_folder
from napari_histodiff.core.json_data import from_json, read_json_object
from napari_histodiff.core.maps import (
    CLASS_NAMES,
    FEW_NUCLEI,
    TISSUE_NAMES,
    nuclei_mask,
    nuclei_union,
)

__all__ = ["CONVENTION_FILE", "PRESETS", "Convention", "preset", "read_convention", "use_preset"]

#: Name of the file beside the model.
CONVENTION_FILE: Final = "histodiff.json"

_PRESET_FOLDER: Final = Path(__file__).parent / "presets"

#: Names of the conventions that come with the package.
PRESETS: Final = tuple(sorted(path.stem for path in _PRESET_FOLDER.glob("*.json")))

_NUCLEI: Final = (*CLASS_NAMES, "unknown", "edges")
_LENGTHS: Final = {"palette": 3, "integers": 1, "one-hot": 1, "binary": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """What a foreign model expects.

    Attributes
    ----------
    paint : str
        Which paint it is told of: "nuclei", "tissue", or "none".
    encoding : str
        "palette", an RGB image; "integers", a gray image of ids; "binary", a gray image of nuclei;
        "one-hot", one plane of 0 and 1 for each name.
    values : dict of str to tuple of int
        Of each tissue, or class of nuclei (`CLASS_NAMES`; "unknown", those of none; "edges", their
        outlines, over all): its colour, its id, or the number of its plane. Names that lack are
        drawn as background. "binary" has one value, that of "any" nucleus.
    background : tuple of int
        Colour or id where nothing is painted; not for "one-hot".
    mpp : (float, float)
        Micrometres per pixel of the training images.
    prompt : str
        Sentence around a caption of our vocabulary, with {caption} in its place.
    negative : str
        What guidance compares with.
    steps, guidance_scale : int, float
        What its authors draw with.
    """

    paint: Literal["nuclei", "tissue", "none"] = "none"
    encoding: Literal["palette", "integers", "one-hot", "binary"] = "palette"
    values: dict[str, tuple[int, ...]] = field(default_factory=dict)
    background: tuple[int, ...] = (0,)
    mpp: tuple[float, float] = (0.5, 0.5)
    prompt: str = "H&E stained histopathology image of {caption}"
    negative: str = ""
    steps: int = 30
    guidance_scale: float = 5.0

    def __post_init__(self) -> None:
        known = {"nuclei": _NUCLEI, "tissue": TISSUE_NAMES[1:], "none": ()}[self.paint]
        allowed = ("any",) if (self.paint, self.encoding) == ("nuclei", "binary") else known
        strange = sorted(set(self.values) - set(allowed))
        if strange:
            raise ValueError(f"{', '.join(strange)}, which is no {self.paint}")
        length = _LENGTHS[self.encoding]
        if any(len(v) != length or min(v) < 0 or max(v) > 255 for v in self.values.values()):
            raise ValueError(f"values of other than {length} numbers from 0 to 255")
        if "{caption}" not in self.prompt or not 0 < self.mpp[0] <= self.mpp[1]:
            raise ValueError(f"prompt {self.prompt!r} and mpp {self.mpp}")
        if self.paint != "none" and not self.values:
            raise ValueError(f"no values of {self.paint}")

    @property
    def channels(self) -> int:
        """Planes of the control image."""
        if self.encoding != "one-hot":
            return 3
        return 1 + max(plane for (plane,) in self.values.values())

    @property
    def told(self) -> tuple[str, ...]:
        """Which paint the model is told of, as `BackendInfo.paint`."""
        return () if self.paint == "none" else (self.paint,)

    @property
    def tissue_names(self) -> tuple[str, ...]:
        """The tissue schema: what of `TISSUE_NAMES` the model is told of."""
        told = self.values if self.paint == "tissue" else {}
        return ("unspecified", *(name for name in TISSUE_NAMES[1:] if name in told))

    @property
    def class_counts(self) -> dict[str, int]:
        """Enough training nuclei of each class that has a value: how many nobody told."""
        told = self.values if self.paint == "nuclei" else {}
        return {name: FEW_NUCLEI if name in told else 0 for name in CLASS_NAMES}

    def control(
        self,
        shape: tuple[int, int],
        classes: NDArray[np.uint8] | None,
        instances: NDArray[np.int32] | None,
        tissue: NDArray[np.uint8] | None,
    ) -> NDArray[np.float32] | None:
        """Return the control image of painted maps, (channels, h, w) in [0, 1]; None: unpainted.

        Parameters
        ----------
        shape : (height, width)
        classes : (h, w) uint8, optional
            As `EditRequest.class_map`.
        instances : (h, w) int32, optional
        tissue : (h, w) uint8, optional
            Ids of `tissue_names`.
        """
        if self.paint == "tissue" and tissue is not None:
            where = {name: tissue == i for i, name in enumerate(self.tissue_names) if i}
        elif self.paint == "nuclei" and classes is not None:
            anything = nuclei_union(classes, instances)
            where = {name: classes == i for i, name in enumerate(CLASS_NAMES, 1)}
            where["unknown"] = anything & (classes == 0)
            where["edges"] = nuclei_mask(classes, instances)[-1] > 0
            where["any"] = anything
        else:
            return None
        painted = {name: mask for name, mask in where.items() if name in self.values}
        if self.encoding == "one-hot":
            planes = np.zeros((self.channels, *shape), np.float32)
            for name, mask in painted.items():
                planes[self.values[name][0]][mask] = 1
            return planes
        image = np.empty((*shape, 3), np.float32)
        image[:] = self.background
        for name, mask in painted.items():
            image[mask] = self.values[name]
        return np.ascontiguousarray(image.transpose(2, 0, 1) / np.float32(255))


def read_convention(folder: Path) -> Convention | None:
    """Return what `histodiff.json` of a model folder says; None when there is none.

    Raises
    ------
    ModelInvalid
        When it is garbled.
    """
    path = folder / CONVENTION_FILE
    return _read(path) if path.is_file() else None


def preset(name: str) -> Convention:
    """Return a convention that comes with the package.

    Raises
    ------
    ModelInvalid
        When there is none of this name.
    """
    if name not in PRESETS:
        raise ModelInvalid(
            f"expected one of {', '.join(PRESETS)}, got {name}; choose one of these, or write "
            f"{CONVENTION_FILE} yourself"
        )
    return _read(_PRESET_FOLDER / f"{name}.json")


def use_preset(folder: Path, name: str) -> Path:
    """Write a preset beside a model and return the file.

    Raises
    ------
    ModelInvalid
        When there is no such preset.
    StorageError
        When nothing can be written there.
    """
    preset(name)
    make_folder(folder)
    path = folder / CONVENTION_FILE
    path.write_text((_PRESET_FOLDER / f"{name}.json").read_text("utf-8"), "utf-8")
    return path


def _read(path: Path) -> Convention:
    try:
        data: dict[str, Any] = read_json_object(path)
        return from_json(Convention, data, strict=True)
    except (OSError, ValueError) as error:
        raise ModelInvalid(
            f"expected a complete {path}, got {error}; correct it, or write it anew from a preset: "
            f"{', '.join(PRESETS)}"
        ) from error
