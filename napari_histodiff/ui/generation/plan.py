"""What the main button will do with the frame, how much work that is, or why it can not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from napari_histodiff.core.backend import BackendInfo
from napari_histodiff.core.engine import EngineState
from napari_histodiff.core.maps import CLASS_NAMES, FEW_NUCLEI
from napari_histodiff.core.requests import EditKind
from napari_histodiff.core.steering.start import Fill
from napari_histodiff.core.steering.strengths import STRENGTHS
from napari_histodiff.ui.generation.estimates import Estimate, Estimator
from napari_histodiff.ui.generation.settings import Settings
from napari_histodiff.ui.generation.states import EngineStatus
from napari_histodiff.ui.steering.steering import can_repaint, guide_remark, steering_of
from napari_histodiff.ui.text import count_text, for_people

if TYPE_CHECKING:
    from napari_histodiff.ui.steering.reference import Reference
    from napari_histodiff.ui.workspace.snapshot import FrameSummary

__all__ = [
    "FramePlan",
    "class_remark",
    "make_plan",
    "organ_remark",
    "tissue_remark",
]

#: An organ of fewer training images is hardly known.
_FEW_SLIDES: Final = 20

#: A model that cannot jump draws washed-out tissue in fewer.
_LEAST_FLOW_STEPS: Final = 5

_TITLES = {
    EditKind.GENERATE: "Generate",
    EditKind.INPAINT: "Inpaint",
    EditKind.OUTPAINT: "Outpaint",
    EditKind.ZOOM: "Zoom",
}


@dataclass(frozen=True, slots=True)
class FramePlan:
    """Title of the main button, whether it may be pressed, and the line below it.

    `repaints` tells that pixels lie under the edit, so that its strength means something;
    `resample_to` the micrometres per pixel at which the image, too fine now, could be used;
    `has_pixels` that the frame lies on pixels, so that nuclei can be proposed; `knows_pixels` that
    some of them stay, and `resamples` that steps can be taken again until the new agree with them.
    `unstarted` tells why it makes no difference what the edit starts from; empty where it does.
    """

    title: str
    enabled: bool
    note: str
    estimate: Estimate | None = None
    repaints: bool = False
    resample_to: float | None = None
    has_pixels: bool = False
    knows_pixels: bool = False
    resamples: bool = False
    unstarted: str = ""


def make_plan(
    summary: FrameSummary | None,
    problem: str,
    settings: Settings,
    status: EngineStatus,
    estimator: Estimator,
    reference: Reference | None = None,
    *,
    waits: bool = False,
) -> FramePlan:
    """Plan the edit of a frame.

    Parameters
    ----------
    summary : FrameSummary or None
        The frame; None when there is none, and `problem` tells why.
    problem : str
        Why the frame can not be used.
    settings : Settings
        Those that count on the image.
    status : EngineStatus
        The engine's state.
    estimator : Estimator
        What it will cost.
    reference : Reference, optional
        What it is made like.
    waits : bool
        Whether something else is being drawn, which is finished first.
    """
    if summary is None:
        return FramePlan("Generate", False, for_people(problem))
    if summary.problem:
        return FramePlan("Generate", False, for_people(summary.problem))
    plan = _plan_of(summary, settings, status, estimator, reference, waits=waits)
    return replace(
        plan,
        has_pixels=summary.has_pixels,
        knows_pixels=summary.kind in (EditKind.INPAINT, EditKind.OUTPAINT),
        resamples=can_repaint(summary.kind, settings),
        unstarted=_why_unstarted(summary, settings),
    )


def _plan_of(
    summary: FrameSummary,
    settings: Settings,
    status: EngineStatus,
    estimator: Estimator,
    reference: Reference | None,
    *,
    waits: bool,
) -> FramePlan:
    title = _TITLES[summary.kind]
    repaints = summary.kind is EditKind.INPAINT
    if summary.kind is EditKind.GENERATE and summary.has_pixels:
        title = "Generate (replaces frame)"
    if status.state is EngineState.DEAD:
        return FramePlan(title, False, "The engine has stopped; press Restart above.")
    if status.state is EngineState.CLOSED:
        return FramePlan(title, False, "The engine is closed; open the dock again.")
    if refusal := _why_no_start(summary, settings):
        return FramePlan(title, False, refusal, repaints=repaints)
    if status.info is None:
        return FramePlan(title, True, "The model is loading; the edit starts when it is ready.")
    low, high = status.info.frames_mpp
    drawn_mpp = status.info.drawn_mpp(summary.mpp)
    if drawn_mpp is None:
        known = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        note = f"The model draws {known} µm/px, this image has {summary.mpp:g}: "
        if summary.mpp > high:
            return FramePlan(title, False, note + "too coarse. Open a finer scan of it.")
        note += "too fine. Resample it; the original stays as it is."
        return FramePlan(title, False, note, resample_to=status.info.mpp[0])
    estimate = estimator.estimate(
        tuple(side * summary.mpp / drawn_mpp for side in summary.region.shape),
        steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        variants=settings.variants,
        info=status.info,
        steering=steering_of(summary.kind, settings, reference),
        strengths=_strengths_of(summary, settings),
    )
    after = ", once what is in work is drawn" if waits else ""
    note = str(estimate) + after + guide_remark(settings)
    if drawn_mpp != summary.mpp:
        resized = "enlarged" if drawn_mpp > summary.mpp else "reduced"
        note += f". Drawn at {drawn_mpp:g} µm/px and {resized} to the {summary.mpp:g} of the image"
    if max(settings.steps, 1 + status.info.jump_steps) < _LEAST_FLOW_STEPS:
        note += f". This model needs {_LEAST_FLOW_STEPS} steps or more for clear tissue"
    elif settings.steps < status.info.steps // 2:
        note += f". This model is meant for about {status.info.steps} steps"
    if not status.info.paint:
        return FramePlan(title, True, f"{note}. This model takes no paint", estimate, repaints)
    if not summary.uses_paint:
        where = " where pixels change" if repaints or summary.kind is EditKind.OUTPAINT else ""
        note += f". No nuclei painted{where}: {_who_places(summary, settings)}"
    note += _tissue_remark(summary, status.info)
    return FramePlan(title, True, note, estimate, repaints)


def _who_places(summary: FrameSummary, settings: Settings) -> str:
    """Return where the nuclei come from that nobody painted where pixels change."""
    if settings.suggest and not summary.leaves_open:
        near = any(summary.counts.values()) and not summary.has_own_maps
        return "they are suggested" + (", unless yours lie near" if near else "")
    return "the slide's own are drawn" if summary.has_own_maps else "the model places them"


def _strengths_of(summary: FrameSummary, settings: Settings) -> tuple[float, ...]:
    """Return how strongly the parts of the mask are drawn anew, the largest first."""
    if summary.kind is not EditKind.INPAINT or settings.fill is Fill.NOISE:
        return (1.0,)
    parts = {max(1, round(share * settings.strength * STRENGTHS)) for share in summary.shares}
    return tuple(part / STRENGTHS for part in sorted(parts, reverse=True))


def _why_unstarted(summary: FrameSummary, settings: Settings) -> str:
    """Return why it makes no difference what an edit starts from; empty where it does."""
    if summary.kind is EditKind.OUTPAINT:
        return "Where no picture is, a drawing starts from noise alone."
    if summary.kind is not EditKind.INPAINT:
        return "Only for inpainting."
    if settings.strength == 1 and min(summary.shares, default=1.0) == 1:
        return "At Strength 1 a drawing starts from noise alone; lower Strength to choose."
    return ""


def _why_no_start(summary: FrameSummary, settings: Settings) -> str:
    """Return why an edit has nothing to start from; empty where it has."""
    fills = settings.fill in (Fill.BLUR, Fill.BORDER)
    if summary.stays or not fills or _why_unstarted(summary, settings):
        return ""
    return (
        f"The edit mask covers all there is: nothing is left around it for “{settings.fill}”. "
        "Leave some of the frame out of the mask, or choose another start beside Redraw."
    )


def _tissue_remark(summary: FrameSummary, info: BackendInfo) -> str:
    """Return what is to be said of the painted tissue, to follow other sentences."""
    remark = ""
    if lacking := [name for name in summary.tissue if tissue_remark(name, info)]:
        remark += f". The model does not know {_listed(lacking)}, and is not told of it"
    if astray := [f"{count_text(n, 'nucleus')} in {name}" for name, n in summary.astray.items()]:
        remark += f". Painted where none are expected, and drawn: {_listed(astray)}"
    return remark


def tissue_remark(name: str, info: BackendInfo | None) -> str:
    """Return what happens to a painted tissue the model does not know; empty when it knows it."""
    if info is None or name in info.tissue_names:
        return ""
    if "tissue" not in info.paint:
        return "This model takes no tissue: what you paint of it has no effect on what it draws."
    return f"This model does not know {name}: what you paint of it is unspecified to it."


def _listed(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def class_remark(name: str, info: BackendInfo | None) -> str:
    """Return what happens to a painted class the model hardly knows; empty when it knows it."""
    if name not in CLASS_NAMES or info is None:
        return ""
    if "nuclei" not in info.paint:
        return "This model takes no nuclei: what you paint of them has no effect on what it draws."
    seen = info.class_counts.get(name, 0)
    if seen >= FEW_NUCLEI:
        return ""
    if seen == 0:
        return (
            f"{name.capitalize()} is not trained at all: the model has never seen such a nucleus "
            "and draws one of unknown class where you paint it."
        )
    return (
        f"{name.capitalize()} is hardly trained, {count_text(seen, 'nucleus')}: it may not be "
        "recognisable. The model draws a nucleus where you paint one, but it may look like a more "
        "common class."
    )


def organ_remark(organ: str, info: BackendInfo | None) -> str:
    """Return what an organ means to a model that hardly knows it; empty when it knows it."""
    if info is None or not info.stains:
        return ""
    scales = Counter(entry.mpp for entry in info.stains if entry.organ == organ)
    slides = max(scales.values(), default=0)
    if slides >= _FEW_SLIDES:
        return ""
    if not slides:
        return f"No training images of {organ}: the word changes nothing you can rely on."
    images = count_text(slides, "training image")
    return f"{organ.capitalize()} is hardly trained ({images}): it steers colour and texture only."
