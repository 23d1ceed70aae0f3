"""Which tiles a segmenter is trained on: mixes of real and drawn ones, by name, nested by seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from napari_histodiff.core.errors import InvalidRequest

__all__ = ["DEFAULT_MIXES", "DrawnTile", "Mix", "choose_tiles", "parse_mix"]

#: Constant size (as the thesis on renal tissue has them), then all real tiles and drawn ones on
#: top, classical augmentation for comparison, and few real tiles without and with drawn ones.
DEFAULT_MIXES: Final = (
    *("100_0", "75_25", "50_50", "25_75", "0_100"),
    *("100_25", "100_50", "100_100", "100_200", "100_0c", "100_100c"),
    *("10_0", "10_0c", "10_90o", "10_90oc"),
)

_NAME: Final = re.compile(r"(\d{1,3})_(\d{1,4})(o?)(c?)")
_LARGEST: Final = 1000  # per cent of drawn tiles


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the number of real tiles: `real` of them, and `drawn` as many drawn ones.

    Attributes
    ----------
    name : str
        "75_25": 75 % real, 25 % drawn; "o" and "c" behind it stand for the following two.
    own : bool
        Drawn tiles follow the nuclei of the real tiles in the mix alone, as when there are no
        others; otherwise first those of the real tiles that were left out.
    classical : bool
        Stain, light, focus and grain of the crops are changed at random.
    """

    name: str
    real: float
    drawn: float
    own: bool
    classical: bool

    @property
    def text(self) -> str:
        """The mix in words."""
        parts = []
        if self.real:
            parts.append(f"{self.real:.0%} real")
        if self.drawn:
            parts.append(f"{self.drawn:.0%} drawn{', of these nuclei' if self.own else ''}")
        return " + ".join(parts).replace("%", " %") + (", augmented" if self.classical else "")


@dataclass(frozen=True, slots=True)
class DrawnTile:
    """A tile to draw from the nuclei of real tile `tile`; `draw` tells several of one apart."""

    tile: int
    draw: int


def parse_mix(name: str) -> Mix:
    """Return the mix of a name: "75_25", "10_90o", "100_0c".

    Raises
    ------
    InvalidRequest
        When it is no such name, holds nothing, or more than 100 % real or 1000 % drawn tiles.
    """
    found = _NAME.fullmatch(name.strip())
    if found is None:
        raise InvalidRequest(
            f'expected a mix such as "75_25", "10_90o" or "100_0c", got {name!r}; per cent of '
            "real and drawn tiles, o: drawn of these nuclei alone, c: classical augmentation"
        )
    real, drawn = int(found[1]), int(found[2])
    own = bool(found[3])
    if not real + drawn > 0 or real > 100 or drawn > _LARGEST:
        raise InvalidRequest(
            f"expected 0 to 100 % real and 0 to {_LARGEST} % drawn tiles, not both 0, got "
            f"{name!r}; change the mix"
        )
    if own and not (real and drawn):
        raise InvalidRequest(
            f"expected real and drawn tiles in {name!r}, as o draws of the real ones; leave o out"
        )
    return Mix(found[0], real / 100, drawn / 100, own, bool(found[4]))


def choose_tiles(mix: Mix, groups: Sequence[str], seed: int) -> tuple[list[int], list[DrawnTile]]:
    """Return the real tiles of a mix, and the tiles to draw.

    Mixes of one seed are nested: the fewer real tiles are among the more. Patients stay together as
    far as the share allows, so that a tenth of the tiles is a tenth of the patients.

    Parameters
    ----------
    mix : Mix
    groups : sequence of str
        The patient of each real tile.
    seed : int

    Raises
    ------
    InvalidRequest
        When the mix holds no tile of so few.
    """
    rng = np.random.default_rng(seed)
    patients = rng.permutation(sorted(set(groups))).tolist()
    ranks = {patient: rank for rank, patient in enumerate(patients)}
    order = sorted(range(len(groups)), key=lambda i: (ranks[groups[i]], i))
    kept = round(mix.real * len(order))
    if mix.real and not kept:
        raise InvalidRequest(
            f"expected real tiles in the mix {mix.name}, got none of {len(order)}; give more tiles"
        )
    real = order[:kept]
    sources = real if mix.own else [*order[kept:], *real]
    count = round(mix.drawn * len(order))
    # The first draw of a tile replaces it; a tile that is in the mix itself is drawn anew.
    drawn = [DrawnTile(sources[i % len(sources)], i // len(sources)) for i in range(count)]
    return real, drawn
