"""Whether a model repeats its training images: distances to the nearest one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.segmenter.nearest import nearest_distances

__all__ = [
    "Memorisation",
    "memorisation",
    "nearest_distances",
    "nearest_rows",
    "pixel_memorisation",
    "pixel_vectors",
]

_THUMBNAIL: Final = 32


@dataclass(frozen=True, slots=True)
class Memorisation:
    """Distances to the nearest training image: generated against unseen real images.

    Attributes
    ----------
    ratio : float
        `generated_median` / `test_median`: about 1 for new images, near 0 for copies.
    generated_median, test_median : float
        Median distance to the nearest training image, in units of the vectors compared.
    share_below : float
        Share of generated images nearer to training than the nearest 5 % of unseen real images are;
        0.05 is what unseen images themselves have.
    """

    ratio: float
    generated_median: float
    test_median: float
    share_below: float


def nearest_rows(queries: NDArray[np.floating], bank: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the row of the (m, k) bank that is nearest to each of a few (n, k) queries.

    Raises
    ------
    InvalidRequest
        When the vectors differ in length, or the bank is empty.
    """
    if queries.ndim != 2 or bank.ndim != 2 or queries.shape[1] != bank.shape[1] or not len(bank):
        raise InvalidRequest(
            f"expected (n, k) and (m, k) vectors, got {queries.shape} and {bank.shape}; "
            "compute both in one way"
        )
    return np.array([int(((bank - query) ** 2).sum(1).argmin()) for query in queries], np.int64)


def memorisation(
    generated: NDArray[np.floating], test: NDArray[np.floating], train: NDArray[np.floating]
) -> Memorisation:
    """Compare (n, k) generated and (m, k) unseen real vectors with the (t, k) training vectors.

    The vectors may be features of any extractor. Everything is NaN when one of them is empty.

    Raises
    ------
    InvalidRequest
        When the vectors differ in length.
    """
    return _compare(nearest_distances(generated, train), nearest_distances(test, train))


def pixel_memorisation(
    generated: NDArray[np.uint8], test: NDArray[np.uint8], train: NDArray[np.uint8]
) -> Memorisation:
    """Compare (n, s, s, 3) uint8 images as 32 x 32 thumbnails, in all 8 orientations.

    The distance is Euclidean over the thumbnail, in grey levels. Everything is NaN when one of them
    is empty.

    Raises
    ------
    InvalidImage
        When images are not squares of a multiple of 32 pixels.
    """
    bank = pixel_vectors(train)
    return _compare(_oriented_distances(generated, bank), _oriented_distances(test, bank))


def pixel_vectors(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (n, 3072) float32 vectors of 32 x 32 x 3 box means of (n, s, s, 3) uint8 images.

    Raises
    ------
    InvalidImage
        When images are not squares of a multiple of 32 pixels.
    """
    return _thumbnails(images).reshape(len(images), -1)


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    side = images.shape[1] if images.ndim == 4 else 0
    if not side or images.shape[1:] != (side, side, 3) or side % _THUMBNAIL:
        raise InvalidImage(
            f"expected (n, s, s, 3) images with s a multiple of {_THUMBNAIL}, got {images.shape}; "
            "crop them"
        )
    k = side // _THUMBNAIL
    return images.reshape(-1, _THUMBNAIL, k, _THUMBNAIL, k, 3).mean((2, 4), dtype=np.float32)


def _oriented_distances(
    images: NDArray[np.uint8], bank: NDArray[np.float32]
) -> NDArray[np.float64]:
    small = _thumbnails(images)
    turned = [np.rot90(m, k, (1, 2)) for m in (small, small[:, :, ::-1]) for k in range(4)]
    return np.min([nearest_distances(t.reshape(len(small), -1), bank) for t in turned], axis=0)


def _compare(generated: NDArray[np.float64], test: NDArray[np.float64]) -> Memorisation:
    finite = generated.size and test.size and np.isfinite(generated).all()
    if not finite:  # nothing to compare, or an empty training set
        return Memorisation(*[float("nan")] * 4)
    ours, theirs = float(np.median(generated)), float(np.median(test))
    return Memorisation(
        ratio=ours / theirs if theirs else float("nan"),
        generated_median=ours,
        test_median=theirs,
        share_below=float((generated < np.quantile(test, 0.05)).mean()),
    )
