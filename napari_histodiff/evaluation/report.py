"""A study as Markdown, as one self-contained HTML page, as JSON and as text for the console."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image

from napari_histodiff.evaluation.checks import Check, check_table
from napari_histodiff.evaluation.tables import ReportSection, Table

__all__ = ["Study", "write_report"]

_WIDEST: Final = 1800  # pixels of a sheet inside the page; the PNG beside it has them all
_NOTICE: Final = "The sheets show real tissue of the test set, under its own licence."
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d1d22; background: #fff;
  max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
p { max-width: 75ch; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
caption { text-align: left; font-weight: 600; padding: .4rem 0; }
th, td { padding: .25rem .7rem .25rem 0; border-bottom: 1px solid #ddd; text-align: right;
  vertical-align: bottom; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; image-rendering: auto; margin: .6rem 0; }
.met { color: #02724f; } .short { color: #b3400a; } .notice { color: #666; }
@media (prefers-color-scheme: dark) { body { color: #e8e8ea; background: #17171a; }
  th, td { border-color: #3a3a40; } .met { color: #4cc79b; } .short { color: #ff9a5c; }
  .notice { color: #aaa; } }
"""


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
        lines = [self.title, "", *_plain(check_table(self.checks)), "", str(self.folder)]
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
        _markdown_table(check_table(study.checks)),
    ]
    for section in study.sections:
        parts += [f"## {section.title}", section.text]
        for table in section.tables:
            parts += [f"**{table.title}**", _markdown_table(table)]
        parts += [f"![{section.title}]({name})" for name in _sheets(study, section)]
    parts += ["## Facts", "```json\n" + json.dumps(study.facts, indent=2) + "\n```"]
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    heading, *body = table.text()
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, rule, *body))


def _html(study: Study) -> str:
    parts = [
        f"<h1>{escape(study.title)}</h1><p>{escape(study.intro)}</p>",
        f"<p class=notice>{_NOTICE}</p>",
        "<h2>Targets</h2>" + _html_table(check_table(study.checks)),
    ]
    for section in study.sections:
        parts.append(f"<h2>{escape(section.title)}</h2><p>{escape(section.text)}</p>")
        parts += [_html_table(table) for table in section.tables]
        parts += [
            f'<img alt="{escape(section.title)}" src="{_data_uri(study.folder / name)}">'
            for name in _sheets(study, section)
        ]
    facts = escape(json.dumps(study.facts, indent=2))
    parts.append(f"<h2>Facts</h2><details><summary>Show</summary><pre>{facts}</pre></details>")
    head = f"<meta charset=utf-8><title>{escape(study.title)}</title><style>{_STYLE}</style>"
    viewport = '<meta name=viewport content="width=device-width, initial-scale=1">'
    body = "\n".join(parts)
    return f"<!doctype html><html lang=en><head>{head}{viewport}</head><body>{body}</body></html>\n"


def _html_table(table: Table) -> str:
    heading, *body = table.text()
    top = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    rows = "".join("<tr>" + "".join(map(_html_cell, row)) + "</tr>" for row in body)
    return (
        f"<div class=scroll><table><caption>{escape(table.title)}</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _html_cell(cell: str) -> str:
    kind = "met" if cell == "met" else "short" if cell.startswith("short by") else ""
    return f'<td class="{kind}">{escape(cell)}</td>' if kind else f"<td>{escape(cell)}</td>"


def _sheets(study: Study, section: ReportSection) -> Sequence[str]:
    return [name for name in section.sheets if (study.folder / name).is_file()]


def _data_uri(path: Path) -> str:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((_WIDEST, 10 * _WIDEST))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _plain(table: Table) -> list[str]:
    rows = table.text()
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
