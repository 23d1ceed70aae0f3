"""`histodiff masks`: how a model of other makers takes paint."""

from __future__ import annotations

from pathlib import Path

import click

from napari_histodiff.cli.options import FOLDER

__all__ = ["masks"]


@click.command()
@click.argument("folder", type=FOLDER, required=False)
@click.option("--preset", help="Write this one beside the model.")
def masks(folder: Path | None, preset: str | None) -> None:
    """Say, or write with --preset, how the model in FOLDER takes paint; else list the presets.

    The file histodiff.json beside a model says which colour or number each painted class has in its
    control image, at how many micrometres per pixel it was trained, and in which words.
    """
    from napari_histodiff.core.foreign.convention import PRESETS, read_convention, use_preset

    if folder is None:
        click.echo("\n".join(PRESETS))
        return
    if preset is not None:
        click.echo(use_preset(folder, preset))
        return
    found = read_convention(folder)
    if found is None:
        raise click.UsageError(f"{folder} does not say; give --preset: {', '.join(PRESETS)}")
    low, high = found.mpp
    click.echo(f"paint: {found.paint} as {found.encoding}, {low:g} to {high:g} um per pixel")
    for name, value in found.values.items():
        click.echo(f"{name}: {' '.join(map(str, value))}")
