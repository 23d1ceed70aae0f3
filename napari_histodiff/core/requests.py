"""The frozen description of one edit: everything that decides its pixels."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.captions import captions_by_tissue
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.json_data import array_from_json, array_to_json, read_json_object
from napari_histodiff.core.maps import (
    TISSUE_NAMES,
    as_class_map,
    as_edit_mask,
    as_fibres,
    as_instance_map,
    as_rgb,
    as_tissue_map,
    give,
    is_given,
)
from napari_histodiff.core.steering.start import Fill, settle_start
from napari_histodiff.core.steering.steering import Steering, check_steering
from napari_histodiff.core.steering.strengths import settle_strengths

__all__ = [
    "DEFAULT_GUIDANCE",
    "DEFAULT_STEPS",
    "FLOW_STEPS",
    "LIMITS",
    "REQUEST_VERSION",
    "STAIN_NUMBERS",
    "EditKind",
    "EditRequest",
    "Structure",
    "checked_number",
]

REQUEST_VERSION: Final = 1

#: Guidance scale where none is asked for: jumps follow the paint without any, and tissue looks real
#: longest.
DEFAULT_GUIDANCE: Final = 1.0

#: Steps where none are asked for: two jumps.
DEFAULT_STEPS: Final = 2

#: The same of a model that cannot jump.
FLOW_STEPS: Final = 6

#: Inclusive limits of the numbers a user can set, shared by validation and widgets.
LIMITS: Final[dict[str, tuple[float, float]]] = {
    "guidance_scale": (1.0, 10.0),
    "steps": (1, 100),
    "strength": (0.05, 1.0),
    "variants": (1, 16),
    "seed": (0, 2**31 - 1),
    "mpp": (0.1, 64.0),
    "feather": (0.0, 50.0),
    "first_variant": (0, 2**31 - 1),
    "coarse_levels": (1, 2),
}

#: What requests did not have when some that were saved were made.
_LATER: Final = ("feather", "first_variant", "fibres", "coarse_levels", "tinted")

#: How many numbers describe a stain: the last, how fine its detail is, may be missing.
STAIN_NUMBERS: Final = (7, 8)

#: Class map, instance map and tissue map of one variant; None as in a request.
Structure = tuple[NDArray[np.uint8] | None, NDArray[np.int32] | None, NDArray[np.uint8] | None]

_STRUCTURE: Final = ("class_map", "instance_map", "tissue_map")
_INTEGERS: Final = ("steps", "variants", "first_variant", "seed", "coarse_levels")
_ARRAYS: Final = (*_STRUCTURE, "image", "edit_mask", "coarse", "fibres")

_CONVERTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "class_map": as_class_map,
    "instance_map": as_instance_map,
    "tissue_map": lambda a: as_tissue_map(a, len(TISSUE_NAMES)),
    "image": as_rgb,
    "edit_mask": as_edit_mask,
    "coarse": as_rgb,
    "fibres": as_fibres,
}


class EditKind(StrEnum):
    """What an edit does with the pixels under its frame."""

    GENERATE = "generate"
    INPAINT = "inpaint"
    OUTPAINT = "outpaint"
    ZOOM = "zoom"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EditRequest:
    """One edit, resolved once when it is submitted and never changed after.

    Parameters
    ----------
    kind : EditKind
        GENERATE ignores `image`; INPAINT and OUTPAINT need `image` and `edit_mask`; ZOOM needs
        `coarse`.
    region : Region
        The frame in pixels of its level, (y, x) order; every map has its shape. It also keys the
        noise, so the same place draws the same noise.
    class_map : (h, w) uint8
        Lizard class ids 0-6, 0 = no nucleus or class unknown; None leaves the nuclei to the model.
    instance_map : (h, w) int32, optional
        Nucleus ids, 0 = background. Without it the edges come from the class map.
    tissue_map : (h, w) uint8, optional
        Ids of the model's tissue schema, 0 = unspecified.
    image : (h, w, 3) uint8, optional
        Pixels under the frame; those outside `edit_mask` are known and come back unchanged.
    edit_mask : (h, w) bool, optional
        True where pixels may change.
    coarse : (h, w, 3) uint8, optional
        The same place `coarse_levels` up, each pixel repeated so that it has the frame's shape.
    caption : str
        Free text of the closed vocabulary in `core.captions`; may be empty.
    guidance_scale : float
        diffusers' convention: 1 = no guidance.
    steps : int
        Solver steps.
    strength : float
        Share of the noise schedule used where `image` lies under the edit mask; 1 = redraw fully.
    seed : int
        0 .. 2**31 - 1.
    variants : int
        How many independent draws to return.
    mpp : float
        Micrometres per pixel of the frame.
    region_captions : mapping of str to str, or pairs
        Captions of single tissues, by the tissue's name: where `tissue_map` has it, its caption
        takes the place of `caption`. Each one costs a network pass more in the windows it lies in.
    stain : tuple of float, optional
        Stain to draw in, as measured on a reference image by `inpainting.stains.stain_vector`;
        without it that of the known pixels, else of a training slide chosen by caption and seed.
    target : Region, optional
        The part of the region to draw, as a part of the endless plane: windows lie on the plane's
        own lattice and none ends at the region's border, so the pixels do not depend on which
        region or target they are asked with. The rest of the region only holds conditions and must
        reach `BackendInfo.margin` pixels around every tile that the target touches. For GENERATE
        and ZOOM at strength 1; without it the region is a canvas of its own and drawn whole.
    feather : float
        How far inside the edit mask old and new pixels of an inpainting fade into each other, in
        um; 0 = not at all.
    steering : Steering
        What steers the drawing beside paint and caption; by default nothing.
    inverted : bool
        Whether an inpainting of strength < 1 starts from the noise that the model itself would draw
        the image from, found by walking its steps backwards, and not from noise of the seed; for
        models that predict noise, and for the package's own beyond its jumps.
    model_name, model_revision : str
        Name and weights of the model it is meant for, as `BackendInfo` has them; kept with what it
        draws. They decide no pixel, and are empty where nobody said.
    first_variant : int
        Number of the first draw: a request of one variant can be any of another's.
    structures : tuple of Structure
        Maps of the variants after the first, where each has its own; else all share the request's.
    strength_map : (h, w) float32 in 0-1, optional
        Strength of each part of an inpainting's edit mask, see `core.steering.strengths`; then
        `strength` is the largest in it.
    fill : Fill
        What an inpainting of strength < 1 starts from, see `inpainting.fills`. NOISE becomes
        strength 1, and all else of strength 1 ORIGINAL.
    fibres : (h, w) uint8, optional
        For a target: where fibres point, 0 = nowhere, else 1 + the direction in sixteenths of half
        a turn, from columns towards rows. Then the noise suits the tissue, see
        `diffusion.tissue_noise`; without it, it is white. A frame has such noise anyway, and
        fibres that follow from its paint.
    coarse_levels : int
        How many levels up `coarse` is: 1, every 2 x 2 block of what is drawn has exactly its mean;
        or 2, every 4 x 4 block comes near it, and `coarse` tells nothing beyond these means.
    tinted : bool
        For a target with fibres: whether the mean of its noise leans to the colour of its tissue,
        as that of a frame does. Slides that were made before have noise without.

    Raises
    ------
    InvalidRequest
        When a number is out of range or not finite, a map has another shape than the frame, what
        the kind needs is missing, the target leaves the region, or some variants lack a structure.
    """

    kind: EditKind
    region: Region
    class_map: NDArray[np.uint8] | None = None
    instance_map: NDArray[np.int32] | None = None
    tissue_map: NDArray[np.uint8] | None = None
    image: NDArray[np.uint8] | None = None
    edit_mask: NDArray[np.bool_] | None = None
    coarse: NDArray[np.uint8] | None = None
    caption: str = ""
    guidance_scale: float = DEFAULT_GUIDANCE
    steps: int = DEFAULT_STEPS
    strength: float = 1.0
    seed: int = 0
    variants: int = 1
    mpp: float = field(default=0.5)
    region_captions: tuple[tuple[str, str], ...] = ()
    stain: tuple[float, ...] | None = None
    target: Region | None = None
    feather: float = 0.0
    steering: Steering = field(default_factory=Steering)
    inverted: bool = False
    model_name: str = ""
    model_revision: str = ""
    first_variant: int = 0
    structures: tuple[Structure, ...] = ()
    strength_map: NDArray[np.float32] | None = None
    fill: Fill = Fill.ORIGINAL
    fibres: NDArray[np.uint8] | None = None
    coarse_levels: int = 1
    tinted: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _kind(self.kind))
        if not isinstance(self.caption, str):
            raise InvalidRequest(
                f"expected a caption of text, got {self.caption!r}; write words or leave it empty"
            )
        if not isinstance(self.region, Region):
            raise InvalidRequest(
                f"expected a Region as frame, got {self.region!r}; give Region(level, y, x, h, w)"
            )
        if self.region.is_empty:
            raise InvalidRequest(
                f"expected a frame with at least one pixel, got {self.region.height} x "
                f"{self.region.width}; draw or resize the frame"
            )
        for name in LIMITS:
            object.__setattr__(self, name, checked_number(name, getattr(self, name)))
        object.__setattr__(self, "stain", _stain(self.stain))
        object.__setattr__(self, "region_captions", captions_by_tissue(self.region_captions))
        for name in _ARRAYS:
            object.__setattr__(self, name, self._frozen(name, getattr(self, name)))
        object.__setattr__(self, "structures", self._frozen_structures())
        settle_strengths(self)
        settle_start(self)
        self._check_kind()
        self._check_target()
        check_steering(self.steering, self.kind)

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor: pickled arrays would come back writable.
        return _rebuild, ({f.name: getattr(self, f.name) for f in fields(self)},)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame in pixels."""
        return self.region.shape

    @property
    def nbytes(self) -> int:
        """Bytes of its maps and images."""
        arrays = (getattr(self, name) for name in (*_ARRAYS, "strength_map"))
        return sum(array.nbytes for array in arrays if array is not None)

    @property
    def drawn(self) -> Region:
        """The rectangle whose pixels a backend returns: the target, or the whole frame."""
        return self.region if self.target is None else self.target

    def alone(self, variant: int) -> EditRequest:
        """Return the request that draws one of its variants and no other.

        Raises
        ------
        InvalidRequest
            When it has no such variant.
        """
        if not 0 <= variant < self.variants:
            raise InvalidRequest(
                f"expected a variant from 0 to {self.variants - 1}, got {variant}; choose one of "
                "those"
            )
        maps: dict[str, Any] = {}
        if variant and self.structures:
            maps = dict(zip(_STRUCTURE, self.structures[variant - 1], strict=True))
        first = self.first_variant + variant
        return replace(self, variants=1, first_variant=first, structures=(), **maps)

    @property
    def apart(self) -> tuple[EditRequest, ...]:
        """Requests of one structure each that draw the same: itself, or one a variant."""
        if not self.structures:
            return (self,)
        return tuple(self.alone(variant) for variant in range(self.variants))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description; arrays are zlib-compressed and base64-coded."""
        result: dict[str, Any] = {
            "version": REQUEST_VERSION,
            "kind": str(self.kind),
            "region": _sides(self.region),
            "target": None if self.target is None else _sides(self.target),
            "caption": self.caption,
            "stain": None if self.stain is None else list(self.stain),
            "model_name": self.model_name,
            "model_revision": self.model_revision,
            **{name: getattr(self, name) for name in LIMITS},
        }
        if self.region_captions:  # as requests were before there were any
            result["region_captions"] = dict(self.region_captions)
        if self.steering.acts:
            result["steering"] = self.steering.to_dict()
        if self.inverted:
            result["inverted"] = True
        if self.fill is not Fill.ORIGINAL:
            result["fill"] = str(self.fill)
        if self.structures:
            result["structures"] = [[*map(array_to_json, maps)] for maps in self.structures]
        if self.strength_map is not None:
            result["strength_map"] = array_to_json(self.strength_map)
        given = [n for n in _ARRAYS if n not in _LATER or getattr(self, n) is not None]
        return result | {name: array_to_json(getattr(self, name)) for name in given}

    @classmethod
    def from_dict(cls, data: Any) -> EditRequest:
        """Rebuild a request from `to_dict`.

        Raises
        ------
        InvalidRequest
            When the description is not a mapping, of a newer version, lacks a field or is damaged.
        """
        version = data.get("version") if isinstance(data, Mapping) else None
        if version != REQUEST_VERSION:
            raise InvalidRequest(
                f"expected a request of version {REQUEST_VERSION}, got {version}; "
                "open it with the release of napari-histodiff that wrote it"
            )
        try:
            told = [n for n in (*_ARRAYS, *LIMITS) if n in data or n not in _LATER]
            arrays: dict[str, Any] = {n: array_from_json(data[n]) for n in told if n in _ARRAYS}
            numbers = {n: data[n] for n in told if n in LIMITS}
            drawn_of = data.get("structures", ())
            structures: Any = tuple(tuple(map(array_from_json, maps)) for maps in drawn_of)
            return cls(
                kind=data["kind"],
                region=Region(*data["region"]),
                target=None if data.get("target") is None else Region(*data["target"]),
                caption=data["caption"],
                region_captions=data.get("region_captions", ()),
                stain=data.get("stain"),
                steering=Steering.from_dict(data.get("steering", {})),
                inverted=data.get("inverted", False),
                fill=data.get("fill", Fill.ORIGINAL),
                # Requests that were saved before do not say.
                model_name=str(data.get("model_name", "")),
                model_revision=str(data.get("model_revision", "")),
                structures=structures,
                strength_map=array_from_json(data.get("strength_map")),
                **numbers,
                **arrays,
            )
        except InvalidRequest:
            raise
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise InvalidRequest(
                f"expected a complete request, got one that lacks or garbles {error}; "
                "save the request again"
            ) from error

    @classmethod
    def from_json(cls, path: Path | str) -> EditRequest:
        """Read the request of an edit that was saved, `NAME.json` beside its image.

        Raises
        ------
        InvalidRequest
            When the file is missing, or holds no request of this release.
        """
        path = Path(path)
        try:
            data = read_json_object(path)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise InvalidRequest(
                f"expected a saved request in {path}, got {said}; give the .json that lies beside "
                "a saved image"
            ) from error
        return cls.from_dict(data)

    def _frozen(self, name: str, array: Any) -> Any:
        if array is None:
            return None
        array = _CONVERTERS[name](array)
        if array.shape[:2] != self.shape:
            raise InvalidRequest(
                f"expected {name} of shape {self.shape} like the frame, got "
                f"{array.shape[:2]}; paint or crop it to the frame"
            )
        return array if is_given(array) else give(np.array(array, copy=True))

    def _frozen_structures(self) -> tuple[Structure, ...]:
        found: list[Any] = [
            tuple(self._frozen(*pair) for pair in zip(_STRUCTURE, maps, strict=True))
            for maps in self.structures
        ]
        if found and len(found) != self.variants - 1:
            raise InvalidRequest(
                f"expected maps of the {self.variants - 1} variants after the first, got those of "
                f"{len(found)}; give every variant its own, or none"
            )
        return tuple(found)

    def _check_kind(self) -> None:
        needs: dict[EditKind, tuple[str, ...]] = {
            EditKind.GENERATE: (),
            EditKind.INPAINT: ("image", "edit_mask"),
            EditKind.OUTPAINT: ("image", "edit_mask"),
            EditKind.ZOOM: ("coarse",),
        }
        for name in needs[self.kind]:
            if getattr(self, name) is None:
                raise InvalidRequest(
                    f"expected {name} for {self.kind}, got none; give it or use another kind"
                )
        if "edit_mask" in needs[self.kind] and not np.any(self.edit_mask):
            raise InvalidRequest(
                "expected an edit mask with at least one painted pixel, got an empty one; "
                "paint where pixels may change"
            )

    def _check_target(self) -> None:
        if self.target is None:
            if self.fibres is not None:
                raise InvalidRequest(
                    "expected fibres for a target, got some for a frame; leave them out"
                )
            return
        if self.kind not in (EditKind.GENERATE, EditKind.ZOOM):
            raise InvalidRequest(
                f"expected generate or zoom on the endless plane, got {self.kind}; "
                "leave the target out"
            )
        if self.target.is_empty or not self.region.contains(self.target):
            raise InvalidRequest(
                f"expected a target inside {self.region}, got {self.target}; ask for a part of it"
            )


def _sides(region: Region) -> list[int]:
    return [region.level, region.y, region.x, region.height, region.width]


def _rebuild(values: dict[str, Any]) -> EditRequest:
    return EditRequest(**values)


def _kind(value: str) -> EditKind:
    try:
        return EditKind(value)
    except ValueError:
        raise InvalidRequest(
            f"expected a kind of edit, got {value!r}; use one of " + ", ".join(EditKind)
        ) from None


def _stain(values: Any) -> tuple[float, ...] | None:
    if values is None:
        return None
    try:
        stain = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        stain = ()
    if len(stain) not in STAIN_NUMBERS or not all(map(math.isfinite, stain)):
        raise InvalidRequest(
            f"expected a stain of {STAIN_NUMBERS[0]} or {STAIN_NUMBERS[1]} finite numbers, got "
            f"{values!r}; measure it on a reference image or leave it out"
        )
    return stain


def checked_number(name: str, value: object, *, limits_of: str | None = None) -> float:
    """Return a number that somebody set, as a plain one.

    Parameters
    ----------
    name : str
        What it is.
    value : object
    limits_of : str, optional
        Name of its `LIMITS`; by default its own.

    Raises
    ------
    InvalidRequest
        When it is no number, not whole where it must be, or out of range.
    """
    low, high = LIMITS[limits_of or name]
    whole = (limits_of or name) in _INTEGERS
    accepted = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, accepted):
        kind = "a whole number" if whole else "a number"
        raise InvalidRequest(f"expected {name} as {kind}, got {value!r}; enter {kind}")
    if not math.isfinite(value) or not low <= value <= high:
        raise InvalidRequest(
            f"expected {name} between {low} and {high}, got {value}; choose one in that range"
        )
    # Plain numbers, so that a description of the request is always JSON.
    return int(value) if whole else float(value)
