"""Proposes tissue for an image: a network finds glands, rules and nuclei tell the rest.

The network and the rules of `datasets.tissue_labels` also label images that are trained on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_histodiff.datasets.sources import PackItem, Sample
from napari_histodiff.datasets.tissue_labels import Found, label_sample
from napari_histodiff.devices import DType, resolve_device, resolve_dtype
from napari_histodiff.segmenter.folder import NetworkFiles, read_network, write_network
from napari_histodiff.segmenter.images import check_image, rescaled
from napari_histodiff.segmenter.network import GlandNetwork
from napari_histodiff.segmenter.prediction import outputs_of

__all__ = [
    "GLAND_MPP",
    "GlandInfo",
    "TissueSegmenter",
    "bundled_gland_path",
    "write_gland_network",
]

#: Micrometres per pixel the network looks at: glands need no finer ones.
GLAND_MPP: Final = 1.0

_BUNDLED: Final = "gland-v1"
_FILES: Final = NetworkFiles(GlandNetwork, "gland network", "train_gland", "gland")
_MARGIN: Final = 192  # px it sees around a pixel, a multiple of 32


@dataclass(frozen=True, slots=True)
class GlandInfo:
    """`gland_info.json`: what a gland network was trained on.

    Attributes
    ----------
    name, licence : str
        Shown to users.
    images : dict of str to int
        Training images with outlined glands, and without any.
    revision : str
        First digits of the SHA-256 of the weights.
    """

    name: str
    licence: str
    images: dict[str, int]
    revision: str = ""


def bundled_gland_path() -> Path:
    """Return the folder of the gland network shipped with the package."""
    return Path(__file__).resolve().parent.parent / "weights" / _BUNDLED


class TissueSegmenter:
    """Proposes tissue maps; `TissueSegmenter.load` makes one.

    Attributes
    ----------
    info : GlandInfo
        What the weights were trained on.
    """

    def __init__(self, network: GlandNetwork, info: GlandInfo) -> None:
        self.info = info
        self._network = network.eval().requires_grad_(False)

    @classmethod
    def load(
        cls, folder: Path | str | None = None, device: str = "auto", dtype: DType = "auto"
    ) -> TissueSegmenter:
        """Load a folder that `train_gland` wrote; the bundled one by default.

        Raises
        ------
        ModelNotFound, ModelInvalid
            See `folder.read_network`.
        DeviceUnavailable
            When the device is not on this machine.
        """
        place = resolve_device(device)
        source = bundled_gland_path() if folder is None else Path(folder)
        network = read_network(source, _FILES)
        network.to(place, resolve_dtype(place, dtype))
        return cls(network, _FILES.description(GlandInfo, source))

    def propose(
        self, image: NDArray[np.uint8], *, mpp: float, nuclei: Found | None
    ) -> NDArray[np.uint8]:
        """Return the tissue map of an image, (h, w) uint8, ids of `core.maps.TISSUE_NAMES`.

        What is in doubt is 0.

        Parameters
        ----------
        image : (h, w, 3) uint8
            RGB of any size.
        mpp : float
            Micrometres per pixel.
        nuclei : Found, optional
            What the judge found in it; without nuclei only glands, white areas, blood and mucus are
            told.

        Raises
        ------
        InvalidImage
            When the image is not (h, w, 3) uint8 with at least one pixel.
        InvalidRequest
            When `mpp` is not within 0.05 to 4.
        """
        check_image(image, mpp)
        blank = np.zeros(image.shape[:2], np.uint8)
        instances = blank.astype(np.int32) if nuclei is None else nuclei.instance_map
        sample = Sample(
            PackItem("", "", mpp, None, "", nuclei is not None, False, False, soft=True),
            image,
            blank if nuclei is None else nuclei.class_map,
            instances,
            blank,
            blank + 1,
        )
        return label_sample(sample, opinion=self.gland).tissue

    def gland(self, image: NDArray[np.uint8], mpp: float) -> NDArray[np.float32]:
        """Return how likely each place is gland or its lumen, (h, w) in 0 to 1.

        The mean of two views. Parameters and errors are those of `propose`.
        """
        scaled = rescaled(image, mpp, GLAND_MPP)
        turned = np.ascontiguousarray(scaled[::-1, ::-1])
        logits = [outputs_of(self._network, seen, margin=_MARGIN) for seen in (scaled, turned)]
        found = (logits[0].sigmoid() + logits[1].sigmoid().flip(1, 2)) / 2
        if found.shape[1:] != image.shape[:2]:
            shape = (image.shape[0], image.shape[1])
            found = F.interpolate(found[None], shape, mode="bilinear", align_corners=False)[0]
        likely: NDArray[np.float32] = found[0].to(torch.float32).numpy()
        return likely


def write_gland_network(folder: Path, network: GlandNetwork, info: GlandInfo, samples: int) -> Path:
    """Write a gland network that saw `samples` crops, with its card, and return the folder.

    Raises
    ------
    StorageError
        When the folder cannot be written.
    """
    facts = {key: value for key, value in asdict(info).items() if key != "revision"}
    images = ", ".join(f"{count} {name}" for name, count in info.images.items())
    card = _CARD.format(name=info.name, licence=info.licence, samples=samples, images=images)
    return write_network(folder, _FILES, network, {}, facts, card)


_CARD = """---
license: cc-by-nc-sa-4.0
tags: [histopathology, h-and-e, glands, segmentation]
---

# The gland network: {name}

A small network that says how likely each place of an H&E image at 1 um/px is gland or its lumen.
With it, nuclei and rules a whole tissue map is proposed.

**Not for diagnosis.** Licence: {licence}, because the images it learned from are.

- Trained on {samples:,} crops of 96 px at 0.7 to 2.3 um/px; it never saw generated images.
- Training images: {images}. People outlined the glands (GlaS, colon); it knows other organs only
  as tissue without glands.
"""
