from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_histodiff.core.engine import Job, JobPreview
from napari_histodiff.core.errors import EngineUnavailable
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.engine.host import BackendHost, resolve_factory
from napari_histodiff.engine.messages import Loaded, Rendered
from tests.fakes import FakeFactory, default_fake


def test_a_factory_is_found_by_its_path_or_is_itself() -> None:
    assert resolve_factory("tests.fakes:default_fake") is default_fake
    factory = FakeFactory()
    assert resolve_factory(factory) is factory


@pytest.mark.parametrize("path", ["tests.fakes", "tests.fakes:", ":name", "tests.fakes:__doc__"])
def test_a_path_of_another_form_is_refused(path: str) -> None:
    with pytest.raises(EngineUnavailable, match="got"):
        resolve_factory(path)


@pytest.mark.parametrize("kind", [EditKind.GENERATE, EditKind.ZOOM])
def test_a_part_of_the_endless_plane_comes_back_in_its_own_shape(kind: EditKind) -> None:
    host, reports = BackendHost(), []
    assert isinstance(host.load(FakeFactory()), Loaded)
    region = Region(1, -272, 240, 544, 544)
    coarse = np.random.default_rng(0).integers(0, 256, (272, 272, 3), dtype=np.uint8)
    request = EditRequest(
        kind=kind,
        region=region,
        target=region.pad(-16),
        coarse=coarse.repeat(2, 0).repeat(2, 1) if kind is EditKind.ZOOM else None,
    )
    tile = replace(request, target=Region(1, 0, 256, 256, 256))
    whole, part = (
        host.render(Job("1", r), is_cancelled=lambda: False, report=reports.append)
        for r in (request, tile)
    )
    assert isinstance(whole, Rendered)
    assert isinstance(part, Rendered)
    assert whole.images.shape == (1, 512, 512, 3)
    assert {step.image.shape for step in reports if isinstance(step, JobPreview)} == {
        (512, 512, 3),
        (256, 256, 3),
    }
    np.testing.assert_array_equal(part.images, whole.images[:, 256:, :256])
    if kind is EditKind.ZOOM:
        sums = whole.images[0].astype(int).reshape(256, 2, 256, 2, 3).sum((1, 3))
        np.testing.assert_array_equal(sums, 4 * coarse[8:264, 8:264].astype(int))
