"""The table of docs/other-models.md: every class in every way of drawing, each cell run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_histodiff.core.backend import Backend
from napari_histodiff.core.foreign.adapters import ADAPTERS
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.diffusion.backend import default_backend
from tests.diffusion.foreign.test_contract import painted, tile_request

PAGE = Path(__file__).resolve().parents[3] / "docs" / "other-models.md"

#: Larger than a window of a latent model here, so that windows meet in it.
PLACE = Region(0, -6, 10, 72, 88)


def frame_request(backend: Backend, kind: EditKind) -> EditRequest:
    """A frame that has what a way of drawing needs."""
    y, x = np.mgrid[: PLACE.height, : PLACE.width]
    picture = np.stack([y * 3 % 256, x * 5 % 256, (y + x) % 256], -1).astype(np.uint8)
    given: dict[str, np.ndarray] = painted(PLACE) if backend.info.paint else {}
    if kind is EditKind.ZOOM:
        given["coarse"] = picture
    elif kind is EditKind.INPAINT:
        mask = (y - 30) ** 2 + (x - 40) ** 2 < 20**2
        given |= {"image": picture, "edit_mask": mask}
    elif kind is EditKind.OUTPAINT:
        given |= {"image": np.where(x[..., None] < 50, picture, 0), "edit_mask": x >= 50}
    return EditRequest(kind=kind, region=PLACE, steps=2, seed=1, caption="a gland", **given)


def cell(backend: Backend, request: EditRequest) -> str:
    """Draw, and say "yes" when all that is promised of it holds."""
    seen: list[int] = []
    (images,) = backend.render([request], on_step=lambda step: seen.append(step.done))
    inside = request.drawn.relative_to(request.region).slices
    assert images.shape == (1, *request.drawn.shape, 3)
    assert images.dtype == np.uint8
    free = np.ones(request.drawn.shape, bool)
    if request.image is not None and request.edit_mask is not None:
        free = request.edit_mask[inside]
        np.testing.assert_array_equal(images[0][~free], request.image[inside][~free])
    assert images[0][free].std() > 0
    assert 0 < len(seen) <= backend.evaluations(request)
    return "yes"


@pytest.mark.parametrize("class_name", ADAPTERS)
def test_every_cell_of_the_table_is_run(folder_of, class_name) -> None:
    backend = default_backend(folder_of(class_name), "cpu")
    tile = tile_request(backend, EditKind.GENERATE, Region(0, -32, 64, 32, 32), 0, steps=2)
    requests = [*(frame_request(backend, kind) for kind in EditKind), tile]
    paint = "control image" if backend.info.paint else "–"
    captions = "free text" if backend.info.captions == "text" else "–"
    cells = [cell(backend, request) for request in requests]
    row = " | ".join([f"| `{class_name}`", paint, captions, *cells]) + " |"
    assert row in PAGE.read_text("utf-8").splitlines(), row


def test_the_table_names_no_other_class_and_its_columns_are_the_ways_of_drawing() -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    head = " | ".join(["| class", "paint", "captions", *EditKind, "tile of a slide"]) + " |"
    start = lines.index(head) + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append(line.split("`")[1])
    assert rows == list(ADAPTERS)
