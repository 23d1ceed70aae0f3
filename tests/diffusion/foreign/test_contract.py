"""Every kind of pipeline keeps the contract of a backend, and draws parts of a slide."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from napari_histodiff.core.backend import Backend
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.backend import default_backend
from tests.contracts import BackendContract
from tests.diffusion.foreign.tiny import CLASSES

KINDS = {
    "pixels": "DDPMPipeline",
    "latents": "LDMPipeline",
    "text": "StableDiffusionPipeline",
    "inpainting": "StableDiffusionInpaintPipeline",
    "control": "StableDiffusionControlNetInpaintPipeline",
    "xl": "StableDiffusionXLInpaintPipeline",
    "xl control": "StableDiffusionXLControlNetPipeline",
}


class ForeignContract(BackendContract):
    kind: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _folder(self, folder_of) -> None:
        self.folder = folder_of(KINDS[self.kind])

    def make(self) -> Backend:
        return default_backend(self.folder, "cpu")


class TestPixels(ForeignContract):
    kind = "pixels"


class TestLatents(ForeignContract):
    kind = "latents"


class TestText(ForeignContract):
    kind = "text"


class TestInpainting(ForeignContract):
    kind = "inpainting"


class TestControl(ForeignContract):
    kind = "control"


class TestXL(ForeignContract):
    kind = "xl"


class TestXLControl(ForeignContract):
    kind = "xl control"


def painted(region: Region) -> dict[str, np.ndarray]:
    """Nuclei of every class, wherever a region lies."""
    y, x = np.mgrid[region.y : region.bottom, region.x : region.right]
    classes = (y // 9 + x // 11) % 7 * ((y % 9 < 5) & (x % 11 < 6))
    return {"class_map": classes.astype(np.uint8)}


def tile_request(
    backend: Backend, kind: EditKind, target: Region, more: int, **changes
) -> EditRequest:
    region = target.pad(backend.info.margin + more)
    settings = {"steps": 4, "seed": 3, **painted(region), **changes}
    y, x = np.mgrid[region.y : region.bottom, region.x : region.right]
    y, x = y // 2, x // 2  # as one level up
    picture = np.stack([y * 3 % 256, x * 5 % 256, (y + x) % 256], -1).astype(np.uint8)
    if kind is EditKind.ZOOM:
        settings["coarse"] = picture
    known = x % 32 > 25
    return EditRequest(
        kind=kind, region=region, target=target, image=picture, edit_mask=~known, **settings
    )


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("kind", [EditKind.GENERATE, EditKind.ZOOM])
def test_a_part_of_a_slide_does_not_depend_on_what_it_is_asked_with(
    folder_of, class_name, kind
) -> None:
    """Any order, any size of block, any region around: the same bytes, known pixels kept."""
    backend = default_backend(folder_of(class_name), "cpu")
    tile = Region(0, -32, 64, 32, 32)
    (whole,) = backend.render([tile_request(backend, kind, Region(0, -32, 32, 32, 64), 0)])
    fresh = default_backend(folder_of(class_name), "cpu")
    request = tile_request(fresh, kind, tile, 6)
    assert request.image is not None
    assert request.edit_mask is not None
    (alone,) = fresh.render([request])
    inside = tile.relative_to(request.region).slices
    known = ~request.edit_mask[inside]
    np.testing.assert_array_equal(alone[0][known], request.image[inside][known])
    np.testing.assert_array_equal(alone[0][~known], whole[0][:, 32:][~known])
    assert alone[0][~known].std() > 0


def test_an_inpainting_fades_in_inside_the_mask(folder_of) -> None:
    backend = default_backend(folder_of("DDPMPipeline"), "cpu")
    mask = np.zeros((64, 64), np.bool_)
    mask[16:48, 16:48] = True
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    request = EditRequest(
        kind=EditKind.INPAINT,
        region=Region(0, 0, 0, 64, 64),
        image=image,
        edit_mask=mask,
        mpp=backend.info.mpp[0],
        steps=4,
    )
    (hard,), (soft,) = backend.render([request, replace(request, feather=4 * request.mpp)])
    np.testing.assert_array_equal(soft[~mask], image[~mask])
    np.testing.assert_array_equal(soft[24:40, 24:40], hard[24:40, 24:40])
    assert (soft[16, 16:48] != hard[16, 16:48]).any()
