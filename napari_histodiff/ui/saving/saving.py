"""Saving what was drawn: an edit with its request, the frame or the whole image as they show now.

Names in use are never overwritten: each file has the next free number of its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.errors import HistodiffError, InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.slide.export import free_stem, save_edit, write_png
from napari_histodiff.slide.exporting.masks import export_masks
from napari_histodiff.slide.exporting.provenance import EditMark
from napari_histodiff.slide.exporting.sidecar import beside, sidecar_paths, synthetic_outlines
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import staged
from napari_histodiff.slide.exporting.tiff import export_tiff
from napari_histodiff.ui.generation.states import Level, Notice, Staging
from napari_histodiff.ui.workspace.journal import MemoryJournal
from napari_histodiff.ui.workspace.pending import PendingStep, StepReader
from napari_histodiff.ui.workspace.targets import RawTarget

if TYPE_CHECKING:
    from napari_histodiff.core.requests import EditRequest
    from napari_histodiff.ui.generation.history import History, HistoryEntry
    from napari_histodiff.ui.generation.staged import StagedVariants
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["Saved", "Saving", "frame_source", "marks_of"]

_NOTHING: Final = "There is nothing to save yet; generate something first."


class Saved(StrEnum):
    """What is saved."""

    VARIANT = "the variant in view, with its request"
    FRAME = "the frame as it shows, with its nuclei and tissue"
    IMAGE = "the whole image as it shows"


class Saving:
    """Writes files in a thread, one thing at a time; what came of it is told.

    Parameters
    ----------
    workspace : Workspace
        The image and its frame.
    staged : StagedVariants
        The variant in view.
    history : History
        The edits of this session.
    tell : callable
        Called with a notice of the files that were written, or why none were.
    """

    def __init__(
        self,
        workspace: Workspace,
        staged: StagedVariants,
        history: History,
        tell: Callable[[Notice], None],
    ) -> None:
        self._workspace = workspace
        self._staged = staged
        self._history = history
        self._tell = tell
        self._reader = StepReader()
        self._met: dict[str, tuple[BackendInfo, Path | None]] = {}

    def meet(self, info: BackendInfo, folder: Path | None) -> None:
        """Remember a model by its weights, for what it drew; `folder` is None for the bundled."""
        self._met[info.revision] = (info, folder)

    def drawn_by(
        self, request: EditRequest, info: BackendInfo | None, folder: Path | None = None
    ) -> tuple[BackendInfo | None, Path | None]:
        """Return the model of a request and its folder; where it does not say, those given."""
        return self._met.get(request.model_revision, (info, folder))

    def variant(self, entry: HistoryEntry | None = None, index: int = 0) -> Staging | None:
        """Return an entry's variant, else the one in view, else the newest edit; None = nothing."""
        if entry is None and self._staged.now is not None:
            return self._staged.now
        entry = entry or next(iter(self._history.entries), None)
        return None if entry is None else Staging(entry, index)

    def choices(self, entry: HistoryEntry | None = None) -> tuple[Saved, ...]:
        """Return what can be saved now, what is meant most often first."""
        can: list[Saved] = [] if self.variant(entry) is None else [Saved.VARIANT]
        if self._workspace.target is not None:
            document = self._workspace.document
            target = document.target
            if target.covered(document.region)[0]:
                can.append(Saved.FRAME)
            # A slide is exported in parts, by a job of its own.
            if isinstance(target, RawTarget) and target.covered(target.bounds)[0]:
                can.append(Saved.IMAGE)
        return tuple(can)

    def save(
        self,
        folder: Path,
        info: BackendInfo | None,
        entry: HistoryEntry | None = None,
        index: int = 0,
        what: Saved = Saved.VARIANT,
    ) -> PendingStep | None:
        """Begin to write; nothing else is done to the image meanwhile.

        Parameters
        ----------
        folder : Path
            Made when missing.
        info : BackendInfo or None
            The model, as the description names it.
        entry, index
            Which variant, as in `variant`.
        what : Saved
            What.

        Returns
        -------
        PendingStep or None
            None when there is nothing of the kind, or something is being saved; told then.
        """
        staging = self.variant(entry, index)
        possible = staging is not None if what is Saved.VARIANT else what in self.choices()
        written: list[Path] = []

        def put(paths: list[Path]) -> None:
            written.extend(paths)

        try:
            if not possible:
                raise InvalidRequest(_NOTHING)
            step = self._reader.begin(self._writer(what, folder, staging, info), put)
        except HistodiffError as error:
            self._tell(Notice(Level.WARNING, str(error)))
            return None
        self._workspace.doing.follow("Saving…", step)
        return step.then(lambda done: self._told(written, done.error))

    def deliver(self) -> None:
        """Tell of what was written; call it on a timer."""
        self._reader.deliver()

    def _told(self, paths: list[Path], error: Exception | None) -> None:
        if error is not None:
            self._tell(Notice(Level.ERROR, str(error)))
        else:
            names = ", ".join(path.name for path in paths)
            self._tell(Notice(Level.INFO, f"Saved in {paths[0].parent}: {names}"))

    def _writer(
        self, what: Saved, folder: Path, staging: Staging | None, info: BackendInfo | None
    ) -> Callable[[], list[Path]]:
        if what is Saved.VARIANT:
            assert staging is not None
            own, _ = self.drawn_by(staging.entry.request, info)
            return lambda: _write_edit(folder, staging, own)
        document = self._workspace.document
        if what is Saved.FRAME:
            source = frame_source(document)
            return lambda: _write_source(folder, source, "histodiff_frame_")
        whole = document.target.export_source(marks_of(document))
        return lambda: _write_source(folder, whole, "histodiff_image_")


def _write_edit(folder: Path, staging: Staging, info: BackendInfo | None) -> list[Path]:
    request = staging.entry.request
    with free_stem(folder, f"histodiff_{request.kind}_") as stem:
        return save_edit(folder, stem, staging.image, request, info=info, variant=staging.index)


def _write_source(folder: Path, source: ExportSource, prefix: str) -> list[Path]:
    with free_stem(folder, prefix) as stem, _all_or_none() as written:
        written += export_tiff(source, folder / f"{stem}.ome.tif")
        if source.labels is not None:
            written += export_masks(source, folder / stem)
        if source.tissue is not None:
            written += _write_tissue(source, folder / f"{stem}_tissue.png")
        return written


@contextmanager
def _all_or_none() -> Iterator[list[Path]]:
    """Yield a list for new files of several exports; when one fails, those before it go, too."""
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _write_tissue(source: ExportSource, path: Path) -> list[Path]:
    """Write the tissue as that of an edit is; what its ids mean is said beside it."""
    assert source.tissue is not None
    tissue = source.tissue(source.spec.bounds(0))
    told = sidecar_paths(source, path)[0]
    with staged(told, path) as (words, picture):
        write_png(tissue, picture, mpp=None if source.mpp is None else source.mpp[0])
        beside([words], path, synthetic_outlines(source), tissue_names=list(TISSUE_NAMES))
    return [path, told]


def marks_of(document: Document) -> tuple[EditMark, ...]:
    """Return the edits that a document remembers itself; others are kept by its image."""
    journal = document.journal
    return journal.marks if isinstance(journal, MemoryJournal) else ()


def frame_source(document: Document) -> ExportSource:
    """Return the frame of a document as an image of its own, with the paint in it.

    Pixels are copied now; where only coarser or finer edits are known, whole tiles of them count
    as synthetic.

    Raises
    ------
    InvalidImage, InvalidRequest
        When the pixels cannot be read.
    """
    snapshot = document.snapshot()
    region = snapshot.region
    whole = document.target.export_source(marks_of(document))
    origin = document.target.spec.at_level(region, 0)
    edited = _edited(whole, region)
    labels, tissue = document.nuclei.labels.copy(), snapshot.tissue_map

    provenance = whole.provenance.within(origin)
    if provenance.extent == "part" and not edited.any():
        provenance = replace(provenance, extent="none")
    source = ExportSource.of_image(
        f"{whole.name}, frame",
        region.shape,
        None if whole.mpp is None else snapshot.mpp,
        lambda one: snapshot.image[one.slices],
        None if provenance.extent == "all" else lambda one: edited[one.slices],
        source=provenance.source,
    )
    return replace(
        source,
        labels=(lambda one: labels[one.slices]) if labels.any() else None,
        tissue=(lambda one: tissue[one.slices]) if tissue.any() else None,
        provenance=provenance,
    )


def _edited(source: ExportSource, region: Region) -> NDArray[np.bool_]:
    if region.level == 0:
        return source.edited(region)
    found = np.zeros(region.shape, np.bool_)
    for tile in source.changed():
        part = source.spec.at_level(tile, region.level).intersect(region)
        if not part.is_empty:
            found[part.relative_to(region).slices] = True
    return found
