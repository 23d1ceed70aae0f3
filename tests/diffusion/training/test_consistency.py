from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from napari_histodiff.core.captions import SLOT_SIZES
from napari_histodiff.core.errors import TrainingError
from napari_histodiff.datasets.packing import class_counts, load_pack, pack
from napari_histodiff.diffusion.conditioning import (
    CHANNELS,
    Conditions,
    spatial_channels,
    stain_condition,
)
from napari_histodiff.diffusion.guidance import MOST_JUMP_GUIDANCE
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.model_folder import check_folder
from napari_histodiff.diffusion.pipeline import HistoDiffusionPipeline
from napari_histodiff.diffusion.sampling import JUMP_BOUNDARY, euler, sampling_of
from napari_histodiff.diffusion.training.batches import Batch
from napari_histodiff.diffusion.training.checkpoints import save_pipeline
from napari_histodiff.diffusion.training.config import Stage, TrainingConfig
from napari_histodiff.diffusion.training.consistency import (
    Jumps,
    Teacher,
    as_stored,
    distil,
    ends,
    jump_loss,
    jump_targets,
    landing,
    make_jumps,
    paste_known,
)
from napari_histodiff.diffusion.training.flow_matching import initial_generator
from napari_histodiff.diffusion.training.generator import Generator
from tests.data_folder import write_data_folder
from tests.diffusion.tiny import TISSUE_CLASSES, save_tiny, tiny_pipeline


def batch_of(count: int, size: int = 32) -> Batch:
    conditions = Conditions(
        torch.zeros(count, spatial_channels(TISSUE_CLASSES), size, size),
        torch.zeros(count, len(SLOT_SIZES), dtype=torch.int64),
        torch.full((count,), 0.5),
        stain_condition(None).repeat(count, 1),
    )
    images = torch.rand(count, 3, size, size) * 2 - 1
    return Batch(images, conditions, torch.ones(count, 1, size, size))


def jumper() -> HistoDiffusionPipeline:
    pipeline = tiny_pipeline()
    pipeline.network.jumps = True
    return pipeline


def test_many_jumps_start_from_noise_alone_and_every_second_is_unguided() -> None:
    images = torch.rand(64, 3, 4, 4)
    jumps = make_jumps(images)
    from_noise = jumps.t == 1
    assert 5 < int(from_noise.sum()) < 40
    assert (jumps.guidance[::2] == 1).all()
    assert jumps.guidance.max() <= MOST_JUMP_GUIDANCE
    assert not torch.isclose(jumps.z[from_noise], images[from_noise]).all()


def test_jumps_end_at_the_boundary_or_at_the_image() -> None:
    t = torch.tensor([1.0, 0.5, JUMP_BOUNDARY, 0.1])
    assert ends(t).tolist() == pytest.approx([JUMP_BOUNDARY, JUMP_BOUNDARY, 0, 0])
    assert sampling_of(jumper().network, None, 2).times(2, 1.0)[1] == pytest.approx(JUMP_BOUNDARY)


def test_landing_is_a_step_of_the_euler_solver() -> None:
    z, x0 = torch.rand(2, 1, 3, 4, 4)
    landed = landing(z, x0, torch.tensor([0.8]), torch.tensor([0.375]))
    torch.testing.assert_close(landed, euler(lambda *_: x0, z, (0.8, 0.375)))


def test_known_and_worthless_pixels_are_real() -> None:
    batch = batch_of(1)
    batch.conditions.spatial[:, CHANNELS["known_mask"], :4] = 1
    batch.weight[..., -4:, :] = 0
    pasted = paste_known(torch.full_like(batch.images, 9.0), batch)
    assert torch.equal(pasted[:, :, :4], batch.images[:, :, :4])
    assert torch.equal(pasted[:, :, -4:], batch.images[:, :, -4:])
    assert (pasted[:, :, 4:-4] == 9).all()


class Echo(torch.nn.Module):
    """Answers with the first nuclei channel, so guidance has something to pull at."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, z: Tensor, t, spatial, slots, mpp, stain) -> Tensor:
        return self.scale * spatial[:, CHANNELS["nuclei"]][:, :1].expand_as(z)


def painted_batch(count: int) -> Batch:
    batch = batch_of(count)
    batch.conditions.spatial[:, CHANNELS["nuclei"]] = 0.3
    return batch


def test_the_teacher_guides_odd_rows_and_clips() -> None:
    batch = painted_batch(4)
    teacher = Teacher(Echo(), torch.float32, compiled=False)
    guided = teacher.estimate(batch.images, torch.ones(4), batch, torch.tensor([1.0, 2, 1, 4]))
    for row, value in enumerate((0.3, 0.6, 0.3, 1.0)):
        torch.testing.assert_close(guided[row], torch.full((3, 32, 32), value))


def test_the_teacher_walks_straight_to_an_estimate_that_stays() -> None:
    batch = painted_batch(2)
    teacher = Teacher(Echo(), torch.float32, compiled=False)
    start = torch.randn(2, 3, 32, 32)
    jumps = Jumps(start, torch.ones(2), torch.ones(2))
    for expected in (0.875, 0.75, 0.625, 0.5, JUMP_BOUNDARY, JUMP_BOUNDARY - 0.125):
        z, r = teacher.step(jumps, batch)
        assert r.tolist() == pytest.approx([expected, expected])
        torch.testing.assert_close(z, 0.3 + (start - 0.3) * expected, rtol=1e-4, atol=1e-4)
        jumps = Jumps(z, r, jumps.guidance)


def test_a_perfect_jumper_has_no_loss() -> None:
    batch = painted_batch(8)
    teacher = Teacher(Echo(), torch.float32, compiled=False)
    jumps = make_jumps(batch.images)
    jumps = Jumps(jumps.z, jumps.t, torch.ones(8))
    right = torch.full_like(batch.images, 0.3)
    target = jump_targets(teacher, lambda z, t: right, jumps, batch)
    landed = landing(jumps.z, right, jumps.t, ends(jumps.t))
    assert float(jump_loss(landed, target, jumps)) == pytest.approx(0, abs=1e-4)
    wrong = landing(jumps.z, right + 0.5, jumps.t, ends(jumps.t))
    assert float(jump_loss(wrong, target, jumps)) > 0.3


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("jumps")
    (folder / "data").mkdir()
    return pack(write_data_folder(folder / "data"), folder / "train.npz")


def config(packed: Path, output: Path, **more) -> TrainingConfig:
    settings = {
        "samples": 16,
        "stages": (Stage(64, 8, 1.0),),
        "compile": False,
        "precision": "float32",
    }
    return TrainingConfig(data=str(packed), output=str(output), **settings | more)


def test_distil_makes_a_model_that_jumps(packed: Path, tmp_path: Path) -> None:
    start = save_tiny(tiny_pipeline(), tmp_path / "start")
    folder = distil(config(packed, tmp_path / "out", init_from=str(start)))
    before, after = load_pipeline(start, "cpu", "float32"), load_pipeline(folder, "cpu", "float32")
    assert not before.network.jumps
    assert after.network.jumps
    assert float(after.network.jump.detach().abs().max()) > 0
    with pytest.raises(TrainingError, match="without a run"):
        distil(config(packed, tmp_path / "out", init_from=str(start)))
    longer = config(packed, tmp_path / "out", init_from=str(start), samples=24)
    assert distil(longer, resume=True) == folder


def test_distil_needs_a_model_to_tune(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="init_from"):
        distil(config(packed, tmp_path / "none"))


def test_flow_weights_start_a_flow_run(packed: Path, tmp_path: Path) -> None:
    start = save_tiny(tiny_pipeline(), tmp_path / "start")
    generator = initial_generator(config(packed, tmp_path / "o", init_from=str(start)))
    assert isinstance(generator, Generator)
    assert generator.training
    want = load_pipeline(start, "cpu", "float32").network.state_dict()
    got = generator.network.state_dict()
    assert all(torch.equal(want[name], got[name]) for name in want)


def test_a_saved_model_does_not_tell_where_its_weights_came_from(
    packed: Path, tmp_path: Path
) -> None:
    start = save_tiny(tiny_pipeline(), tmp_path / "start")
    generator = initial_generator(config(packed, tmp_path / "o", init_from=str(start)))
    folder = save_pipeline(tmp_path / "saved", generator, load_pack(packed), name="tiny")
    assert load_pipeline(folder, "cpu", "float32").network.config.widths
    for path in folder.rglob("*.json"):
        assert str(tmp_path) not in path.read_text()


def test_a_model_knows_the_classes_of_the_one_it_went_on_from(packed: Path, tmp_path: Path) -> None:
    start = save_tiny(tiny_pipeline(), tmp_path / "start")
    told = json.loads((start / "model_info.json").read_text())
    told["class_counts"] = dict.fromkeys(told["class_counts"], 0) | {"eosinophil": 163}
    (start / "model_info.json").write_text(json.dumps(told))
    own = class_counts(load_pack(packed))
    generator = initial_generator(config(packed, tmp_path / "o", init_from=str(start)))
    data = load_pack(packed)
    folder = save_pipeline(tmp_path / "saved", generator, data, name="tiny", start=start)
    counts = check_folder(folder).class_counts
    assert counts == own | {"eosinophil": max(163, own["eosinophil"])}


def test_images_at_twice_the_resolution_widen_the_range_of_scales(
    packed: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    data = write_data_folder(tmp_path / "data")
    fine = pack(data, tmp_path / "fine.npz", fine=True)
    start = save_tiny(tiny_pipeline(), tmp_path / "start")
    settings = config(packed, tmp_path / "out", init_from=str(start), fine=str(fine))
    info = json.loads((distil(settings) / "model_info.json").read_text())
    assert info["mpp"][0] == 0.25
    # The same nuclei, not counted twice, and those of the model that it went on from.
    before = json.loads((start / "model_info.json").read_text())["class_counts"]
    counts = class_counts(load_pack(packed))
    assert info["class_counts"] == {name: max(n, before[name]) for name, n in counts.items()}


def test_drawn_images_are_scored_as_they_are_stored() -> None:
    images = (torch.rand(2, 3, 8, 8) * 2.4 - 1.2).requires_grad_()
    stored = as_stored(images)
    levels = (stored.detach() + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert levels.min() >= 0
    assert levels.max() <= 255
    stored.sum().backward()
    assert images.grad is not None
    assert images.grad.eq(1).all()


def test_a_network_grows_new_parts_that_change_nothing_yet(packed: Path, tmp_path: Path) -> None:
    start = save_tiny(tiny_pipeline(), tmp_path / "start")
    settings = config(packed, tmp_path / "o", init_from=str(start))
    before = initial_generator(settings).network
    after = initial_generator(replace(settings, network={"polish": 4})).network
    assert after.finish is not None
    given = (
        torch.randn(2, 3, 32, 32),
        torch.full((2,), 0.4),
        torch.rand(2, spatial_channels(TISSUE_CLASSES), 32, 32),
        torch.rand(2, 16),
        torch.full((2,), 0.5),
        stain_condition(None).repeat(2, 1),
    )
    assert torch.allclose(before(*given), after(*given), atol=1e-5)
    torch.nn.init.ones_(after.finish.leave.weight)
    assert not torch.allclose(before(*given), after(*given), atol=1e-2)


def test_a_network_that_would_lose_weights_is_refused(packed: Path, tmp_path: Path) -> None:
    start = save_tiny(tiny_pipeline(), tmp_path / "start")
    for smaller in ({"widths": (4, 8, 8, 8)}, {"decoder_blocks": (0, 1, 1, 1)}):
        with pytest.raises(TrainingError, match="only add parts"):
            initial_generator(config(packed, tmp_path / "o", init_from=str(start), network=smaller))
