"""Scores of images that the segmenter gives and torch can differentiate: what a drawing climbs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import CLASS_NAMES
from napari_histodiff.core.steering.steering import Steering
from napari_histodiff.segmenter.folder import bundled_judge_path, read_judge
from napari_histodiff.segmenter.images import at_scale
from napari_histodiff.segmenter.network import CLASSES, INTERIOR, JudgeNetwork
from napari_histodiff.segmenter.texture import TextureScore

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["JudgeScores", "nuclear_area", "nuclear_size"]

#: Coarser than this a nucleus is a few pixels, which say nothing of its class.
_COARSEST: Final = 1.0


class JudgeScores:
    """The scores that a `Steering` asks for, by the bundled segmenter.

    It is loaded with the first score, and kept.
    """

    def __init__(self) -> None:
        self._networks: dict[torch.device, JudgeNetwork] = {}

    def scores(
        self, steering: Steering, mpp: float, device: torch.device
    ) -> list[tuple[Callable[[Tensor], Tensor], float]]:
        """Return each score that a drawing is guided by, with its strength.

        The scores take (b, 3, h, w) float32 RGB in [0, 1] and return (b,).

        Parameters
        ----------
        steering : Steering
        mpp : float
            Micrometres per pixel of the images.
        device : torch.device
            Where they are.

        Raises
        ------
        InvalidRequest
            When pixels are too large to see nuclei.
        """
        if steering.guide and mpp > _COARSEST:
            raise InvalidRequest(
                f"expected at most {_COARSEST:g} um per pixel to guide by nuclei, got {mpp:g}; "
                "draw a finer level, or leave the guide out"
            )
        terms: list[tuple[Callable[[Tensor], Tensor], float]] = [
            (self._score(name, mpp, device), by) for name, by in steering.guide
        ]
        reference, scale = steering.reference, steering.reference_mpp or mpp
        if reference is not None and steering.reference_strength > 0:
            texture = TextureScore.of(self._network(device), reference, scale, mpp)
            terms.append((texture, steering.reference_strength))
        return terms

    def _score(self, name: str, mpp: float, device: torch.device) -> Callable[[Tensor], Tensor]:
        network = self._network(device)
        if name == "size":
            return lambda images: nuclear_size(network(at_scale(images, mpp, network.multiple_of)))
        number = CLASS_NAMES.index(name) if name in CLASS_NAMES else None
        area = partial(nuclear_area, number=number)
        return lambda images: area(network(at_scale(images, mpp, network.multiple_of)))

    def _network(self, device: torch.device) -> JudgeNetwork:
        if device not in self._networks:
            network, _ = read_judge(bundled_judge_path())
            self._networks[device] = network.to(device).eval().requires_grad_(requires_grad=False)
        return self._networks[device]


def nuclear_area(maps: Tensor, number: int | None = None) -> Tensor:
    """Return the pixels of nuclei of a class, or of all, (b,): a sum of probabilities.

    Parameters
    ----------
    maps : (b, 8, h, w) float32
        What `JudgeNetwork` returns.
    number : int, optional
        Place of the class in `CLASS_NAMES`.
    """
    inside = maps[:, INTERIOR].sigmoid()
    if number is not None:
        inside = inside * maps[:, CLASSES].softmax(1)[:, number]
    return inside.sum((1, 2))


def nuclear_size(maps: Tensor) -> Tensor:
    """Return the logarithm of area over length of outlines of nuclei, (b,).

    Of circles that is their radius, but for a constant, however many there are.

    Parameters
    ----------
    maps : (b, 8, h, w) float32
        What `JudgeNetwork` returns.
    """
    inside = maps[:, INTERIOR].sigmoid()
    rows, columns = inside.diff(dim=1).abs(), inside.diff(dim=2).abs()
    outline = rows.sum((1, 2)) + columns.sum((1, 2))
    return (inside.sum((1, 2)) + 1).log() - (outline + 1).log()
