"""Exports of the slide that is worked on, and annotations painted on it, as functions and forms."""

from __future__ import annotations

import pathlib  # magicgui looks names of modules up, not ours
from typing import TYPE_CHECKING, Any, Final

from magicgui import magicgui

from napari_histodiff.core.errors import AlreadyThere, Cancelled, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.slide.exporting.formats import FORMATS, SETS, file_name, write
from napari_histodiff.slide.exporting.source import open_source
from napari_histodiff.slide.exporting.targets import ExportProgress
from napari_histodiff.ui.command import studio
from napari_histodiff.ui.slide.files.job import FileJob, Report
from napari_histodiff.ui.slide.scans.target import EditedScanTarget
from napari_histodiff.ui.slide.target import SlideTarget
from napari_histodiff.ui.viewport import view_of
from napari_histodiff.ui.widgets.notices import show_info, show_warning
from napari_histodiff.ui.workspace.pending import PendingStep

if TYPE_CHECKING:
    from magicgui.widgets import FunctionGui

__all__ = ["PARTS", "export_form", "export_slide", "import_annotations", "import_annotations_form"]

_FORMATS: Final = {
    "ome-tiff": "OME-TIFF: QuPath, OMERO, Fiji",
    "tiff": "pyramidal TIFF: OpenSlide, ASAP",
    "ome-zarr-0.4": "OME-Zarr 0.4 with labels: QuPath, OMERO",
    "ome-zarr": "OME-Zarr 0.5 with labels",
    "geojson": "nuclei and tissue as GeoJSON: QuPath",
    "masks": "nuclei and tissue as masks, TIFF",
    "masks-png": "nuclei and tissue as masks, PNG",
    "masks-npy": "nuclei and tissue as masks, NumPy",
    "changes": "only what was changed",
    "folder": "training set: folders of PNG",
    "conic": "training set: CoNIC",
    "coco": "training set: COCO",
    "yolo": "training set: YOLO",
    "stardist": "training set: StarDist, Cellpose",
}

#: What is exported of a slide.
PARTS: Final = ("frame", "view", "whole slide")


def export_slide(
    viewer: Any,
    kind: str = "ome-tiff",
    part: str = "frame",
    folder: pathlib.Path = pathlib.Path(),
    name: str = "",
    jpeg: bool = False,
) -> Any:
    """Write the slide or scan that is worked on, or a part of it, in a thread; never over a file.

    Parameters
    ----------
    viewer : napari Viewer
        Whose dock works on it.
    kind : str
        A format, as `histodiff export --format` has them.
    part : {"frame", "view", "whole slide"}
        What of it.
    folder : path
        Where to.
    name : str
        Of the file or folder; without it the slide's, and which part it is.
    jpeg : bool
        Whether TIFF is compressed by JPEG, which is smaller and changes pixels a little.

    Returns
    -------
    FileJob
        Tells when it is over.

    Raises
    ------
    InvalidRequest
        When no slide is worked on, or its edits are being written.
    AlreadyThere
        When the name is taken.
    """
    dock = studio(viewer)
    target = _target(viewer)
    if target is None:
        raise InvalidRequest(
            "expected a slide or a scan to export, got another image; Save writes the frame or the "
            "image"
        )
    if dock.workspace.doing.text:
        raise InvalidRequest(
            f"expected nothing on its way, got '{dock.workspace.doing.text}'; wait a moment"
        )
    if kind not in FORMATS or part not in PARTS:
        raise InvalidRequest(
            f"expected a format of {', '.join(FORMATS)} and a part of {', '.join(PARTS)}, got "
            f"{kind!r} and {part!r}; use these"
        )
    path, mpp = target.export_path
    region = _region(viewer, dock, target, part)
    named = file_name(name, kind) if name else _name(target.layer.name, region, kind)
    out = pathlib.Path(folder) / named
    if out.exists():
        raise AlreadyThere.at(out, None)
    if isinstance(target, EditedScanTarget):
        target.keep_now()
    settings: dict[str, Any] = {"compression": "jpeg" if jpeg else "deflate", "validation": 0.0}

    def work(report: Report) -> list[str]:
        def on_progress(progress: ExportProgress) -> None:
            report(progress.done, progress.total, progress.what)

        report(0, 0, f"Reading {path.name}")
        with open_source(path, mpp=mpp) as source:
            chosen = source if region is None else source.part(region)
            settings["tissue"] = chosen.tissue is not None
            try:
                told = write(kind, [chosen], out, settings, on_progress)
            except AlreadyThere as error:  # of several files, whose names are known now
                raise AlreadyThere.at(error.path, None) from error
            return [*told, chosen.provenance.statement]

    job = FileJob(dock.window(), f"Exporting {target.layer.name}", work)
    job.ended.connect(_tell_exported)
    return job


def export_form(viewer: Any) -> FunctionGui[FileJob]:
    """Return the form of `export_slide`; the folder of the slide is proposed."""
    form = _finished(
        magicgui(
            export_slide,
            call_button=False,
            viewer={"bind": viewer},
            kind={
                "choices": [(text, kind) for kind, text in _FORMATS.items()],
                "label": "format",
                "tooltip": "What the other program opens",
            },
            part={"choices": PARTS, "tooltip": "How much of the slide"},
            folder={"mode": "d", "tooltip": "The folder it is written to"},
            name={"tooltip": "Empty: the slide's name and which part it is"},
            jpeg={
                "label": "smaller TIFF (JPEG)",
                "tooltip": "Of TIFF alone; without it every pixel is kept",
            },
        )
    )
    target = _target(viewer)
    if target is not None:
        form["folder"].value = target.export_path[0].parent
    return form


def import_annotations(viewer: Any, file: pathlib.Path = pathlib.Path()) -> Any:
    """Paint the nuclei and tissue of a file on the whole scan, in a thread; Undo takes it back.

    Parameters
    ----------
    viewer : napari Viewer
        Whose dock works on the scan.
    file : path
        GeoJSON of QuPath, or XML of ImageScope or ASAP, in pixels of full resolution.

    Returns
    -------
    FileJob
        Tells when it is over.

    Raises
    ------
    InvalidRequest
        When no scan is worked on, it can only be looked at, or there is no file.
    """
    dock = studio(viewer)
    target = _target(viewer)
    if not isinstance(target, EditedScanTarget):
        raise InvalidRequest(
            "expected a scan to paint annotations on, got another image; of one frame, Import "
            "tissue takes them"
        )
    path = pathlib.Path(file)
    if not path.is_file():
        raise InvalidRequest(f"expected a file of annotations, got {path}; choose one")
    overlay = target.overlay_for_paint()

    def work(report: Report) -> str:
        report(0, 0, f"Reading {path.name}")
        found = overlay.paint_annotations(
            path, lambda count: report(0, 0, f"{count:,} objects of {path.name}")
        )
        return f"Painted {found}. Undo takes it back."

    job = FileJob(dock.window(), f"Painting {path.name}", work, holds_window=True)
    step = PendingStep()
    dock.workspace.doing.follow("Painting annotations…", step)
    job.ended.connect(lambda *_: step.end())  # which shows that there is something to undo
    job.ended.connect(_tell)
    return job


def import_annotations_form(viewer: Any) -> FunctionGui[FileJob]:
    """Return the form of `import_annotations`."""
    return _finished(
        magicgui(
            import_annotations,
            call_button=False,
            viewer={"bind": viewer},
            file={
                "filter": "Annotations (*.geojson *.json *.gz *.xml)",
                "tooltip": "GeoJSON of QuPath, XML of ImageScope or ASAP",
            },
        )
    )


def _target(viewer: Any) -> EditedScanTarget | SlideTarget | None:
    """Return the slide or scan that the dock works on."""
    workspace = studio(viewer).workspace
    target = None if workspace.target is None else workspace.document.target
    return target if isinstance(target, EditedScanTarget | SlideTarget) else None


def _region(viewer: Any, dock: Any, target: Any, part: str) -> Region | None:
    """Return what is exported, in pixels of full resolution; None = all of it."""
    if part == "whole slide":
        return None
    if part == "frame":
        region: Region = target.spec.at_level(dock.workspace.document.region, 0)
        return region
    view = view_of(viewer, target.layer)
    if view is None:
        raise InvalidRequest("expected a view in two dimensions, got none; choose frame or slide")
    (top, left), (bottom, right) = view.round().astype(int).tolist()
    inside = Region(0, top, left, bottom - top, right - left).intersect(target.spec.bounds(0))
    if inside.is_empty:
        raise InvalidRequest("expected the slide in view, got none of it; move the view onto it")
    return inside


def _name(slide: str, region: Region | None, kind: str) -> str:
    place = "" if region is None else f"_y{region.y}_x{region.x}_{region.height}x{region.width}"
    what = f"_{kind}" if kind in SETS or kind == "changes" else ""
    return f"{slide}{place}{what}{FORMATS[kind]}"


def _tell_exported(lines: list[str] | None, error: Exception | None) -> None:
    _tell(None if lines is None else "\n".join(lines), error)


def _tell(text: str | None, error: Exception | None) -> None:
    if isinstance(error, Cancelled):
        show_info(str(error))
    elif error is not None:
        show_warning(str(error))
    elif text is not None:
        show_info(text)


def _finished(form: FunctionGui[FileJob]) -> FunctionGui[FileJob]:
    """Name the fields for screen readers and tests."""
    form.margins = (0, 0, 0, 0)
    for field in form:
        field.native.setObjectName(field.name)
        field.native.setAccessibleName(field.label)
    return form
