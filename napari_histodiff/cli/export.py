"""`histodiff export`: a slide, or a part of it, in formats that other programs open."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from napari_histodiff.slide.exporting.source import ExportSource
    from napari_histodiff.slide.exporting.targets import OnProgress

__all__ = ["export"]

_FORMATS: Final = ("ome-tiff", "tiff", "ome-zarr", "ome-zarr-0.4", "geojson")

_INTERRUPTED: Final = 130


@click.command()
@click.argument("path", metavar="SLIDE", type=click.Path(exists=True, path_type=Path))
@click.option("--format", "kind", type=click.Choice(_FORMATS), required=True, help="What to write.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="File or folder.")
@click.option(
    "--region",
    type=(int, int, int, int),
    metavar="Y X HEIGHT WIDTH",
    help="Part to write, in pixels of full resolution; all of it by default.",
)
@click.option(
    "--compression",
    type=click.Choice(["deflate", "jpeg"]),
    default="deflate",
    show_default=True,
    help="Of TIFF: deflate keeps every pixel, jpeg is smaller.",
)
@click.option("--quality", default=90, show_default=True, help="Of JPEG.")
@click.option("--level", default=0, show_default=True, help="Level whose nuclei are written.")
@click.option(
    "--objects",
    type=click.Choice(["detection", "cell", "annotation"]),
    default="detection",
    show_default=True,
    help="What QuPath takes a nucleus for.",
)
@click.option("--tissue", is_flag=True, help="GeoJSON: tissue regions, too, as annotations.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def export(
    path: Path, kind: str, out: Path, region: tuple[int, int, int, int] | None, **settings: Any
) -> None:
    """Write SLIDE for QuPath, OMERO, OpenSlide or a training script, and say what is synthetic."""
    from napari_histodiff.core.geometry import Region
    from napari_histodiff.slide.exporting.source import ExportSource
    from napari_histodiff.slide.store import SlideStore

    with SlideStore.open(path, read_only=True) as slide:
        source = ExportSource.of_slide(slide)
        if region is not None:
            source = source.part(Region(0, *region))
        with _progress() as on_progress:
            written = _write(kind, source, out, settings, on_progress)
        click.echo(source.provenance.statement)
    for line in written:
        click.echo(line)


def _write(
    kind: str, source: ExportSource, out: Path, settings: dict[str, Any], on_progress: OnProgress
) -> list[str]:
    """Write one format; return lines that tell of it."""
    from napari_histodiff.slide.exporting.nuclei import export_geojson
    from napari_histodiff.slide.exporting.tiff import TiffKind, export_tiff

    common = {"overwrite": settings["overwrite"], "on_progress": on_progress}
    if kind == "geojson":
        chosen = {name: settings[name] for name in ("level", "objects", "tissue")}
        counts = export_geojson(source, out, **chosen, **common)
        told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        return [told or "no objects", str(out)]
    if kind.startswith("ome-zarr"):
        from napari_histodiff.slide.exporting.ome_zarr import ZarrVersion, export_ome_zarr

        version: ZarrVersion = "0.4" if kind == "ome-zarr-0.4" else "0.5"
        return [str(one) for one in export_ome_zarr(source, out, version=version, **common)]
    chosen = {name: settings[name] for name in ("compression", "quality")}
    tiff: TiffKind = "ome" if kind == "ome-tiff" else "pyramid"
    return [str(one) for one in export_tiff(source, out, kind=tiff, **chosen, **common)]


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """Show a bar; Ctrl-C ends the export and leaves nothing of it."""
    from tqdm import tqdm

    from napari_histodiff.slide.exporting.targets import ExportProgress

    interval = 0.5 if sys.stderr.isatty() else 30.0
    with tqdm(unit="step", mininterval=interval, delay=1, leave=False) as bar:

        def on_progress(progress: ExportProgress) -> None:
            bar.total = progress.total
            bar.set_description(progress.what, refresh=False)
            bar.update(progress.done - bar.n)

        try:
            yield on_progress
        except KeyboardInterrupt:
            bar.close()
            click.echo("Stopped; nothing was written", err=True)
            raise click.exceptions.Exit(_INTERRUPTED) from None
