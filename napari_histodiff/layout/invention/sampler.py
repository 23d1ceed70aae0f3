"""Draws a layout cell by cell: tissue first, then the middles of nuclei on it.

Tissue is drawn as `completion.sampler` draws it. Middles follow cell by cell in an order of
sublattices: those drawn in one step lie 24 um apart and do not see each other, all others they do.
So what stands near a nucleus, how far the next one is and of which class, is as the network learnt
it from real tissue. What is wanted in all is kept up with on the way: a class that is behind is
drawn more often by as much as it lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from napari_histodiff.core.geometry import Region
from napari_histodiff.layout.completion.sampler import STEPS, KnownCells, sample_tissue
from napari_histodiff.layout.fields import key_of, uniforms
from napari_histodiff.layout.invention.network import N_TISSUES, TOKENS, LayoutNetwork, Told

__all__ = ["EVALUATIONS", "SampledCells", "sample_cells"]

_LATTICE: Final = 6  # cells between those that are drawn in one step
#: Of the network, for one layout.
EVALUATIONS: Final = STEPS + _LATTICE**2 + 1

_TILT: Final = 12.0  # at most so many times as often as the network says


@dataclass(frozen=True, slots=True, eq=False)
class SampledCells:
    """A layout in cells of 4 um.

    Attributes
    ----------
    region : Region
        Where the cells lie on the plane.
    tissue : (h, w) uint8
    tokens : (h, w) int8
        0 no middle of a nucleus, 1-6 that of one of a class.
    shape : (4, h, w) float32
        See `network.OUTPUTS`.
    """

    region: Region
    tissue: NDArray[np.uint8]
    tokens: NDArray[np.int8]
    shape: NDArray[np.float32]


def sample_cells(
    network: LayoutNetwork,
    region: Region,
    inside: NDArray[np.bool_],
    told: Told,
    seed: int,
    *,
    on_step: Callable[[int, int], None] | None = None,
) -> SampledCells:
    """Return tissue and nuclei of cells, by seed.

    Parameters
    ----------
    network : LayoutNetwork
    region : Region
        Cells on the plane; sides are multiples of 8.
    inside : (h, w) bool
        Cells of the frame, of which `told.densities` speaks.
    told : Told
    seed : int
    on_step : callable, optional
        Told after each evaluation how many are done, of how many; may raise `Cancelled`.
    """
    vector = told.vector
    steps = _Steps(on_step)
    unknown = np.full(region.shape, -1, np.int8)

    def scores_of_tissue(
        tissue: NDArray[np.uint8],
        _nuclei: NDArray[np.float32],
        _surveyed: NDArray[np.bool_],
        context: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        steps.take()
        scores = network(tissue, unknown, context).tissue
        return scores + _tilt_of_tissue(scores, tissue, inside, told)[:, None, None]

    nothing = KnownCells(
        region,
        np.zeros(region.shape, np.uint8),
        np.zeros((TOKENS, *region.shape), np.float32),
        np.zeros(region.shape, np.bool_),
        vector,
    )
    tissue = sample_tissue(scores_of_tissue, nothing, seed)
    tokens = _nuclei(network, region, inside, tissue, told, seed, steps)
    steps.take()
    shape = network(tissue, tokens, vector).shape
    return SampledCells(region, tissue, tokens, shape)


class _Steps:
    def __init__(self, on_step: Callable[[int, int], None] | None) -> None:
        self._on_step, self._done = on_step, 0

    def take(self) -> None:
        self._done += 1
        if self._on_step is not None:
            self._on_step(min(self._done, EVALUATIONS), EVALUATIONS)


def _nuclei(
    network: LayoutNetwork,
    region: Region,
    inside: NDArray[np.bool_],
    tissue: NDArray[np.uint8],
    told: Told,
    seed: int,
    steps: _Steps,
) -> NDArray[np.int8]:
    vector = told.vector
    rows = np.arange(region.y, region.bottom)[:, None]
    cols = np.arange(region.x, region.right)[None, :]
    part = rows % _LATTICE * _LATTICE + cols % _LATTICE
    chance = _gumbel(seed, rows, cols)
    tokens = np.full(region.shape, -1, np.int8)
    wanted = told.densities * np.float32(inside.sum() * (4.0 / 1000) ** 2)
    for number in np.random.default_rng(seed).permutation(_LATTICE**2).tolist():
        steps.take()
        scores = network(tissue, tokens, vector).tokens
        scores = scores + _tilt(scores, tokens, inside, wanted)[:, None, None]
        now = part == number
        tokens[now] = (scores[:, now] + chance[:, now]).argmax(axis=0)
    return tokens


def _tilt(
    scores: NDArray[np.float32],
    tokens: NDArray[np.int8],
    inside: NDArray[np.bool_],
    wanted: NDArray[np.float32],
) -> NDArray[np.float32]:
    # By how much classes that are behind, or ahead, are made likelier, in log odds.
    tilt = np.zeros(TOKENS, np.float32)
    left = (tokens < 0) & inside
    if not left.any():
        return tilt
    expected = special.softmax(scores[:, left], axis=0).sum(axis=1)
    placed = np.bincount(tokens[inside & (tokens > 0)], minlength=TOKENS)
    for token in range(1, TOKENS):
        if np.isfinite(wanted[token]):
            lacking = max(float(wanted[token]) - placed[token], 0.02)
            ratio = lacking / max(float(expected[token]), 0.02)
            tilt[token] = np.log(np.clip(ratio, 1 / _TILT**2, _TILT))
    if np.isfinite(wanted[0]) and not np.isfinite(wanted[1:]).all():
        free = ~np.isfinite(wanted)
        lacking = (
            float(wanted[0]) - placed.sum() - np.nansum(np.maximum(wanted[1:] - placed[1:], 0))
        )
        ratio = max(lacking, 0.02) / max(float(expected[1:][free[1:]].sum()), 0.02)
        tilt[1:][free[1:]] = np.log(np.clip(ratio, 1 / _TILT, _TILT))
    return tilt


def _tilt_of_tissue(
    scores: NDArray[np.float32],
    tissue: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    told: Told,
) -> NDArray[np.float32]:
    # The same for tissue, whose shares are told.
    left = (tissue == 0) & inside
    if told.shares is None or not left.any():
        return np.zeros(N_TISSUES, np.float32)
    expected = special.softmax(scores[:, left], axis=0).sum(axis=1)
    placed = np.bincount(tissue[inside & (tissue > 0)], minlength=N_TISSUES)
    lacking = np.maximum(told.shares * inside.sum() - placed, 0.5)
    ratio = lacking / np.maximum(expected, 0.5)
    return np.asarray(np.log(np.clip(ratio, 1 / _TILT, _TILT)), np.float32)


def _gumbel(seed: int, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
    # One number per token and cell, that belongs to its place.
    planes = [u for n in range(3) for u in uniforms(key_of(seed, 120 + n), rows, cols)][:TOKENS]
    uniform = np.clip(np.stack(planes), 1e-6, 1 - 1e-6)
    return np.asarray(-np.log(-np.log(uniform)), np.float32)
