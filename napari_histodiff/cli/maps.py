"""`histodiff anomaly` and `histodiff uncertainty`: maps over an image or a slide."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from napari_histodiff.cli.models import load
from napari_histodiff.cli.options import FOLDER, device_option, options
from napari_histodiff.cli.texts import TEXT
from napari_histodiff.core.errors import Cancelled, InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_histodiff.core.geometry import Region
    from napari_histodiff.evaluation.maps.pictures import Legend
    from napari_histodiff.evaluation.maps.running import NucleusTable
    from napari_histodiff.evaluation.maps.tiles import OnTile
    from napari_histodiff.slide.opened import OpenedSlide

__all__ = ["MAP_COMMANDS"]

#: Pixels a side beyond which a map has larger pixels than its slide.
_LARGE: Final = 4096

#: Longest side of the picture under a map.
_PICTURE: Final = 1400

_OPTIONS: Final = (
    click.argument("image", type=click.Path(exists=True, path_type=Path)),
    click.option(
        "--region",
        type=(int, int, int, int),
        metavar="Y X HEIGHT WIDTH",
        help="The place, in pixels of the finest level; by default all of it.",
    ),
    click.option("--mpp", type=float, help="Micrometres per pixel, where the file does not say."),
    click.option("--level", type=int, help="Of a slide; by default that nearest to 0.5 um."),
    click.option(
        "--pixels",
        type=click.Choice(["1", "2", "4", "8", "16", "32", "64"]),
        help="Pixels a side of one value of the map; by default 1, of large slides 4.",
    ),
    click.option("--out", type=click.Path(path_type=Path), help="Name of the files."),
)


@click.command()
@options(*_OPTIONS)
@click.option("--strength", type=float, help="Share of noise before it is drawn again.")
@click.option("--draws", type=click.IntRange(1, 16), help="Drawings that are averaged.")
@click.option("--smooth", type=float, help="Micrometres in which both are compared.")
@click.option("--steps", type=int, help="Steps of a whole drawing.")
@click.option(
    "--inverted/--noise",
    default=None,
    help="From the image's own noise (inversion), or noise of the seed; by default what suits the "
    "model.",
)
@click.option("--caption", type=TEXT, help="What the model is told besides the proposed paint.")
@click.option("--seed", type=int)
@click.option(
    "--model",
    type=FOLDER,
    help="Model folder, ours or of diffusers; by default the bundled.",
)
@device_option
def anomaly(image: Path, model: Path | None, device: str, **settings: Any) -> None:
    """Say where IMAGE, a picture or a slide, is unlike what the model draws.

    Writes NAME.ome.tiff (float32), NAME.png (over the image, with a scale) and NAME.json. When it
    is stopped, the same command goes on where it was.
    """
    from napari_histodiff.evaluation.maps.anomaly import AnomalySettings
    from napari_histodiff.evaluation.maps.pictures import Legend
    from napari_histodiff.evaluation.maps.running import anomaly_of

    names = ("strength", "draws", "smooth", "steps", "inverted", "caption", "seed")
    chosen = {name: settings[name] for name in names if settings[name] is not None}
    how = AnomalySettings(**chosen)
    with _map(image, "anomaly", settings) as job:
        loaded = load(model, device)
        found = anomaly_of(
            job.slide,
            job.area,
            job.mpp,
            loaded.info,
            loaded.draw,
            lambda part, scale: loaded.segmenters().paint(part, scale),
            how,
            factor=job.factor,
            folder=job.folder,
            on_tile=job.on_tile,
        )
        legend = Legend(f"Unlike {loaded.info.name}", found.unit, found.limits)
        job.write(
            found.values,
            legend,
            asdict(how)
            | {"model": loaded.info.name, "model_revision": loaded.info.revision}
            | {"ordinary_density": found.ordinary},
        )


@click.command()
@options(*_OPTIONS)
@device_option
def uncertainty(image: Path, device: str, **settings: Any) -> None:
    """Say where the nuclei that are proposed of IMAGE, a picture or a slide, are in doubt.

    Writes NAME.ome.tiff (entropy of each place, 0 to 1), NAME.png, NAME.json, and NAME.csv with a
    row for each nucleus. When it is stopped, the same command goes on where it was.
    """
    from napari_histodiff.evaluation.maps.pictures import Legend
    from napari_histodiff.evaluation.maps.running import uncertainty_of
    from napari_histodiff.segmenter.ensemble import Ensemble
    from napari_histodiff.segmenter.model import Judge

    with _map(image, "uncertainty", settings, (".csv",)) as job:
        judge = Judge.load(device=device)
        entropy, nuclei = uncertainty_of(
            job.slide,
            job.area,
            job.mpp,
            Ensemble(judge),
            factor=job.factor,
            folder=job.folder,
            on_tile=job.on_tile,
        )
        legend = Legend(
            "Proposed nuclei in doubt", "entropy (1 = undecided)", (0.25, 0.75), "inferno"
        )
        facts = {"model": judge.info.name, "model_revision": judge.info.revision}
        table = job.files[0].with_name(job.stem + ".csv")
        _write_table(table, nuclei, job)
        job.write(entropy, legend, facts | {"nuclei": len(nuclei.y)})
        click.echo(table)


MAP_COMMANDS: Final = (anomaly, uncertainty)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One map in work."""

    slide: OpenedSlide
    area: Region
    mpp: float | None
    factor: int
    out: Path
    files: tuple[Path, ...]
    folder: Path
    on_tile: OnTile

    @property
    def stem(self) -> str:
        return self.files[1].stem

    def write(self, values: NDArray[np.float32], legend: Legend, facts: dict[str, Any]) -> None:
        from napari_histodiff.evaluation.maps.pictures import write_map

        assert self.mpp is not None
        places = {name: getattr(self.area, name) for name in ("level", "y", "x", "height", "width")}
        facts = {"slide": self.slide.path.name, "region": places} | facts
        picture = _picture(self.slide, self.area)
        size = self.mpp * self.factor
        for path in write_map(self.out, values, size, picture, legend, facts):
            click.echo(path)


@contextmanager
def _map(
    image: Path, kind: str, settings: dict[str, Any], more: tuple[str, ...] = ()
) -> Iterator[_Job]:
    from shutil import rmtree

    from tqdm import tqdm

    from napari_histodiff.evaluation.maps.pictures import check_free, map_files
    from napari_histodiff.evaluation.maps.running import level_near, place_of, tiling_of
    from napari_histodiff.slide.opened import open_slide

    out = settings["out"] or image.with_name(f"{image.name.split('.')[0]}.{kind}")
    files = map_files(out)
    check_free((*files, *(files[1].with_suffix(ending) for ending in more)))
    folder = files[1].with_suffix(".tiles")
    with open_slide(image, mpp=settings["mpp"]) as slide:
        if slide.mpp is None:
            raise InvalidRequest(
                f"expected the pixel size of {image}, got a file that does not tell it; give --mpp"
            )
        level = level_near(slide.spec) if settings["level"] is None else settings["level"]
        area = place_of(slide.spec, level, settings["region"])
        told = settings["pixels"]
        factor = int(told) if told else (4 if max(area.shape) > _LARGE else 1)
        tiling_of(area, factor)
        mpp = slide.spec.mpp * 2**level
        with tqdm(unit="tile", leave=False, disable=None) as bar:

            def on_tile(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                yield _Job(slide, area, mpp, factor, out, files, folder, on_tile)
            except KeyboardInterrupt:
                raise Cancelled(
                    f"stopped; what is done is kept in {folder}, and the same command goes on"
                ) from None
        rmtree(folder, ignore_errors=True)


def _picture(slide: OpenedSlide, area: Region) -> NDArray[np.uint8]:
    """The area as a picture, of a level as coarse as will do, in strips."""
    import numpy as np
    from PIL import Image

    spec, level = slide.spec, area.level
    while level + 1 < spec.levels and max(spec.at_level(area, level).shape) > 2 * _PICTURE:
        level += 1
    place = spec.at_level(area, level).intersect(spec.bounds(level))
    step = max(1, -(-max(place.shape) // _PICTURE))
    strips = []
    for top in range(0, place.height, 256 * step):
        height = min(256 * step, place.height - top)
        part = type(place)(level, place.y + top, place.x, height, place.width)
        pixels = Image.fromarray(slide.read(part))
        strips.append(np.asarray(pixels.reduce(step) if step > 1 else pixels))
    return np.concatenate(strips)


def _write_table(path: Path, nuclei: NucleusTable, job: _Job) -> None:
    """One row a nucleus, its place in pixels of the finest level."""
    from napari_histodiff.core.errors import StorageError

    scale = 1 << job.area.level
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["y", "x", "class", "area_um2", "agreement", "uncertainty"])
            for i in range(len(nuclei.y)):
                name = CLASS_NAMES[int(nuclei.class_id[i]) - 1]
                numbers = (nuclei.area[i], nuclei.agreement[i], nuclei.uncertainty[i])
                place = [
                    f"{(value + 0.5) * scale - 0.5:.1f}" for value in (nuclei.y[i], nuclei.x[i])
                ]
                rows.writerow([*place, name, *(f"{number:.3f}" for number in numbers)])
    except OSError as error:
        raise StorageError(
            f"expected to write {path}, got '{error.strerror or error}'; choose another --out"
        ) from error
