"""Fills the edit mask or the frame with nuclei, as the window does."""

from __future__ import annotations

import time

from napari_histodiff.ui.workspace.pending import PendingStep
from napari_histodiff.ui.workspace.workspace import Workspace

__all__ = ["deliver", "fill_area"]


def fill_area(workspace: Workspace, caption: str = "") -> int:
    """Fill it, and return how many nuclei there are more."""
    before = sum(workspace.document.nuclei.counts().values())
    deliver(workspace, workspace.fill_area(caption))
    return sum(workspace.document.nuclei.counts().values()) - before


def deliver(workspace: Workspace, step: PendingStep) -> None:
    """Let the window take in what is worked out in a thread, until a step is over."""
    end = time.monotonic() + 60
    while not step.is_over:
        assert time.monotonic() < end, "waited in vain"
        workspace.deliver()
        time.sleep(0.002)
