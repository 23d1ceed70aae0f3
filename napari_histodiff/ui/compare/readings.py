"""Readouts of the variants that wait for Apply: seam, stain and nuclei, measured in the background.

No Qt here: the dock listens to the signal, a timer calls `pump`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from psygnal import Signal

from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.evaluation.metrics.instances import MATCH_RADIUS, match_centroids
from napari_histodiff.evaluation.metrics.objects import centroids
from napari_histodiff.inpainting.readouts import seams_and_shifts, strangeness
from napari_histodiff.ui.generation.states import Level, Notice
from napari_histodiff.ui.proposals.process import (
    DrawnBy,
    Judge,
    JudgeDone,
    JudgeEvent,
    JudgeFailed,
)
from napari_histodiff.ui.workspace.pending import StepReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_histodiff.core.stain_bank import StainEntry
    from napari_histodiff.ui.generation.controller import Controller
    from napari_histodiff.ui.generation.states import Staging

__all__ = ["Light", "Reading", "Readings", "lights_of"]

log = logging.getLogger(__name__)

#: Above the first number one should look, above the second it is plain. Of discs in 49 real images
#: nobody edited, from seven sources, 1 % were above the first.
_SEAM: Final = (1.25, 1.6)
_STAIN: Final = (0.3, 0.45)
#: Below the first share of painted nuclei that are found one should look.
_FOUND: Final = (0.7, 0.5)
_STRANGE: Final = 0.3
#: Below the first distance to the nearest training crop one should look. Of 1,742 crops of held-out
#: real tissue 1 in 1,000 was below 0.66 and none below 0.58; 95 % of training crops that were
#: encoded anew were below 0.41.
_NEAR: Final = (0.65, 0.45)


class Light(StrEnum):
    """What a readout says."""

    GOOD = "good"
    LOOK = "look"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of one variant.

    Attributes
    ----------
    seam, stain : float or None
        As `inpainting.readouts` measures them; None where they cannot be told.
    found, painted : int or None
        Painted nuclei that the segmenter finds again, of so many; None before it looked.
    looking : bool
        Whether the segmenter works.
    nearness : float or None
        How far the nearest training crop is, in multiples of what is typical of unseen real tissue;
        None before it was looked for, or where it cannot be told.
    """

    seam: float | None = None
    stain: float | None = None
    found: int | None = None
    painted: int | None = None
    looking: bool = False
    nearness: float | None = None


def lights_of(reading: Reading) -> dict[str, tuple[Light, str, str]]:
    """Return light, words and explanation of "seam", "stain", "nuclei" and "training"."""
    at, shift = reading.seam, reading.stain
    seam_light = Light.UNKNOWN if at is None else _light(at, *_SEAM)
    stain_light = Light.UNKNOWN if shift is None else _light(shift, *_STAIN)
    number = "–" if at is None else f"{at:.1f}"
    percent = "–" if shift is None else f"{100 * shift:.0f} %"
    result = {
        "seam": (
            seam_light,
            f"Seam {number}",
            "How much neighbouring pixels differ across the edge of the mask, beside those on its "
            "two sides: 1 = as much. In tissue nobody edited it is 0.8 to 1.2; from "
            f"{_SEAM[0]:g} look at the edge. Feather, or more context, lowers it.",
        ),
        "stain": (
            stain_light,
            f"Stain {percent}",
            "How far the new tissue's colour, in optical density, is from the tissue around it. "
            "Neighbouring places of real tissue differ by 2 to 24 %; from "
            f"{100 * _STAIN[0]:.0f} % look whether it is another tissue or another stain.",
        ),
    }
    result["training"] = _training(reading)
    explained = (
        "Painted nuclei where pixels changed that the segmenter, which never met the model, finds "
        "in this variant at their place."
    )
    if reading.looking:
        result["nuclei"] = (Light.UNKNOWN, "Nuclei …", explained)
    elif reading.found is None or not reading.painted:
        result["nuclei"] = (Light.UNKNOWN, "Nuclei ?", f"{explained} Press to have it look.")
    else:
        share = -reading.found / reading.painted
        light = _light(share, -_FOUND[0], -_FOUND[1])
        result["nuclei"] = (light, f"Nuclei {reading.found}/{reading.painted}", explained)
    return result


def _training(reading: Reading) -> tuple[Light, str, str]:
    explained = (
        "How far the training crop that is nearest to any part of this variant is from it, by what "
        "the segmenter sees: 1 = as far as real tissue that the model never saw, 0 = a copy. Of "
        f"such tissue 1 crop in 1,000 is below {_NEAR[0]:g}; below {_NEAR[1]:g} it may repeat a "
        "picture the model learnt from."
    )
    near = reading.nearness
    if reading.looking:
        return Light.UNKNOWN, "Training …", explained
    if near is None:
        known = "Measured with the nuclei, for models whose training crops are known."
        return Light.UNKNOWN, "Training ?", f"{explained} {known}"
    return _light(-near, -_NEAR[0], -_NEAR[1]), f"Training {near:.2f}", explained


class Readings:
    """Measures the staged variants; the nuclei when it is asked to.

    Parameters
    ----------
    controller : Controller
        Whose variants are meant, and who tells notices.
    command : sequence of str, optional
        Another program than the judge; see `proposals.process`.
    """

    #: The reading of the variant in view; None while none is.
    changed = Signal(object)

    def __init__(self, controller: Controller, command: Sequence[str] | None = None) -> None:
        self._controller = controller
        self._judge = Judge(command)
        self._reader = StepReader()
        self._staging: Staging | None = None
        self._readings: list[Reading] = []
        self._warned: object = None
        self._looked_at = 0
        controller.staging_changed.connect(self._on_staging)

    @property
    def now(self) -> Reading | None:
        """The reading of the variant in view."""
        staging = self._staging
        return None if staging is None else self._readings[staging.index]

    def look_for_nuclei(self) -> None:
        """Have the segmenter look for the painted nuclei, and training crops like the variant."""
        staging = self._staging
        if staging is None or self._judge.is_running:
            return
        request, self._looked_at = staging.request, staging.index
        if not _painted(request).any():
            self._notice(Level.WARNING, "No nuclei were painted where pixels changed.")
            if not request.model_revision:  # nor are its training crops known
                return
        everywhere = np.ones(request.shape, np.bool_)
        drawn_by = None
        if request.model_revision:
            drawn_by = DrawnBy(request.model_revision, self._controller.model_folder)
        self._judge.begin(staging.image, request.mpp, everywhere, drawn_by=drawn_by)
        self._set(staging.index, looking=True)

    def pump(self) -> None:
        """Handle what was measured since the last call; call it on the GUI thread."""
        self._reader.deliver()
        for event in self._judge.events():
            self._handle(event)

    def close(self) -> None:
        """Stop the segmenter; idempotent."""
        self._judge.close()

    # ---------------------------------------------------------------- plumbing
    def _on_staging(self, staging: Staging | None) -> None:
        before, self._staging = self._staging, staging
        if staging is None or before is None or staging.entry is not before.entry:
            # Another edit, or none.
            self._judge.cancel()
            self._reader.cancel()
            self._readings = [] if staging is None else [Reading()] * staging.count
            if staging is not None and _has_edge(staging.entry.request):
                info = self._controller.status.info
                bank = () if info is None else info.stains
                work = partial(_measured, staging.entry.images, staging.entry.request, bank)
                self._reader.begin(work, partial(self._take, staging.entry))
        self.changed.emit(self.now)

    def _take(self, entry: Any, measured: tuple[list[Reading], float | None]) -> None:
        if self._staging is None or self._staging.entry is not entry:
            return
        readings, strange = measured
        self._readings = [
            replace(known, seam=new.seam, stain=new.stain)
            for known, new in zip(self._readings, readings, strict=True)
        ]
        self.changed.emit(self.now)
        if strange is not None and strange > _STRANGE:
            self._notice(
                Level.WARNING,
                "The stain around this edit is unlike that of every slide the model learnt from "
                f"({100 * strange:.0f} % from the nearest). Look closely before you apply it.",
            )

    def _handle(self, event: JudgeEvent) -> None:
        if isinstance(event, JudgeFailed):
            log.error("%s\n%s", event.message, event.details)
            self._set(self._looked_at, looking=False)
            self._notice(Level.ERROR, event.message)
        elif isinstance(event, JudgeDone) and self._staging is not None:
            request = self._staging.entry.request.alone(self._looked_at)
            found, painted = _agreement(request, event.proposal.instance_map)
            near = event.nearness
            self._set(self._looked_at, looking=False, found=found, painted=painted, nearness=near)

    def _set(self, index: int, **changes: Any) -> None:
        self._readings[index] = replace(self._readings[index], **changes)
        self.changed.emit(self.now)

    def _notice(self, level: Level, message: str) -> None:
        self._controller.noticed.emit(Notice(level, message))


def _light(value: float, look: float, bad: float) -> Light:
    if value > bad:
        return Light.BAD
    return Light.LOOK if value > look else Light.GOOD


def _has_edge(request: EditRequest) -> bool:
    mask = request.edit_mask
    return request.image is not None and mask is not None and not mask.all()


def _measured(
    images: NDArray[np.uint8], request: EditRequest, bank: Sequence[StainEntry]
) -> tuple[list[Reading], float | None]:
    """Readings of all variants, and how strange what is around them is; in any thread."""
    mask, image = request.edit_mask, request.image
    assert mask is not None
    assert image is not None
    readings = [Reading(*found) for found in seams_and_shifts(images, mask)]
    return readings, strangeness(image, ~mask, request.mpp, bank)


def _painted(request: EditRequest) -> NDArray[np.int32]:
    """Painted nuclei of which any pixel could change, (h, w) int32."""
    instances = request.instance_map
    if instances is None:
        return np.zeros(request.shape, np.int32)
    if request.kind not in (EditKind.INPAINT, EditKind.OUTPAINT) or request.edit_mask is None:
        return instances
    touched = np.unique(instances[request.edit_mask])
    return np.where(np.isin(instances, touched), instances, 0)


def _agreement(request: EditRequest, seen: NDArray[np.int32]) -> tuple[int, int]:
    """How many painted nuclei are found at their place, of how many."""
    painted = _painted(request)
    wanted = centroids(painted)
    if not seen.any():
        return 0, len(wanted)
    # The radius is 6 um at 0.5 um per pixel.
    pairs = match_centroids(wanted, centroids(seen), radius=MATCH_RADIUS * 0.5 / request.mpp)
    return len(pairs[0]), len(wanted)
