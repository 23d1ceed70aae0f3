"""Where layers lie: pixel sizes, and placing a layer on pixels of another."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image
from napari.utils.transforms import CompositeAffine

from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.viewport import to_world

if TYPE_CHECKING:
    from napari.layers import Layer
    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_MPP",
    "bring_up",
    "insert_above",
    "pixel_size",
    "place_on",
    "place_region",
    "put_on",
    "take_away",
]

#: Modes of napari's labels, and what it draws over them then.
_STROKES: Final = {"polygon": "polygon", "paint": "brush_stroke"}

#: Taken when an image does not tell its pixel size.
DEFAULT_MPP: Final = 0.5


def pixel_size(layer: Layer) -> tuple[float, bool]:
    """Return the micrometres per pixel of a 2-D layer, and whether the layer told them.

    Raises
    ------
    InvalidImage
        When pixels are not square or the size is not a positive length.
    """
    sizes = []
    for scale, unit in zip(layer.scale, layer.units, strict=True):
        quantity = abs(float(scale)) * unit
        if not quantity.check("[length]"):
            return DEFAULT_MPP, False
        sizes.append(float(quantity.to("micrometer").magnitude))
    if not sizes[0] > 0 or abs(sizes[0] - sizes[1]) > 0.01 * sizes[0]:
        raise InvalidImage(
            f"expected square pixels, got {sizes[0]:g} x {sizes[1]:g} um; "
            "resample the image, or correct the layer's scale"
        )
    return sizes[0], True


def place_on(target: Layer, y: float, x: float) -> dict[str, Any]:
    """Return the layer arguments that put pixel (0, 0) of a new layer on (y, x) of `target`."""
    linear = CompositeAffine(
        scale=target.scale, rotate=target.rotate, shear=target.shear, ndim=2
    ).linear_matrix
    return {
        "scale": target.scale,
        "rotate": target.rotate,
        "shear": target.shear,
        "affine": np.asarray(target.affine.affine_matrix),
        "units": target.units,
        "translate": np.asarray(target.translate) + np.asarray(linear) @ (y, x),
    }


def place_region(target: Layer, region: Region) -> dict[str, Any]:
    """Return the layer arguments that put a new layer on a region of `target`, pixel on pixel.

    The region may be of any level: its pixels are then as large as 2**level of `target`.
    """
    side = 1 << region.level
    # A layer's (0, 0) is the middle of its first pixel.
    y, x = (n * side + (side - 1) / 2 for n in (region.y, region.x))
    return place_on(target, y, x) | {"scale": np.asarray(target.scale) * side}


def put_on(layer: Layer, place: dict[str, Any]) -> None:
    """Move a layer to where `place_on` or `place_region` would have put it."""
    for name, value in place.items():
        if not _same(getattr(layer, name), value):  # napari redraws for the same value, too
            setattr(layer, name, value)


def _same(one: Any, other: Any) -> bool:
    """Whether two values of a layer's placing are the same; an affine one may be a matrix."""
    one, other = (getattr(value, "affine_matrix", value) for value in (one, other))
    return np.array_equal(one, other)


def insert_above(
    viewer: Any,
    layer: Layer,
    below: Iterable[Layer],
    between: Callable[[], object] | None = None,
) -> None:
    """Add a layer right above the topmost of `below`, leaving the selection as it is.

    With `between`, napari's controls of the layer are made first, where there is a window, and
    `between` is called before the layer is added: so that the window lives meanwhile.
    """
    _leave_strokes_for_later(layer)
    controlled = nullcontext() if between is None else _control_first(viewer, layer, between)
    selected, active = set(viewer.layers.selection), viewer.layers.selection.active
    positions = [viewer.layers.index(other) for other in below if other in viewer.layers]
    # napari selects what is new and lays out the controls at every change: nobody hears of them.
    with viewer.layers.selection.events.blocker_all(), controlled:
        viewer.layers.insert(max(positions, default=len(viewer.layers) - 1) + 1, layer)
        viewer.layers.selection = selected
        viewer.layers.selection.active = active
    _leave_rest_for_later(viewer, layer)


def bring_up(viewer: Any, image: Layer, own: Iterable[Layer]) -> None:
    """Bring an image above the pictures that cover it; all other layers keep their order.

    What lies on it goes along: its `own` layers, and others up to the next colour image.
    """
    layers = list(viewer.layers)
    if image not in layers:
        return
    first = layers.index(image)
    end = 1 + max([first, *(layers.index(layer) for layer in own if layer in layers)])
    while end < len(layers) and not (isinstance(layers[end], Image) and layers[end].rgb):
        end += 1
    place = _box_of(viewer, image)
    covering = [n for n in range(end, len(layers)) if _covers(viewer, layers[n], place)]
    if covering:
        viewer.layers.move_multiple(list(range(first, end)), covering[-1] + 1)


def _covers(viewer: Any, layer: Layer, place: NDArray[np.float64]) -> bool:
    """Whether a layer is a picture that nothing in a box of the world is seen through."""
    if not (isinstance(layer, Image) and layer.visible and layer.opacity == 1):
        return False
    if not str(layer.blending).startswith(("opaque", "translucent")):
        return False
    box = _box_of(viewer, layer)
    return bool((np.maximum(box[0], place[0]) < np.minimum(box[1], place[1])).all())


def _box_of(viewer: Any, layer: Layer) -> NDArray[np.float64]:
    """Return the rectangle of the world, [[top, left], [bottom, right]], that a layer fills."""
    low, high = layer.extent.data
    corners = [[*low[:-2], y, x] for y in (low[-2], high[-2]) for x in (low[-1], high[-1])]
    world = [to_world(viewer, layer, corner) for corner in corners]
    return np.array([np.min(world, axis=0), np.max(world, axis=0)])


def take_away(
    viewer: Any, layers: Iterable[Layer | None], between: Callable[[], object] | None = None
) -> None:
    """Take away those of some layers that are there.

    In one go, so that napari cleans the canvas once; or one by one, with `between` called after
    each, so that the window lives meanwhile.
    """
    together = getattr(viewer.layers, "batched_update", nullcontext)
    with together() if between is None else nullcontext():
        for layer in [layer for layer in layers if layer is not None and layer in viewer.layers]:
            viewer.layers.remove(layer)
            if between is not None:
                between()


def _control_first(
    viewer: Any, layer: Layer, between: Callable[[], object]
) -> AbstractContextManager[object]:
    """Make napari's controls of a layer that comes, a third of adding it; not again in there."""
    try:
        add = viewer.window._qt_viewer.controls._add
    except AttributeError:  # no window, or another napari
        return nullcontext()
    add(SimpleNamespace(value=layer))
    between()
    return viewer.layers.events.inserted.blocker(add)  # type: ignore[no-any-return]


def _leave_strokes_for_later(layer: Layer) -> None:
    """Keep napari from making at once what shows polygons and strokes on labels while one draws.

    That is half of what adding labels takes; napari makes them when they are first visible.
    """
    overlays = getattr(layer, "_overlays", {})
    for mode, name in _STROKES.items():
        if name in overlays:
            overlays[name].visible = str(layer.mode) == mode
            layer.events.mode.connect(_show_strokes)  # once, however often it is connected


def _leave_rest_for_later(viewer: Any, layer: Layer) -> None:
    """Keep napari from drawing text and highlights of shapes that have none, until they may have.

    It would compile their programs to show nothing: half of first drawing the frame.
    """
    try:
        node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
        marks = node.shape_highlights, node.highlight_lines, node.highlight_vertices
        text, told, written = node.text, layer.events.highlight, layer.text.events
    except (AttributeError, KeyError):  # no window, no shapes, or another napari
        return
    _show_when(written, lambda _: True, text)
    _show_when(told, _may_be_marked, *marks)


def _show_when(event: Any, may_show: Callable[[Any], bool], *visuals: Any) -> None:
    """Hide visuals until an event says otherwise; their layer outlives them."""
    hidden = [weakref.ref(visual) for visual in visuals]

    def show(event: Any) -> None:
        for visual in (reference() for reference in hidden if may_show(event)):
            if visual is not None:
                visual.visible = True

    for visual in visuals:
        visual.visible = False
    event.connect(show)


def _may_be_marked(event: Any) -> bool:
    return bool(event.source.selected_data) or str(event.source.mode) != "pan_zoom"


def _show_strokes(event: Any) -> None:
    overlay = event.source._overlays.get(_STROKES.get(str(event.mode)))
    if overlay is not None:
        overlay.visible = True
