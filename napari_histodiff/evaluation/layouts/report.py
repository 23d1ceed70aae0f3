"""The comparison as text, JSON and a page with curves and a sheet of layouts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.colours import colour_layout
from napari_histodiff.core.errors import make_folder
from napari_histodiff.evaluation.layouts.compare import Comparison, pair_correlation
from napari_histodiff.evaluation.layouts.fields import Field
from napari_histodiff.evaluation.layouts.statistics import EDGES, KINDS, Measured
from napari_histodiff.evaluation.pages import (
    figure_uri,
    html_page,
    html_table,
    image_uri,
    plain_lines,
)
from napari_histodiff.evaluation.tables import Cell, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_report"]

_SHOWN = 8
_SIDE = 240


def write_report(
    folder: Path,
    facts: dict[str, Any],
    found: Sequence[Comparison],
    sets: Mapping[str, Sequence[Measured]],
    pairs: Sequence[tuple[Field, Field]],
) -> list[str]:
    """Write `layouts.json`, `layouts.html` and `layouts.png`; return the table as lines.

    Parameters
    ----------
    folder : Path
    facts : dict
        What was compared.
    found : sequence of Comparison
    sets : mapping of str to sequence of Measured
        Of which pair correlation is drawn, by name.
    pairs : sequence of two fields
        A real one and the one invented for it.
    """
    make_folder(folder)
    within = sum(one.within for one in found)
    summary = f"{within} of {len(found)} statistics within the distance of real fields"
    rows = [{**asdict(one), "within": one.within} for one in found]
    told = facts | {"summary": summary, "statistics": rows}
    (folder / "layouts.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    sheet = _sheet(pairs[:_SHOWN])
    Image.fromarray(sheet).save(folder / "layouts.png")
    table = _table(found)
    parts = [
        "<h1>Invented layouts beside real ones</h1>",
        f"<p>{summary}. {', '.join(f'{key}: {value}' for key, value in facts.items())}</p>",
        "<p>Each row is a distance from the held-out real fields: of other real fields (the "
        "floor), and of invented ones; median and 95 % interval of a bootstrap over fields. A "
        "statistic is within when the interval of the difference reaches 0.</p>",
        html_table(table),
        *(f'<img src="{_curves(sets, a, b)}">' for a in range(3) for b in range(a, 3)),
        "<h2>Real above, invented below</h2>",
        f'<img src="{image_uri(Image.fromarray(sheet))}">',
    ]
    (folder / "layouts.html").write_text(
        html_page("Invented layouts beside real ones", parts), encoding="utf-8"
    )
    return [*plain_lines(table), summary]


def _table(found: Sequence[Comparison]) -> Table:
    rows: dict[str, tuple[Cell, ...]] = {
        f"{one.name}{f' ({one.unit})' if one.unit else ''}": (
            _spread(one.floor),
            _spread(one.invented),
            _spread(one.more),
            "met" if one.within else "farther",
        )
        for one in found
    }
    columns = ("real and real", "invented and real", "difference", "within")
    return Table("layouts", "Distance from held-out real fields", columns, rows)


def _spread(values: tuple[float, float, float]) -> str:
    return f"{values[0]:.3g} ({values[1]:.3g} to {values[2]:.3g})"


def _curves(sets: Mapping[str, Sequence[Measured]], a: int, b: int) -> str:
    middles = (EDGES[1:] + EDGES[:-1]) / 2

    def draw(axes: Axes) -> None:
        for name, fields in sets.items():
            axes.plot(middles, pair_correlation(fields, a, b), label=name)
        axes.axhline(1, color="gray", linewidth=0.7)
        axes.set_xlabel("distance, µm")
        axes.set_ylabel("times as many pairs as by chance")
        axes.legend()

    return figure_uri(draw, f"Pair correlation: {KINDS[a]}, {KINDS[b]}")


def _sheet(pairs: Sequence[tuple[Field, Field]]) -> NDArray[np.uint8]:
    columns = [np.concatenate([_picture(field) for field in pair]) for pair in pairs]
    return np.concatenate(columns, axis=1)


def _picture(field: Field) -> NDArray[np.uint8]:
    picture = colour_layout(field.classes, field.instances, field.tissue)
    picture[~field.valid] = 255
    out = np.full((_SIDE + 8, _SIDE + 8, 3), 255, np.uint8)
    small = Image.fromarray(picture)
    small.thumbnail((_SIDE, _SIDE))
    array = np.asarray(small)
    out[: array.shape[0], : array.shape[1]] = array
    return out
