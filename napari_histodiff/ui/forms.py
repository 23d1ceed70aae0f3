"""What the forms do, as functions for scripts; the plain forms are made of their functions.

>>> from napari_histodiff.ui.forms import new_canvas
>>> new_canvas(viewer, width=1024, height=1024)  # doctest: +SKIP
"""

from __future__ import annotations

import pathlib  # magicgui looks names of modules up, not ours
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from magicgui import magicgui
from magicgui.widgets import ComboBox, Container, FileEdit, Widget
from qtpy.QtWidgets import QLabel

from napari_histodiff.core.colours import GLASS_COLOUR
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.requests import LIMITS
from napari_histodiff.ui.command import studio
from napari_histodiff.ui.slide.new_slide import new_slide
from napari_histodiff.ui.training.dock import train
from napari_histodiff.ui.viewport import show_whole
from napari_histodiff.ui.widgets.dialogs import ColourEdit, ask_where
from napari_histodiff.ui.workspace.import_labels import class_column, classes_of_table
from napari_histodiff.ui.workspace.import_tissue import saved_place
from napari_histodiff.ui.workspace.targets import MAX_CANVAS

if TYPE_CHECKING:
    from magicgui.widgets import FunctionGui

    from napari_histodiff.ui.saving.saving import Saved
    from napari_histodiff.ui.workspace.pending import PendingStep

__all__ = [
    "BY_TABLE",
    "OF_EACH_PIXEL",
    "class_meant",
    "import_form",
    "import_labels",
    "import_tissue",
    "import_tissue_asked",
    "import_tissue_form",
    "new_canvas",
    "new_canvas_form",
    "new_slide",
    "save_form",
    "train",
]

#: What stands for the class of each pixel, in place of one class for all nuclei.
OF_EACH_PIXEL: Final = "of each pixel"

#: What stands for the class that the layer's table of features has for each nucleus.
BY_TABLE: Final = "by table"


def new_canvas(
    viewer: Any,
    width: int = 512,
    height: int = 512,
    mpp: float = 0.5,
    background: tuple[int, int, int] = GLASS_COLOUR,
) -> None:
    """Start on an empty slide in the viewer's dock, which is opened when it is not there.

    Parameters
    ----------
    viewer : napari Viewer
        Where the canvas is added.
    width, height : int
        Pixels.
    mpp : float
        Micrometres per pixel.
    background : tuple of int
        Red, green, blue, 0-255.

    Raises
    ------
    InvalidRequest
        When a number is out of its limits.
    """
    dock = studio(viewer)
    dock.workspace.new_canvas(height, width, mpp=mpp, background=background)
    show_whole(viewer, dock.workspace.target)


def new_canvas_form(viewer: Any, multiple: int) -> FunctionGui[None]:
    """Return the form of `new_canvas`; sizes step in multiples of what the model needs."""
    limits = {"min": 64, "max": MAX_CANVAS, "step": multiple}
    form = magicgui(
        new_canvas,
        call_button=False,
        viewer={"bind": viewer},
        width={**limits, "label": "width (px)", "tooltip": "Width in pixels"},
        height={**limits, "label": "height (px)", "tooltip": "Height in pixels"},
        mpp={
            "label": "pixel size (µm/px)",
            "min": LIMITS["mpp"][0],
            "max": LIMITS["mpp"][1],
            "step": 0.05,
            "tooltip": "Micrometres per pixel; 0.5 is a 20x scan, 0.25 a 40x scan",
        },
        background={"widget_type": ColourEdit, "tooltip": "Colour of the empty canvas"},
    )
    form["mpp"].native.setDecimals(3)
    extent = QLabel()
    extent.setObjectName("extent")
    form["mpp"].native.parentWidget().layout().addWidget(extent)

    def show_extent() -> None:
        wide, high = (form[side].value * form["mpp"].value for side in ("width", "height"))
        extent.setText(f"{wide:g} × {high:g} µm")

    for name in ("width", "height", "mpp"):
        form[name].changed.connect(show_extent)
    _finish(form)
    show_extent()
    return form


def import_labels(viewer: Any, layer: Any, nuclei_are: str = "epithelial") -> None:
    """Take a Labels layer as nuclei; what lies outside the frame is left out.

    A lazy layer is read before this returns; the dialog of the dock reads it in a thread.

    Parameters
    ----------
    viewer : napari Viewer
        Whose dock takes them; it replaces the paint in the frame.
    layer : napari Labels
        One number a nucleus, or the class of each pixel.
    nuclei_are : str
        Class of all nuclei; "of each pixel" where the numbers are classes, 1 to 6; "by table" where
        the layer's features say the class of each nucleus.

    Raises
    ------
    InvalidRequest
        When `nuclei_are` is neither, nothing is worked on, or the layer lies elsewhere.
    InvalidMap
        When the layer holds no such labels, or cannot be read.
    """
    class_of = class_meant(nuclei_are, layer)
    dock = studio(viewer)
    dock.workspace.document.import_labels(layer, class_of)
    dock.actions.select_tool(dock.workspace.paint.tool)  # back from that layer to the paint


def import_tissue(viewer: Any, layer: Any = None, file: str | pathlib.Path = "") -> None:
    """Take tissue from a Labels layer or a file; what lies outside the frame is left out.

    Parameters
    ----------
    viewer : napari Viewer
        Whose dock takes it; it replaces the tissue painted in the frame.
    layer : napari Labels, optional
        Its numbers are ids of `core.maps.TISSUE_NAMES`.
    file : path, optional
        In place of a layer: a PNG of ids or of the palette's colours, as large as the frame or the
        image; or annotated regions, as QuPath (GeoJSON), ImageScope and ASAP (XML) export.

    Raises
    ------
    InvalidRequest
        When neither is given, or nothing is worked on.
    InvalidImage, InvalidMap
        When there is no such tissue in it.
    """
    dock = studio(viewer)
    if layer is not None:

        def imported(step: PendingStep) -> None:
            if step.region is not None:
                layer.visible = False  # it lies on what was painted of it
            dock.actions.tissue_imported(step.error)

        dock.workspace.import_tissue_labels(layer).then(imported)
    elif file and pathlib.Path(file) != pathlib.Path():
        left_out = dock.workspace.import_tissue_file(pathlib.Path(file))
        dock.actions.tissue_imported(None, left_out)
    else:
        raise InvalidRequest("expected a layer or a file of tissue, got neither; choose one")


def import_tissue_asked(parent: Any, workspace: Any, form: FunctionGui[None]) -> None:
    """Carry out the form of `import_tissue`; asks where tissue goes that says it lies elsewhere.

    Parameters
    ----------
    parent : QWidget
        What the question stands on.
    workspace : Workspace
        Whose frame it is about.
    form : FunctionGui
        As `import_tissue_form` made it.

    Raises
    ------
    InvalidRequest, InvalidImage, InvalidMap
        As `import_tissue`.
    """
    place = None
    if workspace.target is not None and form["layer"].value is None:
        place = saved_place(form["file"].value, workspace.document.target.spec)
    if place is not None and place != workspace.document.region:
        goes = ask_where(parent)
        if goes is None:
            return
        if goes:
            workspace.document.set_frame(place)
    form()


class _LayerOrFile(ComboBox):
    """Layers, below what stands for none of them."""

    null_string = "a file"


def import_tissue_form(viewer: Any, layers: Sequence[Any]) -> FunctionGui[None]:
    """Return the form of `import_tissue` for some layers; a file is proposed."""
    form = magicgui(
        import_tissue,
        call_button=False,
        viewer={"bind": viewer},
        layer={
            "widget_type": _LayerOrFile,
            "choices": [(layer.name, layer) for layer in layers],
            "nullable": True,
            "label": "from",
            "tooltip": "A Labels layer of tissue numbers, or the file below",
        },
        file={
            "widget_type": "FileEdit",
            "filter": "Tissue (*.png *.tif *.tiff *.npy *.geojson *.json *.gz *.xml)",
            "tooltip": "A PNG of ids or colours, or regions of QuPath, ImageScope or ASAP",
        },
    )
    _finish(form)
    form["layer"].changed.connect(lambda layer: _enable(form["file"], layer is None))
    return form


def _enable(field: Any, possible: bool) -> None:
    field.enabled = possible


def class_meant(nuclei_are: str, layer: Any = None) -> dict[int, int] | int | None:
    """Return the class of all nuclei, 1-6, or of each; None where the numbers are classes.

    Parameters
    ----------
    nuclei_are : str
        A class, "of each pixel" or "by table".
    layer : napari Labels, optional
        Whose table is meant.

    Raises
    ------
    InvalidRequest
        When it is none of these.
    InvalidMap
        When the layer has no table that names classes.
    """
    if nuclei_are in CLASS_NAMES:
        return CLASS_NAMES.index(nuclei_are) + 1
    if nuclei_are == BY_TABLE:
        return classes_of_table(layer)
    if nuclei_are != OF_EACH_PIXEL:
        raise InvalidRequest(
            f"expected a class of {', '.join(CLASS_NAMES)}, {OF_EACH_PIXEL!r} or {BY_TABLE!r}, got "
            f"{nuclei_are!r}; use one"
        )
    return None


def import_form(viewer: Any, layers: Sequence[Any]) -> FunctionGui[None]:
    """Return the form of `import_labels` for some layers; the first is proposed."""
    classes = [(f"all {name}", name) for name in CLASS_NAMES]
    proposed = "epithelial"
    if any(class_column(layer) for layer in layers):
        proposed = BY_TABLE
        classes.insert(0, ("as the layer's table of features says", BY_TABLE))
    form = magicgui(
        import_labels,
        call_button=False,
        viewer={"bind": viewer},
        layer={"choices": [(layer.name, layer) for layer in layers]},
        nuclei_are={
            "choices": [*classes, ("of the class of each pixel (1 to 6)", OF_EACH_PIXEL)],
            "value": proposed,
            "tooltip": "What the numbers of the layer mean",
        },
    )
    _finish(form)
    return form


def _finish(form: FunctionGui[None]) -> None:
    """Name the fields for screen readers and tests."""
    form.margins = (0, 0, 0, 0)
    for field in form:
        field.native.setObjectName(field.name)
        field.native.setAccessibleName(field.label)


def save_form(choices: Sequence[Saved], folder: str) -> Container[Widget]:
    """Return a form with the fields `what`, a `Saved`, and `folder`, a Path.

    Parameters
    ----------
    choices : sequence of Saved
        What can be saved; the first is chosen.
    folder : str
        Where was saved last; empty = the home folder.
    """
    what = ComboBox(
        name="what",
        label="save",
        choices=[(str(choice), choice) for choice in choices],
        tooltip="A variant is a TIFF with its maps and the request that draws it again; frame and "
        "image are OME-TIFFs with pixel size, that say what of them is synthetic",
    )
    start = folder or pathlib.Path.home()
    where = FileEdit(name="folder", label="in folder", mode="d", value=start)
    return Container(widgets=[what, where])
