"""Loss curve and sample sheets, written while a run goes on."""

from __future__ import annotations

import csv
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from skimage.io import imsave

from napari_histodiff.core.colours import colour_nuclei
from napari_histodiff.core.maps import N_CLASSES
from napari_histodiff.datasets.packing import Pack
from napari_histodiff.devices import resolve_dtype
from napari_histodiff.diffusion.conditioning import CHANNELS, to_pixels
from napari_histodiff.diffusion.sampling import JUMP_SHIFT, euler, heun, timesteps
from napari_histodiff.diffusion.training.batches import Batch, BatchMaker
from napari_histodiff.diffusion.training.config import Drop
from napari_histodiff.diffusion.training.crops import CropSampler

if TYPE_CHECKING:
    from napari_histodiff.diffusion.training.generator import Generator

__all__ = ["TrainingReport", "sample_sheet"]

#: The table grows at least this often, for those who watch it.
_FLUSH_SECONDS = 10.0

_COLUMNS = 5

_SHOWN = Drop(prompt=0, nuclei=0, tissue=0, caption=0, slot=0, known=1, coarse=1)


class TrainingReport:
    """Writes `loss.csv`, `loss.png` and `sheets/sheet_<samples>.png` into a run's folder.

    Columns of the table: crops, loss, learning rate, crop size, and the validation loss where it
    was measured.
    """

    def __init__(
        self, folder: Path, packed: Pack, *, size: int, tissue_classes: int, tensorboard: bool
    ) -> None:
        self._folder = folder
        self._recent: deque[float] = deque(maxlen=100)
        self._rows: list[tuple[int, float | str, float | str, int | str, float | str]] = []
        self._flushed = time.monotonic()
        sampler = CropSampler(packed, seed=1, scales={1: 1.0})
        self._batch = BatchMaker(sampler, _SHOWN, 1, tissue_classes).make(size, 8)
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
        self._rows.append((samples, loss, learning_rate, size, ""))
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.write_losses()
        if self._board is not None:
            self._board.add_scalar("loss", loss, samples)
            self._board.add_scalar("learning rate", learning_rate, samples)

    def add_validation(self, loss: float) -> None:
        """Note the loss on the validation crops."""
        self._rows.append((self._samples, "", "", "", loss))
        if self._board is not None:
            self._board.add_scalar("validation loss", loss, self._samples)

    def write(self, generator: Generator, *, jump_guidance: float = 0.0) -> None:
        """Append to the loss table, redraw the curve and draw a new sheet, by flow or by jumps."""
        path = self.write_losses()
        if path.stat().st_size:
            _draw_curve(path, self._folder / "loss.png")
        sheets = self._folder / "sheets"
        sheets.mkdir(exist_ok=True)
        sheet = sample_sheet(generator, self._batch, jump_guidance=jump_guidance)
        imsave(sheets / f"sheet_{self._samples:08d}.png", sheet, check_contrast=False)

    def write_losses(self) -> Path:
        """Append the steps since the last call to the loss table and return it."""
        path = self._folder / "loss.csv"
        with path.open("a", newline="") as lines:
            csv.writer(lines).writerows(self._rows)
        self._rows.clear()
        self._flushed = time.monotonic()
        return path

    def close(self) -> None:
        """Close what TensorBoard holds open."""
        if self._board is not None:
            self._board.close()


@torch.no_grad()
def sample_sheet(
    generator: Generator, batch: Batch, *, jump_guidance: float = 0.0
) -> np.ndarray[Any, Any]:
    """Return rows of nuclei, real and generated, (3 s, b s, 3) uint8.

    Generated in six Heun steps at guidance 1, or in two jumps at `jump_guidance`.
    """
    device = next(generator.parameters()).device
    dtype = resolve_dtype(device, "auto")
    conditions = batch.conditions.to(device, torch.float32)
    jumps = torch.full((len(batch.images),), jump_guidance, device=device)
    noise = torch.randn(batch.images.shape, generator=torch.Generator().manual_seed(0))

    def denoise(z: torch.Tensor, t: float) -> torch.Tensor:
        times = torch.full((len(z),), t, device=device)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            x0 = generator(
                z,
                times,
                conditions.spatial,
                conditions.slots,
                conditions.mpp,
                conditions.stain,
                jumps,
            )
        return x0.float()

    if jump_guidance:
        drawn = euler(denoise, noise.to(device), timesteps(2, shift=JUMP_SHIFT)).cpu()
    else:
        drawn = heun(denoise, noise.to(device), timesteps(6)).cpu()
    painted = np.concatenate([_painted(spatial) for spatial in batch.conditions.spatial], axis=1)
    return np.concatenate([painted, _row(batch.images), _row(drawn)])


def _painted(spatial: torch.Tensor) -> np.ndarray[Any, Any]:
    classes, edges = spatial[CHANNELS["nuclei"]].split([N_CLASSES, 1])
    union = spatial[CHANNELS["union"]][0].int().numpy()
    ids = (classes.argmax(0) + 1) * (classes.amax(0) > 0)
    picture = colour_nuclei(ids.numpy().astype(np.uint8), union)
    picture[edges[0].numpy() > 0] //= 2
    return picture


def _row(images: torch.Tensor) -> np.ndarray[Any, Any]:
    return np.concatenate(list(to_pixels(images)), axis=1)


def _draw_curve(table: Path, picture: Path) -> None:
    from matplotlib.figure import Figure

    with table.open(newline="") as lines:
        # A killed run may have left half a line.
        cells = [row for row in csv.reader(lines) if len(row) == _COLUMNS]
    rows = np.array([row[:2] for row in cells if row[1]], float).reshape(-1, 2)
    checks = np.array([(row[0], row[4]) for row in cells if row[4]], float).reshape(-1, 2)
    if not len(rows):
        return
    bins = np.array_split(rows, min(len(rows), 400))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([b[:, 0].mean() for b in bins], [b[:, 1].mean() for b in bins], label="training")
    if len(checks):
        axes.plot(*checks.T, "o-", label="validation")
        axes.legend()
    axes.set(xlabel="training crops", ylabel="velocity loss", yscale="log")
    figure.savefig(picture, dpi=100)
