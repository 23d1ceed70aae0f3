"""`histodiff export`, `inspect` and `sign`: slides for other programs, and what they say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from napari_histodiff.cli.options import (
    INTERRUPTED,
    OVERWRITE,
    check_new,
    overwrite_option,
    scan_mpp_option,
)
from napari_histodiff.cli.texts import TEXT
from napari_histodiff.core.errors import AlreadyThere, InvalidRequest

if TYPE_CHECKING:
    from napari_histodiff.slide.exporting.targets import OnProgress

__all__ = ["export", "inspect", "sign"]

#: Written here as well, because `histodiff --help` imports nothing of slides; a test compares them.
_SETS: Final = ("conic", "coco", "folder", "yolo", "stardist")
_FORMATS: Final = (
    *("ome-tiff", "tiff", "ome-zarr", "ome-zarr-0.4", "geojson", "changes"),
    *("masks", "masks-png", "masks-npy", *_SETS),
)


@click.command()
@click.argument("slides", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--format", "kind", type=click.Choice(_FORMATS), required=True, help="What to write.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="File or folder.")
@click.option(
    "--region",
    type=(int, int, int, int),
    metavar="Y X HEIGHT WIDTH",
    help="Part to write, in pixels of full resolution; all of it by default.",
)
@click.option(
    "--within-scan",
    is_flag=True,
    help="Leave out what was drawn beyond a scan's border; coordinates are then the scan's.",
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
@click.option(
    "--tissue",
    is_flag=True,
    help="GeoJSON, masks: the tissue, too. OME-Zarr and folder have it wherever there is any.",
)
@click.option("--side", default=256, show_default=True, help="Training sets: pixels of a tile.")
@click.option(
    "--validation", default=0.2, show_default=True, help="Training sets: share of the slides."
)
@scan_mpp_option
@overwrite_option
def export(
    slides: tuple[Path, ...],
    kind: str,
    out: Path,
    region: tuple[int, int, int, int] | None,
    mpp: float | None,
    within_scan: bool,
    **settings: Any,
) -> None:
    """Write SLIDES for QuPath, OMERO, OpenSlide or a training script, and say what is synthetic.

    A slide is one of this package, or a scan, which is written with its edits.
    Training sets (conic, coco, folder, yolo, stardist) take several slides, everything else one.
    """
    from napari_histodiff.core.geometry import Region
    from napari_histodiff.slide.exporting.formats import WITH_TISSUE, write
    from napari_histodiff.slide.exporting.source import open_source

    if len(slides) > 1 and kind not in _SETS:
        raise click.UsageError(f"give one slide for {kind}; training sets take several")
    if settings["tissue"] and kind not in WITH_TISSUE:
        raise click.UsageError(
            f"{kind} has no tissue; leave out --tissue, or write {', '.join(WITH_TISSUE)}"
        )
    with ExitStack() as stack:
        sources = []
        for path in slides:
            source = stack.enter_context(open_source(path, mpp=mpp))
            source = source.within_scan() if within_scan else source
            if settings["tissue"]:
                source.tissue_told()
            sources.append(source if region is None else source.part(Region(0, *region)))
        try:
            with _progress() as on_progress:
                written = write(kind, sources, out, settings, on_progress)
        except AlreadyThere as error:
            raise AlreadyThere.at(error.path, OVERWRITE) from error
        for source in sources:
            click.echo(source.provenance.statement)
    for line in written:
        click.echo(line)


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def inspect(path: Path) -> None:
    """Say what in an exported FILE is synthetic, and whether it was changed since.

    Ends with 1 when the pixels are not those that were exported, or its credentials do not hold.
    """
    from napari_histodiff.slide.exporting.inspection import inspect_file

    found = inspect_file(path)
    click.echo(found)
    broken = found.credentials is not None and not found.credentials.valid
    if found.unchanged is False or broken:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--certificate", required=True, type=click.Path(path_type=Path), help="PEM file.")
@click.option("--key", required=True, type=click.Path(path_type=Path), help="PEM file; keep it.")
@click.option("--new-identity", type=TEXT, metavar="NAME", help="Make certificate and key first.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: in its place.")
@overwrite_option
def sign(
    path: Path,
    certificate: Path,
    key: Path,
    new_identity: str | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Sign an exported FILE with content credentials (C2PA), which `histodiff inspect` reads."""
    from napari_histodiff.slide.exporting import credentials
    from napari_histodiff.slide.exporting.inspection import inspect_file

    if output is not None and output != path:
        check_new(output, overwrite)
    found = inspect_file(path)
    if found.unchanged is False:
        raise InvalidRequest(
            f"expected an image as it was exported, got {path.name}, whose pixels were changed; "
            "export it again"
        )
    if new_identity is not None:
        credentials.new_identity(new_identity, certificate, key)
    said = found.said if "statement" in found.said else {**found.said, "statement": found.statement}
    click.echo(credentials.sign(path, said, certificate, key, output))


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
            raise click.exceptions.Exit(INTERRUPTED) from None
