"""What a reader study shows: images dealt into trials, and each reader's order, by seed alone.

A drawn image is never compared with just any real one: the two of a couple share organ, class and,
as nearly as the images allow, their stain, and are encoded alike, so that nothing but the tissue
tells them apart. Couples are shown side by side (pairs), or each image alone (singles). Catch
trials are two real images: whoever prefers a side shows it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from napari_histodiff.core.errors import InvalidRequest

__all__ = ["Card", "ReadingOptions", "Trial", "TrialKind", "deal", "order"]

TrialKind = Literal["pair", "catch", "single"]

_MOST_PAIRS: Final = 60  # what a reader does in about ten minutes, unless asked for more
_PAIRS_PER_CATCH: Final = 8
_STAINS: Final = ("pale", "medium", "dark")
_LEAST_SIZE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """Size and settings of a reader study.

    Parameters
    ----------
    title : str
        What readers see above.
    pairs, singles, catch : int, optional
        Trials of each kind; as many as the images allow where none is given, 60 pairs at most.
    practice : int
        Trials before the first that counts, half of them pairs.
    size : int, optional
        Side of the square shown of every image, in pixels; by default the largest they all have.
    jpeg : tuple of int
        Qualities at which images are encoded, one a couple, by seed; 0 is lossless.
    seed : int
        Decides which images are shown, in which couples, order and on which side.

    Raises
    ------
    InvalidRequest
        When a number is out of range.
    """

    title: str = "Which tissue is real?"
    pairs: int | None = None
    singles: int | None = None
    catch: int | None = None
    practice: int = 4
    size: int | None = None
    jpeg: tuple[int, ...] = (90,)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("pairs", "singles", "catch", "practice", "seed"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InvalidRequest(f"expected {name} of at least 0, got {value}; ask for more")
        if self.size is not None and self.size < _LEAST_SIZE:
            raise InvalidRequest(
                f"expected images of at least {_LEAST_SIZE} px, got {self.size}; show more of each"
            )
        if not self.jpeg or any(not 0 <= quality <= 100 for quality in self.jpeg):
            raise InvalidRequest(
                f"expected JPEG qualities from 1 to 100, or 0 for lossless, got {self.jpeg}; "
                "give 90"
            )
        if not self.title.strip():
            raise InvalidRequest("expected a title, got none; say what is asked")


@dataclass(frozen=True, slots=True)
class Card:
    """What dealing knows of an image: `organ` and `group` (its class) are "" where unknown.

    `stain` is the mean amount of haematoxylin, eosin and rest.
    """

    synthetic: bool
    organ: str = ""
    group: str = ""
    stain: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Trial:
    """One question; `images` are indices of cards: two, or one of a single.

    `stain` is the stratum of how dark the couple is, `quality` the JPEG quality of both.
    """

    kind: TrialKind
    images: tuple[int, ...]
    practice: bool
    organ: str
    group: str
    stain: str
    quality: int


def deal(cards: Sequence[Card], options: ReadingOptions) -> tuple[Trial, ...]:
    """Return the trials of a study, practice first; each image is in at most one of them.

    Raises
    ------
    InvalidRequest
        When there are not enough images, or too few of either side share an organ.
    """
    _require_both(cards)
    rng = np.random.default_rng(options.seed)
    practice_pairs = -(-options.practice // 2)
    practice_singles = options.practice - practice_pairs
    for pairs, singles, catch in _sizes(options):
        couples = practice_pairs + -(-practice_singles // 2) + pairs + -(-singles // 2)
        dealer = _Dealer(cards, rng)
        drawn = [pair for _ in range(couples) if (pair := dealer.couple(synthetic=True))]
        caught = [pair for _ in range(catch) if (pair := dealer.couple(synthetic=False))]
        if len(drawn) == couples and len(caught) == catch:
            break
    else:
        raise InvalidRequest(
            f"expected {couples} synthetic and {couples + 2 * catch} real images of the same "
            f"organs for {pairs} pairs, {singles} singles, {catch} catch and {options.practice} "
            f"practice trials, got enough for {len(drawn)} synthetic beside real and "
            f"{len(caught)} catch trials; give more images, name the subfolders of both sides "
            "alike, or ask for less"
        )
    strata = _strata(cards, [*drawn, *caught])
    qualities = rng.choice(options.jpeg, len(strata))

    def trial(kind: TrialKind, i: int, images: tuple[int, ...], practice: bool = False) -> Trial:
        card = cards[images[0]]
        return Trial(kind, images, practice, card.organ, card.group, strata[i], int(qualities[i]))

    def alone(first: int, count: int, practice: bool) -> list[Trial]:
        shown = [(i, image) for i in range(first, couples) for image in drawn[i]]
        return [trial("single", i, (image,), practice) for i, image in shown[:count]]

    trials = [trial("pair", i, drawn[i], practice=True) for i in range(practice_pairs)]
    trials += [trial("pair", i, drawn[i]) for i in range(practice_pairs, practice_pairs + pairs)]
    rest = practice_pairs + pairs
    trials += alone(rest, practice_singles, True)
    trials += alone(rest + -(-practice_singles // 2), singles, False)
    trials += [trial("catch", couples + i, pair) for i, pair in enumerate(caught)]
    return tuple(sorted(trials, key=lambda t: not t.practice))


def order(
    trials: Sequence[tuple[TrialKind, bool]], seed: int, reader: int
) -> list[tuple[int, bool]]:
    """Return (index of trial, mirrored) in the order in which reader number `reader` sees them.

    Of each trial its kind and whether it is practice. Practice first; then a block of pairs and one
    of singles, every other reader the other way round, so that neither question gains from the
    practice of the other.
    """
    rng = np.random.default_rng([seed, reader])
    numbered = list(enumerate(trials))
    first = [i for i, (_, practice) in numbered if practice]
    pairs = [i for i, (kind, practice) in numbered if not practice and kind != "single"]
    singles = [i for i, (kind, practice) in numbered if not practice and kind == "single"]
    blocks = [rng.permutation(pairs), rng.permutation(singles)]
    if reader % 2:
        blocks.reverse()
    sequence = [*first, *(int(i) for block in blocks for i in block)]
    mirrored = rng.integers(0, 2, len(sequence)).astype(bool).tolist()
    return list(zip(sequence, mirrored, strict=True))


class _Dealer:
    """Takes couples of like images from the cards, none twice."""

    def __init__(self, cards: Sequence[Card], rng: np.random.Generator) -> None:
        self._cards = cards
        self._stains = np.array([card.stain for card in cards]).reshape(-1, 3)
        shuffled = [int(i) for i in rng.permutation(len(cards))]
        self._left = {
            kind: [i for i in shuffled if cards[i].synthetic is kind] for kind in (True, False)
        }

    def couple(self, *, synthetic: bool) -> tuple[int, int] | None:
        """Take a random image and the real one that is most like it; None when there is none."""
        waiting = self._left[synthetic]
        for first in waiting:
            second = self._like(first)
            if second is not None:
                waiting.remove(first)
                self._left[False].remove(second)
                return first, second
        return None

    def _like(self, first: int) -> int | None:
        card = self._cards[first]
        others = [i for i in self._left[False] if i != first]
        like = [i for i in others if _agree(self._cards[i].organ, card.organ)]
        close = [i for i in like if _agree(self._cards[i].group, card.group)]
        found = close or like
        if not found:
            return None
        apart = np.linalg.norm(self._stains[found] - self._stains[first], axis=1)
        return found[int(apart.argmin())]


def _agree(first: str, second: str) -> bool:
    return not first or not second or first == second


def _strata(cards: Sequence[Card], couples: Sequence[tuple[int, int]]) -> list[str]:
    """Return for each couple whether it is among the pale, medium or dark third."""
    amounts = np.array([sum(cards[i].stain) for couple in couples for i in couple])
    means = amounts.reshape(-1, 2).mean(1)
    bounds = np.quantile(means, [1 / 3, 2 / 3]) if len(means) else []
    return [_STAINS[int(np.searchsorted(bounds, mean))] for mean in means]


def _sizes(options: ReadingOptions) -> Iterator[tuple[int, int, int]]:
    """Yield numbers of pairs, singles and catch trials, largest first, as far as they are free."""
    for size in range(_MOST_PAIRS, 0, -1):
        pairs = size if options.pairs is None else options.pairs
        singles = size // 2 * 2 if options.singles is None else options.singles
        catch = min(pairs, size) // _PAIRS_PER_CATCH if options.catch is None else options.catch
        if pairs + singles == 0:
            raise InvalidRequest("expected pairs or singles, got 0 of both; ask for one of them")
        yield pairs, singles, catch
        if None not in (options.pairs, options.singles, options.catch):
            return


def _require_both(cards: Sequence[Card]) -> None:
    for name, synthetic in (("real", False), ("synthetic", True)):
        if all(card.synthetic is not synthetic for card in cards):
            raise InvalidRequest(f"expected {name} images, got none; give a folder that holds some")
