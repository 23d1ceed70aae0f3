from __future__ import annotations

import numpy as np

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.inpainting.blending import keep_known
from napari_histodiff.inpainting.masks import feathered


def request(**changes: object) -> EditRequest:
    mask = np.zeros((48, 48), bool)
    mask[8:40, 8:40] = True
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    values = {
        "kind": EditKind.INPAINT,
        "region": Region(0, 5, 7, 48, 48),
        "image": image,
        "edit_mask": mask,
    }
    return EditRequest(**(values | changes))  # type: ignore[arg-type]


DRAWN = np.random.default_rng(1).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)


def test_what_may_not_change_is_what_it_was() -> None:
    edit = request()
    result = keep_known(DRAWN, edit)
    mask = edit.edit_mask
    assert mask is not None
    np.testing.assert_array_equal(result[:, mask], DRAWN[:, mask])
    np.testing.assert_array_equal(result[:, ~mask], np.stack([edit.image[~mask]] * 2))


def test_a_feather_mixes_inside_the_mask_only() -> None:
    edit = request(feather=4.0)
    mask, image = edit.edit_mask, edit.image
    assert mask is not None
    assert image is not None
    result = keep_known(DRAWN, edit)
    np.testing.assert_array_equal(result[:, ~mask], np.stack([image[~mask]] * 2))
    weights = feathered(mask, 4.0, 0.5)[..., None]
    np.testing.assert_array_equal(result[:, 20:28, 20:28], DRAWN[:, 20:28, 20:28])
    np.testing.assert_allclose(result, weights * DRAWN + (1 - weights) * image, atol=0.51)


def test_what_is_added_to_an_image_has_nothing_to_fade_into() -> None:
    edit = request(kind=EditKind.OUTPAINT, feather=4.0)
    np.testing.assert_array_equal(
        keep_known(DRAWN, edit), keep_known(DRAWN, request(kind=EditKind.OUTPAINT))
    )


def test_without_an_image_all_is_as_drawn() -> None:
    edit = EditRequest(kind=EditKind.GENERATE, region=Region(0, 0, 0, 48, 48), feather=4.0)
    assert keep_known(DRAWN, edit) is DRAWN
