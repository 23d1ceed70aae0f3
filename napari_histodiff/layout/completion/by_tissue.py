"""Suggested nuclei after captions of single tissues: each tissue has those of its own caption."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.completion.complete import Completion, complete_paint

__all__ = ["by_tissue"]


def by_tissue(
    found: Completion,
    class_map: ArrayLike | None,
    instance_map: ArrayLike | None,
    region_captions: Iterable[tuple[str, str]],
    *,
    mpp: float,
    seed: int,
    origin: tuple[int, int],
    where: NDArray[np.bool_] | None = None,
    tissue_names: tuple[str, ...] = TISSUE_NAMES,
) -> Completion:
    """Return a completion whose suggested nuclei follow captions of single tissues.

    A nucleus belongs to the tissue that most of it lies in. What is painted stays.

    Parameters
    ----------
    found : Completion
        Made with the caption of the rest.
    class_map, instance_map : (h, w) whole numbers, optional
        Nuclei that were painted.
    region_captions : pairs of str
        Tissue and caption.
    mpp, seed, origin, where, tissue_names
        As `complete_paint` had them.
    """
    if "nuclei" not in found.suggested:
        return found
    for name, caption in region_captions:
        here = found.tissue_map == (tissue_names.index(name) if name in tissue_names else -1)
        if not here.any():
            continue
        asked = complete_paint(
            class_map,
            instance_map,
            found.tissue_map,
            caption=caption,
            mpp=mpp,
            seed=seed,
            origin=origin,
            where=here if where is None else here & where,
            tissue_names=tissue_names,
        )
        found = _joined(found, asked, here)
    return found


def _joined(found: Completion, asked: Completion, here: NDArray[np.bool_]) -> Completion:
    gone = _mostly(found.instance_map, found.nuclei_suggested, here)
    classes = np.where(gone, 0, found.class_map).astype(np.uint8)
    instances = np.where(gone, 0, found.instance_map).astype(np.int32)
    fresh = _mostly(asked.instance_map, asked.nuclei_suggested, here)
    taken = (classes > 0) | (instances > 0)
    blocked = np.unique(asked.instance_map[fresh & taken])
    fresh &= ~np.isin(asked.instance_map, blocked)
    classes[fresh] = asked.class_map[fresh]
    instances[fresh] = asked.instance_map[fresh] + instances.max()
    suggested = (found.nuclei_suggested & ~gone) | fresh
    return replace(found, class_map=classes, instance_map=instances, nuclei_suggested=suggested)


def _mostly(
    instances: NDArray[np.int32], suggested: NDArray[np.bool_], here: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the pixels of suggested nuclei of which more than half lies in a place, (h, w)."""
    ids = np.where(suggested, instances, 0).ravel()
    size = np.bincount(ids)
    inside = np.bincount(ids, weights=here.ravel())
    chosen = 2 * inside > size
    chosen[0] = False
    found: NDArray[np.bool_] = chosen[ids].reshape(instances.shape)
    return found
