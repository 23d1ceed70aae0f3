"""`histodiff suggest`: whole maps from what is painted, to be looked at and edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from napari_histodiff.cli.layouts import in_percent, shares_of
from napari_histodiff.cli.options import (
    FILE,
    caption_option,
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
from napari_histodiff.cli.texts import say_unknown_words
from napari_histodiff.core.errors import make_folder

__all__ = ["suggest"]


@click.command()
@click.argument("classes", type=FILE, required=False)
@instances_option
@labels_option
@click.option("--tissue", type=FILE, help="Tissue that is painted already; it stays.")
@caption_option
@click.option("--seed", default=0, show_default=True)
@variants_option
@mpp_option
@click.option("--size", type=(int, int), help="Height and width, when no map is given.")
@output_option
def suggest(
    caption: str,
    seed: int,
    variants: int,
    mpp: float | None,
    size: tuple[int, int] | None,
    output: Path,
    **settings: Any,
) -> None:
    """Suggest tissue for the nuclei of CLASSES, nuclei for tissue, or both from a caption.

    Writes a class map, an instance map and a tissue map per seed, which `histodiff generate` draws.
    Numbers in use are never overwritten.
    """
    from napari_histodiff.layout.completion import complete_paint
    from napari_histodiff.slide.export import free_stem, map_writers, save_together

    if size is None:
        check_is_painted(settings, "or --size to suggest all by the caption")
    pictures = pictures_of(settings, *MAPS)
    class_map, instance_map = nuclei_of(pictures)
    painted = tissue_of(pictures.get("tissue"))
    scale = scale_of(mpp, pictures)
    say_unknown_words(caption)
    make_folder(output)
    for number in range(seed, seed + variants):
        found = complete_paint(
            class_map,
            instance_map,
            painted,
            shape=size,
            caption=caption,
            mpp=scale,
            seed=number,
        )
        maps = found.class_map, found.instance_map, found.tissue_map
        with free_stem(output, "suggested-") as stem:
            save_together(output, map_writers(stem, *maps, mpp=scale))
        shares = in_percent(shares_of(found.tissue_map))
        what = " and ".join(found.suggested) or "nothing"
        click.echo(f"{output / stem}_*: {what} suggested by seed {number}; {shares}")
