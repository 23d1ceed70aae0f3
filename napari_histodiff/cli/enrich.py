"""`histodiff enrich`: does drawn tissue help to train a segmenter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from napari_histodiff.cli.options import FILE, FOLDER
from napari_histodiff.cli.texts import TEXT
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS

__all__ = ["enrich"]


@click.command()
@click.argument("train", type=FILE)
@click.argument("test", type=FILE)
@click.option("-o", "--output", type=FOLDER, default=Path("enrichment"), help="Folder.")
@click.option("--model", type=FOLDER, help="Model folder; the bundled model by default.")
@click.option("--device", default="auto", show_default=True, help="Of the drawing.")
@click.option(
    "--segmenter",
    type=click.Choice(["ours", "cellpose", "stardist", "instanseg"]),
    default="ours",
    show_default=True,
    help="What is trained; the others where they are installed.",
)
@click.option(
    "--segmenter-weights",
    type=click.Path(path_type=Path),
    help="File or folder that cellpose, stardist or instanseg start from; nothing is fetched.",
)
@click.option(
    "--mixes", type=TEXT, help="For example 100_0,75_25,100_100,10_90o; see the documentation."
)
@click.option("--source", "sources", multiple=True, help="Set of the packs; repeatable, else all.")
@click.option("--tiles", default=64, show_default=True, help="Real tiles trained on.")
@click.option("--test-tiles", default=48, show_default=True, help="Real tiles tested on.")
@click.option("--size", default=256, show_default=True, help="Side of a tile in pixels.")
@click.option("--crop", default=96, show_default=True, help="Side of a training crop.")
@click.option("--updates", default=1500, show_default=True, help="Of every training.")
@click.option("--seeds", default=3, show_default=True, help="Trainings of each mix.")
@click.option(
    "--stain", type=click.Choice(["sampled", "reference"]), default="sampled", show_default=True
)
@click.option("--guidance", default=DEFAULT_GUIDANCE, show_default=True, help="1 = no guidance.")
@click.option("--steps", default=DEFAULT_STEPS, show_default=True, help="Solver steps.")
@click.option("--seed", default=0, show_default=True)
def enrich(
    train: Path,
    test: Path,
    output: Path,
    model: Path | None,
    device: str,
    segmenter: str,
    segmenter_weights: Path | None,
    mixes: str | None,
    **settings: Any,
) -> None:
    """Train a segmenter on mixes of real and drawn tiles of TRAIN; test it on real ones of TEST.

    Both are files of `histodiff pack`. Drawn tiles and finished trainings stay in the output
    folder: a study that was stopped goes on when it is started again.
    """
    from napari_histodiff.studies.enrichment.mixes import DEFAULT_MIXES, parse_mix
    from napari_histodiff.studies.enrichment.options import EnrichmentOptions

    if mixes is not None:
        settings["mixes"] = tuple(name.strip() for name in mixes.split(",") if name.strip())
    options = EnrichmentOptions(**settings)
    from napari_histodiff.studies.enrichment.segmenters import load_segmenter

    trained = load_segmenter(segmenter, segmenter_weights)
    if mixes is None and not trained.about.augments:
        plain = tuple(name for name in DEFAULT_MIXES if not parse_mix(name).classical)
        options = replace(options, mixes=plain)
    from napari_histodiff.diffusion.backend import DiffusionBackend
    from napari_histodiff.evaluation.pages import plain_lines
    from napari_histodiff.studies.enrichment.study import run_enrichment

    backend = DiffusionBackend.load(model, device)
    for table in run_enrichment(backend, train, test, output, options, trained):
        click.echo("\n".join([table.title, *plain_lines(table), ""]))
    click.echo(output / "report.html")
