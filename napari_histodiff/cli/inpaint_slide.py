"""`histodiff inpaint SLIDE --region ...`: redraw a place of a scan, kept with its edits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from napari_histodiff.cli.models import load
from napari_histodiff.cli.options import FILE
from napari_histodiff.cli.pictures import (
    MAPS,
    nuclei_of,
    pictures_of,
    region_captions_of,
    tissue_for,
)
from napari_histodiff.cli.steering import steering_of
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.inpainting.context import DEFAULT_CONTEXT, with_context

if TYPE_CHECKING:
    from napari_histodiff.api import Model
    from napari_histodiff.core.requests import EditRequest
    from napari_histodiff.slide.scans.scan import Scan

__all__ = ["SLIDE_OPTIONS", "inpaint_slide", "is_of_slide"]

T = TypeVar("T", bound=np.generic)

#: Options of `histodiff inpaint` that make IMAGE a slide.
SLIDE_OPTIONS: Final = (
    click.option(
        "--region",
        type=(int, int, int, int),
        metavar="Y X HEIGHT WIDTH",
        help="Of a slide: the place, in pixels of its finest level.",
    ),
    click.option(
        "--geojson",
        type=FILE,
        help="Of a slide: outlines where pixels may change, of QuPath, or XML of ImageScope, ASAP.",
    ),
    click.option(
        "--context",
        type=click.FloatRange(0, 250),
        default=DEFAULT_CONTEXT,
        show_default=True,
        help="Of a slide: micrometres around what changes that the model sees.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        help="Of a slide: folder of its edits; NAME.histodiff.ome.zarr beside it by default.",
    ),
)

#: The largest side that is drawn at once.
_MOST: Final = 4096


def is_of_slide(settings: dict[str, Any]) -> bool:
    """Return whether the options of `histodiff inpaint` say that its image is a slide."""
    return any(settings[name] is not None for name in ("region", "geojson", "out"))


def inpaint_slide(
    path: Path, settings: dict[str, Any], draw: Callable[[Model, EditRequest], NDArray[np.uint8]]
) -> None:
    """Redraw a place of a scan under a mask and keep it with the scan's edits.

    Parameters
    ----------
    path : Path
        The scan; never written to.
    settings : dict
        The options of the command.
    draw : callable
        Draws a request with a model.

    Raises
    ------
    InvalidRequest
        When no place of the scan is told, or its pixel size is not known.
    StorageError
        When the edits can not be written, or are those of another scan.
    """
    from napari_histodiff.core.maps import encode_labels
    from napari_histodiff.slide.overlays.places import open_overlay
    from napari_histodiff.slide.scans.remembered import open_known

    scan = open_known(path, mpp=settings["mpp"])
    try:
        if scan.facts.mpp is None:
            raise InvalidRequest(
                f"expected the pixel size of {path}, got a file that does not tell it; give --mpp"
            )
        region, mask = _place(scan, settings)
        strengths = _strengths(settings["strength_map"], region)
        if strengths is not None:
            mask &= strengths > 0
            _require_any(mask)
        seen = with_context(
            region, mask, settings["context"] / scan.spec.mpp, scan.spec.bounds(0), most=_MOST
        )
        inside = region.relative_to(seen).slices
        pictures = pictures_of(settings, *MAPS)
        classes, instances = nuclei_of(pictures)
        model = load(settings["model"], settings["device"])
        tissue = tissue_for(model.info, pictures.get("tissue"))
        with open_overlay(scan, settings["out"], read_only=False) as overlay:
            # On the canvas, which may begin before the scan.
            seen, region = (part.translate(*overlay.margins[:2]) for part in (seen, region))
            request = model.request(
                _within(classes, seen.shape, inside),
                _within(instances, seen.shape, inside),
                _within(tissue, seen.shape, inside),
                settings["caption"],
                guidance_scale=settings["guidance"],
                steps=settings["steps"],
                strength=settings["strength"],
                strength_map=_within(strengths, seen.shape, inside),
                fill=settings["fill"],
                feather=settings["feather"],
                seed=settings["seed"],
                mpp=scan.spec.mpp,
                origin=(seen.y, seen.x),
                image=overlay.read(seen),
                edit_mask=_within(mask, seen.shape, inside),
                region_captions=region_captions_of(settings),
                suggest=settings["suggest"],
                **steering_of(settings),
            )
            changed = overlay.write(request, draw(model, request)[0])
            if classes is not None and request.class_map is not None:
                blank = np.zeros(seen.shape, np.int32)
                numbers = blank if request.instance_map is None else request.instance_map
                overlay.paint(region, encode_labels(numbers, request.class_map)[inside])
            if tissue is not None and request.tissue_map is not None:
                overlay.paint(region, tissue=request.tissue_map[inside])
            click.echo(
                f"{overlay.path}: changed {changed.height} x {changed.width} pixels at "
                f"y={changed.y - overlay.margins.top}, x={changed.x - overlay.margins.left}; "
                "undo it in the Studio"
            )
    finally:
        scan.close()


def _place(scan: Scan, settings: dict[str, Any]) -> tuple[Region, NDArray[np.bool_]]:
    """Return which region is drawn and where in it pixels may change."""
    from napari_histodiff.datasets.pictures import read_picture
    from napari_histodiff.slide.overlays.places import canvas_of

    told, outlines = settings["region"], settings["geojson"]
    masked = settings["edit_mask"]
    if masked is not None and outlines is not None:
        raise click.UsageError("give --mask or --geojson, not both")
    if told is None and outlines is None:
        raise click.UsageError("give --region, or --geojson with the outlines to redraw")
    bounds, rings = scan.spec.bounds(0), []
    if outlines is not None:
        canvas = canvas_of(scan, settings["out"])
        rings = _rings(outlines, scan.facts.mpp and scan.spec.mpp, canvas, bounds)
    region = _box(rings).intersect(bounds) if told is None else Region(0, *told)
    if not bounds.contains(region) or max(region.shape) > _MOST or region.is_empty:
        raise InvalidRequest(
            f"expected a region inside the slide of {scan.spec.height} x {scan.spec.width} pixels "
            f"and at most {_MOST} a side, got y={region.y}, x={region.x}, {region.height} x "
            f"{region.width}; choose a part of it with --region"
        )
    if masked is not None:
        mask = read_picture(masked).edit_mask()
        _require_shape(mask, region, masked)
    elif outlines is not None:
        mask = _inside(rings, region)
    else:
        mask = np.ones(region.shape, np.bool_)
    _require_any(mask)
    return region, mask


def _strengths(path: Path | None, region: Region) -> NDArray[np.float32] | None:
    """Return how strongly each pixel of the region is drawn anew, where that was given."""
    from napari_histodiff.datasets.pictures import read_picture

    if path is None:
        return None
    found = read_picture(path).strengths()
    _require_shape(found, region, path)
    return found


def _require_shape(mask: NDArray[Any], region: Region, path: Path) -> None:
    if mask.shape != region.shape:
        raise InvalidRequest(
            f"expected a mask of {region.height} x {region.width} pixels as the region, got "
            f"{mask.shape[0]} x {mask.shape[1]} in {path}; crop it to the region"
        )


def _require_any(mask: NDArray[np.bool_]) -> None:
    if not mask.any():
        raise InvalidRequest(
            "expected a mask or outlines with pixels in the region, got none; move the region"
        )


def _rings(
    path: Path, mpp: float | None, canvas: Region, bounds: Region
) -> list[list[NDArray[np.float64]]]:
    """Return the outlines of a file where they lie on the scan."""
    from napari_histodiff.datasets.annotations.placing import first_pixel
    from napari_histodiff.datasets.annotations.reading import annotations_of

    left_out: Counter[str] = Counter()
    objects = list(annotations_of(path, left_out, mpp))
    for reason, count in left_out.items():
        click.echo(f"Warning: {count} left out of {path}: {reason}", err=True)
    first = first_pixel(path, canvas, bounds)[::-1]
    rings = [[ring + first for ring in parts] for found in objects for parts in found.polygons]
    if not rings:
        raise InvalidRequest(
            f"expected outlines in {path}, got none; draw some in QuPath, ImageScope or ASAP"
        )
    return rings


def _within(
    array: NDArray[T] | None, shape: tuple[int, int], inside: tuple[slice, slice]
) -> NDArray[T] | None:
    """Return a map of the region in one of what the model sees, with nothing around it."""
    if array is None:
        return None
    larger = np.zeros(shape, array.dtype)
    larger[inside] = array
    return larger


def _box(rings: list[list[NDArray[np.float64]]]) -> Region:
    """Return the outlines' bounding box."""
    corners = np.concatenate([parts[0] for parts in rings])
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    return Region(0, int(top), int(left), int(bottom - top), int(right - left))


def _inside(rings: list[list[NDArray[np.float64]]], region: Region) -> NDArray[np.bool_]:
    from napari_histodiff.datasets.outlines import Outline, rasterise

    offset = (region.x, region.y)
    moved = [Outline([[ring - offset for ring in parts]]) for parts in rings]
    inside: NDArray[np.bool_] = rasterise(moved, region.shape)[0] != 0
    return inside
