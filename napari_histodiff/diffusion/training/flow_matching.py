"""Trains the network and the caption encoder; resumes where it stopped."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.devices import resolve_device
from napari_histodiff.diffusion.caption_encoder import CaptionEncoder
from napari_histodiff.diffusion.flow import MIN_T, add_noise, flow_loss
from napari_histodiff.diffusion.loading import load_pipeline
from napari_histodiff.diffusion.network import HistoUNet
from napari_histodiff.diffusion.training.batches import Batch
from napari_histodiff.diffusion.training.checkpoints import refuse_checkpoint
from napari_histodiff.diffusion.training.config import TrainingConfig
from napari_histodiff.diffusion.training.generator import Generator
from napari_histodiff.diffusion.training.loop import PIPELINE, TrainingLoop, Validation
from napari_histodiff.diffusion.training.report import TrainingReport

__all__ = ["initial_generator", "silent_parameters", "train"]

_log = logging.getLogger(__name__)
_GUARD_STEPS = 200


def train(config: TrainingConfig, *, resume: bool = False) -> Path:
    """Run a training to its end and return the folder of the saved pipeline.

    A KeyboardInterrupt goes through after a checkpoint is written. Parameters that get no gradient
    are named in a warning.

    Raises
    ------
    TrainingError
        When the data cannot be used, the loss is no longer finite, or the output folder holds
        another run and `resume` is not given.
    DeviceUnavailable
        When the device is not on this machine.
    StorageError
        When a checkpoint or the model cannot be written.
    """
    if not resume:
        refuse_checkpoint(Path(config.output))
    device = resolve_device(config.device)
    packed = load_pack(Path(config.data))
    torch.manual_seed(config.seed)
    generator = initial_generator(config).to(device)
    run = TrainingLoop(config, packed, generator, device, resume=resume)
    task = _FlowTask(run)
    run.train(task.loss, task.save, task.guard)
    return task.finish()


def initial_generator(config: TrainingConfig) -> Generator:
    """Return random weights, or those of `config.init_from`, float32 on the processor."""
    folder = config.start
    if folder is None:
        settings = {"tissue_classes": len(TISSUE_NAMES) - 1} | config.network
        return Generator(HistoUNet(**settings), CaptionEncoder())
    pipeline = load_pipeline(folder, "cpu", "float32")
    # Trained by flow alone the jumps would go stale; `distillation.distil` teaches them again.
    network = _changed(pipeline.network, config.network)
    network.register_to_config(jumps=False)
    network.jumps = False
    return Generator(network, pipeline.caption_encoder).train()


def _changed(network: HistoUNet, settings: dict[str, Any]) -> HistoUNet:
    """Return the network with other settings: parts it did not have yet start as new ones do."""
    if not settings:
        return network
    changed = HistoUNet(**{**network.config, **settings})
    state = network.state_dict()
    more = changed.tissue_classes - network.tissue_classes
    if more > 0:  # they come last among the channels, and say nothing until they are learnt
        state["stem.weight"] = F.pad(state["stem.weight"], (0, 0, 0, 0, 0, 4 * more))
    more = changed.stain_numbers - network.stain_numbers
    if more > 0:
        state["stain.0.weight"] = F.pad(state["stain.0.weight"], (0, more))
    try:
        unknown = changed.load_state_dict(state, strict=False).unexpected_keys
    except RuntimeError as error:  # other shapes
        unknown = [str(error)]
    if unknown:
        raise TrainingError(
            "expected a network that takes over all weights of the one to start from, got "
            f"{settings}, which loses some ({unknown[0]}); only add parts"
        )
    return changed


class _FlowTask:
    """What is learnt at each step, and which weights are kept: the best on held-out crops."""

    def __init__(self, run: TrainingLoop) -> None:
        self._run = run
        self._validation = None
        if run.config.validation is not None:
            size = run.config.stages[-1].size
            classes = run.generator.network.tissue_classes
            self._validation = Validation(Path(run.config.validation), size, classes)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        run, images = self._run, batch.images
        t = torch.randn(len(images), device=run.device).sigmoid().clamp_min(MIN_T)
        z = add_noise(images, torch.randn_like(images), t)
        x0 = run.estimate(run.forward, z, t, batch.conditions)
        loss = flow_loss(x0, images, t, batch.weight)
        return loss, loss

    def save(self, report: TrainingReport) -> None:
        run = self._run
        if self._validation is not None:
            loss = self._validation.loss(run.ema.module)
            report.add_validation(loss)
            if loss < run.progress.best:
                run.progress.best = loss
                run.save_pipeline()
        run.save_checkpoint()
        report.write(run.ema.module)

    def finish(self) -> Path:
        if self._validation is None:
            return self._run.save_pipeline()
        return self._run.output / PIPELINE

    def guard(self) -> None:
        if self._run.progress.steps != _GUARD_STEPS:
            return
        silent = silent_parameters(self._run.generator)
        if silent:
            _log.warning(
                "expected a gradient for every parameter, got none for %d: %s; check the "
                "precision and that every condition occurs in the data",
                len(silent),
                ", ".join(silent),
            )


def silent_parameters(module: nn.Module) -> list[str]:
    """Return the names of trainable parameters whose gradient is missing or zero everywhere.

    A network can look trained while whole layers never learn, for example when float16 gradients
    underflow.
    """
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.any()))
    ]
