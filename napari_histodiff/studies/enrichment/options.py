"""How an enrichment study is carried out, checked before any work starts."""

from __future__ import annotations

from dataclasses import dataclass

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS
from napari_histodiff.studies.enrichment.mixes import DEFAULT_MIXES, Mix, parse_mix

__all__ = ["EnrichmentOptions"]

_UNIT = 16  # what the network's levels divide


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrichmentOptions:
    """Size and settings of an enrichment study.

    Parameters
    ----------
    mixes : tuple of str
        Names of mixes, see `mixes.parse_mix`; figures are compared with the first.
    tiles, test_tiles : int
        Most real tiles that are trained and tested on.
    size : int
        Side of a tile in pixels.
    updates, batch, crop : int
        Of every training: optimizer steps, crops a step and their side in pixels.
    seeds : int
        Trainings of each mix; each has its own first weights, crops and choice of tiles.
    widths : tuple of int
        Channels of the segmenter's levels.
    sources : tuple of str
        Sets of the packed files that are used; () = all.
    stain : "sampled" or "reference"
        Whether drawn tiles have stains of their own, or that of the tile they follow.
    guidance, steps : float, int
        Of the drawing.
    draws : int
        Bootstrap resamples.
    seed : int

    Raises
    ------
    InvalidRequest
        When a number is out of range or a mix is none.
    """

    mixes: tuple[str, ...] = DEFAULT_MIXES
    tiles: int = 64
    test_tiles: int = 48
    size: int = 256
    updates: int = 1500
    batch: int = 8
    crop: int = 96
    seeds: int = 3
    widths: tuple[int, ...] = (24, 48, 64, 96)
    sources: tuple[str, ...] = ()
    stain: str = "sampled"
    guidance: float = DEFAULT_GUIDANCE
    steps: int = DEFAULT_STEPS
    draws: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "seeds", "draws"):
            if getattr(self, name) < 1:
                raise InvalidRequest(
                    f"expected {name} of at least 1, got {getattr(self, name)}; ask for more"
                )
        for name in ("tiles", "test_tiles"):
            if getattr(self, name) < 4:
                raise InvalidRequest(
                    f"expected {name} of at least 4, got {getattr(self, name)}; ask for more"
                )
        if self.crop % _UNIT or not _UNIT <= self.crop <= self.size * 3 // 4:
            raise InvalidRequest(
                f"expected crops of a multiple of {_UNIT} px that fit into tiles of {self.size} px "
                f"enlarged by a quarter, got {self.crop}; choose 96 of 256"
            )
        if self.stain not in {"sampled", "reference"}:
            raise InvalidRequest(
                f'expected stain "sampled" or "reference", got {self.stain!r}; choose one'
            )
        if not self.mixes or len(set(self.mixes)) < len(self.mixes):
            raise InvalidRequest(
                f"expected each mix once, got {', '.join(self.mixes) or 'none'}; name some"
            )
        _ = self.parsed

    @property
    def parsed(self) -> tuple[Mix, ...]:
        """The mixes."""
        return tuple(parse_mix(name) for name in self.mixes)
