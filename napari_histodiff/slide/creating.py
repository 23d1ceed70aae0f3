"""Making the folder of a new slide."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from napari_histodiff.core.errors import StorageError
from napari_histodiff.core.recipe import SlideRecipe
from napari_histodiff.layout.sketch import Sketch
from napari_histodiff.slide.files import storage_error, write_file
from napari_histodiff.slide.ledger import History, Ledger
from napari_histodiff.slide.ome import metadata_files
from napari_histodiff.slide.parts import SKETCH_FILE, pack_sketch
from napari_histodiff.slide.tile_table import TileTable

__all__ = ["make_slide"]


def make_slide(path: Path, recipe: SlideRecipe, sketch: Sketch | None) -> None:
    """Make a slide on which nothing is drawn, all of it or nothing.

    Raises
    ------
    StorageError
        When there is something at `path`, or it can not be written.
    """
    if path.exists():
        raise StorageError(
            f"expected a new folder, got {path}, which exists; choose another name, or open it"
        )
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        for name, data in metadata_files(path.name.removesuffix(".ome.zarr"), recipe):
            write_file(scratch / name, data)
        packed = pack_sketch(sketch, recipe.refined)
        if packed is not None:
            write_file(scratch / SKETCH_FILE, packed)
        Ledger.start(scratch / "histodiff", TileTable(recipe.spec), History())
        os.rename(scratch, path)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
