"""The report of an enrichment study: figures with intervals, rare classes in rows of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.evaluation.fidelity import figure
from napari_histodiff.evaluation.metrics.agreement import Interval
from napari_histodiff.evaluation.pages import figure_uri
from napari_histodiff.evaluation.tables import Table
from napari_histodiff.studies.enrichment.mixes import parse_mix
from napari_histodiff.studies.enrichment.options import EnrichmentOptions
from napari_histodiff.studies.enrichment.runs import MixRun
from napari_histodiff.studies.enrichment.segmenters.base import About
from napari_histodiff.studies.report import write_study_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RARE_SHARE", "enrichment_tables", "write_enrichment_report"]

#: A class with a smaller share of the nuclei that are trained or tested on is rare.
RARE_SHARE: Final = 0.05

_FIGURES: Final = {"Dice": "Dice", "AJI": "AJI", "DQ": "RQ", "SQ": "SQ", "PQ": "PQ"}
_COUNTS: Final = "count R2"
_COLOUR: Final = "#5b3f8c"
_STYLES: Final = ("-", "--")  # colours come again after ten
_SMOOTH: Final = 50  # updates that a point of a loss curve averages
_NOTES: Final = (
    "Each mix is trained on for equally many updates of equally many crops, and tested on real "
    "tiles of other patients. Shares are of the number of real training tiles: "
    '"75_25" replaces a quarter of them by tiles drawn from their nuclei, '
    '"100_25" adds as many, "o" draws from the nuclei of the real tiles in the mix alone, "c" '
    "changes stain, light, focus and grain of the crops at random. Figures are means over seeds "
    "with 95 % intervals that draw seeds and test tiles with replacement; gains are over the first "
    "mix on the same tiles, and an interval that holds 0 shows no help. With few seeds intervals "
    "are too narrow. A model that was trained on the real tiles knows more of them than their "
    "nuclei: mixes with few real tiles then flatter it."
)


def write_enrichment_report(
    output: Path,
    runs: Sequence[MixRun],
    options: EnrichmentOptions,
    facts: Mapping[str, Any],
    about: About,
) -> list[Table]:
    """Write `report.html`, `report.md` and `figures.json`, and return the tables.

    `about` is the segmenter that was trained.

    Raises
    ------
    StorageError
        When the folder cannot be written.
    """
    tables = enrichment_tables(runs, options, facts["training nuclei"])
    plots = {"PQ of each mix": _forest(tables[0], "PQ")}
    for c in _rare(runs, facts["training nuclei"]):
        name = CLASS_NAMES[c]
        plots[f"F1 of {name}, rare"] = _forest(tables[1], f"F1 {name}")
    plots["loss of the first seed"] = figure_uri(
        lambda axes: _losses(axes, runs), "loss of the first seed, smoothed"
    )
    notes = f"{about.training} {_NOTES}"
    write_study_report(output, "Does drawn tissue help?", notes, tables, plots=plots, facts=facts)
    return tables


def enrichment_tables(
    runs: Sequence[MixRun], options: EnrichmentOptions, trained_on: Mapping[str, int]
) -> list[Table]:
    """Return the tables of all nuclei, of classes, and of rare classes in rows of their own.

    Where nothing was tested on has a class, or the segmenter tells none, the first alone.

    Parameters
    ----------
    runs : sequence of MixRun
        Every mix with every seed, the mix to compare with first.
    options : EnrichmentOptions
    trained_on : mapping
        Nuclei of each class in all real training tiles.
    """
    by_mix: dict[str, list[MixRun]] = {}
    for run in runs:
        by_mix.setdefault(run.mix, []).append(run)
    base = next(iter(by_mix.values()))
    support = _support(runs)
    columns = ("real tiles", "drawn tiles", *_FIGURES, "gain in PQ", _COUNTS, "what")
    whole = Table("mixes", "All nuclei", columns)
    named = [name for name, count in zip(CLASS_NAMES, support, strict=True) if count]
    classes = Table("classes", "F1 of each class", tuple(f"F1 {name}" for name in named))
    rare = Table(
        "rare", "Rare classes", ("F1", f"gain over {base[0].mix}", "tested on", "real, trained on")
    )
    for mix, some in by_mix.items():
        figures = [_mean(some, name, options) for name in (*_FIGURES.values(), _COUNTS)]
        gain = _mean(some, "PQ", options, base) if some is not base else None
        whole.rows[mix] = (
            *(some[0].real, some[0].drawn, *figures[:-1], gain, figures[-1]),
            parse_mix(mix).text,
        )
        classes.rows[mix] = tuple(_mean(some, f"F1 {name}", options) for name in named)
    for c in _rare(runs, trained_on):
        name = CLASS_NAMES[c]
        for mix, some in by_mix.items():
            rare.rows[f"{name}, {mix}"] = (
                _mean(some, f"F1 {name}", options),
                _mean(some, f"F1 {name}", options, base) if some is not base else None,
                int(support[c]),
                trained_on.get(name, 0) if parse_mix(mix).real == 1 else None,
            )
    return [whole, classes, rare] if named else [whole]


def _mean(
    runs: Sequence[MixRun],
    name: str,
    options: EnrichmentOptions,
    base: Sequence[MixRun] | None = None,
) -> Interval:
    """Return a figure over seeds, or its gain over another mix, drawing seeds and tiles anew."""

    def value(seeds: NDArray[np.int64], tiles: NDArray[np.int64]) -> float:
        found = [_figure(runs[s], name, tiles) for s in seeds]
        if base is not None:
            under = [_figure(base[s], name, tiles) for s in seeds]
            found = [a - b for a, b in zip(found, under, strict=True)]
        known = [v for v in found if np.isfinite(v)]
        return float(np.mean(known)) if known else float("nan")

    count, size = len(runs), len(runs[0].scores)
    rng = np.random.default_rng(options.seed)
    drawn = [
        value(rng.integers(count, size=count), rng.integers(size, size=size))
        for _ in range(options.draws)
    ]
    known = [v for v in drawn if np.isfinite(v)]
    low, high = np.quantile(known, [0.025, 0.975]) if known else (float("nan"),) * 2
    return Interval(value(np.arange(count), np.arange(size)), float(low), float(high))


def _figure(run: MixRun, name: str, tiles: NDArray[np.int64]) -> float:
    return figure([run.scores[i] for i in tiles], name)


def _support(runs: Sequence[MixRun]) -> NDArray[np.int64]:
    """Return the nuclei of each class that are tested on."""
    counts = np.sum([score.support for score in runs[0].scores], axis=0)
    return np.asarray(counts, np.int64)


def _rare(runs: Sequence[MixRun], trained_on: Mapping[str, int]) -> list[int]:
    """Return the classes that are tested on and make up little of either side."""
    tested = _support(runs)
    trained = np.array([trained_on.get(name, 0) for name in CLASS_NAMES])
    few = [counts < RARE_SHARE * counts.sum() for counts in (tested, trained)]
    return np.flatnonzero((tested > 0) & (few[0] | few[1])).tolist()


def _forest(table: Table, column: str) -> str:
    place = table.columns.index(column)

    def draw(axes: Axes) -> None:
        for y, cells in enumerate(table.rows.values()):
            found = cells[place]
            if isinstance(found, Interval):
                axes.plot([found.low, found.high], [-y, -y], color=_COLOUR)
                axes.plot(found.value, -y, "o", color=_COLOUR)
                if y == 0:
                    axes.axvline(found.value, color="0.7", linestyle="--")
        axes.set_yticks([-y for y in range(len(table.rows))], list(table.rows))
        axes.set_xlabel("95 % over seeds and test tiles; dashed: the first mix")

    return figure_uri(draw, f"{column} on real test tiles")


def _losses(axes: Axes, runs: Sequence[MixRun]) -> None:
    for i, run in enumerate(run for run in runs if run.seed == runs[0].seed):
        width = min(_SMOOTH, len(run.losses))
        smooth = np.convolve(run.losses, np.ones(width) / width, "valid")
        axes.plot(
            np.arange(len(smooth)) + width, smooth, label=run.mix, lw=1, ls=_STYLES[i // 10 % 2]
        )
    axes.set(xlabel="updates", ylabel="loss")
    axes.legend(frameon=False, fontsize="x-small", ncols=2)
