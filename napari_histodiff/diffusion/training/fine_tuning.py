"""Fine-tuning on a folder of annotated images: packing, settings and the run in one call."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from napari_histodiff.core.errors import TrainingError, make_folder
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.folders import pack_folder
from napari_histodiff.datasets.packing import load_pack
from napari_histodiff.datasets.tissue_labels import Opinion
from napari_histodiff.devices import resolve_device
from napari_histodiff.diffusion.training.checkpoints import refuse_checkpoint
from napari_histodiff.diffusion.training.config import Stage, TrainingConfig
from napari_histodiff.diffusion.training.flow_matching import train

__all__ = ["fine_tune"]

_log = logging.getLogger(__name__)

_DATA: Final = "data.npz"
_CONFIG: Final = "config.json"
_SIZES: Final = (128, 96, 64)  # crop sizes, the largest that fits the images is taken
_BATCH: Final = 8
_RATE: Final = 1.5e-4


def fine_tune(
    data: Path,
    output: Path,
    *,
    mpp: float | None = None,
    organ: str | None = None,
    init_from: str = "bundled",
    hours: float = 1.0,
    samples: int = 200_000,
    device: str = "auto",
    resume: bool = False,
    opinion: Opinion | None = None,
) -> Path:
    """Train a model further on annotated images and return the folder of the best weights.

    Parameters
    ----------
    data : Path
        Folder in one of the formats of `datasets.folders`; a tenth of its slides is held out.
    output : Path
        Receives the packed data, checkpoints, the loss table, sample sheets and `pipeline`.
    mpp : float, optional
        Micrometres per pixel of the images; without it what each file states, else 0.5.
    organ : str, optional
        Organ of images whose caption names none.
    init_from : str
        "bundled" or a model folder.
    hours, samples : float, int
        Whichever is spent first ends the run, counted from its first start.
    device : str
        See `devices.resolve_device`.
    resume : bool
        Go on from the last checkpoint in `output`; the data is not read again.
    opinion : Opinion, optional
        A network's word on where glands are, for images without a tissue map.

    Raises
    ------
    TrainingError
        When the data cannot be used or `output` holds another run.
    StorageError
        When `output` cannot be written.
    """
    if resume:
        config = TrainingConfig.load(output / _CONFIG)
        return train(replace(config, hours=hours, samples=samples, device=device), resume=True)
    refuse_checkpoint(output)
    make_folder(output)
    packed = pack_folder(data, output / _DATA, mpp=mpp, organ=organ, opinion=opinion)
    _log.info("%s", packed.report)
    config = TrainingConfig(
        data=str(packed.train),
        validation=None if packed.validation is None else str(packed.validation),
        output=str(output),
        name=output.name,
        init_from=init_from,
        hours=hours,
        samples=samples,
        network={"tissue_classes": len(TISSUE_NAMES) - 1},
        stages=(Stage(_crop_size(packed.train), _BATCH, 1.0),),
        learning_rate=_RATE,
        warmup=50,
        ema=0.998,
        # On a processor compiling takes minutes and wins little.
        compile=resolve_device(device).type == "cuda",
        device=device,
        save_every_minutes=max(1.0, min(5.0, 6 * hours)),
    )
    config.dump(output / _CONFIG)
    return train(config)


def _crop_size(packed: Path) -> int:
    sides = [min(pixels.shape[:2]) for pixels in load_pack(packed).pixels]
    fitting = [size for size in _SIZES if size <= max(sides)]
    if not fitting:
        raise TrainingError(
            f"expected images of at least {_SIZES[-1]} px at 0.5 um per pixel, got at most "
            f"{max(sides)} px; give larger images"
        )
    return fitting[0]
