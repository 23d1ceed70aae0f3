"""How drawn pixels and those that were there become one picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.inpainting.masks import feathered

__all__ = ["keep_known"]


def keep_known(drawn: NDArray[np.uint8], request: EditRequest) -> NDArray[np.uint8]:
    """Return drawn variants with the pixels that may not change as they were, byte for byte.

    Where an inpainting has a feather, old and new fade into each other inside the edit mask.

    Parameters
    ----------
    drawn : (variants, h, w, 3) uint8
        Of what the request draws, `EditRequest.drawn`.
    request : EditRequest
        Without an image and an edit mask nothing is known, and all is as drawn.
    """
    image, mask = request.image, request.edit_mask
    if image is None or mask is None:
        return drawn
    inside = request.drawn.relative_to(request.region).slices
    image, mask = image[inside], mask[inside]
    result = np.where(mask[..., None], drawn, image)
    if request.feather > 0 and request.kind is EditKind.INPAINT:
        weights = feathered(mask, request.feather, request.mpp)
        fading = (weights > 0) & (weights < 1)
        share = weights[fading][:, None]
        mixed = share * drawn[:, fading] + (1 - share) * image[fading]
        result[:, fading] = np.rint(mixed).astype(np.uint8)
    return result
