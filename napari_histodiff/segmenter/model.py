"""The judge: finds nuclei, classes them, says how sure it is, and measures images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.devices import DType, resolve_device, resolve_dtype
from napari_histodiff.segmenter.folder import JudgeInfo, bundled_judge_path, read_judge
from napari_histodiff.segmenter.images import described, rescaled
from napari_histodiff.segmenter.network import JudgeFeatures, JudgeNetwork
from napari_histodiff.segmenter.postprocess import (
    MPP,
    FoundNuclei,
    Maps,
    find_nuclei,
    resize_nuclei,
)
from napari_histodiff.segmenter.prediction import (
    VIEWS,
    Disagreement,
    OnView,
    predict,
    predict_views,
)

__all__ = ["Judge", "OnView", "ProposedNuclei"]


@dataclass(frozen=True, slots=True, eq=False)
class ProposedNuclei(FoundNuclei):
    """Nuclei for a person to accept or mend, found in the mean of all views.

    Attributes
    ----------
    uncertainty : (n,) float32
        Of each nucleus in 0..1: how much the views disagree on it, in outline or class.
    """

    uncertainty: NDArray[np.float32]


class Judge:
    """A trained judge on a device; `Judge.load` makes one.

    Attributes
    ----------
    info : JudgeInfo
        What the weights were trained on.
    """

    def __init__(self, network: JudgeNetwork, info: JudgeInfo) -> None:
        self.info = info
        self._network = network.eval().requires_grad_(False)

    @classmethod
    def load(
        cls, folder: Path | str | None = None, device: str = "auto", dtype: DType = "auto"
    ) -> Judge:
        """Load a judge folder; the bundled one by default.

        Raises
        ------
        ModelNotFound, ModelInvalid
            See `folder.read_judge`.
        DeviceUnavailable
            When the device is not on this machine.
        """
        place = resolve_device(device)
        network, info = read_judge(bundled_judge_path() if folder is None else Path(folder))
        network.to(place, resolve_dtype(place, dtype))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
        return cls(network, info)

    def segment(self, image: NDArray[np.uint8], *, mpp: float = MPP) -> FoundNuclei:
        """Find and class the nuclei of an image.

        Parameters
        ----------
        image : (h, w, 3) uint8
            RGB of any size.
        mpp : float
            Micrometres per pixel; the image is brought to 0.5 and the nuclei back.

        Raises
        ------
        InvalidImage
            When the image is not (h, w, 3) uint8 with at least one pixel.
        InvalidRequest
            When `mpp` is not within 0.05 to 4.
        """
        scaled = rescaled(image, mpp, MPP)
        nuclei = find_nuclei(predict(self._network, scaled))
        return resize_nuclei(nuclei, image.shape[:2])[0]

    def at_its_scale(self, image: NDArray[np.uint8], mpp: float) -> NDArray[np.uint8]:
        """Return an image at the micrometres per pixel it looks at; errors as of `segment`."""
        return rescaled(image, mpp, MPP)

    def maps(self, image: NDArray[np.uint8]) -> Maps:
        """Return what the network says of each pixel of an image at its own scale."""
        return predict(self._network, image)

    def propose(
        self, image: NDArray[np.uint8], *, mpp: float = MPP, on_step: OnView | None = None
    ) -> ProposedNuclei:
        """Find nuclei in eight turned and mirrored views, and say where the views disagree.

        Parameters and errors are those of `segment`; `on_step` is called after each view.
        """
        scaled = rescaled(image, mpp, MPP)
        disagreement = Disagreement()
        for done, maps in enumerate(predict_views(self._network, scaled), start=1):
            disagreement.add(maps)
            if on_step is not None:
                on_step(done, VIEWS)
        found = find_nuclei(disagreement.mean())
        uncertainty = disagreement.of(found.instance_map)
        nuclei, left = resize_nuclei(found, image.shape[:2])
        return ProposedNuclei(
            nuclei.instance_map, nuclei.class_map, nuclei.probabilities, uncertainty[left]
        )

    def features(self, images: NDArray[np.uint8], batch: int = 32) -> NDArray[np.float32]:
        """Return one vector per image, (n, d) float32, for distances between sets of images.

        Parameters
        ----------
        images : (n, h, w, 3) uint8
            At 0.5 um/px.
        batch : int
            Images at a time.

        Raises
        ------
        InvalidImage
            When the images are not (n, h, w, 3) uint8.
        """
        stack: Any = images
        if not isinstance(stack, np.ndarray) or stack.dtype != np.uint8 or stack.shape[3:] != (3,):
            raise InvalidImage(
                f"expected images of shape (n, h, w, 3) uint8, got {described(images)}; "
                "stack RGB images of one size"
            )
        measure = self.feature_network()
        with torch.inference_mode():
            parts = [
                measure(torch.from_numpy(stack[i : i + batch]).permute(0, 3, 1, 2)).cpu().numpy()
                for i in range(0, len(stack), batch)
            ]
        empty = np.zeros((0, measure.num_features), np.float32)
        return np.concatenate([empty, *parts])

    def feature_network(self) -> JudgeFeatures:
        """Return what turns (n, 3, h, w) uint8 images to (n, d) features, for `torchmetrics`."""
        return JudgeFeatures(self._network).eval()
