"""Whether window borders or pyramid levels can be told: a permutation test, and levels compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import block_means
from napari_histodiff.core.errors import InvalidImage, InvalidRequest

__all__ = ["SeamTest", "line_profile", "seam_test", "zoom_error"]

Statistic = Literal["first", "second", "covariance"]

_REACH: Final[dict[str, int]] = {"first": 1, "second": 2, "covariance": 12}


@dataclass(frozen=True, slots=True)
class SeamTest:
    """Lines of one axis where windows met, compared with the other lines.

    Attributes
    ----------
    ratio_max : float
        The worst line over the median of the other lines. Worst is greatest for differences, and
        smallest for the covariance, which a seam lowers.
    ratio_mean : float
        Mean over the lines, over the median of the other lines.
    p_value : float
        Share of random line sets of the same size with a mean at least as bad, in (0, 1].
    p_value_max : float
        The same for the worst line: finds one bad seam among good ones.
    lines, others : int
        Numbers of lines compared.
    """

    ratio_max: float
    ratio_mean: float
    p_value: float
    p_value_max: float
    lines: int
    others: int


def seam_test(
    image: NDArray[np.floating] | NDArray[np.uint8],
    lines: Sequence[int],
    *,
    axis: int,
    period: int,
    permutations: int = 999,
    seed: int = 0,
    statistic: Statistic = "first",
) -> SeamTest:
    """Test whether an image has seams at `lines`; run it on real tissue too, as the null.

    Parameters
    ----------
    image : (h, w, channels)
        Any unit; ratios do not depend on it.
    lines : sequence of int
        A line l lies between pixels l - 1 and l of `axis`.
    axis : {0, 1}
        0: horizontal lines, l counts rows; 1: vertical lines, l counts columns.
    period : int
        Lines are compared only with lines that have the same remainder by `period` as one of
        `lines`. Give the patch size of the network (or 8 for JPEG), whose grid gives every such
        line its own sharpness; 1 compares with all lines.
    permutations, seed : int
        Random line sets, and their seed.
    statistic : {"first", "second", "covariance"}
        Of each line: mean squared first difference across it; mean squared second differences that
        straddle it; covariance of pixels 12 apart that straddle it, about the image mean.

    Returns
    -------
    SeamTest
        Ratios are NaN, and p-values 1, for a flat image.

    Raises
    ------
    InvalidRequest
        When there is no line, a line too near the image border for the statistic, or no other
        line to compare with.
    """
    profile, start = line_profile(image, axis, statistic)
    chosen = np.unique(np.asarray(lines, np.int64))
    stop = start + len(profile)
    if not chosen.size or chosen[0] < start or chosen[-1] >= stop:
        raise InvalidRequest(
            f"expected lines from {start} to {stop - 1}, got {chosen.tolist()}; "
            "leave out lines at the border"
        )
    positions = np.arange(start, stop)
    pool = np.isin(positions % period, chosen % period)
    candidate = np.isin(positions, chosen)[pool]
    values = profile[pool] if statistic != "covariance" else -profile[pool]
    others = values[~candidate]
    if not others.size:
        raise InvalidRequest(
            f"expected other lines at multiples of period {period}, got none; "
            "give the patch size of the network, not the distance of windows"
        )
    seams = values[candidate]
    sets = _random_sets(values, len(seams), permutations, np.random.default_rng(seed))
    # covariances enter negated, so that worse is greater for every statistic
    scale = float(np.median(others))
    return SeamTest(
        ratio_max=_ratio(float(seams.max()), scale),
        ratio_mean=_ratio(float(seams.mean()), scale),
        p_value=_p_value(float(seams.mean()), sets.mean(1)),
        p_value_max=_p_value(float(seams.max()), sets.max(1)),
        lines=len(seams),
        others=len(others),
    )


def line_profile(
    image: NDArray[np.floating] | NDArray[np.uint8], axis: int, statistic: Statistic = "first"
) -> tuple[NDArray[np.float64], int]:
    """Return the statistic of every line of an axis, and the number of the first line.

    Empty for an image smaller than the reach of the statistic (1, 2 or 12 pixels on either side).
    See `seam_test` for the statistics.
    """
    pixels = np.moveaxis(image, axis, 0).astype(np.float64)
    pixels = pixels.reshape(len(pixels), -1, image.shape[-1])
    reach = _REACH[statistic]
    if len(pixels) < 2 * reach:
        return np.empty(0), reach
    if statistic == "first":
        return (np.diff(pixels, axis=0) ** 2).mean((1, 2)), reach
    if statistic == "second":
        bends = (np.diff(pixels, n=2, axis=0) ** 2).mean((1, 2))  # centred on pixels 1, 2, ...
        return (bends[:-1] + bends[1:]) / 2, reach
    centred = pixels - pixels.mean((0, 1))
    products = (centred[reach:] * centred[:-reach]).mean((1, 2))
    # line l is straddled by the pairs (l - 12, l) to (l - 1, l + 11)
    return np.convolve(products, np.full(reach, 1 / reach), "valid"), reach


def _random_sets(
    values: NDArray[np.float64], size: int, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    keys = rng.random((count, len(values)))
    return values[np.argpartition(keys, size - 1, axis=1)[:, :size]]


def _p_value(seen: float, random: NDArray[np.float64]) -> float:
    tolerance = 1e-9 * abs(seen)  # sums in another order are no difference
    return float((1 + (random >= seen - tolerance).sum()) / (1 + len(random)))


def _ratio(value: float, scale: float) -> float:
    return value / scale if scale else float("nan")


def zoom_error(fine: NDArray[np.uint8], coarse: NDArray[np.uint8]) -> tuple[float, float]:
    """Return mean and greatest |box mean of `fine` - `coarse`| in grey levels, 0 to 255.

    Parameters
    ----------
    fine : (k h, k w, 3) uint8
        The finer level, k a whole number (2 for the next level).
    coarse : (h, w, 3) uint8
        The coarser level. Being rounded itself, it differs by up to 0.5 from exact box means.

    Both are NaN when the images have no pixels.

    Raises
    ------
    InvalidImage
        When `fine` is not a whole multiple of `coarse`, alike in both directions.
    """
    (height, width), (h, w) = fine.shape[:2], coarse.shape[:2]
    factor = height // h if h else 1
    if (height, width) != (factor * h, factor * w) or fine.shape[2:] != coarse.shape[2:]:
        raise InvalidImage(
            f"expected a fine level k times {coarse.shape}, got {fine.shape}; "
            "read both over the same region"
        )
    if not coarse.size:
        return float("nan"), float("nan")
    error = np.abs(block_means(fine, factor) - coarse)
    return float(error.mean()), float(error.max())
