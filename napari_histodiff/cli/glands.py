"""`histodiff train-gland`: makes the network that finds glands for proposed and labelled tissue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["train_gland"]


@click.command("train-gland")
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@click.option("--hours", default=0.2, show_default=True, help="Longest time.")
@click.option("--samples", default=25_000, show_default=True, help="Most training crops.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0 ...")
def train_gland(data: Path, output: Path, **settings: Any) -> None:
    """Train the network that finds glands on the packed file DATA."""
    from napari_histodiff.segmenter.gland_training import train_gland as run_training

    click.echo(run_training(data, output, **settings))
