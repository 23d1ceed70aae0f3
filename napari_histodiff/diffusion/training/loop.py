"""The loop that training runs share: batches, clock, learning rate, averaged weights, saves.

A step of the optimizer is refused when something is no longer a number. The held-out loss is that
of always the same crops, so that values of one run compare.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn
from tqdm import tqdm

from napari_histodiff.core.errors import make_folder
from napari_histodiff.datasets.packing import Pack, load_pack
from napari_histodiff.devices import resolve_dtype
from napari_histodiff.diffusion.conditioning import Conditions
from napari_histodiff.diffusion.flow import add_noise, flow_loss
from napari_histodiff.diffusion.training.batches import Batch, BatchMaker
from napari_histodiff.diffusion.training.checkpoints import (
    HasState,
    load_checkpoint,
    save_checkpoint,
    save_pipeline,
)
from napari_histodiff.diffusion.training.config import Drop, Progress, Stage, TrainingConfig
from napari_histodiff.diffusion.training.crops import SCALES, CropSampler, MixedSampler, Sampler
from napari_histodiff.diffusion.training.report import TrainingReport
from napari_histodiff.optimization import AveragedWeights, optimizer_step

if TYPE_CHECKING:
    from napari_histodiff.diffusion.training.generator import Generator

__all__ = ["PIPELINE", "LossFn", "TrainingLoop", "Validation", "stage_at"]

#: Folder of the trained model in the output folder.
PIPELINE: Final = "pipeline"

#: Share of the crops around the tissues that alone are taught.
_SOUGHT: Final = 0.8

#: The loss of one batch: what the optimizer steps down, and what is reported.
LossFn = Callable[[Batch], tuple[Tensor, Tensor]]


class TrainingLoop:
    """One training run, from where its checkpoint left off to its end.

    Parameters
    ----------
    config : TrainingConfig
        Written to the output folder.
    packed : Pack
        Training images.
    generator : Generator
        Trained in place, on `device`.
    device : torch.device
        Where it is trained.
    resume : bool
        Go on from the checkpoint in the output folder.

    Raises
    ------
    TrainingError
        When there is no fitting checkpoint to resume, or the network cannot be taught
        `config.tissues` alone.
    StorageError
        When the output folder cannot be made.
    """

    def __init__(
        self,
        config: TrainingConfig,
        packed: Pack,
        generator: Generator,
        device: torch.device,
        *,
        resume: bool,
    ) -> None:
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
        self.config, self.packed, self.generator, self.device = config, packed, generator, device
        self.output = Path(config.output)
        self._fine = None if config.fine is None else load_pack(Path(config.fine))
        self.dtype = resolve_dtype(device, config.precision)
        if config.tissues:
            generator.learn_only(config.tissues)
        self.ema = AveragedWeights(generator, config.ema)
        self.progress = Progress()
        self._optimizer = torch.optim.AdamW(
            generator.parameters(),
            # What is not learnt is not to fade either.
            weight_decay=0.0 if config.tissues else config.weight_decay,
            betas=(0.9, 0.99),
            fused=True,
        )
        if resume:
            self.progress = Progress(**load_checkpoint(self.output, self._parts()))
        # Not the noise of the first steps again.
        torch.manual_seed(config.seed + self.progress.steps)
        make_folder(self.output)
        config.dump(self.output / "config.json")
        self.forward = self.compiled(generator)

    def compiled(self, module: torch.nn.Module) -> Any:
        """Return the module, compiled when the settings say so."""
        return torch.compile(module, dynamic=False) if self.config.compile else module

    def estimate(
        self, forward: Any, z: Tensor, t: Tensor, c: Conditions, jump: Tensor | None = None
    ) -> Tensor:
        """Return the clean images a network sees, (b, 3, s, s) float32, at the run's precision."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            x0: Tensor = forward(z, t, c.spatial, c.slots, c.mpp, c.stain, jump)
        return x0.float()

    def train(
        self,
        loss_fn: LossFn,
        save: Callable[[TrainingReport], None],
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """Step down the loss of `loss_fn` until the run is done.

        `save` is called now and then and at the end; `look` after each step, before the gradients
        are cleared. A KeyboardInterrupt goes through after a checkpoint is written.
        """
        seed = self.config.seed + self.progress.steps
        classes = self.generator.network.tissue_classes
        maker = BatchMaker(self._sampler(seed), self.config.drop, seed, classes)
        report = TrainingReport(
            self.output,
            self.packed,
            size=self.config.stages[-1].size,
            tissue_classes=classes,
            tensorboard=self.config.tensorboard,
        )
        try:
            self._loop(maker, report, loss_fn, save, look)
        except KeyboardInterrupt:
            self.save_checkpoint()
            report.write_losses()
            raise
        finally:
            report.close()

    def save_checkpoint(self) -> None:
        """Write what resuming needs."""
        save_checkpoint(self.output, self._parts(), self.progress)

    def save_pipeline(self) -> Path:
        """Save the averaged weights as a model folder and return it."""
        return save_pipeline(
            self.output / PIPELINE,
            self.ema.module,
            self.packed,
            name=self.config.name,
            version=self.config.version,
            start=self.config.start,
            fine=self._fine,
        )

    def _sampler(self, seed: int) -> Sampler:
        scales = {int(scale): share for scale, share in self.config.scales.items()} or SCALES
        draw = partial(CropSampler, seed=seed)
        if self.config.tissues:
            draw = partial(draw, tissues=self.config.tissues, scarce=_SOUGHT)
        usual = draw(self.packed, scales=scales)
        if self._fine is None:
            return usual
        return MixedSampler(usual, draw(self._fine, scales={1: 1.0}), seed)

    def _loop(
        self,
        maker: BatchMaker,
        report: TrainingReport,
        loss_fn: LossFn,
        save: Callable[[TrainingReport], None],
        look: Callable[[], None],
    ) -> None:
        saved = clock = time.monotonic()
        with tqdm(total=self.config.samples, initial=self.progress.samples, unit="crop") as bar:
            while (share := self.progress.share(self.config)) < 1:
                stage = stage_at(self.config.stages, share)
                rate = self.config.rate_at(share, self.progress.steps)
                loss = self._step(loss_fn, maker.make(stage.size, stage.batch), rate)
                look()
                self._optimizer.zero_grad()
                now = time.monotonic()
                self.progress.seconds += now - clock
                clock = now
                report.add(self.progress.samples, loss, rate, stage.size)
                bar.update(stage.batch)
                bar.set_postfix(loss=f"{report.mean_loss:.4f}", size=stage.size, refresh=False)
                if now - saved > 60 * self.config.save_every_minutes:
                    save(report)
                    saved = time.monotonic()
        save(report)

    def _step(self, loss_fn: LossFn, batch: Batch, rate: float) -> float:
        loss, reported = loss_fn(self._to_device(batch))
        clip, steps = self.config.clip, self.progress.steps
        optimizer_step(loss, self.generator, self._optimizer, clip=clip, rate=rate, step=steps)
        self.ema.update(self.generator, steps)
        self.progress.steps += 1
        self.progress.samples += len(batch.images)
        return float(reported.detach())

    def _parts(self) -> dict[str, HasState]:
        return {
            "generator": self.generator,
            "ema": self.ema.module,
            "optimizer": self._optimizer,
        }

    def _to_device(self, batch: Batch) -> Batch:
        conditions = batch.conditions.to(self.device, torch.float32)
        return Batch(batch.images.to(self.device), conditions, batch.weight.to(self.device))


def stage_at(stages: tuple[Stage, ...], share: float) -> Stage:
    """Return the stage a run is in when `share` of it is done."""
    return next((stage for stage in stages if share < stage.until), stages[-1])


_BATCHES: Final = 6
_BATCH: Final = 8
_SHOWN: Final = Drop(prompt=0, nuclei=0, tissue=0, caption=0, slot=0, known=1, coarse=1, stain=0)


class Validation:
    """Crops of a validation file with their noise.

    Parameters
    ----------
    packed : Path
        Packed file of images that are not trained on.
    size : int
        Pixels a side of the crops.
    tissue_classes : int
        Those the network knows.

    Raises
    ------
    TrainingError
        When the file cannot be used.
    """

    def __init__(self, packed: Path, size: int, tissue_classes: int) -> None:
        sampler = CropSampler(load_pack(packed), seed=0, scales={1: 1.0})
        maker = BatchMaker(sampler, _SHOWN, 0, tissue_classes)
        self._batches = [maker.make(size, _BATCH) for _ in range(_BATCHES)]

    @torch.no_grad()
    def loss(self, generator: nn.Module) -> float:
        """Return the mean flow loss over evenly spread times, in float32."""
        device = next(generator.parameters()).device
        noise = torch.Generator().manual_seed(0)
        total = 0.0
        t = (torch.arange(_BATCH) + 0.5) / _BATCH
        for batch in self._batches:
            eps = torch.randn(batch.images.shape, generator=noise)
            c = batch.conditions.to(device, torch.float32)
            z = add_noise(batch.images, eps, t).to(device)
            x0 = generator(z, t.to(device), c.spatial, c.slots, c.mpp, c.stain)
            total += float(flow_loss(x0.cpu(), batch.images, t, batch.weight))
        return total / len(self._batches)
