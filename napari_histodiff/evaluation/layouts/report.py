"""The comparison as text, JSON and a page with curves and a sheet of layouts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.colours import colour_layout
from napari_histodiff.core.errors import make_folder
from napari_histodiff.evaluation.layouts.compare import (
    FEW,
    SETS,
    Part,
    enough,
    pair_correlation,
)
from napari_histodiff.evaluation.layouts.fields import Field
from napari_histodiff.evaluation.layouts.statistics import EDGES
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
    kinds: Part,
    classes: Part | None,
    pairs: Sequence[tuple[Field, Field]],
) -> list[str]:
    """Write `layouts.json`, `layouts.html` and `layouts.png`; return the tables as lines.

    Parameters
    ----------
    folder : Path
    facts : dict
        What was compared.
    kinds : Part
        Nuclei in the kinds that all sets tell.
    classes : Part, optional
        Nuclei in our classes, of fields that tell them.
    pairs : sequence of two fields
        A real one and the one invented for it.
    """
    make_folder(folder)
    summary, told = _summary(kinds), facts | {"summary": _summary(kinds), **_told(kinds)}
    lines, tables = plain_lines(table := _table(kinds, "layouts", "nuclei in three kinds")), [table]
    lines += ["", summary]
    if classes is None:
        said = "by class: too few fields tell our six classes apart"
    else:
        tables += [_table(classes, "classes", "nuclei by class"), _counts(classes)]
        said = f"by class: {_summary(classes)}"
        for table in tables[1:]:
            lines += ["", table.title, *plain_lines(table)]
    lines += ["", said]
    told["by class"] = said if classes is None else {"summary": said, **_told(classes)}
    (folder / "layouts.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    sheet = _sheet(pairs[:_SHOWN])
    Image.fromarray(sheet).save(folder / "layouts.png")
    shown = [*_curves(kinds, same=False), *(_curves(classes, same=True) if classes else ())]
    parts = [
        "<h1>Invented layouts beside real ones</h1>",
        f"<p>{summary}; {said}. {', '.join(f'{key}: {value}' for key, value in facts.items())}</p>",
        "<p>Each row is a distance from the held-out real fields: of other real fields (the "
        "floor), and of invented ones; median and 95 % interval of a bootstrap over fields. A "
        "statistic is within when the interval of the difference reaches 0; with few nuclei or "
        f"fields it is wide. Classes with fewer than {FEW} nuclei in a set are left out.</p>",
        *map(html_table, tables),
        *(f'<img src="{uri}">' for uri in shown),
        "<h2>Real above, invented below</h2>",
        f'<img src="{image_uri(Image.fromarray(sheet))}">',
    ]
    (folder / "layouts.html").write_text(
        html_page("Invented layouts beside real ones", parts), encoding="utf-8"
    )
    return lines


def _summary(part: Part) -> str:
    within = sum(one.within for one in part.found)
    text = f"{within} of {len(part.found)} statistics within the distance of real fields"
    if missing := _left_out(part):
        text += f"; left out: {', '.join(missing)}"
    return text


def _left_out(part: Part) -> list[str]:
    """Return the kinds with too few nuclei in a set, and how few."""
    return [
        f"{name} ({min(counts)} nuclei)"
        for name, counts in part.counts.items()
        if min(counts) < FEW
    ]


def _told(part: Part) -> dict[str, Any]:
    rows = [{**asdict(one), "within": one.within} for one in part.found]
    nuclei = {name: dict(zip(SETS, counts, strict=True)) for name, counts in part.counts.items()}
    return {"nuclei": nuclei, "statistics": rows}


def _table(part: Part, key: str, what: str) -> Table:
    rows: dict[str, tuple[Cell, ...]] = {
        f"{one.name}{f' ({one.unit})' if one.unit else ''}": (
            _spread(one.floor),
            _spread(one.invented),
            _spread(one.more),
            "met" if one.within else "farther",
        )
        for one in part.found
    }
    columns = ("real and real", "invented and real", "difference", "within")
    return Table(key, f"Distance from held-out real fields, {what}", columns, rows)


def _counts(part: Part) -> Table:
    rows: dict[str, tuple[Cell, ...]] = {
        name: (*counts, "yes" if min(counts) >= FEW else f"no, fewer than {FEW}")
        for name, counts in part.counts.items()
    }
    fields = [f"{name}, {len(part.sets[name])} fields" for name in SETS]
    return Table("counts", "Nuclei of each class", (*fields, "measured"), rows)


def _spread(values: tuple[float, float, float]) -> str:
    return f"{values[0]:.3g} ({values[1]:.3g} to {values[2]:.3g})"


def _curves(part: Part, *, same: bool) -> list[str]:
    """Return plots of the pair correlation of each kind with itself, or of each pair of kinds."""
    kinds = enough(*(part.sets[name] for name in SETS))
    return [_curve(part, a, b) for a, b in product(kinds, kinds) if a == b or (a < b and not same)]


def _curve(part: Part, a: int, b: int) -> str:
    middles = (EDGES[1:] + EDGES[:-1]) / 2
    names = part.sets[SETS[0]][0].grouping.names

    def draw(axes: Axes) -> None:
        for name, fields in part.sets.items():
            axes.plot(middles, pair_correlation(fields, a, b), label=name)
        axes.axhline(1, color="gray", linewidth=0.7)
        axes.set_xlabel("distance, µm")
        axes.set_ylabel("times as many pairs as by chance")
        axes.legend()

    return figure_uri(draw, f"Pair correlation: {names[a]}, {names[b]}")


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
