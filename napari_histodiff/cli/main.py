"""`histodiff`: the command line. Heavy imports wait inside the commands, so help is instant."""

from __future__ import annotations

import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from napari_histodiff.cli.enrich import enrich
from napari_histodiff.cli.export import export, inspect, sign
from napari_histodiff.cli.foreign import masks
from napari_histodiff.cli.inpaint_slide import SLIDE_OPTIONS, inpaint_slide, is_of_slide
from napari_histodiff.cli.layouts import change, invent, layouts
from napari_histodiff.cli.maps import MAP_COMMANDS
from napari_histodiff.cli.models import load, model_option
from napari_histodiff.cli.options import (
    FILE,
    FOLDER,
    caption_option,
    classes_option,
    device_option,
    instances_option,
    labels_option,
    mpp_option,
    options,
    output_option,
)
from napari_histodiff.cli.pictures import (
    MAPS,
    check_is_painted,
    mask_of,
    nuclei_of,
    pictures_of,
    region_captions_of,
    scale_of,
    tissue_for,
)
from napari_histodiff.cli.serve import serve
from napari_histodiff.cli.slide import slide
from napari_histodiff.cli.steering import INPAINT_OPTIONS, STEERING_OPTIONS, steering_of
from napari_histodiff.cli.study import study
from napari_histodiff.cli.suggest import suggest
from napari_histodiff.cli.texts import TEXT
from napari_histodiff.cli.training import COMMANDS
from napari_histodiff.core.errors import HistodiffError, make_folder
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.core.steering.start import Fill

if TYPE_CHECKING:
    from napari_histodiff.api import Model
    from napari_histodiff.core.backend import Step
    from napari_histodiff.core.requests import EditRequest

__all__ = ["main"]

#: The options that name pictures; the first that states its scale decides where --mpp does not.
_PICTURES = ("image", *MAPS, "edit_mask", "strength_map", "stain_from")


class _Refusal(click.ClickException):
    """An error of our family: one line, no traceback."""

    exit_code = 2


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        _print_anything()
        try:
            return super().invoke(ctx)
        except HistodiffError as error:
            raise _Refusal(str(error)) from error
        except MemoryError as error:
            raise _Refusal(
                f"expected enough memory, got too little ({error}); ask for less at a time"
            ) from error


def _print_anything() -> None:
    """Let a console of another code page show what it lacks as escapes, not end in an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="napari-histodiff")
def main() -> None:
    """Paint nuclei, get H&E tissue."""


_DRAW_OPTIONS = (
    classes_option,
    instances_option,
    labels_option,
    click.option("--tissue", type=FILE, help="Tissue map, ids of the model's schema."),
    caption_option,
    click.option(
        "--caption-for",
        type=TEXT,
        multiple=True,
        metavar="TISSUE=CAPTION",
        help='Of one tissue, as gland="high neutrophil"; --caption is for the rest.',
    ),
    click.option("--guidance", type=float, help="1 = no guidance; by default the model's own."),
    click.option("--steps", type=int, help="Solver steps; by default as many as the model's own."),
    click.option("--seed", default=0, show_default=True),
    click.option("--variants", default=1, show_default=True, help="Independent draws."),
    mpp_option,
    click.option(
        "--suggest/--no-suggest",
        default=True,
        show_default=True,
        help="Suggest tissue and nuclei where none are given.",
    ),
    *STEERING_OPTIONS,
    click.option("--stain-from", type=FILE, help="Image whose stain is matched."),
    click.option(
        "--compare-with",
        multiple=True,
        metavar="FOLDER",
        help="Have another model draw the same too: its folder, or bundled. Repeatable.",
    ),
    output_option,
    model_option,
    device_option,
)


@main.command()
@options(*_DRAW_OPTIONS)
@click.option("--size", type=(int, int), help="Height and width, when no map is given.")
def generate(size: tuple[int, int] | None, **settings: Any) -> None:
    """Draw tissue from a class map, labels, a tissue map or a caption alone."""
    if size is None:
        check_is_painted(settings, "or --size to leave the nuclei to the model")
    _draw(settings, shape=size)


@main.command()
@click.argument("image", type=click.Path(exists=True, path_type=Path))
@click.option("--edit-mask", "--mask", type=FILE, help="Not black where pixels may change.")
@click.option("--strength", default=1.0, show_default=True, help="Below 1 keeps some structure.")
@click.option(
    "--strength-map",
    type=FILE,
    help="Gray picture, black = stays, white = all drawn anew: a strength for each pixel.",
)
@click.option(
    "--fill",
    type=click.Choice([*map(str, Fill)]),
    default=str(Fill.ORIGINAL),
    show_default=True,
    help="What a strength below 1 starts from: what is there, or the surroundings instead.",
)
@click.option(
    "--feather",
    default=0.0,
    show_default=True,
    help="Micrometres inside the mask over which old and new fade into each other.",
)
@options(*INPAINT_OPTIONS)
@options(*SLIDE_OPTIONS)
@options(*_DRAW_OPTIONS)
def inpaint(image: Path, **settings: Any) -> None:
    """Redraw IMAGE under an edit mask; every other pixel stays as it is.

    With --region or --geojson, IMAGE is a slide: a scan, which is never written to. The edit is
    kept beside it, or in the folder --out, and shows when the slide is opened.
    """
    if is_of_slide(settings):
        inpaint_slide(image, settings, _run)
    elif settings["edit_mask"] is None and settings["strength_map"] is None:
        raise click.UsageError("give --edit-mask or --strength-map; of a slide, --region")
    else:
        told = {name: settings[name] for name in ("strength", "fill", "feather")}
        _draw(settings | {"image": image}, **told)


@main.command()
@model_option
@device_option
def info(model: Path | None, device: str) -> None:
    """Say what a model is and what it was trained on."""
    found = load(model, device).info
    seen = ", ".join(f"{name} {count}" for name, count in found.class_counts.items())
    click.echo(f"{found.name}, revision {found.revision}, on {found.device}")
    click.echo(f"licence: {found.licence}")
    click.echo(f"trained at {found.mpp[0]:g} to {found.mpp[1]:g} um per pixel")
    if found.captions == "vocabulary":
        click.echo(f"training nuclei: {seen}")
    else:
        click.echo(f"takes paint of: {' and '.join(found.paint) or 'nothing'}")
        click.echo(f"captions: {found.captions}; {found.steps} steps at {found.guidance_scale:g}")
    click.echo(f"tissues: {', '.join(found.tissue_names)}")
    click.echo(f"{found.seconds_per_window:.3f} s per evaluation of {found.window} px")


@main.command()
@click.option("-o", "--output", type=FOLDER, help="Write the results here and close again.")
def demo(output: Path | None) -> None:
    """Open napari with a painted example and generate it."""
    from napari_histodiff.ui.demo import run_demo

    run_demo(output)


for _command in (
    *COMMANDS,
    *MAP_COMMANDS,
    slide,
    study,
    enrich,
    suggest,
    change,
    invent,
    layouts,
    export,
    inspect,
    sign,
    masks,
    serve,
):
    main.add_command(_command)


def _draw(settings: dict[str, Any], **more: Any) -> None:
    pictures = pictures_of(settings, *_PICTURES)
    reference = pictures.pop("stain_from", None)
    class_map, instance_map = nuclei_of(pictures)
    tissue = pictures.get("tissue")
    if "image" in pictures:
        more["image"] = pictures["image"].rgb()
        more |= mask_of(pictures)
    mpp = scale_of(settings["mpp"], pictures)
    others = [None if told == "bundled" else Path(told) for told in settings["compare_with"]]
    models = [load(folder, settings["device"]) for folder in (settings["model"], *others)]
    make_folder(settings["output"])
    for model in models:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", UserWarning)
            request = model.request(
                class_map,
                instance_map,
                # Ids without names are those of the first model.
                tissue_for(model.info, tissue, None if model is models[0] else TISSUE_NAMES),
                settings["caption"],
                guidance_scale=settings["guidance"],
                steps=settings["steps"],
                seed=settings["seed"],
                variants=settings["variants"],
                mpp=mpp,
                region_captions=region_captions_of(settings),
                suggest=settings["suggest"],
                stain_from=None if reference is None else reference.rgb(),
                stain_mpp=None if reference is None else reference.mpp,
                **steering_of(settings),
                **more,
            )
        for note in notes:
            click.echo(f"Warning: {note.message}", err=True)
        for path in _save(settings["output"], _run(model, request), request, model):
            click.echo(f"{path} ({model.info.name})" if others else path)


def _run(model: Model, request: EditRequest) -> NDArray[np.uint8]:
    from tqdm import tqdm

    with tqdm(
        total=model.evaluations(request), unit="evaluation", leave=False, disable=None
    ) as bar:

        def on_step(step: Step) -> None:
            bar.update(step.done - bar.n)

        return model.draw(request, on_step=on_step)


def _save(
    folder: Path, images: NDArray[np.uint8], request: EditRequest, model: Model
) -> list[Path]:
    """Write `kind-001.png`, the request and the maps; numbers in use are never overwritten."""
    from napari_histodiff.slide.export import free_stem, save_edit

    written = []
    for variant, image in enumerate(images):
        with free_stem(folder, f"{request.kind}-") as stem:
            save_edit(folder, stem, image, request, info=model.info, png=True, variant=variant)
        written.append(folder / f"{stem}.png")
    return written
