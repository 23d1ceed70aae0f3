"""One study of a model on held-out tiles: sheets, figures and a report in one folder."""

from __future__ import annotations

import json
from pathlib import Path

from skimage.io import imsave

from napari_histodiff.core.protocols import Backend
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.evaluation.figures import Figures, measure
from napari_histodiff.evaluation.sheets import (
    GUIDANCES,
    draw_tiles,
    editing_sheet,
    generation_sheet,
)
from napari_histodiff.evaluation.tiles import choose_tiles

__all__ = ["run_study"]


def run_study(
    backend: Backend, data: Path, output: Path, *, tiles: int = 8, edits: int = 4, steps: int = 6
) -> list[Figures]:
    """Draw held-out tiles, write sheets, figures and `report.md` into `output`.

    Parameters
    ----------
    backend : Backend
        The model.
    data : Path
        A pack of the test split.
    output : Path
        Folder of the report.
    tiles, edits : int
        Tiles of the generation and of the editing sheet.
    steps : int
        Solver steps.

    Raises
    ------
    TrainingError
        When the pack cannot be read or holds too few tiles.
    """
    chosen = choose_tiles(load_pack(data), tiles)
    output.mkdir(parents=True, exist_ok=True)
    drawn = draw_tiles(backend, chosen, steps=steps)
    imsave(output / "generation.png", generation_sheet(drawn), check_contrast=False)
    sheet = editing_sheet(backend, chosen[:edits], steps=steps)
    imsave(output / "editing.png", sheet, check_contrast=False)
    figures = [measure(drawn, guidance) for guidance in GUIDANCES]
    (output / "figures.json").write_text(json.dumps([f.to_dict() for f in figures], indent=2))
    info = backend.info
    lines = [
        f"# {info.name} ({info.revision}) on {tiles} held-out tiles, {steps} steps",
        "",
        "Columns of generation.png: nuclei, real, guidance " + ", ".join(map(str, GUIDANCES)),
        "",
        *_table(figures),
        "",
        "Tiles: " + ", ".join(tile.name for tile in chosen),
    ]
    (output / "report.md").write_text("\n".join(lines) + "\n")
    return figures


def _table(figures: list[Figures]) -> list[str]:
    names = list(figures[0].to_dict())
    rows = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    rows += [
        "| " + " | ".join(f"{value:.3g}" for value in entry.to_dict().values()) + " |"
        for entry in figures
    ]
    return rows
