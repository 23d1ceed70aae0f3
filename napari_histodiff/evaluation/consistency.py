"""Whether drawn tissue holds together: window borders, zoom levels and the border of an edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.box_mean import box_down
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind
from napari_histodiff.diffusion.windows import WindowLayout, plan
from napari_histodiff.evaluation.drawing import TileDrawer
from napari_histodiff.evaluation.metrics.borders import BorderDistances, border_distances
from napari_histodiff.evaluation.metrics.seams import Statistic, seam_test, zoom_error
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.tables import Cell, ReportSection, Table
from napari_histodiff.evaluation.tiles import Tile

__all__ = ["border_section", "centre_mask", "lattice_lines", "seam_section", "zoom_section"]

_STATISTICS: Final[tuple[Statistic, ...]] = ("first", "covariance")


def seam_section(
    drawer: TileDrawer, frames: Sequence[Tile], options: StudyOptions
) -> ReportSection:
    """Return the seam test at the window borders of large frames, and of real frames there."""
    columns = ("frame", "ratio mean", "ratio max", "p")
    table = Table("seams", "Window borders against all other lines", columns)
    summary = Table("seams_overall", "All seam tests together", ("p", "tests"))
    lines = lattice_lines(options.frame_size, drawer.info)
    p_values: dict[str, list[float]] = {"drawn": [], "real": []}
    if lines:
        for i, frame in enumerate(frames):
            drawn = drawer.generate(frame, offset=i)
            for name, image in (("drawn", drawn), ("real", frame.image)):
                for axis, statistic in ((a, s) for a in (0, 1) for s in _STATISTICS):
                    test = seam_test(
                        image,
                        lines,
                        axis=axis,
                        period=drawer.info.multiple_of,
                        seed=options.seed,
                        statistic=statistic,
                    )
                    p_values[name].append(test.p_value)
                    key = f"{name} {i + 1}, {'rows' if axis == 0 else 'columns'}, {statistic}"
                    table.rows[key] = (frame.name, test.ratio_mean, test.ratio_max, test.p_value)
    for name, values in p_values.items():
        corrected: Cell = min(1.0, min(values) * len(values)) if values else None
        summary.rows[name] = (corrected, len(values))
    text = (
        f"Frames of {options.frame_size} px are drawn through several windows; their borders lie "
        f"at {', '.join(map(str, lines)) or 'no line'} in both directions. The mean squared "
        "difference across such a line ('first') and the covariance of pixels on both sides are "
        "compared with the other lines of the same image at the network's own grid. A seam raises "
        "the first and lowers the second. p is the share of random lines that look as bad; for all "
        "tests together the smallest p is multiplied by their number (Bonferroni). Real frames, "
        "mirrored at their edges to fill the frame, stand beside."
    )
    return ReportSection(
        "seams", "Do window borders show?", text, [summary, table], ("frames.png",)
    )


def lattice_lines(side: int, info: BackendInfo) -> list[int]:
    """Return where windows of the last phase meet in a square frame of `side` px at (0, 0).

    Between pixels l - 1 and l of either axis; empty when one window holds the frame. The lattice is
    that of the bundled layout at the backend's window size, or of windows side by side where such
    windows cannot overlap as there.
    """
    try:
        layout = WindowLayout(size=info.window, multiple_of=info.multiple_of)
    except InvalidRequest:
        layout = WindowLayout(size=info.window, ramp=0, multiple_of=info.multiple_of)
    whole = side // info.multiple_of * info.multiple_of
    windows = plan(Region(0, 0, 0, whole, whole), layout, layout.phases)[-1].windows
    half = layout.ramp // 2
    return sorted({w.region.x + half for w in windows if w.cuts[2]})


def zoom_section(drawer: TileDrawer, tiles: Sequence[Tile]) -> ReportSection:
    """Return how exactly a zoomed-in tile averages back to the level it was drawn from."""
    table = Table("zoom", "Zooming in and out again, grey levels of 255", ("mean", "greatest"))
    errors, plain = [], []
    for i, tile in enumerate(tiles):
        coarse = box_down(tile.image)
        above = coarse.repeat(2, axis=0).repeat(2, axis=1)
        fine = drawer.draw(tile, EditKind.ZOOM, i, coarse=above)
        errors.append(zoom_error(fine, coarse))
        plain.append(zoom_error(tile.image, coarse))
    for name, values in (("drawn", errors), ("real tissue", plain)):
        pairs = np.array(values)
        table.rows[name] = (float(pairs[:, 0].mean()), float(pairs[:, 1].max()))
    text = (
        f"{len(tiles)} tiles at half their resolution are drawn at full resolution; the average of "
        "each 2 x 2 block should be the pixel it came from. Real tissue shows what rounding gives."
    )
    return ReportSection("zoom", "Do zoom levels agree?", text, [table])


def border_section(drawer: TileDrawer, tiles: Sequence[Tile]) -> ReportSection:
    """Return how well inpainted centres fit their surroundings, beside the untouched tiles."""
    columns = ("colour", "texture")
    table = Table("borders", "Ring inside against ring outside an edit, 0 is best", columns)
    rows = [_border(drawer, i, tile) for i, tile in enumerate(tiles)]
    colour, texture = (np.array([getattr(r, n) for r in rows]) for n in columns)
    colour_real, texture_real = (
        np.array([getattr(r, f"{n}_reference") for r in rows]) for n in columns
    )
    table.rows["inpainted"] = _means(colour, texture)
    table.rows["real tissue"] = _means(colour_real, texture_real)
    text = (
        f"The centre square of {len(tiles)} tiles is inpainted. Colour is the CIEDE2000 difference "
        "of the rings on both sides of its border, texture the difference of their gradient energy "
        "and spread. Real tissue is the same tile untouched."
    )
    return ReportSection("borders", "Do edits fit in?", text, [table], ("editing.png",))


def centre_mask(side: int) -> NDArray[np.bool_]:
    """Return the (side, side) edit mask of the centre square of half the side."""
    mask = np.zeros((side, side), np.bool_)
    mask[side // 4 : side - side // 4, side // 4 : side - side // 4] = True
    return mask


def _border(drawer: TileDrawer, i: int, tile: Tile) -> BorderDistances:
    mask = centre_mask(len(tile.image))
    edited = drawer.draw(tile, EditKind.INPAINT, i, image=tile.image, edit_mask=mask)
    return border_distances(edited, tile.image, mask)


def _means(*values: NDArray[np.float64]) -> tuple[Cell, ...]:
    return tuple(float(np.nanmean(v)) if np.isfinite(v).any() else None for v in values)
