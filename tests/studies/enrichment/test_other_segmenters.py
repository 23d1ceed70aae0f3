"""cellpose, StarDist and InstanSeg with tiny weights made here; skipped where they are missing."""

from __future__ import annotations

import csv
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.evaluation.tiles import study_tiles
from napari_histodiff.studies.enrichment.options import EnrichmentOptions
from napari_histodiff.studies.enrichment.segmenters import load_segmenter
from napari_histodiff.studies.enrichment.segmenters.base import Segmenter, alone
from napari_histodiff.studies.enrichment.study import run_enrichment
from tests.evaluation.doubles import Echo, write_pack
from tests.studies.enrichment.segmenter_contract import SegmenterContract

pytestmark = pytest.mark.filterwarnings("ignore")  # of packages that are not ours

STUDY = EnrichmentOptions(
    mixes=("100_0", "0_100"),
    tiles=4,
    test_tiles=4,
    size=128,
    updates=2,
    batch=2,
    crop=64,
    seeds=1,
    draws=5,
)


class OtherContract(SegmenterContract):
    """What is the same of all that begin from weights of their own."""

    name = ""

    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def segmenter(cls, weights: Path) -> Segmenter:
        return load_segmenter(cls.name, weights)

    @pytest.fixture(autouse=True)
    def no_network(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("nothing is fetched")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "create_connection", refuse)
        return iter([None])

    def test_weights_are_only_read(self, segmenter: Segmenter, lesson, weights: Path) -> None:
        files = [weights] if weights.is_file() else sorted(weights.rglob("*"))
        before = [path.read_bytes() for path in files if path.is_file()]
        segmenter.train(lesson)
        after = [weights] if weights.is_file() else sorted(weights.rglob("*"))
        assert after == files
        assert [path.read_bytes() for path in after if path.is_file()] == before

    def test_a_study_runs_from_end_to_end(self, segmenter: Segmenter, tmp_path: Path) -> None:
        train, test = (
            write_pack(tmp_path / f"{name}.npz", seed, prefix)
            for seed, (name, prefix) in enumerate((("train", "a-"), ("test", "b-")))
        )
        echo = Echo(study_tiles(load_pack(train), STUDY.tiles, STUDY.size, "all"))
        tables = run_enrichment(echo, train, test, tmp_path / "out", STUDY, segmenter)
        told = segmenter.about.tells_classes
        assert [t.key for t in tables] == ["mixes", *(["classes", "rare"] if told else [])]
        assert 0 <= tables[0].get("100_0", "Dice") <= 1
        assert segmenter.about.name in (tmp_path / "out" / "report.html").read_text("utf-8")


class TestCellpose(OtherContract):
    name = "cellpose"

    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        pytest.importorskip("cellpose")
        path = tmp_path_factory.mktemp("cellpose") / "weights"
        with pytest.MonkeyPatch.context() as patch:
            cellpose_network(patch).save_model(str(path))
            yield path

    def test_weights_of_another_version_are_refused(self, weights: Path, tmp_path: Path) -> None:
        wrong = tmp_path / "weights"
        torch.save({"layer.weight": torch.zeros(3)}, wrong)
        with pytest.raises(InvalidRequest, match="expected weights of cellpose"):
            load_segmenter("cellpose", wrong)
        wrong.write_bytes(b"not weights")
        with pytest.raises(InvalidRequest, match="expected weights of cellpose"):
            load_segmenter("cellpose", wrong)


def cellpose_network(patch: pytest.MonkeyPatch) -> Any:
    """Return a network of the installed version with random weights, of cellpose 4 a tiny one."""
    torch.manual_seed(0)
    if version("cellpose").startswith("3."):
        from cellpose.resnet_torch import CPnet

        return CPnet([2, 32, 64, 128, 256], 3, 3)
    from cellpose import vit
    from segment_anything.modeling import ImageEncoderViT

    class Sam:
        def __init__(self, _: object) -> None:
            self.image_encoder = ImageEncoderViT(
                embed_dim=16,
                depth=1,
                num_heads=2,
                mlp_ratio=2,
                out_chans=8,
                use_rel_pos=True,
                window_size=14,
            )

    patch.setattr(vit, "sam_model_registry", {"vit_l": Sam})
    return vit.CPSAM()


class TestStarDist(OtherContract):
    name = "stardist"
    classes: int | None = None

    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        pytest.importorskip("tensorflow")
        models = pytest.importorskip("stardist.models")
        folder = tmp_path_factory.mktemp("stardist")
        config = models.Config2D(
            n_rays=8,
            grid=(2, 2),
            n_channel_in=3,
            n_classes=cls.classes,
            unet_n_depth=2,
            unet_n_filter_base=8,
            net_conv_after_unet=16,
        )
        with alone(0):
            model = models.StarDist2D(config, "model", str(folder))
            model.keras_model.save_weights(str(folder / "model" / "weights_best.h5"))
        return folder / "model"


class TestStarDistWithOurClasses(TestStarDist):
    classes = 6


class TestInstanSeg(OtherContract):
    name = "instanseg"

    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        pytest.importorskip("edt")
        losses = pytest.importorskip("instanseg.utils.loss.instanseg_loss")
        loader = pytest.importorskip("instanseg.utils.model_loader")
        folder = tmp_path_factory.mktemp("instanseg")
        settings = {
            "model_str": "InstanSeg_UNet",
            "layers": [8, 16],
            "dim_in": 3,
            "dim_out": 5,
            "n_sigma": 2,
            "dim_coords": 2,
            "dim_seeds": 1,
            "norm": "BATCH",
            "dropprob": 0.0,
            "mlp_width": 5,
            "window_size": 32,
            "multihead": False,
            "cells_and_nuclei": False,
            "feature_engineering": "0",
        }
        with (folder / "experiment_log.csv").open("w", newline="") as file:
            csv.writer(file).writerows(settings.items())
        with alone(0):
            network = loader.build_model_from_dict(dict(settings))
            network = losses.InstanSeg(n_sigma=2, device="cpu").initialize_pixel_classifier(
                network, MLP_width=5
            )
        torch.save({"model_state_dict": network.state_dict()}, folder / "model_weights.pth")
        return folder

    def test_code_in_the_place_of_weights_is_refused(self, weights: Path, tmp_path: Path) -> None:
        (tmp_path / "experiment_log.csv").write_bytes((weights / "experiment_log.csv").read_bytes())
        torch.save({"model_state_dict": np.random.default_rng}, tmp_path / "model_weights.pth")
        with pytest.raises(InvalidRequest, match="got code instead of weights"):
            load_segmenter("instanseg", tmp_path)
