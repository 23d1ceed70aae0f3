"""`histodiff slide`: make, render, check and shrink gigapixel slides without a window."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_histodiff.cli.models import load, model_option
from napari_histodiff.cli.options import (
    FILE,
    FOLDER,
    INTERRUPTED,
    caption_option,
    device_option,
    scan_mpp_option,
)
from napari_histodiff.cli.texts import say_unknown_words
from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.core.recipe import MAX_SIDE, MIN_SIDE, SlideRecipe
from napari_histodiff.core.requests import LIMITS

if TYPE_CHECKING:
    from types import FrameType

    from distributed import Security

    from napari_histodiff.core.geometry import Region
    from napari_histodiff.rendering import RenderProgress
    from napari_histodiff.slide.opened import OpenedSlide
    from napari_histodiff.slide.store import SlideStore

__all__ = ["slide"]

_SIDE = click.IntRange(MIN_SIDE, MAX_SIDE)
_SLIDE = click.argument("path", type=FOLDER)

#: Seconds between two states of the bar on a terminal and in the log of a batch job.
_TERMINAL_SECONDS, _LOG_SECONDS = 0.5, 30.0


@click.group()
def slide() -> None:
    """Gigapixel slides: new, info, render, refine, paint, verify, evict."""


@slide.command()
@_SLIDE
@click.option("--size", type=_SIDE, help="Pixels a side.")
@click.option("--height", type=_SIDE, help="Pixels; with --width, in place of --size.")
@click.option("--width", type=_SIDE, help="Pixels.")
@click.option("--mpp", default=0.5, show_default=True, help="Micrometres per pixel.")
@click.option("--seed", default=0, show_default=True, help="Another seed, another slide.")
@caption_option
@click.option("--sketch", type=FILE, help="PNG of where which tissue is, stretched to the slide.")
@click.option(
    "--guidance",
    type=click.FloatRange(*LIMITS["guidance_scale"]),
    help="1 = no guidance; the model's own by default (1 with the bundled one).",
)
@click.option(
    "--steps",
    type=click.IntRange(int(LIMITS["steps"][0]), int(LIMITS["steps"][1])),
    help="Solver steps; the model's own by default (2 with the bundled one).",
)
@click.option("--quick", is_flag=True, help="A third of the work for a view, plainer nuclei.")
@model_option
def new(
    path: Path,
    size: int | None,
    height: int | None,
    width: int | None,
    sketch: Path | None,
    guidance: float | None,
    model: Path | None,
    **settings: Any,
) -> None:
    """Make the slide PATH (NAME.ome.zarr); it opens at once and is drawn where one looks."""
    height, width = _sides(size, height, width)
    from napari_histodiff.slide.sketch_files import read_sketch
    from napari_histodiff.slide.state import check_is_new
    from napari_histodiff.slide.store import SlideStore

    check_is_new(path)  # before the model is loaded
    drawn = None if sketch is None else read_sketch(sketch, height, width)
    info = load(model, "cpu").info
    say_unknown_words(settings["caption"])
    recipe = SlideRecipe.plan(info, height=height, width=width, guidance_scale=guidance, **settings)
    with SlideStore.create(path, recipe, drawn) as store:
        click.echo(_size(store))
    click.echo(path)


@slide.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@scan_mpp_option
def info(path: Path, mpp: float | None) -> None:
    """Say what a slide is and how much of it is drawn; of a scan, what its header says."""
    from napari_histodiff.slide.opened import open_slide
    from napari_histodiff.slide.scans.opening import is_slide_folder, is_synthetic

    if not is_synthetic(path) and (path.is_file() or is_slide_folder(path)):
        with open_slide(path, mpp=mpp) as scan:
            click.echo("\n".join(_facts(scan)))
        return
    if mpp is not None:
        raise InvalidRequest(f"expected no --mpp for {path}, which knows its own; leave it out")
    with _open(path) as store:
        recipe = store.recipe
        click.echo(_size(store))
        click.echo(f'caption "{recipe.caption}", seed {recipe.seed}')
        click.echo(
            f"model {recipe.model}, revision {recipe.revision}, guidance "
            f"{recipe.guidance_scale:g}, {recipe.steps} steps, "
            f"{'levels are means of finer ones' if recipe.drawn_finer else 'drawn level by level'}"
        )
        if store.sketch is not None:
            rows, cols = store.sketch.classes.shape
            click.echo(f"sketch of {rows} x {cols}")
        click.echo(f"{_bytes(store.nbytes)} of tissue on disk")
        click.echo(_tiles(store))


@slide.command()
@_SLIDE
@click.option(
    "--region",
    type=(int, int, int, int),
    metavar="Y X HEIGHT WIDTH",
    help="Part to draw, in pixels of level 0; the whole slide by default.",
)
@click.option("--levels", help='Levels to draw, for example "1,2"; all by default.')
@click.option("--workers", default=1, show_default=True, help="Processes on this machine.")
@click.option("--scheduler", help="Address of a dask scheduler, for example tls://node7:8786.")
@click.option("--tls-ca", type=FILE, help="Certificate authority of the scheduler (PEM).")
@click.option("--tls-cert", type=FILE, help="Certificate of this client (PEM).")
@click.option("--tls-key", type=FILE, help="Key of this client (PEM).")
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait for a worker.")
@model_option
@device_option
def render(
    path: Path,
    region: tuple[int, int, int, int] | None,
    levels: str | None,
    scheduler: str | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    model: Path | None,
    device: str,
    **settings: Any,
) -> None:
    """Draw all of the slide PATH, or a part; what is drawn already is kept."""
    from tqdm import tqdm

    from napari_histodiff.rendering.render import DEFAULT_BACKEND, render_slide
    from napari_histodiff.rendering.worker import ModelFactory

    # Workers have other working folders.
    folder = None if model is None else str(model.absolute())
    interval = _TERMINAL_SECONDS if sys.stderr.isatty() else _LOG_SECONDS
    with (
        tqdm(
            desc="loading the model",
            unit="tile",
            smoothing=0.1,
            mininterval=interval,
            delay=1,  # nothing for what is refused at once
            leave=False,
        ) as bar,
        _ending(bar),
    ):

        def on_progress(progress: RenderProgress) -> None:
            bar.total = progress.total
            bar.set_description(f"level {progress.level}", refresh=False)
            bar.update(progress.done - bar.n)

        report = render_slide(
            path,
            region=None if region is None else _region(region),
            levels=None if levels is None else _levels(levels),
            scheduler=scheduler,
            security=_security(tls_ca, tls_cert, tls_key),
            backend=ModelFactory(DEFAULT_BACKEND, folder, device),
            on_progress=on_progress,
            **settings,
        )
    click.echo(
        f"{report.tiles} tiles drawn in {report.seconds:.0f} s ({report.blank} of glass), "
        f"{report.kept} were there"
    )
    if report.deaths:
        click.echo(f"{report.deaths} workers went away; others drew their tiles", err=True)
    if len(report.devices) > 1:
        click.echo(
            f"Warning: drawn on {' and '.join(report.devices)}, which agree up to rounding only; "
            "for the same bytes everywhere use workers of one kind",
            err=True,
        )


@slide.command()
@_SLIDE
@model_option
def refine(path: Path, model: Path | None) -> None:
    """Give the slide PATH one more level, of half the pixel size, down to what its model draws.

    It is drawn where one looks; what was drawn before stays as it is.
    """
    from napari_histodiff.slide.store import SlideStore

    with SlideStore.open(path, read_only=False) as store:
        store.refine(load(model, "cpu").info)
        click.echo(_size(store))


@slide.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.argument("annotations", type=FILE)
@scan_mpp_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the edits of the scan.")
def paint(path: Path, annotations: Path, mpp: float | None, out: Path | None) -> None:
    """Paint the nuclei and tissue of ANNOTATIONS on the scan PATH; its pixels stay.

    GeoJSON of QuPath, or XML of ImageScope or ASAP. One step, which Undo in the Studio takes back.
    """
    from contextlib import closing

    from tqdm import tqdm

    from napari_histodiff.slide.overlays.places import open_overlay
    from napari_histodiff.slide.scans.remembered import open_known

    with (
        closing(open_known(path, mpp=mpp)) as scan,
        open_overlay(scan, out, read_only=False) as edits,
        tqdm(unit="object", delay=1, leave=False) as bar,
    ):
        report = edits.paint_annotations(annotations, lambda count: bar.update(count - bar.n))
        click.echo(f"{edits.path}: {report}")


@slide.command()
@_SLIDE
def verify(path: Path) -> None:
    """Read every tile of a slide; ends with 1 and a list when some are damaged."""
    with _open(path) as store:
        report = store.verify()
    click.echo(report)
    if not report.is_whole:
        raise click.exceptions.Exit(1)


@slide.command()
@_SLIDE
@click.option("--max-size", required=True, help='Largest size on disk, for example "2GB".')
def evict(path: Path, max_size: str) -> None:
    """Drop drawn tiles of the slide PATH until it is small enough, the finest first.

    They come back the same when somebody looks there again. Edits are never dropped.
    """
    from napari_histodiff.slide.store import SlideStore

    limit = _parsed_bytes(max_size)
    with SlideStore.open(path, read_only=False) as store:
        freed = store.evict(limit)
        click.echo(f"{_bytes(freed)} freed, {_bytes(store.nbytes)} left")


def _facts(scan: OpenedSlide) -> Iterator[str]:
    """Yield what the header of a scan says, by the line."""
    spec, facts = scan.spec, scan.facts
    assert facts is not None
    yield f"{spec.width} x {spec.height} px, {facts.format}, read by {facts.reader}"
    objective = f", {facts.magnification:g}x" if facts.magnification else ""
    asked = " (as somebody said, not the file)" if facts.mpp_from == "asked" else ""
    known = "um per pixel not known" if scan.mpp is None else f"{scan.mpp:.4g} um per pixel"
    yield f"{known}{asked}{objective}"
    sizes = ", ".join(f"{width} x {height}" for height, width in facts.levels)
    yield f"levels in the file: {sizes}; shown: {spec.levels}"
    yield f"{_bytes(facts.nbytes)} on disk{', with a colour profile' if facts.has_icc else ''}"
    if facts.associated:
        yield f"other pictures, not shown: {', '.join(facts.associated)}"
    yield from (f"note: {note}" for note in facts.notes)


def _open(path: Path) -> SlideStore:
    from napari_histodiff.slide.store import SlideStore

    return SlideStore.open(path, read_only=True)


def _sides(size: int | None, height: int | None, width: int | None) -> tuple[int, int]:
    if size is not None and height is None and width is None:
        return size, size
    if size is None and height is not None and width is not None:
        return height, width
    raise click.UsageError("give --size, or --height and --width")


def _region(sides: tuple[int, int, int, int]) -> Region:
    from napari_histodiff.core.geometry import Region

    return Region(0, *sides)


def _levels(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(f'expected levels as "1,2", got "{text}"') from None


def _security(ca: Path | None, cert: Path | None, key: Path | None) -> Security | None:
    if ca is None and cert is None and key is None:
        return None
    if ca is None or cert is None or key is None:
        raise click.UsageError("give --tls-ca, --tls-cert and --tls-key together")
    from napari_histodiff.rendering.cluster import certificates

    return certificates(ca, cert, key)


@contextmanager
def _ending(bar: Any) -> Iterator[None]:
    """Let Ctrl-C, or the end of a batch job's time, stop a render between two tiles."""
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ended = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        ended = True
        signal.default_int_handler(number, frame)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    except (KeyboardInterrupt, HistodiffError):
        # Where the model loads, libraries make an error of their own of an interrupt.
        if not ended:
            raise
        bar.close()
        click.echo(
            f"Stopped; {bar.n} new tiles are kept, and the same command goes on from there",
            err=True,
        )
        raise click.exceptions.Exit(INTERRUPTED) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _size(store: SlideStore) -> str:
    recipe = store.recipe
    height, width = (side * recipe.mpp / 1000 for side in (recipe.height, recipe.width))
    return (
        f"{recipe.height} x {recipe.width} px, {height:.2f} x {width:.2f} mm at {recipe.mpp:g} um "
        f"per pixel, {store.spec.levels} levels"
    )


def _tiles(store: SlideStore) -> str:
    from napari_histodiff.slide.storage.tile_table import TileState

    shown = (TileState.EMPTY, TileState.GENERATED, TileState.EDITED, TileState.STALE)
    rows = [("level", "um/px", "tiles", *(state.name.lower() for state in shown))]
    for level in range(store.recipe.coarsest + 1):
        states = store.state(level)
        counts = [int((states == state).sum()) for state in shown]
        rows.append(
            (str(level), f"{store.recipe.mpp * 2**level:g}", *map(str, (states.size, *counts)))
        )
    return "\n".join("".join(cell.rjust(11) for cell in row) for row in rows)


def _bytes(count: int) -> str:
    from dask.utils import format_bytes

    return str(format_bytes(count))


def _parsed_bytes(text: str) -> int:
    from dask.utils import parse_bytes

    try:
        size = int(parse_bytes(text))
    except ValueError:
        size = -1
    if size < 0:
        raise InvalidRequest(f'expected a size, got "{text}"; write it as 500MB, 2GB or 2GiB')
    return size
