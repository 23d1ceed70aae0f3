"""`histodiff change`, `invent`, `layouts`: paint changed in words, layouts made up and measured."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from napari_histodiff.cli.options import (
    FILE,
    FOLDER,
    classes_option,
    instances_option,
    labels_option,
    mpp_option,
    output_option,
    variants_option,
)
from napari_histodiff.cli.pictures import (
    MAPS,
    check_is_painted,
    nuclei_of,
    pictures_of,
    scale_of,
    tissue_of,
)
from napari_histodiff.cli.texts import TEXT, say_unknown_words
from napari_histodiff.core.captions.numbers import count_in
from napari_histodiff.core.errors import InvalidRequest, make_folder
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES

__all__ = ["change", "in_percent", "invent", "layouts", "shares_of", "write_layout"]


@click.command(epilog='For example: histodiff change "grow the tumour by 40 um" --tissue t.png')
@click.argument("text", type=TEXT)
@classes_option
@instances_option
@labels_option
@click.option("--tissue", type=FILE, help="Tissue map.")
@click.option(
    "--here", type=FILE, help='Mask that "here" means, where not black; without one, all.'
)
@click.option(
    "--caption", type=TEXT, default="", help="Its organ and levels say which nuclei tissue has."
)
@click.option("--seed", default=0, show_default=True)
@mpp_option
@output_option
def change(text: str, output: Path, **settings: Any) -> None:
    """Change painted nuclei and tissue as TEXT says, by rules.

    Writes class map, instance map, tissue map, a picture of them, and a JSON file that says what
    was done; `histodiff generate` draws them.
    """
    from napari_histodiff.layout.changes import change_paint

    check_is_painted(settings, "whose paint is to be changed")
    pictures = pictures_of(settings, *MAPS, "here")
    class_map, instance_map = nuclei_of(pictures)
    tissue, here = pictures.get("tissue"), pictures.get("here")
    mpp = scale_of(settings["mpp"], pictures)
    say_unknown_words(settings["caption"])
    done = change_paint(
        class_map,
        instance_map,
        tissue_of(tissue),
        text,
        mpp=mpp,
        where=None if here is None else here.edit_mask(),
        caption=settings["caption"],
        seed=settings["seed"],
    )
    facts = {"change": text, "done": list(done.said), "seed": settings["seed"], "mpp": mpp}
    maps = done.class_map, done.instance_map, done.tissue_map
    written = write_layout(output, "changed-", maps, facts)
    click.echo("\n".join((*done.said, written)))


@click.command()
@click.argument("caption", type=TEXT, default="")
@click.option("--size", type=(int, int), default=(512, 512), show_default=True, help="In pixels.")
@click.option("--mpp", default=0.5, show_default=True, help="Micrometres per pixel.")
@click.option("--seed", default=0, show_default=True)
@variants_option
@click.option("--density", default=1.0, show_default=True, help="Nuclei; 1 = as in real tissue.")
@click.option(
    "--count", "counts", type=TEXT, multiple=True, metavar="CLASS=NUMBER", help="As lymphocyte=120."
)
@click.option("--like-classes", type=FILE, help="Class map of an example.")
@click.option("--like-instances", type=FILE, help="Instance map of it.")
@click.option("--like-labels", type=FILE, help="Both in one: label = 7 * instance + class.")
@click.option("--like-tissue", type=FILE, help="Tissue map of it.")
@click.option("--like-mpp", type=float, help="Its um per pixel; else of the files, else --mpp.")
@output_option
def invent(caption: str, output: Path, **settings: Any) -> None:
    """Make up tissue and nuclei that CAPTION, counts or an example describe.

    Writes class map, instance map, tissue map, a picture of them and a JSON file per seed;
    `histodiff generate` draws them.
    """
    from tqdm import tqdm

    from napari_histodiff.layout.invention import EVALUATIONS
    from napari_histodiff.layout.invention import invent as invent_layout

    like, like_mpp = _example(settings)
    counts = _counts(settings["counts"])
    say_unknown_words(caption, "--count, as --count lymphocyte=120")
    for seed in range(settings["seed"], settings["seed"] + settings["variants"]):
        with tqdm(total=EVALUATIONS, unit="step", leave=False, disable=None) as bar:

            def on_step(done: int, _: int, bar: Any = bar) -> None:
                bar.update(done - bar.n)

            found = invent_layout(
                settings["size"],
                caption,
                counts=counts,
                density=settings["density"],
                like=like,
                like_mpp=like_mpp,
                mpp=settings["mpp"],
                seed=seed,
                on_step=on_step,
            )
        maps = found.class_map, found.instance_map, found.tissue_map
        click.echo(write_layout(output, "invented-", maps, found.facts))


@click.command()
@click.argument("held_out", type=FILE)
@click.argument("others", type=FILE)
@click.option(
    "--way",
    type=click.Choice(["like", "caption", "rules"]),
    default="like",
    show_default=True,
    help="Sampled from shares and densities of the field, from its caption, or laid out by rules.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Layouts for each field.",
)
@click.option("-o", "--output", type=FOLDER, default=Path("histodiff-layouts"), help="Folder.")
def layouts(held_out: Path, others: Path, way: str, seeds: int, output: Path) -> None:
    """Measure invented layouts against the real ones of the packed file HELD_OUT.

    Each statistic stands beside the distance between real fields, those of OTHERS and HELD_OUT, for
    nuclei in three kinds and, of sets that tell them, by class. Writes a page, a JSON file and a
    sheet.
    """
    from tqdm import tqdm

    from napari_histodiff.evaluation.layouts import (
        SETS,
        fields_of,
        invented_like,
        parts_of,
        write_report,
    )

    real, other = fields_of(held_out), fields_of(others)
    jobs = [(field, seed) for seed in range(seeds) for field in real]
    made = [
        invented_like(field, seed, way)
        for field, seed in tqdm(jobs, unit="field", leave=False, disable=None)
    ]
    kinds, classes = parts_of(dict(zip(SETS, (real, other, made), strict=True)))
    facts = {
        "way": way,
        "seeds": seeds,
        "held-out fields": len(real),
        "other fields": len(other),
        "invented fields": len(made),
    }
    pairs = list(zip(real, made, strict=False))
    for line in write_report(output, facts, kinds, classes, pairs):
        click.echo(line)
    click.echo(output / "layouts.html")


def _counts(given: tuple[str, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for pair in given:
        name, _, number = pair.partition("=")
        count = count_in(number)
        if count is None:
            raise InvalidRequest(
                f'expected CLASS=NUMBER, got "{pair[:60]}"; give for example lymphocyte=120'
            )
        if name.strip() in counts:
            raise InvalidRequest(
                f'expected one count of each class, got another, "{pair[:60]}"; leave one out'
            )
        counts[name.strip()] = count
    return counts


def _example(settings: dict[str, Any]) -> tuple[Any, float | None]:
    pictures = pictures_of({name: settings[f"like_{name}"] for name in MAPS}, *MAPS)
    if not pictures:
        return None, None
    classes, instances = nuclei_of(pictures)
    tissue = tissue_of(pictures.get("tissue"))
    shapes = [a.shape for a in (classes, instances, tissue) if a is not None]
    maps = [np.zeros(shapes[0], np.uint8) if a is None else a for a in (classes, instances, tissue)]
    return tuple(maps), scale_of(settings["like_mpp"], pictures)


def write_layout(
    folder: Path,
    prefix: str,
    maps: tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]],
    facts: dict[str, Any],
) -> str:
    """Write class, instance and tissue map, a picture and a JSON file under a free number.

    Returns
    -------
    str
        What was written and what the maps hold, as a line.

    Raises
    ------
    StorageError
        When they cannot all be written; none is then.
    """
    from napari_histodiff.core.colours import colour_layout
    from napari_histodiff.layout.invention.told import count_nuclei
    from napari_histodiff.slide.export import (
        free_stem,
        map_writers,
        save_together,
        write_json,
        write_png,
    )

    make_folder(folder)
    classes, instances, tissue = maps
    counts = dict(zip(CLASS_NAMES, count_nuclei(classes, instances)[1:].tolist(), strict=True))
    shares = {name: round(share, 4) for name, share in shares_of(tissue).items()}
    told = facts | {"nuclei": counts, "tissue": shares}
    picture, mpp = colour_layout(classes, instances, tissue), facts["mpp"]
    with free_stem(folder, prefix) as stem:
        writers = map_writers(stem, *maps, mpp=mpp)
        writers[f"{stem}.png"] = partial(write_png, picture, mpp=mpp)
        writers[f"{stem}.json"] = partial(write_json, told, indent=1)
        save_together(folder, writers)
    nuclei = ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "no nuclei"
    return f"{folder / stem}*: {nuclei}; {in_percent(shares)}"


def shares_of(tissue: NDArray[np.uint8]) -> dict[str, float]:
    """Return which share of a map each tissue has that is in it."""
    counts = np.bincount(tissue.ravel(), minlength=len(TISSUE_NAMES)).tolist()
    named = zip(TISSUE_NAMES, counts, strict=True)
    return {name: count / tissue.size for name, count in named if count}


def in_percent(shares: Mapping[str, float]) -> str:
    """Return shares as a line, without what is less than half a percent."""
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share >= 0.005)
