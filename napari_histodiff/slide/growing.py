"""Adding rows and columns at the borders of a slide, or a finer level below all others.

Everything new is written aside first; then one file, `histodiff/grow.json`, says that the slide
grows. From there on it does: what a crash leaves to do is done when the slide is opened. A slide
that is open for reading only follows what another program writes to it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.errors import InvalidRequest, StorageError, make_folder
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.files import move_into_place
from napari_histodiff.slide.editing.pyramid import rebuild_far
from napari_histodiff.slide.editing.undo import UndoSteps, stale_state
from napari_histodiff.slide.state import SlideState, StoreState
from napari_histodiff.slide.storage.chunks import PLANES, level_folder
from napari_histodiff.slide.storage.dependencies import Dependents, PlaneFrame, of_border
from napari_histodiff.slide.storage.ledger import Ledger
from napari_histodiff.slide.storage.ome import metadata_files
from napari_histodiff.slide.storage.tile_table import (
    COLUMNS,
    IS_AVERAGED,
    TileState,
    TileTable,
    is_drawn,
)
from napari_histodiff.slide.storage.transactions import write_file

__all__ = ["check_sides", "finish_growing", "follow", "grow", "is_growing", "refine", "shrink"]

_INTENT: Final = "histodiff/grow.json"
_MOVED: Final = "histodiff/grow-moved.json"
_ASIDE: Final = "histodiff/grown"

# Tiles averaged between two records.
_BATCH: Final = 64


def check_sides(recipe: SlideRecipe, sides: dict[str, int]) -> SlideRecipe:
    """Return the recipe of a slide with so many pixels of level 0 more at each side.

    Raises
    ------
    InvalidRequest
        When a side is no multiple of a tile of the coarsest drawn level, or the slide too large.
    """
    step = TILE << recipe.coarsest
    for name, side in sides.items():
        if side < 0 or side % step:
            raise InvalidRequest(
                f"expected to grow the {name} by a multiple of {step} pixels, got {side}; "
                "round it up to one"
            )
    return recipe.grown(**sides)


def is_growing(path: Path) -> bool:
    """Return whether a slide was cut off, or is, while it grew."""
    return (path / _INTENT).exists() or (path / _MOVED).exists()


def grow(slide: SlideState, recipe: SlideRecipe) -> None:
    """Make a slide that of a recipe from `check_sides`; the caller holds its lock.

    Raises
    ------
    StorageError
        When there is no room to say so; the slide is as it was. When it can not be carried out
        after that, it will be when the slide is opened again.
    """
    old = slide.frame
    rows, cols = old.y - recipe.origin[0], old.x - recipe.origin[1]
    keeps_far = not (rows or cols) and recipe.spec.levels == slide.spec.levels
    table = _moved_table(slide, recipe, rows, cols, keeps_far=keeps_far)
    _mark_border(slide, table, recipe, old)
    _carry_out(slide, table, recipe, rows, cols, keeps_far=keeps_far)
    slide.chunk_reader.forget()
    slide.open_ledger(recipe)
    if not keeps_far:
        _average_all(slide)


def shrink(slide: SlideState, frame: PlaneFrame) -> None:
    """Make a slide the smaller one it was before it grew; the caller holds its lock.

    What lies beyond goes; tiles that were drawn from it become STALE, like those that grew.

    Parameters
    ----------
    slide : SlideState
        Without edits beyond the smaller slide.
    frame : PlaneFrame
        Where that lies, a part of where the slide lies.

    Raises
    ------
    StorageError
        As `grow`.
    """
    large = slide.recipe
    recipe = replace(large, origin=(frame.y, frame.x), height=frame.height, width=frame.width)
    rows, cols = large.origin[0] - frame.y, large.origin[1] - frame.x
    table = TileTable(recipe.spec)
    change = slide.change()
    dependents = of_border(large, frame)
    for level in range(recipe.coarsest + 1):
        side = TILE << level
        height, width = table.shape(level)
        y, x = -rows // side, -cols // side
        part = (slice(y, y + height), slice(x, x + width))
        for name, _ in COLUMNS:
            getattr(table, name)[level][...] = getattr(slide.table, name)[level][part]
        for tile in table.addresses(level, dependents[level][part] & is_drawn(table.states[level])):
            edits = change.get("edits", TileAddress(level, tile.row + y, tile.col + x))
            state = TileState(int(table.states[level][tile.row, tile.col]))
            stale = stale_state(state, edits, recipe.spec.region(tile).shape)
            table.states[level][tile.row, tile.col] = stale
    table.recount()
    _carry_out(slide, table, recipe, rows, cols, keeps_far=False, shrinks=True)
    slide.chunk_reader.forget()
    slide.open_ledger(recipe)
    _average_all(slide)


def refine(slide: SlideState, recipe: SlideRecipe) -> None:
    """Make a slide that of a recipe from `SlideRecipe.finer`; the caller holds its lock.

    No stored tile moves or changes: levels keep their folders, and the new one has nothing yet.

    Raises
    ------
    StorageError
        As `grow`.
    """
    table = TileTable(recipe.spec)
    for name, _ in COLUMNS:
        getattr(table, name)[1:] = getattr(slide.table, name)
    table.recount()
    _carry_out(slide, table, recipe, 0, 0, keeps_far=True)
    slide.open_ledger(recipe)


def finish_growing(path: Path) -> None:
    """Carry out what `grow.json` says; does nothing where there is none.

    Raises
    ------
    StorageError
        When it can not be; the slide can not be opened until it can.
    """
    if not is_growing(path):
        return
    intent_file = path / (_MOVED if (path / _MOVED).exists() else _INTENT)
    try:
        intent: dict[str, Any] = json.loads(intent_file.read_bytes())
        recipe = SlideRecipe.from_dict(intent["recipe"])
        if intent_file == path / _INTENT:
            if intent["rows"] or intent["cols"]:
                for folder, level in _folders(recipe):
                    side = TILE << level
                    _move_aside(path / folder, intent["rows"] // side, intent["cols"] // side)
            if intent.get("shrinks"):
                _drop_beyond(path, recipe)
            move_into_place(path / _INTENT, path / _MOVED)
        for folder, _ in _folders(recipe):
            _move_back(path / folder)
        if not intent["keeps_far"]:
            for level in range(recipe.coarsest + 1, recipe.spec.levels):
                far = path / level_folder("image", level, recipe.refined)
                shutil.rmtree(far / "c", ignore_errors=True)
        for new in sorted((path / _ASIDE).rglob("*")):
            if new.is_file():
                move_into_place(new, path / new.relative_to(path / _ASIDE))
        (path / _MOVED).unlink()
        shutil.rmtree(path / _ASIDE, ignore_errors=True)
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(
            f"expected to finish growing {path}, got '{error}'; "
            "free some space or check the folder's permissions, then open the slide again"
        ) from error


def _carry_out(
    slide: SlideState,
    table: TileTable,
    recipe: SlideRecipe,
    rows: int,
    cols: int,
    *,
    keeps_far: bool,
    shrinks: bool = False,
) -> None:
    """Commit a slide to another recipe and table, and bring its files there."""
    generation = slide.ledger.fold()
    _write_aside(slide, table, recipe, generation + 1)
    intent = {"recipe": recipe.to_dict(), "rows": rows, "cols": cols, "keeps_far": keeps_far}
    intent |= {"shrinks": True} if shrinks else {}
    write_file(slide.path / _INTENT, json.dumps(intent).encode(), sync=True)
    slide.ledger.close()
    finish_growing(slide.path)


def _write_aside(slide: SlideState, table: TileTable, recipe: SlideRecipe, generation: int) -> None:
    """Write the new table and metadata aside, with the folders that they will lie in."""
    aside = slide.path / _ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    try:
        Ledger.start(aside / "histodiff", table, slide.ledger.edits, generation)
        for name, data in metadata_files(slide.path.name.removesuffix(".ome.zarr"), recipe):
            write_file(aside / name, data)
            make_folder((slide.path / name).parent)
    except StorageError:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _folders(recipe: SlideRecipe) -> Iterator[tuple[str, int]]:
    """Yield the folders of chunks that move with the slide, and their levels."""
    for plane in PLANES:
        for level in range(recipe.coarsest + 1):
            yield level_folder(plane, level, recipe.refined), level


def _drop_beyond(path: Path, recipe: SlideRecipe) -> None:
    """Remove the chunks beyond a slide that shrinks; they are at their new places."""
    for folder, level in _folders(recipe):
        bounds = recipe.spec.bounds(level)
        rows, cols = -(-bounds.height // TILE), -(-bounds.width // TILE)
        for name in ("c", "c.grown"):
            for chunk in sorted((path / folder / name).rglob("*")):
                if not chunk.is_dir():
                    row, col = map(int, chunk.relative_to(path / folder / name).parts[-2:])
                    if row >= rows or col >= cols:
                        chunk.unlink()


def _move_aside(folder: Path, rows: int, cols: int) -> None:
    """Move chunks to their new places beside the old ones; going on where it was cut off."""
    old, new = folder / "c", folder / "c.grown"
    if not old.is_dir():
        return
    for chunk in sorted(old.rglob("*")):
        if not chunk.is_dir():
            *channel, at_row, at_col = chunk.relative_to(old).parts
            row, col = int(at_row) + rows, int(at_col) + cols
            if row < 0 or col < 0:  # of a slide that shrinks
                chunk.unlink()
                continue
            target = new.joinpath(*channel, str(row), str(col))
            target.parent.mkdir(parents=True, exist_ok=True)
            move_into_place(chunk, target)
    shutil.rmtree(old)


def _move_back(folder: Path) -> None:
    if (folder / "c.grown").is_dir():
        shutil.rmtree(folder / "c", ignore_errors=True)
        os.rename(folder / "c.grown", folder / "c")


def _moved_table(
    slide: SlideState, recipe: SlideRecipe, rows: int, cols: int, *, keeps_far: bool
) -> TileTable:
    table = TileTable(recipe.spec)
    for level in range(slide.spec.levels if keeps_far else recipe.coarsest + 1):
        side = TILE << level
        height, width = slide.table.shape(level)
        y, x = (rows // side, cols // side) if level <= recipe.coarsest else (0, 0)
        for name, _ in COLUMNS:
            column = getattr(slide.table, name)[level]
            getattr(table, name)[level][y : y + height, x : x + width] = column
    table.recount()
    return table


def _mark_border(slide: SlideState, table: TileTable, recipe: SlideRecipe, old: PlaneFrame) -> None:
    """Make those tiles stale that showed, or were drawn from, what lay beyond the slide."""
    change = slide.change()
    dy, dx = old.y - recipe.origin[0], old.x - recipe.origin[1]
    dependents: Dependents = of_border(recipe, old)
    for level, grid in dependents.items():
        side = TILE << level
        for tile in table.addresses(level, grid & is_drawn(table.states[level])):
            before = TileAddress(level, tile.row - dy // side, tile.col - dx // side)
            state = TileState(int(table.states[level][tile.row, tile.col]))
            shape = recipe.spec.region(tile).shape
            edits = change.get("edits", before)
            table.states[level][tile.row, tile.col] = stale_state(state, edits, shape)


def _average_all(slide: SlideState) -> None:
    coarsest = slide.recipe.coarsest
    averaged = slide.table.flags[coarsest] & IS_AVERAGED != 0
    tiles = list(slide.table.addresses(coarsest, averaged))
    # What can not be written now is averaged when somebody looks there.
    with suppress(StorageError):
        for start in range(0, len(tiles), _BATCH):
            change = slide.change()
            rebuild_far(change, tiles[start : start + _BATCH])
            slide.save(change)


# How often a slide may become another one while it is looked at.
_ATTEMPTS: Final = 3


def follow(slide: StoreState, undo_steps: UndoSteps) -> list[Region]:
    """Read what the writer did since; return where pixels may have changed.

    Nothing is read while the slide grows or is refined: it is looked at again later.

    Raises
    ------
    StorageError
        When the slide can not be read any more.
    """
    seen: list[Region] = []
    for attempt in range(_ATTEMPTS):
        if is_growing(slide.path):
            break
        try:
            seen = slide.refresh()
            undo_steps.resume()
        except StorageError:
            # Recipe and table are two files: they may be of before and after.
            if _is_settled(slide) or attempt + 1 == _ATTEMPTS:
                raise
        else:
            if _is_settled(slide):
                break
    return seen


def _is_settled(slide: StoreState) -> bool:
    """Return whether what was read was of one slide: it still is that of the recipe known here."""
    return not is_growing(slide.path) and slide.read_recipe() == slide.recipe
