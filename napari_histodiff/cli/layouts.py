"""`histodiff change`: paint changed as it is said in words, by rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from napari_histodiff.cli.pictures import nuclei_of, scale_of
from napari_histodiff.core.errors import make_folder
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES

__all__ = ["change", "write_layout"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(epilog='For example: histodiff change "grow the tumour by 40 um" --tissue t.png')
@click.argument("text")
@click.option("--classes", type=_FILE, help="Class map, ids 0-6 (PNG, TIFF or .npy).")
@click.option("--instances", type=_FILE, help="Instance map, nucleus ids.")
@click.option("--labels", type=_FILE, help="Both in one: label = 7 * instance + class.")
@click.option("--tissue", type=_FILE, help="Tissue map.")
@click.option("--here", type=_FILE, help='Mask that "here" means, not black; else all.')
@click.option("--caption", default="", help="Its organ and levels say which nuclei tissue has.")
@click.option("--seed", default=0, show_default=True)
@click.option("--mpp", type=float, help="Micrometres per pixel; else of the files, else 0.5.")
@click.option("-o", "--output", type=_FOLDER, default=Path("histodiff-output"), help="Folder.")
def change(text: str, output: Path, **settings: Any) -> None:
    """Change painted nuclei and tissue as TEXT says, by rules.

    Writes class map, instance map, tissue map, a picture of them, and a JSON file that says what
    was done; `histodiff generate` draws them.
    """
    from napari_histodiff.datasets.pictures import read_picture
    from napari_histodiff.layout.changes import change_paint

    names = ("classes", "instances", "labels", "tissue", "here")
    pictures = {name: read_picture(settings[name]) for name in names if settings[name] is not None}
    class_map, instance_map = nuclei_of(pictures)
    tissue, here = pictures.get("tissue"), pictures.get("here")
    mpp = scale_of(settings["mpp"], pictures)
    done = change_paint(
        class_map,
        instance_map,
        None if tissue is None else tissue.ids(),
        text,
        mpp=mpp,
        where=None if here is None else here.edit_mask(),
        caption=settings["caption"],
        seed=settings["seed"],
    )
    facts = {"change": text, "done": list(done.said), "seed": settings["seed"], "mpp": mpp}
    maps = done.class_map, done.instance_map, done.tissue_map
    for sentence in done.said:
        click.echo(sentence)
    click.echo(write_layout(output, "changed-", maps, facts))


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
    """
    from skimage.io import imsave
    from tifffile import imwrite

    from napari_histodiff.core.colours import colour_layout
    from napari_histodiff.slide.export import free_stem

    make_folder(folder)
    classes, instances, tissue = maps
    counts = counts_of(classes, instances)
    shares = {
        name: round(float(share), 4)
        for name, share in zip(TISSUE_NAMES, _shares(tissue), strict=True)
        if share > 0
    }
    told = facts | {"nuclei": counts, "tissue": shares}
    with free_stem(folder, prefix) as stem:
        path = folder / stem
        imsave(f"{path}_classes.png", classes, check_contrast=False)
        imsave(f"{path}_tissue.png", tissue, check_contrast=False)
        imwrite(f"{path}_instances.tif", instances)
        imsave(f"{path}.png", colour_layout(classes, instances, tissue), check_contrast=False)
        text = json.dumps(told, indent=1, ensure_ascii=False)
        Path(f"{path}.json").write_text(text + "\n", encoding="utf-8")
    nuclei = ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "no nuclei"
    areas = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share >= 0.005)
    return f"{path}*: {nuclei}; {areas}"


def counts_of(classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> dict[str, int]:
    """Return how many nuclei of each class there are."""
    pairs = np.unique(instances[classes > 0].astype(np.int64) * 7 + classes[classes > 0])
    found = np.bincount(pairs % 7, minlength=7)
    return {name: int(found[number]) for number, name in enumerate(CLASS_NAMES, 1)}


def _shares(tissue: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.bincount(tissue.ravel(), minlength=len(TISSUE_NAMES)) / max(1, tissue.size)
