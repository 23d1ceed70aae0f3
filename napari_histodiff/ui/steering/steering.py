"""From the settings to what steers a drawing, where it can act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_histodiff.core.requests import EditKind
from napari_histodiff.core.steering.guides import GUIDES, PYTHON_GUIDE
from napari_histodiff.core.steering.steering import Steering

if TYPE_CHECKING:
    from napari_histodiff.ui.generation.settings import Settings
    from napari_histodiff.ui.steering.reference import Reference

__all__ = ["can_repaint", "guide_remark", "settings_of_steering", "steering_of"]


def can_repaint(kind: EditKind, settings: Settings) -> bool:
    """Tell whether there are known pixels to agree with, and steps to take again.

    From noise alone it takes three steps: the first forgets all, the last ends at the image. An
    inpainting of less strength begins with the image, and takes its share of them.
    """
    if kind is EditKind.OUTPAINT:
        return settings.steps >= 3
    if kind is not EditKind.INPAINT:
        return False
    if settings.drawn_strength < 1:
        return int(settings.steps * settings.drawn_strength) >= 2
    return settings.steps >= 3


def steering_of(kind: EditKind, settings: Settings, reference: Reference | None = None) -> Steering:
    """Return what steers an edit of a kind: nothing that can not act there."""
    again = can_repaint(kind, settings)
    taken = settings.steps
    if kind is EditKind.INPAINT and settings.drawn_strength < 1:
        taken = int(settings.steps * settings.drawn_strength)
    guided = settings.guide and taken >= 2
    return Steering(
        repaint=settings.repaint if again else 1,
        jump_length=settings.jump_length if again else 1,
        guide=((settings.guide, settings.guide_strength),) if guided else (),
        reference=None if reference is None else reference.image,
        reference_mpp=None if reference is None else reference.mpp,
        # One step takes its stain alone.
        reference_strength=settings.reference_strength if taken >= 2 else 0.0,
    )


def guide_remark(settings: Settings) -> str:
    """Return what is to be said of a guide, to follow the estimate; empty where there is none."""
    guide = next((g for g in GUIDES if g.name == settings.guide), None)
    if guide is None or settings.guide_strength == 0:
        return ""
    if settings.steps < 2:
        return ". One step can not be guided: the last never is"
    return f". Guided to {guide.more if settings.guide_strength > 0 else guide.fewer}"


def settings_of_steering(steering: Steering) -> dict[str, Any]:
    """Return the settings, by name, that show what steered a drawing."""
    found: dict[str, Any] = {
        "repaint": steering.repaint,
        "jump_length": steering.jump_length,
        "guide": "",
    }
    named = [pair for pair in steering.guide if pair[0] != PYTHON_GUIDE]
    if steering.reference is not None:
        found["reference_strength"] = steering.reference_strength
    if named:
        found["guide"], found["guide_strength"] = named[0]
    return found
