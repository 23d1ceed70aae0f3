"""Tables and pictures as Markdown, as text and as HTML pages that hold all they show."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from napari_histodiff.evaluation.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "data_uri",
    "figure_uri",
    "html_page",
    "html_table",
    "image_uri",
    "markdown_table",
    "plain_lines",
]

_WIDEST: Final = 1800  # pixels of a sheet inside the page; the PNG beside it has them all
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


def html_page(title: str, parts: Iterable[str]) -> str:
    """Return a page of `parts`, HTML already, that fetches nothing; `title` is escaped."""
    head = f"<meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    viewport = '<meta name=viewport content="width=device-width, initial-scale=1">'
    body = "\n".join(parts)
    return f"<!doctype html><html lang=en><head>{head}{viewport}</head><body>{body}</body></html>\n"


def markdown_table(table: Table) -> str:
    """Return a table as Markdown, without its title."""
    heading, *body = table.text()
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, rule, *body))


def html_table(table: Table) -> str:
    """Return a table under its title as HTML; a wide one scrolls by itself."""
    heading, *body = table.text()
    top = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    rows = "".join("<tr>" + "".join(map(_html_cell, row)) + "</tr>" for row in body)
    return (
        f"<div class=scroll><table><caption>{escape(table.title)}</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def plain_lines(table: Table) -> list[str]:
    """Return a table as lines of text with aligned columns."""
    rows = table.text()
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]


def data_uri(path: Path) -> str:
    """Return a picture file as a `data:` address, reduced to what a page can show."""
    with Image.open(path) as opened:
        return image_uri(opened.convert("RGB"))


def image_uri(image: Image.Image) -> str:
    """Return a picture as a `data:` address, reduced to what a page can show."""
    image.thumbnail((_WIDEST, 10 * _WIDEST))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def figure_uri(draw: Callable[[Axes], None], title: str) -> str:
    """Return what `draw` plots as a `data:` address; no window is opened."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    axes.set_title(title, fontsize="medium")
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _html_cell(cell: str) -> str:
    kind = "met" if cell == "met" else "short" if cell.startswith("short by") else ""
    return f'<td class="{kind}">{escape(cell)}</td>' if kind else f"<td>{escape(cell)}</td>"
