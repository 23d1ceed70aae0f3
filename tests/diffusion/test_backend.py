"""The diffusion backend keeps the contract, and what only it promises."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest

from napari_histodiff.core.backend import Backend
from napari_histodiff.core.errors import InvalidRequest, OutOfMemory
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES
from napari_histodiff.core.requests import EditKind
from napari_histodiff.diffusion.backend import DiffusionBackend, default_backend
from napari_histodiff.diffusion.model_folder import bundled_model_path
from tests.contracts import BackendContract, edit_request
from tests.core.refusals import refused
from tests.diffusion.tiny import tiny_info, tiny_pipeline

PIPELINE = tiny_pipeline()


def backend(**info) -> DiffusionBackend:
    return DiffusionBackend(PIPELINE, tiny_info(**info))


class TestContract(BackendContract):
    def make(self) -> Backend:
        return backend()


def test_the_factory_travels_to_a_worker(model_folder) -> None:
    factory = pickle.loads(pickle.dumps(partial(default_backend, str(model_folder), "cpu")))
    info = factory().info
    assert info.name == "tiny 1"
    assert info.class_counts["neutrophil"] == 0
    assert info.device.startswith("cpu (")
    assert info.seconds_per_window > 0


@pytest.mark.parametrize("mpp", [0.1, 4.0])
def test_a_resolution_the_model_never_saw_is_refused_before_drawing(mpp) -> None:
    steps = []
    with pytest.raises(InvalidRequest, match="um per pixel"):
        backend(mpp=(0.5, 1.0)).render(
            [edit_request(), edit_request(mpp=mpp)], on_step=steps.append
        )
    assert not steps


@pytest.mark.parametrize(
    ("known", "mpp", "more", "said"),
    [
        ((0.5, 1.0), 4.0, {}, "0.125 to 1 "),
        ((0.25, 2.48), 4.0, {}, "0.1 to 2.48 "),
        ((0.5, 1.0), 0.25, {"target": Region(0, 16, -32, 8, 8)}, "0.5 to 1 "),
    ],
)
def test_a_refusal_names_the_scales_that_are_drawn(known, mpp, more, said) -> None:
    with refused(InvalidRequest, f"expected {said}um per pixel"):
        backend(mpp=known).render([edit_request(mpp=mpp, **more)])


def test_a_tissue_the_model_never_saw_is_refused() -> None:
    tissue = np.full((32, 48), len(TISSUE_NAMES) - 1)
    with pytest.raises(InvalidRequest, match="tissue ids 0 to 1"):
        backend(tissue_names=("unspecified", "gland")).render([edit_request(tissue_map=tissue)])


def test_a_class_the_model_never_saw_is_drawn_as_of_unknown_class() -> None:
    classes = np.zeros((32, 48), np.uint8)
    classes[8:20, 8:20] = CLASS_NAMES.index("neutrophil") + 1
    unknown = edit_request(class_map=np.zeros_like(classes), instance_map=classes)
    images = backend().render([edit_request(class_map=classes), unknown])
    np.testing.assert_array_equal(*images)
    empty = backend().render([edit_request(class_map=np.zeros_like(classes))])
    assert not np.array_equal(empty[0], images[0])


def test_a_class_the_model_never_saw_is_drawn_without_an_instance_too() -> None:
    classes = np.zeros((32, 48), np.uint8)
    classes[8:20, 8:20] = CLASS_NAMES.index("neutrophil") + 1
    nameless = edit_request(class_map=classes, instance_map=np.zeros_like(classes))
    np.testing.assert_array_equal(*backend().render([nameless, edit_request(class_map=classes)]))


def test_generate_ignores_the_pixels_below() -> None:
    below = edit_request(EditKind.INPAINT)
    request = edit_request(EditKind.GENERATE, image=below.image, edit_mask=below.edit_mask)
    np.testing.assert_array_equal(*backend().render([request, edit_request()]))


def test_strength_counts_for_inpainting_only() -> None:
    guided = {"steps": 6, "strength": 0.5, "guidance_scale": 1.5}
    assert backend().evaluations(edit_request(EditKind.INPAINT, **guided)) == 10
    assert backend().evaluations(edit_request(EditKind.OUTPAINT, **guided)) == 22


class Starved:
    """A pipeline that runs out of memory `times` times."""

    def __init__(self, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        forward, self.calls = PIPELINE.network.forward, 0

        def starved(*args):
            self.calls += 1
            if self.calls <= times:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 GiB")
            return forward(*args)

        monkeypatch.setattr(PIPELINE.network, "forward", starved)


def test_out_of_memory_halves_the_batch_once_and_goes_on(monkeypatch) -> None:
    tested = backend()
    (expected,) = tested.render([edit_request()])
    Starved(1, monkeypatch)
    (image,) = tested.render([edit_request()])
    assert np.abs(image.astype(int) - expected).max() <= 1


def test_out_of_memory_at_half_the_batch_gives_up_with_advice(monkeypatch) -> None:
    tested = backend()
    starved = Starved(2, monkeypatch)
    with pytest.raises(OutOfMemory, match="smaller frame"):
        tested.render([edit_request()])
    assert starved.calls == 2
    assert tested.render([edit_request()])[0].shape == (1, 32, 48, 3)


def test_other_errors_are_not_taken_for_lack_of_memory(monkeypatch) -> None:
    tested = backend()

    def broken(*args):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(PIPELINE.network, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        tested.render([edit_request()])


@pytest.mark.skipif(not bundled_model_path().is_dir(), reason="the bundled model is not there")
def test_the_bundled_model_obeys_its_mask() -> None:
    """Painted nuclei come out darker than what lies between them."""
    classes = np.zeros((64, 64), np.uint8)
    for row in range(8, 64, 16):
        for column in range(8, 64, 16):
            classes[row - 4 : row + 4, column - 4 : column + 4] = 3
    request = edit_request(size=(64, 64), class_map=classes, caption="colon")
    image = default_backend(device="cpu").render([request])[0][0]
    assert image[classes > 0].mean() < image[classes == 0].mean() - 20


@pytest.mark.parametrize("mpp", [0.13, 0.25, 0.3])
def test_a_frame_finer_than_the_model_is_drawn_larger_and_kept_outside_the_mask(mpp) -> None:
    drawer = backend(mpp=(0.5, 1.0))
    mask = np.zeros((96, 112), bool)
    mask[30:50, 40:70] = True
    image = np.random.default_rng(3).integers(0, 256, (96, 112, 3), dtype=np.uint8)
    edit = edit_request(
        kind=EditKind.INPAINT,
        size=(96, 112),
        image=image,
        edit_mask=mask,
        mpp=mpp,
        variants=2,
        feather=1.0,
    )
    steps = []
    images = drawer.render([edit], on_step=steps.append)[0]
    assert images.shape == (2, 96, 112, 3)
    for drawn in images:
        np.testing.assert_array_equal(drawn[~mask], image[~mask])
        assert (drawn[mask] != image[mask]).any()
    assert len(steps) == drawer.evaluations(edit)
    assert steps[-1].preview().shape == image.shape


def test_a_feather_changes_nothing_outside_the_mask_and_fades_inside() -> None:
    mask = np.zeros((32, 48), bool)
    mask[8:28, 8:40] = True
    image = np.random.default_rng(3).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    edit = {"kind": EditKind.INPAINT, "image": image, "edit_mask": mask, "mpp": 0.5}
    sharp, soft = (
        backend().render([edit_request(**edit, feather=feather)])[0][0] for feather in (0.0, 4.0)
    )
    np.testing.assert_array_equal(soft[~mask], image[~mask])
    np.testing.assert_array_equal(soft[17:19, 20:28], sharp[17:19, 20:28])
    assert (soft[8] != sharp[8]).any()
