"""The report of a study: tables, plots and facts as one page, as Markdown and as numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from napari_histodiff.core.errors import StorageError
from napari_histodiff.evaluation.pages import html_page, html_table, markdown_table
from napari_histodiff.evaluation.tables import Table

__all__ = ["write_study_report"]


def write_study_report(
    output: Path,
    title: str,
    notes: str,
    tables: Sequence[Table],
    *,
    plots: Mapping[str, str],
    facts: Mapping[str, Any],
    more: Sequence[str] = (),
) -> None:
    """Write `report.html`, which fetches nothing, `report.md` and `figures.json` into a folder.

    Parameters
    ----------
    output : Path
        A folder; files of those names are replaced.
    title, notes : str
        What was asked, and how to read the figures.
    tables : sequence of Table
    plots : mapping
        What each plot shows, and the plot as a `data:` address.
    facts : mapping
        How the study was made, JSON-ready.
    more : sequence of str
        HTML that follows the tables.

    Raises
    ------
    StorageError
        When a file cannot be written.
    """
    parts = [f"<h1>{escape(title)}</h1><p>{escape(notes)}</p>"]
    parts += [f'<img alt="{escape(name)}" src="{uri}">' for name, uri in plots.items()]
    parts += [*map(html_table, tables), *more]
    shown = escape(json.dumps(dict(facts), indent=2))
    parts.append(f"<h2>Facts</h2><details><summary>Show</summary><pre>{shown}</pre></details>")
    text = [f"# {title}", notes]
    for table in tables:
        text += [f"**{table.title}**", markdown_table(table)]
    figures = {"facts": dict(facts), "tables": {t.key: t.to_dict() for t in tables}}
    try:
        (output / "report.html").write_text(html_page(title, parts), encoding="utf-8")
        (output / "report.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")
        (output / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"expected to write into {output}, got '{error.strerror or error}'; choose another "
            "folder"
        ) from error
