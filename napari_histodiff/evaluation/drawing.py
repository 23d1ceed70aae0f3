"""Draws what a study needs, each image once: drawn images stay in the output folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from napari_histodiff.core.backend import Backend, BackendInfo
from napari_histodiff.core.digest import digest_of
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import in_schema
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.tiles import Tile
from napari_histodiff.files import write_whole
from napari_histodiff.inpainting.stains import stain_vector
from napari_histodiff.layout.completion import complete_paint

__all__ = ["TileDrawer"]


class TileDrawer:
    """A backend with a memory on disk.

    Images are kept in `folder` by a hash of the model's name and revision and of the whole request,
    so that a second study with the same model only measures again.

    Parameters
    ----------
    backend : Backend
        The model.
    folder : Path
        Made when the first image is drawn.
    options : StudyOptions
        Default settings and seed.
    """

    def __init__(self, backend: Backend, folder: Path, options: StudyOptions) -> None:
        self.backend = backend
        self.info: BackendInfo = backend.info
        self._folder = folder
        self._options = options

    def tiles(
        self, tiles: Sequence[Tile], guidance: float | None = None, steps: int | None = None
    ) -> list[NDArray[np.uint8]]:
        """Draw every tile from its own nuclei, caption, stain and, when asked for, tissue.

        Tile i takes seed + i.
        """
        guidance = self._options.guidance if guidance is None else guidance
        steps = self._options.default_steps if steps is None else steps
        bar = tqdm(tiles, f"guidance {guidance:g}, {steps} steps", unit="tile", disable=None)
        return [
            self.generate(tile, offset=i, guidance_scale=guidance, steps=steps)
            for i, tile in enumerate(bar)
        ]

    def generate(self, tile: Tile, offset: int = 0, **settings: Any) -> NDArray[np.uint8]:
        """Draw one tile from its nuclei, caption and stain."""
        stain = stain_vector(tile.image) if self._options.stain == "reference" else None
        return self.draw(tile, EditKind.GENERATE, offset, stain=stain, **settings)

    def draw(
        self, tile: Tile, kind: EditKind, offset: int = 0, **settings: Any
    ) -> NDArray[np.uint8]:
        """Return (h, w, 3) uint8 of an edit of `tile`, from the folder when it is there.

        Raises
        ------
        InvalidRequest
            When the settings do not suit the kind or the model.
        """
        defaults: dict[str, Any] = {
            "guidance_scale": self._options.guidance,
            "steps": self._options.default_steps,
            "caption": tile.caption,
            "tissue_map": self._tissue(tile, offset),
        }
        request = EditRequest(
            kind=kind,
            region=Region(0, 0, 0, *tile.class_map.shape),
            class_map=tile.class_map,
            instance_map=tile.instance_map,
            seed=(self._options.seed + offset) % 2**31,
            mpp=tile.mpp,
            **defaults | settings,
        )
        path = self._folder / f"{_fingerprint(self.info, request)}.npz"
        image = _read(path)
        if image is None:
            image = self.backend.render([request])[0][0]
            _write(path, image)
        return image

    def _tissue(self, tile: Tile, offset: int) -> NDArray[np.uint8] | None:
        if self._options.tissue == "suggested":
            return complete_paint(
                tile.class_map,
                tile.instance_map,
                caption=tile.caption,
                mpp=tile.mpp,
                seed=(self._options.seed + offset) % 2**31,
                tissue_names=self.info.tissue_names,
            ).tissue_map
        if self._options.tissue == "none" or tile.tissue_map is None:
            return None
        return in_schema(tile.tissue_map, self.info.tissue_names)


def _fingerprint(info: BackendInfo, request: EditRequest) -> str:
    values = (getattr(request, entry.name) for entry in fields(request))
    return digest_of(info.name, info.revision, *values).hex()


def _read(path: Path) -> NDArray[np.uint8] | None:
    try:
        with np.load(path, allow_pickle=False) as archive:
            image: NDArray[np.uint8] = archive["image"]
            return image
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None  # not drawn yet, or cut short: draw it


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, image=image)
    write_whole(path, packed.getvalue(), sync=False)
