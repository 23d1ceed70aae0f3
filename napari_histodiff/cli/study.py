"""`histodiff study`: people tell drawn from real tissue, in a browser or in napari."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from threading import Timer
from typing import Any

import click

from napari_histodiff.cli.options import FILE, FOLDER, NEW_FILE
from napari_histodiff.cli.texts import TEXT

__all__ = ["study"]

_FOLDERS = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def study() -> None:
    """Ask people which tissue is real: reader studies."""


@study.command()
@click.argument("output", type=NEW_FILE)
@click.option("--real", type=_FOLDERS, multiple=True, required=True, help="Folder; repeatable.")
@click.option("--synthetic", type=_FOLDERS, multiple=True, required=True, help="Likewise.")
@click.option("--title", type=TEXT, default="Which tissue is real?", show_default=True)
@click.option("--pairs", type=int, help="Real beside drawn; by default as many as images allow.")
@click.option("--singles", type=int, help="Single images, rated; by default as many as pairs.")
@click.option("--catch", type=int, help="Real beside real; by default one to eight pairs.")
@click.option("--practice", default=4, show_default=True, help="First trials, not counted.")
@click.option("--size", type=int, help="Side of the square shown; else the largest all have.")
@click.option(
    "--jpeg", type=int, multiple=True, default=(90,), show_default=True, help="0: lossless."
)
@click.option("--seed", default=0, show_default=True)
def new(output: Path, real: tuple[Path, ...], synthetic: tuple[Path, ...], **settings: Any) -> None:
    """Make the study OUTPUT, one file, of folders of real and synthetic images.

    Subfolders name organ and class: real/colon/tumour. Real and drawn images are compared within
    them, alike in stain, size and encoding.
    """
    from napari_histodiff.studies.reading.create import new_study
    from napari_histodiff.studies.reading.trials import ReadingOptions

    made, notes = new_study(output, real, synthetic, ReadingOptions(**settings))
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    counts = ", ".join(f"{count} {kind}" for kind, count in made.counts().items())
    click.echo(f"{output}: {counts}; begin with: histodiff study run {output}")


@study.command()
@click.argument("file", type=FILE)
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open it.")
def run(file: Path, port: int, browser: bool) -> None:
    """Show the study FILE in the browser of this computer, until Ctrl-C.

    Readers give a name, answer by mouse or keys, and go on later under the same name.
    """
    from napari_histodiff.studies.reading.database import ReaderStudy
    from napari_histodiff.studies.reading.web import StudyServer

    server = StudyServer(ReaderStudy(file), port)
    click.echo(f"{server.address} (Ctrl-C ends; every answer is kept at once)")
    if browser:
        opening = Timer(0.5, webbrowser.open, (server.address,))
        opening.daemon = True
        opening.start()
    try:
        server.serve()
    except KeyboardInterrupt:
        click.echo("Stopped.")
    finally:
        server.release()


@study.command()
@click.argument("file", type=FILE)
@click.option("-o", "--output", type=FOLDER, default=Path("reader-study"), help="Folder.")
def report(file: Path, output: Path) -> None:
    """Say how well readers of the study FILE told drawn from real tissue."""
    from napari_histodiff.evaluation.pages import plain_lines
    from napari_histodiff.studies.reading.database import ReaderStudy
    from napari_histodiff.studies.reading.report import write_reading_report

    for table in write_reading_report(ReaderStudy(file), output):
        click.echo("\n".join([table.title, *plain_lines(table), ""]))
    click.echo(output / "report.html")
