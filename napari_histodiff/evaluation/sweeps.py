"""What guidance and steps do, on a few tiles each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.evaluation.fidelity import figure, tile_scores
from napari_histodiff.evaluation.options import StudyOptions
from napari_histodiff.evaluation.panels import Panel
from napari_histodiff.evaluation.realism import distance, kernel
from napari_histodiff.evaluation.tables import Cell, Section, Table
from napari_histodiff.evaluation.telling import critic_score

__all__ = ["guidance_section", "steps_section"]

_FIGURES: Final = ("Dice", "PQ", *(f"F1 {name}" for name in CLASS_NAMES))
_COLUMNS: Final = ("FD", "KD", "AUC", *_FIGURES)


def guidance_section(real: Panel, drawn: Mapping[float, Panel], options: StudyOptions) -> Section:
    """Return a row of figures per guidance scale, real tissue last."""
    table = Table("guidance", "Guidance scale", _COLUMNS)
    for guidance, panel in drawn.items():
        table.rows[f"{guidance:g}"] = _row(real, panel, options)
    table.rows["real tissue"] = _real_row(real)
    text = (
        f"{len(real.tiles)} tiles at {options.default_steps} steps. FD and KD are distances from "
        f"the same real tiles on crops of {options.size // 4} px, AUC the critic's, the rest what "
        "the judge finds of the painted nuclei (see above). A scale of 1 is no guidance."
    )
    return Section("guidance", "What guidance does", text, [table], ("guidance.png",))


def steps_section(real: Panel, drawn: Mapping[int, Panel], options: StudyOptions) -> Section:
    """Return a row of figures per number of steps, and how much fewest cost against most."""
    table = Table("steps", "Solver steps", _COLUMNS)
    for steps, panel in drawn.items():
        table.rows[str(steps)] = _row(real, panel, options)
    table.rows["real tissue"] = _real_row(real)
    few, many = min(drawn), max(drawn)
    base = table.get(str(many), "FD")
    ratio: Cell = table.get(str(few), "FD") / base if base > 0 else None
    cost = Table("steps_ratio", "Fewest against most steps", (f"{few} / {many} steps",))
    cost.rows["FD ratio"] = (ratio,)
    text = (
        f"{len(real.tiles)} tiles at guidance {options.guidance:g}, columns as for guidance. A "
        "ratio of 1 says that the fewest steps are as good as the most."
    )
    return Section("steps", "What steps do", text, [table, cost], ("steps.png",))


def _row(real: Panel, panel: Panel, options: StudyOptions) -> tuple[Cell, ...]:
    size, tiles = options.size // 4, real.everything
    scores = tile_scores(panel.tiles, panel.nuclei)
    return (
        distance(panel, real, size, tiles, tiles),
        kernel(panel, real, size, tiles, tiles, options.seed),
        critic_score(real, panel, size).auc,
        *(figure(scores, name) for name in _FIGURES),
    )


def _real_row(real: Panel) -> tuple[Cell, ...]:
    scores = tile_scores(real.tiles, real.nuclei)
    return (None, None, None, *(figure(scores, name) for name in _FIGURES))
