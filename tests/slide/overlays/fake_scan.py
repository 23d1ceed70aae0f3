"""A scan in memory that has a file, and what its edits must show, worked out the slow way."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import any_down, box_down, repeat_up
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.slide.edit_store import EditStore
from napari_histodiff.slide.scans.scan import ScanFacts, ScanIdentity

WHITE = 255


class FakeScan:
    """Pixels in memory; gone as soon as its file is.

    Parameters
    ----------
    path : Path
        A file of raw bytes, made when missing: height, width, then what the pixels follow from.
    """

    def __init__(self, path: Path, *, mpp: float = 0.25, levels: int = 3) -> None:
        self.path = path
        raw = path.read_bytes()
        height, width = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4))
        self._raw = raw
        self.spec = PyramidSpec(height, width, 256, levels, mpp)
        noise = np.random.default_rng(list(raw)).integers(0, 256, (height, width, 3), np.uint8)
        # Means that are no plain box means, as the levels in a file are not.
        self.pixels = [noise]
        for _ in range(levels - 1):
            self.pixels.append(box_down(self.pixels[-1]) ^ np.uint8(1))
        self.facts = ScanFacts(
            format="fake",
            reader="fake",
            mpp=(mpp, mpp),
            mpp_from="header",
            magnification=None,
            levels=tuple(level.shape[:2] for level in self.pixels),
            nbytes=len(raw),
        )
        self.reads = 0

    def read(self, region: Region) -> NDArray[np.uint8]:
        if not self.path.exists():
            raise FileNotFoundError(2, "No such file or directory", str(self.path))
        self.reads += 1
        result = np.full((*region.shape, 3), WHITE, np.uint8)
        inside = region.intersect(self.spec.bounds(region.level))
        if not inside.is_empty:
            there = inside.relative_to(region).slices
            result[there] = self.pixels[region.level][inside.slices]
        return result

    def identity(self) -> ScanIdentity:
        sha = hashlib.sha256(self._raw).hexdigest()
        return ScanIdentity(self.spec.height, self.spec.width, len(self._raw), sha)

    def close(self) -> None:
        pass


def make_scan(
    path: Path, height: int = 700, width: int = 610, key: int = 0, **more: float
) -> FakeScan:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(height.to_bytes(4, "little") + width.to_bytes(4, "little") + bytes([key]))
    return FakeScan(path, **more)  # type: ignore[arg-type]


@dataclass
class Expected:
    """What the edits of a scan must show: the rules, on whole levels."""

    scan: FakeScan
    done: list[tuple[Region, NDArray[np.uint8], NDArray[np.bool_]]] = field(default_factory=list)
    undone: list[tuple[Region, NDArray[np.uint8], NDArray[np.bool_]]] = field(default_factory=list)

    def write(self, region: Region, pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
        self.done.append((region, pixels, mask))
        self.undone.clear()

    def undo(self) -> None:
        if self.done:
            self.undone.append(self.done.pop())

    def redo(self) -> None:
        if self.undone:
            self.done.append(self.undone.pop())

    def own(self) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.uint8]]]:
        """Return what was edited at each level itself, and the pixels put there."""
        masks = [np.zeros(level.shape[:2], np.bool_) for level in self.scan.pixels]
        pixels = deepcopy(self.scan.pixels)
        for region, put, mask in self.done:
            inside = region.intersect(self.scan.spec.bounds(region.level))
            part = inside.relative_to(region).slices
            changed = np.zeros_like(masks[region.level])
            changed[inside.slices] = mask[part]
            pixels[region.level][changed] = put[part][mask[part]]
            masks[region.level] |= changed
            for finer in reversed(range(region.level)):
                height, width = masks[finer].shape
                changed = repeat_up(changed, 2)[:height, :width]
                masks[finer] &= ~changed
        return masks, pixels

    def shown(self) -> list[NDArray[np.uint8]]:
        """Return every level as it must show."""
        masks, pixels = self.own()
        levels = range(len(masks))
        under = []
        for level in levels:
            found = self.scan.pixels[level].copy()
            for coarser in reversed(levels[level:]):
                height, width = found.shape[:2]
                scale = 1 << (coarser - level)
                here = repeat_up(masks[coarser], scale)[:height, :width]
                found[here] = repeat_up(pixels[coarser], scale)[:height, :width][here]
            under.append(found)
        shown, edited = [under[0]], masks[0]
        for level in levels[1:]:
            means = any_down(edited)
            shown.append(np.where(means[..., None], box_down(shown[-1]), under[level]))
            edited = masks[level] | means
        return shown


def request(region: Region) -> EditRequest:
    return EditRequest(kind=EditKind.GENERATE, region=region)


def levels_of(store: EditStore) -> list[NDArray[np.uint8]]:
    return [store.read(store.spec.bounds(level)) for level in range(store.spec.levels)]


def random_edit(
    spec: PyramidSpec, rng: np.random.Generator
) -> tuple[Region, NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a place of any level, which may reach beyond the scan, new pixels and a mask."""
    level = int(rng.integers(spec.levels))
    bounds = spec.bounds(level)
    height, width = (int(rng.integers(4, 5 + side // 2)) for side in bounds.shape)
    y, x = (int(rng.integers(-3, side)) for side in bounds.shape)
    region = Region(level, y, x, height, width)
    mask = rng.random(region.shape) < rng.choice([0.02, 0.5, 1.0])
    inside = region.intersect(bounds).relative_to(region).slices
    mask[inside][0, 0] = True
    return region, rng.integers(0, 256, (*region.shape, 3), np.uint8), mask
