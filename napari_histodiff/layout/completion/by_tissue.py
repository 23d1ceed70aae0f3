"""Suggested nuclei after captions of single tissues: each tissue has those of its own caption."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.completion.complete import Completion
from napari_histodiff.layout.completion.nearby import mostly
from napari_histodiff.layout.completion.placing import place_nuclei
from napari_histodiff.layout.plan import plan_of

__all__ = ["by_tissue"]


def by_tissue(
    found: Completion,
    region_captions: Iterable[tuple[str, str]],
    *,
    mpp: float,
    seed: int,
    origin: tuple[int, int],
    tissue_names: tuple[str, ...] = TISSUE_NAMES,
) -> Completion:
    """Return a completion whose suggested nuclei follow captions of single tissues.

    A nucleus belongs to the tissue that most of it lies in. What is painted stays, and where its
    nuclei are all there are, there are no others.

    Parameters
    ----------
    found : Completion
        Made with the caption of the rest.
    region_captions : pairs of str
        Tissue and caption.
    mpp, seed, origin, tissue_names
        As `complete_paint` had them.
    """
    if "nuclei" not in found.suggested:
        return found
    frame = Region(0, *origin, *found.class_map.shape)
    painted = ((found.class_map > 0) | (found.instance_map > 0)) & ~found.nuclei_suggested
    for name, caption in region_captions:
        here = found.tissue_map == (tissue_names.index(name) if name in tissue_names else -1)
        if not here.any():
            continue
        asked = place_nuclei(
            found.tissue_map,
            here & found.nuclei_open,
            painted,
            plan_of(caption),
            frame=frame,
            mpp=mpp,
            seed=seed,
        )
        found = _joined(found, asked, here)
    return found


def _joined(
    found: Completion,
    asked: tuple[NDArray[np.uint8], NDArray[np.int32]],
    here: NDArray[np.bool_],
) -> Completion:
    new_classes, new_instances = asked
    gone = mostly(found.instance_map, found.nuclei_suggested, here)
    classes = np.where(gone, 0, found.class_map).astype(np.uint8)
    instances = np.where(gone, 0, found.instance_map).astype(np.int32)
    fresh = mostly(new_instances, new_instances > 0, here)
    taken = (classes > 0) | (instances > 0)
    blocked = np.unique(new_instances[fresh & taken])
    fresh &= ~np.isin(new_instances, blocked)
    classes[fresh] = new_classes[fresh]
    instances[fresh] = new_instances[fresh] + instances.max()
    suggested = (found.nuclei_suggested & ~gone) | fresh
    return replace(found, class_map=classes, instance_map=instances, nuclei_suggested=suggested)
