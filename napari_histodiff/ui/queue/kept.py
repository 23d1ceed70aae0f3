"""Edits that wait, as a project keeps them: they wait on in the next session, held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.ui.generation.estimates import Estimate
from napari_histodiff.ui.queue.edits import EditState, Place, QueuedEdit

__all__ = ["described", "restored"]


def described(edit: QueuedEdit) -> dict[str, Any]:
    """Return an edit as plain values; its request is as it is, for a thread to make text of."""
    place, estimate = edit.place, edit.estimate
    frame = place.frame
    return {
        "title": edit.title,
        "image": place.key,
        "name": place.name,
        "path": place.path,
        "frame": [frame.level, frame.y, frame.x, frame.height, frame.width],
        "origin": list(place.origin),
        "mpp": place.mpp,
        "estimate": None if estimate is None else list(astuple(estimate)),
        "problem": edit.problem if edit.state is EditState.FAILED else "",
        "request": edit.request,
    }


def restored(kept: Mapping[str, Any], key: str) -> QueuedEdit:
    """Return an edit that was kept; `key` is that of its image now.

    Raises
    ------
    InvalidRequest, KeyError, TypeError, ValueError
        When something of it is missing or garbled.
    """
    request = EditRequest.from_dict(kept["request"])
    y, x = kept["origin"]
    frame = Region(*kept["frame"])
    place = Place(key, kept["name"], kept["path"], frame, (int(y), int(x)), float(kept["mpp"]))
    estimate, problem = kept["estimate"], str(kept["problem"])
    return QueuedEdit(
        str(kept["title"]),
        request,
        place,
        tissue=request.tissue_map,
        estimate=None if estimate is None else Estimate(*estimate),
        state=EditState.FAILED if problem else EditState.WAITING,
        problem=problem,
    )
