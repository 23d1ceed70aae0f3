"""A study as Markdown, as one self-contained HTML page, as JSON and as text for the console."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from napari_histodiff.evaluation.checks import Check, check_table
from napari_histodiff.evaluation.pages import (
    data_uri,
    html_page,
    html_table,
    markdown_table,
    plain_lines,
)
from napari_histodiff.evaluation.tables import ReportSection, Table

__all__ = ["Study", "write_report"]

_NOTICE: Final = "The sheets show real tissue of the test set, under its own licence."


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What a study found.

    Attributes
    ----------
    title, intro : str
        Model and size of the study; how it was carried out.
    facts : dict
        Model, judge, options and tiles, JSON-ready.
    sections : tuple of ReportSection
        Figures by question.
    checks : tuple of Check
        Figures against targets.
    folder : Path
        Where the report lies.
    """

    title: str
    intro: str
    facts: dict[str, Any]
    sections: tuple[ReportSection, ...]
    checks: tuple[Check, ...]
    folder: Path

    def table(self, key: str) -> Table:
        """Return a table by its key, for example "fidelity".

        Raises
        ------
        KeyError
            When the study has no such table.
        """
        return {t.key: t for s in self.sections for t in s.tables}[key]

    def summary(self) -> str:
        """Return the checks as a table for the console, and where the report is."""
        lines = [self.title, "", *plain_lines(check_table(self.checks)), "", str(self.folder)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and words, JSON-ready."""
        return {
            **self.facts,
            "checks": check_table(self.checks).to_dict(),
            "sections": {s.key: {t.key: t.to_dict() for t in s.tables} for s in self.sections},
        }


def write_report(study: Study) -> None:
    """Write `figures.json`, `report.md` and `report.html` into the study's folder.

    The sheets that sections name are embedded where they lie in the folder.
    """
    folder = study.folder
    text = json.dumps(study.to_dict(), indent=2)
    (folder / "figures.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.md").write_text(_markdown(study), encoding="utf-8")
    (folder / "report.html").write_text(_html(study), encoding="utf-8")


def _markdown(study: Study) -> str:
    parts = [
        f"# {study.title}",
        study.intro,
        _NOTICE,
        "## Targets",
        markdown_table(check_table(study.checks)),
    ]
    for section in study.sections:
        parts += [f"## {section.title}", section.text]
        for table in section.tables:
            parts += [f"**{table.title}**", markdown_table(table)]
        parts += [f"![{section.title}]({name})" for name in _sheets(study, section)]
    parts += ["## Facts", "```json\n" + json.dumps(study.facts, indent=2) + "\n```"]
    return "\n\n".join(parts) + "\n"


def _html(study: Study) -> str:
    parts = [
        f"<h1>{escape(study.title)}</h1><p>{escape(study.intro)}</p>",
        f"<p class=notice>{_NOTICE}</p>",
        "<h2>Targets</h2>" + html_table(check_table(study.checks)),
    ]
    for section in study.sections:
        parts.append(f"<h2>{escape(section.title)}</h2><p>{escape(section.text)}</p>")
        parts += [html_table(table) for table in section.tables]
        parts += [
            f'<img alt="{escape(section.title)}" src="{data_uri(study.folder / name)}">'
            for name in _sheets(study, section)
        ]
    facts = escape(json.dumps(study.facts, indent=2))
    parts.append(f"<h2>Facts</h2><details><summary>Show</summary><pre>{facts}</pre></details>")
    return html_page(study.title, parts)


def _sheets(study: Study, section: ReportSection) -> Sequence[str]:
    return [name for name in section.sheets if (study.folder / name).is_file()]
