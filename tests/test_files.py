"""Files and folders stay small enough to read in one sitting; the import graph has no circle."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "napari_histodiff"

#: Lines of code a file may have; docstrings, comments, blank lines and imports are free.
LONGEST = 300

#: Files a folder may have, `__init__.py` aside.
FULLEST = 17

#: A file shorter than this has two importers, or a reason.
SHORT = 60

#: Why a short file with one importer stands alone.
REASONS = {
    "__main__": "`python -m napari_histodiff`",
    "backends": "where a model meets what judges it",
    "cli.enrich": "one command",
    "cli.foreign": "models of other makers",
    "cli.serve": "one command",
    "cli.study": "one command",
    "cli.suggest": "one command",
    "core.captions.captions": "captions of maps, beside the parser of text",
    "datasets.conic": "one format",
    "datasets.lizard": "one format",
    "datasets.plain": "one format",
    "datasets.resampling": "pixels without labels or files",
    "core.foreign.adapters": "the table of kinds of pipelines",
    "diffusion.foreign.inversion": "drawing backwards, apart from drawing",
    "diffusion.known_means": "arithmetic of images, apart from the network",
    "diffusion.steering.parts": "edits whose parts begin at different times",
    "diffusion.training.fine_tuning": "torch is imported when it is called",
    "engine.inline": "one engine of two",
    "engine.queue": "pure, without threads",
    "engine.serving": "the other side of a remote engine",
    "evaluation.metrics.borders": "one metric",
    "studies.reading.plots": "matplotlib, apart from the figures",
    "slide.editing.growths": "pure order of steps, apart from how they are carried out",
    "segmenter.texture": "one score, of a reference",
    "segmenter.scores": "what torch differentiates of the judge",
    "layout.changes.rows": "what goes along with a border, apart from what moves it",
    "layout.completion.network": "what goes into one network, apart from how networks run",
    "layout.completion.planned": "a frame without paint",
    "layout.completion.request": "requests, where the others know maps",
    "layout.slide": "the public class of the package",
    "slide.scans.colour_profile": "applied only when asked",
    "ui.paint_actions": "where the frame's paint and the sketch of a slide meet",
    "slide.scans.picture_reader": "one format",
    "hub.listing": "which files are needed, apart from who asks for them",
    "inpainting.artefacts": "one proposal of a mask",
    "inpainting.readouts": "measures of an edit, apart from how they are shown",
    "slide.exporting.changes": "one format",
    "ui.compare.reading_row": "one section of the dock",
    "ui.anomaly.box": "one section of the dock",
    "ui.generation.asked": "what is kept of the moment, apart from the controller",
    "ui.generation.structures": "the paint of the variant in view, apart from what is suggested",
    "ui.live.rough": "pure, apart from when it is drawn",
    "ui.masks.outlines": "shapes of napari as pixels, apart from what is done with them",
    "ui.models.remote": "one dialog",
    "ui.painting.paint_tools": "what a document has in hand, each tool in a file of its own",
    "ui.plugin": "what napari.yaml names",
    "ui.proposals.box": "one section of the dock",
    "ui.slide.scans.alone": "edits without their scan, apart from the scans that are shown",
    "ui.slide.scans.asking": "what is asked of a person",
    "ui.slide.scans.room": "one form",
    "ui.widgets.presets_menu": "one menu of the dock",
    "ui.starting.garbage": "what Python is told to leave alone, and only that",
    "ui.starting.welcome": "one section of the dock",
    "ui.queue.part": "what the buttons of a section do",
    "ui.queue.time_left": "pure, with a clock of its own",
    "ui.saving.script": "code for elsewhere, apart from files",
}

NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


@cache
def tree_of(file: Path) -> ast.Module:
    """A file as Python reads it."""
    return ast.parse(file.read_text("utf-8"))


@cache
def code_lines(file: Path) -> int:
    """Lines of a file that are neither blank, comment, docstring nor import."""
    text = file.read_text("utf-8")
    free: set[int] = set()
    for node in ast.walk(tree_of(file)):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if docstring or isinstance(node, ast.Import | ast.ImportFrom):
            free.update(range(node.lineno, (node.end_lineno or 0) + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - free)


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    names = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


def imports_of(file: Path, known: set[str]) -> Iterator[str]:
    """Modules of ours that a file imports anywhere, for type checkers only or not."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield from {name if name in known else node.module} & known
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & known


def test_code_is_counted_without_docstrings_comments_and_imports(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        '"""Doc\nstring."""\n\nimport os\nfrom a import (\n    b,\n)\n\n# why\n'
        'def f():\n    """Doc."""\n    return """\ntext"""  # that\n'
    )
    assert code_lines(file) == 3


def test_no_file_is_too_long() -> None:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert files
    long = [file for file in files if len(file.read_bytes().splitlines()) > LONGEST]
    lengths = {str(file.relative_to(ROOT)): code_lines(file) for file in long}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_no_folder_is_too_full() -> None:
    counts = Counter(
        str(file.parent.relative_to(ROOT))
        for file in PACKAGE.rglob("*.py")
        if file.name != "__init__.py"
    )
    assert {folder: count for folder, count in counts.items() if count > FULLEST} == {}


def test_a_short_file_has_two_importers_or_a_reason() -> None:
    found = modules()
    importers: Counter[str] = Counter()
    for file in found.values():
        importers.update(set(imports_of(file, set(found))))
    short = {
        name.removeprefix("napari_histodiff.")
        for name, file in found.items()
        if file.name != "__init__.py" and importers[name] < 2 and code_lines(file) < SHORT
    }
    assert short == set(REASONS)


def test_no_import_circle() -> None:
    found = modules()
    graph = {
        name: {other for other in imports_of(file, set(found)) if other != name}
        for name, file in found.items()
    }
    assert any(graph.values())
    TopologicalSorter(graph).prepare()  # names the circle where there is one
