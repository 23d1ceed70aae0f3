"""Finished edits of this session, newest first, within a budget of memory."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import block_means
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest

__all__ = ["THUMBNAIL", "History", "HistoryEntry", "thumbnail"]

#: Longest side of a thumbnail in pixels.
THUMBNAIL: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class HistoryEntry:
    """One finished edit: its request, (variants, h, w, 3) uint8 images and wall seconds.

    `image` is the key of the image it was made on, None when any will do, `image_name` and
    `image_path` its name and file; `tissue` what was painted of it, (h, w) uint8 ids of
    `core.maps.TISSUE_NAMES`, whatever the model made of that. `frame` is where the frame was, which
    the request may reach beyond; None when nobody knows. `id` is unique and sorted by time, `made`
    in seconds since 1970.
    """

    number: int
    request: EditRequest
    images: NDArray[np.uint8]
    seconds: float
    image: Hashable = None
    tissue: NDArray[np.uint8] | None = None
    id: str = ""
    made: float = 0.0
    image_name: str = ""
    image_path: str = ""
    frame: Region | None = None

    @property
    def place(self) -> Region:
        """Where the frame was; all that the model saw where nobody knows."""
        seen, frame = self.request.region, self.frame
        is_part = frame is not None and frame.level == seen.level and seen.contains(frame)
        return frame if frame is not None and is_part else seen

    def at(self, region: Region) -> HistoryEntry:
        """Return the edit where its request is of another region of the same shape."""
        before, frame = self.request.region, self.frame
        if frame is not None:
            frame = frame.translate(region.y - before.y, region.x - before.x)
            frame = replace(frame, level=region.level)
        return replace(self, request=replace(self.request, region=region), frame=frame)

    @property
    def nbytes(self) -> int:
        """Bytes the entry holds, the request's maps included."""
        tissue = 0 if self.tissue is None else self.tissue.nbytes
        return self.images.nbytes + self.request.nbytes + tissue


class History:
    """Entries newest first; the oldest leave when `max_entries` or `max_bytes` is passed."""

    def __init__(self, max_entries: int = 40, max_bytes: int = 512 * 2**20) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: list[HistoryEntry] = []
        self._count = 0

    @property
    def entries(self) -> tuple[HistoryEntry, ...]:
        """The entries, newest first."""
        return tuple(self._entries)

    def add(
        self,
        request: EditRequest,
        images: NDArray[np.uint8],
        seconds: float,
        image: Hashable = None,
        tissue: NDArray[np.uint8] | None = None,
        *,
        image_name: str = "",
        image_path: str = "",
        frame: Region | None = None,
    ) -> HistoryEntry:
        """Put a finished edit in front; the newest always stays."""
        self._count += 1
        now = time.time_ns()
        entry = HistoryEntry(
            self._count,
            request,
            images,
            seconds,
            image,
            tissue,
            id=f"{now:020d}-{os.getpid()}-{self._count}",
            made=now / 1e9,
            image_name=image_name,
            image_path=image_path,
            frame=frame,
        )
        self._entries.insert(0, entry)
        while len(self._entries) > 1 and (
            len(self._entries) > self._max_entries
            or sum(e.nbytes for e in self._entries) > self._max_bytes
        ):
            self._entries.pop()
        return entry


def thumbnail(image: NDArray[np.uint8], side: int = THUMBNAIL) -> NDArray[np.uint8]:
    """Shrink (h, w, 3) uint8 so that its longest side is at most `side`, by box averages."""
    step = max(1, -(-max(image.shape[:2]) // side))
    if step == 1 or min(image.shape[:2]) < step:
        return np.ascontiguousarray(image[:side, :side])
    return block_means(image, step).round().astype(np.uint8)
