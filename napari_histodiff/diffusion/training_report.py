"""Loss curve and sample sheets, written while a run goes on."""

from __future__ import annotations

import csv
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from skimage.io import imsave

from napari_histodiff.datasets.packing import Pack
from napari_histodiff.diffusion.batches import Batch, BatchMaker
from napari_histodiff.diffusion.conditioning import CHANNELS, to_pixels
from napari_histodiff.diffusion.crops import CropSampler
from napari_histodiff.diffusion.samplers import heun, timesteps
from napari_histodiff.diffusion.training_config import Drop

if TYPE_CHECKING:
    from napari_histodiff.diffusion.training import Generator

__all__ = ["TrainingReport", "sample_sheet"]

_SHOWN = Drop(prompt=0, nuclei=0, tissue=0, caption=0, slot=0, known=1, coarse=1)


class TrainingReport:
    """Writes `loss.csv`, `loss.png` and `sheets/sheet_<samples>.png` into a run's folder."""

    def __init__(self, folder: Path, packed: Pack, *, tensorboard: bool) -> None:
        self._folder = folder
        self._recent: deque[float] = deque(maxlen=100)
        self._rows: list[tuple[int, float, float, int]] = []
        sampler = CropSampler(packed, seed=1, coarse_scale=0)
        self._batch = BatchMaker(sampler, _SHOWN, seed=1).make(128, 8)
        self._samples = 0
        self._board: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder))

    @property
    def mean_loss(self) -> float:
        """Mean loss of the last hundred steps."""
        return float(np.mean(self._recent)) if self._recent else float("nan")

    def add(self, samples: int, loss: float, learning_rate: float, size: int) -> None:
        """Note one step."""
        self._samples = samples
        self._recent.append(loss)
        self._rows.append((samples, loss, learning_rate, size))
        if self._board is not None:
            self._board.add_scalar("loss", loss, samples)
            self._board.add_scalar("learning rate", learning_rate, samples)

    def write(self, generator: Generator) -> None:
        """Append to the loss table, redraw the curve and draw a new sheet."""
        path = self.write_losses()
        if path.stat().st_size:
            _draw_curve(path, self._folder / "loss.png")
        sheets = self._folder / "sheets"
        sheets.mkdir(exist_ok=True)
        sheet = sample_sheet(generator, self._batch)
        imsave(sheets / f"sheet_{self._samples:08d}.png", sheet, check_contrast=False)

    def write_losses(self) -> Path:
        """Append the steps since the last call to the loss table and return it."""
        path = self._folder / "loss.csv"
        with path.open("a", newline="") as lines:
            csv.writer(lines).writerows(self._rows)
        self._rows.clear()
        return path

    def close(self) -> None:
        """Close what TensorBoard holds open."""
        if self._board is not None:
            self._board.close()


@torch.no_grad()
def sample_sheet(generator: Generator, batch: Batch, *, steps: int = 6) -> np.ndarray[Any, Any]:
    """Return rows of nuclei, real and generated (guidance 1), (3 s, b s, 3) uint8."""
    device = next(generator.parameters()).device
    conditions = batch.conditions.to(device, torch.float32)
    noise = torch.randn(batch.images.shape, generator=torch.Generator().manual_seed(0))

    def denoise(z: torch.Tensor, t: float) -> torch.Tensor:
        times = torch.full((len(z),), t, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            x0 = generator(z, times, conditions.spatial, conditions.slots, conditions.mpp)
        return x0.float()

    drawn = heun(denoise, noise.to(device), timesteps(steps)).cpu()
    nuclei = batch.conditions.spatial[:, CHANNELS["nuclei"]]
    edges, union = nuclei[:, -1:], batch.conditions.spatial[:, CHANNELS["union"]]
    colour = torch.cat([union, nuclei[:, 1:2], nuclei[:, 2:3]], 1) * (1 - 0.6 * edges) * 2 - 1
    return np.concatenate([_row(colour), _row(batch.images), _row(drawn)])


def _row(images: torch.Tensor) -> np.ndarray[Any, Any]:
    return np.concatenate(list(to_pixels(images)), axis=1)


def _draw_curve(table: Path, picture: Path) -> None:
    from matplotlib.figure import Figure

    rows = np.loadtxt(table, delimiter=",", ndmin=2)
    bins = np.array_split(rows, min(len(rows), 400))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([b[:, 0].mean() for b in bins], [b[:, 1].mean() for b in bins])
    axes.set(xlabel="training crops", ylabel="velocity loss", yscale="log")
    figure.savefig(picture, dpi=100)
