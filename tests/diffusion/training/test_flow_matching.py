from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_histodiff.core.captions import STAINS
from napari_histodiff.core.errors import DeviceUnavailable, StorageError, TrainingError
from napari_histodiff.datasets.packing import load_pack, pack
from napari_histodiff.diffusion.conditioning import CHANNELS
from napari_histodiff.diffusion.flow import flow_loss
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.stain import jitter_stain, optical_density, stain_slots
from napari_histodiff.diffusion.training.batches import Batch, BatchMaker
from napari_histodiff.diffusion.training.config import Drop, Stage, TrainingConfig
from napari_histodiff.diffusion.training.crops import CropSampler
from napari_histodiff.diffusion.training.flow_matching import silent_parameters, train
from tests.data_folder import write_data_folder
from tests.diffusion.tiny import TISSUE_CLASSES


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("training")
    (folder / "data").mkdir()
    data = pack(write_data_folder(folder / "data"), folder / "train.npz")
    network = {"widths": [8, 8], "encoder_blocks": [0, 1], "decoder_blocks": [1, 1]}
    return TrainingConfig(
        data=str(data),
        output=str(folder / "run"),
        samples=16,
        stages=(Stage(32, 4, 0.5), Stage(64, 4, 1.0)),
        network=network,
        scales={"1": 0.7, "2": 0.3},
        compile=False,
        precision="float32",
    )


def test_a_run_leaves_a_model_a_curve_and_a_sheet(config: TrainingConfig) -> None:
    folder = train(config)
    load_pipeline(folder, "cpu", "float32")
    run = Path(config.output)
    assert (run / "loss.png").is_file()
    assert len((run / "loss.csv").read_text().splitlines()) == 4
    assert list((run / "sheets").glob("*.png"))
    counts = json.loads((folder / "model_info.json").read_text())["class_counts"]
    assert counts["neutrophil"] > 0


def test_a_run_resumes_where_it_stopped(config: TrainingConfig, tmp_path: Path) -> None:
    first = replace(config, output=str(tmp_path), samples=8)
    train(first)
    train(replace(first, samples=16), resume=True)
    samples = [int(row.split(",")[0]) for row in (tmp_path / "loss.csv").read_text().split()]
    assert samples == [4, 8, 12, 16]


def test_half_a_line_in_the_table_does_not_end_a_resumed_run(
    config: TrainingConfig, tmp_path: Path
) -> None:
    first = replace(config, output=str(tmp_path), samples=8)
    train(first)
    with (tmp_path / "loss.csv").open("a") as table:
        table.write("12,0.")
    train(replace(first, samples=16), resume=True)
    assert (tmp_path / "loss.png").is_file()


def test_resuming_nothing_is_refused(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="start without resume"):
        train(replace(config, output=str(tmp_path)), resume=True)


def test_an_interrupted_run_keeps_its_steps(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, calls = BatchMaker.make, iter(range(99))

    def interrupted(self: BatchMaker, size: int, count: int) -> Batch:
        if next(calls) == 3:  # the sheet, two steps, then Ctrl-C
            raise KeyboardInterrupt
        return make(self, size, count)

    run = replace(config, output=str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(BatchMaker, "make", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(run)
    train(run, resume=True)
    samples = [int(row.split(",")[0]) for row in (tmp_path / "loss.csv").read_text().split()]
    assert samples == [4, 8, 12, 16]


def test_a_new_run_does_not_replace_another(config: TrainingConfig, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"hours of work")
    with pytest.raises(TrainingError, match="--resume"):
        train(replace(config, output=str(tmp_path)))
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"hours of work"
    with pytest.raises(TrainingError, match="checkpoint of this network"):
        train(replace(config, output=str(tmp_path)), resume=True)


def test_a_full_disk_keeps_the_last_checkpoint(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(config, output=str(tmp_path), samples=4)
    train(run)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageError, match="free some space"):
        train(replace(run, samples=8), resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_device_that_is_not_there_is_refused(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="cuda:99"):
        train(replace(config, output=str(tmp_path), device="cuda:99"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "an object"),
        ("{", "JSON"),
        ('{"data": "a"}', "output"),
        ('{"data": "a", "output": "b", "stages": [{"px": 1}]}', "px"),
        ('{"data": "a", "output": "b", "stages": []}', "stage"),
        ('{"data": "a", "output": "b", "precision": "float16"}', "float16"),
        ('{"data": "a", "output": "b", "samples": 0}', "0 samples"),
    ],
)
def test_broken_settings_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(TrainingError, match=words):
        TrainingConfig.load(path)


def test_a_file_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(TrainingError, match="something else"):
        load_pack(tmp_path / "text.npz")
    with pytest.raises(TrainingError, match=r"splits\.json"):
        pack(tmp_path, tmp_path / "out.npz")


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"data": "a", "output": "b", "epochs": 3}))
    with pytest.raises(TrainingError, match="epochs"):
        TrainingConfig.load(path)


def test_settings_survive_a_file(config: TrainingConfig, tmp_path: Path) -> None:
    config.dump(tmp_path / "config.json")
    loaded = TrainingConfig.load(tmp_path / "config.json")
    assert loaded.stages == config.stages
    assert loaded.drop == config.drop
    assert loaded.scales == config.scales


def test_parameters_that_get_no_gradient_are_named() -> None:
    module = torch.nn.ModuleDict({"used": torch.nn.Linear(2, 2), "unused": torch.nn.Linear(2, 2)})
    module["used"](torch.ones(1, 2)).sum().backward()
    assert silent_parameters(module) == ["unused.weight", "unused.bias"]


def test_the_loss_is_the_squared_velocity_error_of_valid_pixels() -> None:
    target = torch.zeros(1, 3, 2, 2)
    x0 = torch.ones(1, 3, 2, 2)
    weight = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    x0[..., 1, :] = 100
    assert flow_loss(x0, target, torch.tensor([0.5]), weight) == pytest.approx(4.0)


def test_a_hidden_prompt_hides_nuclei_tissue_and_caption(config: TrainingConfig) -> None:
    sampler = CropSampler(load_pack(Path(config.data)), seed=0)
    hidden = (
        BatchMaker(sampler, replace(Drop(), prompt=1.0), 0, TISSUE_CLASSES).make(32, 8).conditions
    )
    assert not hidden.slots.any()
    for name in ("nuclei", "union", "has_nuclei", "tissue"):
        assert not hidden.spatial[:, CHANNELS[name]].any()
    shown = (
        BatchMaker(sampler, Drop(prompt=0, nuclei=0, slot=0), 0, TISSUE_CLASSES)
        .make(32, 8)
        .conditions
    )
    assert shown.spatial[:, CHANNELS["nuclei"]].any()
    assert shown.slots.any()


def test_soft_nuclei_are_hidden_more_often(config: TrainingConfig) -> None:
    packed = load_pack(Path(config.data))
    soft = replace(packed, items=[replace(item, soft=True) for item in packed.items])
    drop = Drop(prompt=0, nuclei=0, soft=1.0)
    shown, hidden = (
        BatchMaker(CropSampler(p, seed=0, rare=0), drop, 0, TISSUE_CLASSES).make(32, 8)
        for p in (packed, soft)
    )
    assert shown.conditions.spatial[:, CHANNELS["has_nuclei"]].any()
    assert not hidden.conditions.spatial[:, CHANNELS["has_nuclei"]].any()


def test_the_coarse_image_has_errors_that_detail_is_to_mend(config: TrainingConfig) -> None:
    sampler = CropSampler(load_pack(Path(config.data)), seed=0)
    batch = BatchMaker(sampler, Drop(prompt=0, coarse=0), 0, TISSUE_CLASSES).make(32, 8)
    coarse = batch.conditions.spatial[:, CHANNELS["coarse"]]
    means = torch.nn.functional.avg_pool2d(coarse - batch.images, 8)
    assert 0.02 < float(means.std()) < 0.3


def test_known_pixels_are_the_image_where_known_and_weigh_less(config: TrainingConfig) -> None:
    sampler = CropSampler(load_pack(Path(config.data)), seed=0)
    batch = BatchMaker(sampler, Drop(prompt=0, known=0.0), 0, TISSUE_CLASSES).make(32, 8)
    mask = batch.conditions.spatial[:, CHANNELS["known_mask"]]
    assert mask.any(dim=(1, 2, 3)).all()
    assert torch.equal(batch.conditions.spatial[:, CHANNELS["known"]], batch.images * mask)
    assert batch.weight[mask > 0].max() < 0.2


def test_stain_words_follow_the_optical_density() -> None:
    def stained(red: float, green: float, blue: float) -> torch.Tensor:
        density = torch.tensor([red, green, blue]).view(1, 3, 1, 1)
        return density.neg().exp().expand(1, 3, 16, 16) * 2 - 1

    looks = {
        "pale": stained(0.1, 0.2, 0.15),
        "balanced": stained(0.3, 0.6, 0.45),
        "dark": stained(0.6, 1.2, 0.9),
        "pink": stained(0.2, 0.6, 0.4),
        "purple": stained(0.6, 0.6, 0.5),
    }
    expected = [STAINS.index(word) + 1 for word in looks]
    assert stain_slots(torch.cat(list(looks.values()))).tolist() == expected
    assert stain_slots(stained(0.01, 0.02, 0.01)).tolist() == [0]


def test_jitter_leaves_white_white() -> None:
    white = torch.ones(4, 3, 8, 8)
    jittered, _ = jitter_stain(white, torch.Generator().manual_seed(0))
    torch.testing.assert_close(jittered, white)


def test_jitter_scales_optical_density_by_the_factors_it_returns() -> None:
    images = torch.rand(8, 3, 8, 8)
    jittered, factors = jitter_stain(images, torch.Generator().manual_seed(0), share=0.5)
    expected = optical_density(images) * factors[:, :, None, None]
    torch.testing.assert_close(optical_density(jittered), expected)
    changed = (factors != 1).any(1)
    assert 0 < int(changed.sum()) < 8
    assert torch.equal(jittered[~changed], images[~changed])
