"""Options of `histodiff generate` and `inpaint` that steer beside paint and caption."""

from __future__ import annotations

from typing import Any, Final

import click

from napari_histodiff.cli.options import FILE
from napari_histodiff.cli.texts import TEXT
from napari_histodiff.core.steering.guides import GUIDES, as_guides
from napari_histodiff.core.steering.steering import (
    DEFAULT_REFERENCE,
    REFERENCE_STRENGTH,
    STEERING_LIMITS,
)

__all__ = ["INPAINT_OPTIONS", "STEERING_OPTIONS", "steering_of"]


def _whole(name: str) -> click.IntRange:
    low, high = STEERING_LIMITS[name]
    return click.IntRange(int(low), int(high))


#: Those of both.
STEERING_OPTIONS: Final = (
    click.option(
        "--guide",
        type=TEXT,
        multiple=True,
        metavar="NAME:STRENGTH",
        help=f"Draw more of it, below 0 less: {', '.join(g.name for g in GUIDES)}.",
    ),
    click.option(
        "--reference",
        type=FILE,
        help="Image whose stain is taken and whose texture is drawn near.",
    ),
    click.option(
        "--reference-strength",
        type=click.FloatRange(*REFERENCE_STRENGTH),
        default=DEFAULT_REFERENCE,
        show_default=True,
        help="How near; 0 = its stain alone.",
    ),
)

#: Of `histodiff inpaint` besides.
INPAINT_OPTIONS: Final = (
    click.option(
        "--repaint",
        type=_whole("repaint"),
        default=1,
        show_default=True,
        help="RePaint: how often steps are taken, so that old and new agree; from 3 steps on.",
    ),
    click.option(
        "--jump-length",
        type=_whole("jump_length"),
        default=1,
        show_default=True,
        help="With --repaint: how many steps are taken again together.",
    ),
)


def steering_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what the options say, by the names of `Model.request`."""
    from napari_histodiff.datasets.pictures import read_picture

    told = {name: settings[name] for name in STEERING_LIMITS if name in settings}
    told["guide"] = dict(as_guides(settings["guide"]))
    if settings["reference"] is not None:
        picture = read_picture(settings["reference"])
        told["reference"], told["reference_mpp"] = picture.rgb(), picture.mpp
        told["reference_strength"] = settings["reference_strength"]
    return told
