"""Editing a scan through the frame: pixels of scan and edits, undo steps on disk, paint that lasts.

The folder of the edits is made when the first one is applied, or paint is to be kept.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.slide.exporting.provenance import EditMark
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.overlays.edited_scan import EditedLevel, EditedScan
from napari_histodiff.slide.overlays.growing import CarryOut, at_once
from napari_histodiff.slide.overlays.overlay import ScanOverlay
from napari_histodiff.slide.overlays.places import NeedsPlace
from napari_histodiff.slide.scans.padded import Margins, PaddedScan
from napari_histodiff.ui.slide.target import StoreJournal
from napari_histodiff.ui.workspace.journal import EditJournal
from napari_histodiff.ui.workspace.pending import PendingStep, StepWorker
from napari_histodiff.ui.workspace.targets import Target

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["AskPlace", "EditedScanTarget", "ScanJournal"]

_READ_ONLY: Final = (
    "The edits of this slide are open in another window or program, so it can only be looked at "
    "here; close it there and open it again to edit it."
)
_BUSY: Final = "An edit is being written; try again when it is, in a moment."

#: The coarsest level that is edited, in um per pixel: nuclei cannot be told apart above.
_COARSEST: Final = 4.1

#: Seconds from a stroke to when it is kept, between two looks at what another program wrote, and
#: that closing waits for what is on its way.
_SOON: Final = 2.0
_FOLLOW: Final = 1.0
_PATIENCE: Final = 30.0

#: Asks where edits shall lie that cannot be beside their scan; None when that is not wanted.
AskPlace = Callable[[NeedsPlace], Path | None]


class EditedScanTarget(Target):
    """A scan as something edits are made on, at its levels of up to 4 um per pixel.

    Parameters
    ----------
    layer : napari Image
        Shows the scan with its edits.
    edited : EditedScan
        The scan; all regions are pixels of their level.
    ask_place : callable
        Asks where the edits shall lie when they cannot lie beside the scan.
    clock : callable
        Seconds, never running backwards.
    """

    #: Something worth knowing; from the viewer's thread.
    told = Signal(str)
    #: Paint that is kept was changed by someone else than `keep_paint`, in that region of level 0.
    paint_changed = Signal(Region)

    starts_fine = True
    keeps_paint = True

    def __init__(
        self,
        layer: Image,
        edited: EditedScan,
        ask_place: AskPlace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(layer)
        self.key = edited.scan.identity().sha256
        self.worker = StepWorker()
        self.worker.carried_out.connect(self._show_changes)  # before anyone hears of it
        self._painter = StepWorker()
        self._edited = edited
        self._dirty: deque[Region] = deque()
        self._unsubscribe = edited.subscribe(self._dirty.append)
        self._repainted: deque[Region] = deque()
        self._forget_paint = edited.subscribe_paint(self._repainted.append)
        self._ask_place = ask_place
        self._clock = clock
        self._unkept: dict[str, tuple[Region, NDArray[Any]]] = {}
        self._keep_due = float("inf")
        self._follow_due = float("-inf")
        # Said once somebody listens.
        self._news = edited.trouble
        if edited.overlay is not None:
            self._news = (
                f"The edits of this slide are shown; they are kept in {edited.overlay.path}"
            )

    @property
    def path(self) -> str:
        """The file of the scan."""
        return str(self._edited.scan.path)

    @property
    def spec(self) -> PyramidSpec:
        """The scan's pyramid."""
        return self._edited.scan.spec

    @property
    def scan_place(self) -> Region | None:
        """Where the scan lies on its canvas; None where that is the canvas."""
        scan = self._edited.scan
        return scan.place(0) if isinstance(scan, PaddedScan) else None

    @property
    def levels(self) -> int:
        """How many levels are fine enough to be edited."""
        fine = (self.mpp_at(level) <= _COARSEST for level in range(1, self.spec.levels))
        return 1 + sum(fine) if self.knows_mpp else 1

    def read(self, region: Region) -> NDArray[np.uint8]:
        """Return the pixels of scan and edits, (h, w, 3) uint8."""
        return self._edited.read(region)

    def pending(self, region: Region) -> str:
        """Return why a region cannot be edited now; empty when it can."""
        if self._edited.read_only:
            return _READ_ONLY
        return _BUSY if self.worker.busy else super().pending(region)

    def coverage(self, region: Region) -> NDArray[np.bool_]:
        """Return where the scan or an edit has pixels: beyond its border only what was drawn."""
        return self._edited.covered(region)

    def covered(self, region: Region) -> tuple[bool, bool]:
        """Return whether any, and whether all pixels of a region exist."""
        if not any(self._edited.margins):
            return True, True
        there = self.coverage(region)
        return bool(there.any()), bool(there.all())

    def enlarge(self, more: Margins, carry_out: CarryOut = at_once) -> None:
        """Give the scan a larger canvas, for whoever shows it; what waits is written before.

        Parameters
        ----------
        more : Margins
        carry_out : callable, optional
            Calls what takes long; see `growing.enlarge`.

        Raises
        ------
        InvalidRequest
            When it cannot be done now, there is no place for edits, or the margins are none.
        StorageError
            When it cannot be written.
        """
        self.overlay_for_paint()
        if not self.worker.finish(_PATIENCE):
            raise InvalidRequest(_BUSY)
        self._edited.enlarge(more, carry_out)

    def edits_under(self, request: EditRequest) -> int:
        """Return how many tiles hold finer edits that writing this one would replace."""
        overlay = self._edited.overlay
        if overlay is None:
            return 0
        mask, region = request.edit_mask, request.region
        changing = region if mask is None or not mask.any() else Region.of_mask(mask, region)
        tiles = overlay.edited_under(changing)
        finest = min((tile.level for tile in tiles), default=0)
        return sum(tile.level == finest for tile in tiles)

    @property
    def export_path(self) -> tuple[Path, float | None]:
        """Where the scan lies, and how long its pixels are where only a person said so."""
        facts = self._edited.scan.facts
        asked = facts.mpp[0] if facts.mpp is not None and facts.mpp_from == "asked" else None
        return self._edited.scan.path, asked

    def export_source(self, marks: Sequence[EditMark] = ()) -> ExportSource:
        """Return the scan, whose overlay keeps its edits."""
        return ExportSource.of_scan(self._edited.scan, self._edited.overlay)

    def new_journal(self) -> EditJournal:
        """Return the journal kept beside the scan."""
        return ScanJournal(self._edited, self.worker, self.pending, self.make_place)

    def make_place(self) -> None:
        """Make a folder for the edits where there is none; asks for a place if need be.

        Raises
        ------
        InvalidRequest
            When it was asked for and not given.
        StorageError
            When it can not be made.
        """
        if self._edited.overlay is not None:
            return
        try:
            overlay = self._edited.make()
        except NeedsPlace as needs:
            place = self._ask_place(needs)
            if place is None:
                raise InvalidRequest(
                    f"{needs}; nothing was applied, and the variants are still there"
                ) from needs
            overlay = self._edited.make(place)
        self.told.emit(f"The edits of this slide are kept in {overlay.path}")

    def show_again(self, region: Region) -> None:
        """Have the overview of a region made anew: what lies under the edits changed; any thread.

        Parameters
        ----------
        region : Region
            Of any level.
        """
        self._dirty.append(region)

    # ------------------------------------------------------------------- paint
    def overlay_for_paint(self) -> ScanOverlay:
        """Return the edits, to paint much on them at once; what was painted before is written.

        Raises
        ------
        InvalidRequest
            When they can only be looked at, are being written, or there is no place for them.
        """
        if problem := self.pending(Region(0, 0, 0, 1, 1)):
            raise InvalidRequest(problem)
        self.make_place()
        self.keep_now()
        self._painter.finish(_PATIENCE)
        return self._edited.make()

    def kept_paint(self, plane: str, region: Region) -> NDArray[Any] | None:
        """Return the paint kept of a region; None where none is kept."""
        overlay = self._edited.overlay
        if overlay is None or region.level >= self.spec.levels:
            return None
        return overlay.labels(region) if plane == "nuclei" else overlay.tissue(region)

    def keep_paint(self, plane: str, region: Region, painted: NDArray[Any]) -> None:
        """Keep the paint of a region in a moment; the array may be painted on until then."""
        waiting = self._unkept.get(plane)
        if waiting is not None and waiting[0] != region:
            self.keep_now()
        if not self._unkept:
            self._keep_due = self._clock() + _SOON
        self._unkept[plane] = (region, painted)

    def keep_now(self) -> None:
        """Have the paint that waits written; where there is no place for it, it goes on waiting."""
        waiting, self._unkept = self._unkept, {}
        self._keep_due = float("inf")
        if not waiting or self._edited.read_only:
            return
        if self._edited.overlay is None:
            if not any(painted.any() for _, painted in waiting.values()):
                return
            try:
                overlay = self._edited.make()
            except StorageError:
                self._unkept = waiting
                return
            self.told.emit(f"What you paint on this slide is kept in {overlay.path}")
        for plane, (region, painted) in waiting.items():
            work = partial(self._write_paint, plane, region, painted.copy())
            self._painter.submit(work).then(self._tell_error)

    def pump(self) -> None:
        """Tell what was written, and keep paint whose time has come; call it on a timer."""
        now = self._clock()
        if now >= self._keep_due:
            self.keep_now()
        if now >= self._follow_due:
            self._follow_due = now + _FOLLOW
            self._follow_writer()
        if self._news:
            self.told.emit(self._news)
            self._news = ""
        self._painter.deliver()
        self.worker.deliver()
        while self._repainted:
            self._unkept = {}
            self.paint_changed.emit(self._repainted.popleft())
        self._show_changes()

    def close(self) -> None:
        """Keep what waits and let go of the edits."""
        self.keep_now()
        self._unsubscribe()
        self._forget_paint()
        self._painter.finish(_PATIENCE)
        self._painter.close(lambda: None)
        self.worker.finish(_PATIENCE)
        self.worker.close(self._edited.close)

    def _write_paint(self, plane: str, region: Region, painted: NDArray[Any]) -> None:
        overlay = self._edited.make()
        if plane == "nuclei":
            overlay.paint(region, nuclei=painted)
        else:
            overlay.paint(region, tissue=painted)

    def _tell_error(self, step: PendingStep) -> None:
        if step.error is not None:
            self.told.emit(str(step.error))

    def _follow_writer(self) -> None:
        overlay = self._edited.overlay
        if overlay is None or not overlay.read_only:
            return
        try:
            overlay.refresh()
        except StorageError as error:  # the folder was moved or deleted
            self._follow_due = float("inf")
            self.told.emit(str(error))

    def _show_changes(self) -> None:
        changed = False
        while self._dirty:
            region, changed = self._dirty.popleft(), True
            coarsest = self.layer.data[-1]
            if isinstance(coarsest, EditedLevel):
                coarsest.update(region)
            if self._edited.read_only:
                self.changed.emit(self.spec.at_level(region, 0))
        if changed:
            self.layer.refresh(extent=False)


class ScanJournal(StoreJournal):
    """The journal of a scan's edits.

    Parameters
    ----------
    edited : EditedScan
        The scan.
    worker : StepWorker
        Carries out the steps.
    pending : callable
        Returns why a region can not be written now, or nothing.
    make_place : callable
        Sees to it that there is a folder for the edits.
    """

    why_request = "with the edits of a slide it is kept where their pixels come from"

    def __init__(
        self,
        edited: EditedScan,
        worker: StepWorker,
        pending: Callable[[Region], str],
        make_place: Callable[[], None],
    ) -> None:
        super().__init__(worker)
        self._edited = edited
        self._pending = pending
        self._make_place = make_place

    def store_at_hand(self) -> ScanOverlay | None:
        """Return the edits, None while there are none."""
        return self._edited.overlay

    def store_to_write(self, region: Region) -> ScanOverlay:
        """Return the edits; asks for a place where there are none and it takes one.

        Raises
        ------
        InvalidRequest
            When they are busy or only looked at, or there is no place for them.
        """
        if problem := self._pending(region):
            raise InvalidRequest(problem)
        self._make_place()
        return self._edited.make()
