"""Image layers as pixels that can be read by rectangle and written without harming a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.maps import as_rgb
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.layout.completion import Maps
from napari_histodiff.slide.exporting.provenance import EditMark
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.ui.workspace.journal import EditJournal, MemoryJournal, SparsePlane
from napari_histodiff.ui.workspace.transforms import insert_above, pixel_size, place_on, put_on

__all__ = [
    "MAX_CANVAS",
    "ArrayTarget",
    "CanvasTarget",
    "PatchTarget",
    "RawTarget",
    "Target",
    "open_target",
    "register_target",
]

#: Largest side of a new canvas; it lies in memory, larger slides come from files.
MAX_CANVAS: Final = 16384

_PATCH_TILE: Final = 2048
_PROBE: Final = 512


class Target(ABC):
    """One image layer that edits are made on.

    Regions are pixels of the level they name; only a slide has levels besides the finest, 0.
    """

    #: Pixels changed by someone else than the journal; level 0.
    changed = Signal(Region)
    #: The image grew: what was at (y, x) of level 0 is now so many rows and columns further.
    moved = Signal(int, int)

    #: Whether one begins at the finest level, whatever level is looked at.
    starts_fine = False
    #: Whether the image keeps nuclei and tissue that are painted on it, beyond the window.
    keeps_paint = False
    #: Whether the image knows its own nuclei and tissue, see `own_maps`.
    has_own_maps = False

    def __init__(self, layer: Image) -> None:
        self.layer = layer
        #: Tells this image from others, in entries of the history; of a file also tomorrow.
        path = layer.source.path
        self.key = f"{path}#{layer.name}" if path else uuid4().hex
        self.mpp, self.knows_mpp = pixel_size(layer)
        #: Whether the user said how large pixels are, so that it may be said again.
        self.is_told = False
        self._misplaced = ""

    def read_place(self) -> None:
        """Read the pixel size again, and move the layers made for this target with the image.

        Until the pixels are square, nothing can be worked on; `pending` says so.
        """
        try:
            self.mpp, self.knows_mpp = pixel_size(self.layer)
            self._misplaced = ""
        except InvalidImage as error:
            self._misplaced = str(error)

    @property
    def name(self) -> str:
        """The name of its layer."""
        return str(self.layer.name)

    @property
    def path(self) -> str:
        """The file or folder it was opened from; empty where there is none."""
        return str(self.layer.source.path or "")

    @property
    def data(self) -> Any:
        """The finest level, (h, w, 3 or 4), of whatever array type the layer has."""
        return self.layer.data[0] if self.layer.multiscale else self.layer.data

    @property
    def spec(self) -> PyramidSpec:
        """The image as a pyramid: how large each level is, and where its places are in another."""
        height, width = self.data.shape[:2]
        return PyramidSpec(height, width, _PATCH_TILE, 1, self.mpp)

    @property
    def scan_place(self) -> Region | None:
        """Where on it the file lies that it shows, of a scan with room around it; else None."""
        return None

    @property
    def levels(self) -> int:
        """How many levels edits can be made at, from the finest on."""
        return 1

    @property
    def bounds(self) -> Region:
        """The whole image at its finest level."""
        return self.spec.bounds(0)

    @property
    def origin(self) -> tuple[int, int]:
        """Where the first pixel lies, in pixels of level 0 of a plane that stays as it grows."""
        return 0, 0

    @property
    def mpps(self) -> tuple[float, ...]:
        """Micrometres per pixel of each level that edits can be made at, the finest first."""
        return tuple(map(self.mpp_at, range(self.levels)))

    @property
    def guidance(self) -> float | None:
        """The guidance scale that the image was drawn at; None for anything but a slide."""
        return None

    @property
    def caption(self) -> str | None:
        """The caption that the image was drawn by; None for anything but a synthetic slide."""
        return None

    def mpp_at(self, level: int) -> float:
        """Return the micrometres per pixel of a level."""
        return self.mpp * (1 << level)

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return a copy of the pixels, (h, w, 3) uint8; reads nothing outside `region`.

        Raises
        ------
        InvalidImage
            When the pixels cannot be read unambiguously as 8-bit RGB.
        """
        return np.array(as_rgb(np.asarray(self.data[region.slices])), copy=True)

    def coverage(self, region: Region) -> NDArray[np.bool_]:
        """Return where pixels exist, (h, w) bool; a real image has them everywhere."""
        return np.ones(region.shape, np.bool_)

    def covered(self, region: Region) -> tuple[bool, bool]:
        """Return whether any, and whether all pixels of a region exist."""
        return True, True

    @property
    def layers(self) -> list[Image]:
        """Layers made for this target besides its own."""
        return []

    def pending(self, region: Region) -> str:
        """Return why the pixels of a region cannot be worked on yet; empty when they can."""
        return self._misplaced

    def prepare(self, region: Region) -> str:
        """Have the pixels of a region made, if need be, and return what `pending` says then."""
        return self.pending(region)

    def own_maps(self, region: Region) -> Maps | None:
        """Return class map, instance map and tissue map of a place, where the image knows them.

        None for anything but a synthetic slide; may be called in any thread.
        """
        return None

    def with_slide_conditions(self, request: EditRequest) -> EditRequest:
        """Return a request with what this image adds to it, so that the edit fits in."""
        return request

    def edits_under(self, request: EditRequest) -> int:
        """Return how many tiles hold finer edits that writing this one would replace."""
        return 0

    def kept_paint(self, plane: str, region: Region) -> NDArray[Any] | None:
        """Return the paint of a region that was kept when the image was worked on before.

        Parameters
        ----------
        plane : str
            "nuclei" or "tissue".
        region : Region
            Any place of a level.

        Returns
        -------
        (h, w) or None
            None where nothing is kept, as of any image but a scan.
        """
        return None

    def keep_paint(self, plane: str, region: Region, painted: NDArray[Any]) -> None:
        """Keep the paint of a region beyond this window, in a moment; of most images nothing is.

        Parameters
        ----------
        plane : str
            "nuclei" or "tissue".
        region : Region
            The frame.
        painted : (h, w)
            All its paint; the array may be painted on until it is kept.
        """
        return

    @abstractmethod
    def new_journal(self) -> EditJournal:
        """Return what writes to this image, and takes writes back."""

    @abstractmethod
    def export_source(self, marks: Sequence[EditMark] = ()) -> ExportSource:
        """Return the image as it shows now, with what of it is synthetic, to be written to a file.

        It may be read in any thread while nothing is written to the image.

        Parameters
        ----------
        marks : sequence of EditMark
            The edits it shows, where the image does not keep them itself.
        """


class RawTarget(Target):
    """A target whose undo steps are kept in memory, as pixels."""

    def new_journal(self) -> EditJournal:
        """Return an empty journal in memory."""
        return MemoryJournal(self)

    @property
    def source(self) -> object:
        """What holds the pixels that are written: the layer's array."""
        return self.data

    def export_source(self, marks: Sequence[EditMark] = ()) -> ExportSource:
        """Return the image with its edits; see `Target.export_source`."""
        described = {"kind": "image", "name": self.layer.name, "file": self.path}
        mpp = self.mpp if self.knows_mpp else None
        return ExportSource.of_image(
            self.name, self.bounds.shape, mpp, self.read, self.edited, source=described, marks=marks
        )

    def edited(self, region: Region) -> NDArray[np.bool_]:
        """Return which pixels were written, (h, w) bool."""
        return self.read_raw(region)[..., 3] > 0

    @abstractmethod
    def read_raw(self, region: Region) -> NDArray[np.uint8]:
        """Return what `write_raw` may change, (h, w, 4) RGBA, alpha 255 = written."""

    @abstractmethod
    def write_raw(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        """Store what `read_raw` returned, byte for byte, and show it."""


class CanvasTarget(RawTarget):
    """A new, empty canvas that remembers which of its pixels were written.

    Parameters
    ----------
    height, width : int
        Sides in pixels.
    mpp : float
        Micrometres per pixel.
    background : tuple of int
        RGB of pixels nobody wrote yet.
    name : str
        Name of the layer.

    Raises
    ------
    InvalidRequest
        When a side is not 64 to 16384 pixels or a number is out of range.
    """

    def __init__(
        self, height: int, width: int, mpp: float, background: tuple[int, int, int], name: str
    ) -> None:
        _check_canvas(height, width, mpp, background)
        pixels = np.empty((height, width, 3), np.uint8)
        pixels[:] = background
        self._written = np.zeros((height, width), np.bool_)
        self.background = background
        super().__init__(Image(pixels, rgb=True, name=name, scale=(mpp, mpp), units=("um", "um")))

    @property
    def bounds(self) -> Region:
        """The canvas as it was made."""
        return Region(0, 0, 0, *self._written.shape)

    def pending(self, region: Region) -> str:
        """Return also that the layer got pixels of another size, whose coverage nobody knows."""
        return self._resized() or super().pending(region)

    def export_source(self, marks: Sequence[EditMark] = ()) -> ExportSource:
        """Return the canvas, all of which is synthetic."""
        described = {"kind": "canvas", "name": self.layer.name}
        return ExportSource.of_image(
            self.name, self.bounds.shape, self.mpp, self.read, None, source=described, marks=marks
        )

    def coverage(self, region: Region) -> NDArray[np.bool_]:
        """Return where pixels were written."""
        return self._written[region.slices].copy()

    def covered(self, region: Region) -> tuple[bool, bool]:
        """Return whether any, and whether all pixels of a region were written."""
        written = self._written[region.slices]
        return bool(written.any()), bool(written.all())

    def read_raw(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels with coverage as alpha.

        Raises
        ------
        InvalidImage
            When the layer got pixels of another size than the canvas.
        """
        if problem := self._resized():
            raise InvalidImage(problem)
        alpha = self._written[region.slices].astype(np.uint8) * 255
        return np.dstack((self.data[region.slices], alpha))

    def write_raw(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        """Store pixels and coverage."""
        self.data[region.slices] = pixels[..., :3]
        self._written[region.slices] = pixels[..., 3] > 0
        self.layer.refresh(extent=False)

    def _resized(self) -> str:
        (height, width), now = self._written.shape, self.data.shape
        if now[:2] == (height, width):
            return ""
        return (
            f"the canvas had {width} x {height} px and its layer has {now[1]} x {now[0]} now: put "
            "the former pixels back, or open the new ones as a layer and press Use image"
        )


class ArrayTarget(RawTarget):
    """A numpy uint8 image in memory; the first write gives the layer a copy to change.

    The array the user made the layer from is never written to; the layer's name tells of the copy.
    """

    def __init__(self, layer: Image) -> None:
        super().__init__(layer)
        self._copy: NDArray[np.uint8] | None = None
        self._edited: SparsePlane[np.uint8] = SparsePlane(np.uint8)

    def read_raw(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels; alpha tells those that were written from those of the source."""
        alpha = self._edited.read(region) if self._is_copied else np.zeros(region.shape, np.uint8)
        return np.dstack((self.data[region.slices][..., :3], alpha))

    def write_raw(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        """Store the pixels in the layer's copy."""
        if not self._is_copied or self._copy is None:
            self._copy = np.array(self.layer.data, copy=True)
            self._edited = SparsePlane(np.uint8)
            self.layer.data = self._copy
            if not self.layer.name.endswith(" (edited)"):
                self.layer.name += " (edited)"
        self._copy[(*region.slices, slice(3))] = pixels[..., :3]
        self._edited.write(region, pixels[..., 3])
        self.layer.refresh(extent=False)

    @property
    def _is_copied(self) -> bool:
        return self._copy is not None and self.layer.data is self._copy


class PatchTarget(RawTarget):
    """A pyramid, dask or zarr image, or one of another dtype: edits lie in layers on top of it.

    The edits are kept in squares of 2048 pixels, one RGBA layer each, present only where something
    was written.
    """

    def __init__(self, layer: Image, viewer: Any) -> None:
        super().__init__(layer)
        self._viewer = viewer
        self._edits: SparsePlane[np.uint8] = SparsePlane(np.uint8, (4,), tile=_PATCH_TILE)
        self._patches: dict[Region, Image] = {}

    @property
    def layers(self) -> list[Image]:
        """The layers that hold edits."""
        return list(self._patches.values())

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the source's pixels with the edits on top."""
        pixels = self.read_source(region)
        edits = self._edits.read(region)
        edited = edits[..., 3] > 0
        pixels[edited] = edits[edited, :3]
        return pixels

    def read_source(self, region: Region) -> NDArray[np.uint8]:
        """Return a copy of the pixels without the edits."""
        return super().read(region)

    @property
    def source(self) -> object:
        """What holds the edits, whatever array lies below."""
        return self._edits

    def read_raw(self, region: Region) -> NDArray[np.uint8]:
        """Return the edits only."""
        return self._edits.read(region)

    def write_raw(self, region: Region, pixels: NDArray[np.uint8]) -> None:
        """Store edits and show them in layers right above the image."""
        for tile in self._edits.write(region, pixels):
            stored, patch = self._edits.tile(tile), self._patches.get(tile)
            if stored is None:
                self._hide(tile)
            elif patch is None:
                self._show(tile, stored)
            else:
                patch.refresh(extent=False)

    def read_place(self) -> None:
        """Read the pixel size again, and move the edits with the image."""
        super().read_place()
        for tile, patch in self._patches.items():
            put_on(patch, place_on(self.layer, tile.y, tile.x))

    def forget(self, layer: Any) -> None:
        """Drop the edits whose layer the user removed."""
        for tile, patch in list(self._patches.items()):
            if patch is layer:
                del self._patches[tile]
                self._edits.write(tile, np.zeros((*tile.shape, 4), np.uint8))

    def _show(self, tile: Region, stored: NDArray[np.uint8]) -> None:
        inside = tile.intersect(self.bounds)
        patch = Image(
            stored[: inside.height, : inside.width],
            rgb=True,
            name=f"Edits of {self.layer.name} at {tile.y}, {tile.x}",
            interpolation2d=self.layer.interpolation2d,
            **place_on(self.layer, tile.y, tile.x),
        )
        self._patches[tile] = patch
        insert_above(self._viewer, patch, [self.layer])

    def _hide(self, tile: Region) -> None:
        patch = self._patches.pop(tile, None)
        if patch is not None and patch in self._viewer.layers:
            self._viewer.layers.remove(patch)


# By the id of the layer, which lives as long as its target does.
_REGISTERED: Final[WeakValueDictionary[int, Target]] = WeakValueDictionary()


def register_target(target: Target) -> None:
    """Make `open_target` return this target for its layer, as long as somebody holds it."""
    _REGISTERED[id(target.layer)] = target


def open_target(layer: Any, viewer: Any) -> Target:
    """Return the target for an image layer that is open in the viewer.

    Raises
    ------
    InvalidImage
        When it is not a 2-D colour image of 8 bits, or of numbers that convert in one way only.
    """
    if not isinstance(layer, Image):
        raise InvalidImage(
            f"expected an image layer, got {type(layer).__name__} '{layer}'; "
            "select the layer with the tissue image"
        )
    if not layer.rgb or layer.ndim != 2:
        raise InvalidImage(
            f"expected a 2-D colour image, got '{layer.name}' with {layer.ndim} dimensions"
            f"{'' if layer.rgb else ' and one channel'}; "
            + ("open one plane of it" if layer.rgb else "open it with rgb=True, 3 channels last")
        )
    registered = _REGISTERED.get(id(layer))
    if registered is not None:
        return registered
    target: Target
    if isinstance(layer.data, np.ndarray) and layer.data.dtype == np.uint8:
        target = ArrayTarget(layer)
    else:
        target = PatchTarget(layer, viewer)
    as_rgb(_probe(layer))
    return target


def _probe(layer: Image) -> NDArray[Any]:
    """A cheap look at the values: the coarsest level, a coarse grid, or the middle."""
    if layer.multiscale:
        data = layer.data[-1]
        steps = [max(1, side // _PROBE) for side in data.shape[:2]]
        return np.asarray(data)[:: steps[0], :: steps[1]]
    if isinstance(layer.data, np.ndarray):
        steps = [max(1, side // _PROBE) for side in layer.data.shape[:2]]
        return np.asarray(layer.data[:: steps[0], :: steps[1]])
    middle = [max(0, (side - _PROBE) // 2) for side in layer.data.shape[:2]]
    y, x = middle
    return np.asarray(layer.data[y : y + _PROBE, x : x + _PROBE])


def _check_canvas(height: object, width: object, mpp: float, background: Sequence[int]) -> None:
    for name, side in (("height", height), ("width", width)):
        if not isinstance(side, (int, np.integer)) or not 64 <= side <= MAX_CANVAS:
            raise InvalidRequest(
                f"expected a canvas {name} of 64 to {MAX_CANVAS} whole pixels, got {side!r}; "
                "choose one in that range"
            )
    if not 0.1 <= mpp <= 64:
        raise InvalidRequest(
            f"expected 0.1 to 64 micrometres per pixel, got {mpp!r}; 0.5 is a 20x objective"
        )
    if len(background) != 3 or not all(0 <= value <= 255 for value in background):
        raise InvalidRequest(
            f"expected a background of three numbers 0-255, got {background!r}; "
            f"{GLASS_COLOUR} is the usual glass"
        )
