"""One training of an enrichment study: its losses, and what it found in the test tiles."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from napari_histodiff.core.errors import StorageError
from napari_histodiff.evaluation.fidelity import TileScore
from napari_histodiff.evaluation.metrics.instances import PanopticQuality
from napari_histodiff.files import write_whole

__all__ = ["MixRun"]


@dataclass(frozen=True, slots=True, eq=False)
class MixRun:
    """A trained mix.

    Attributes
    ----------
    mix : str
        Its name.
    seed : int
    real, drawn : int
        Tiles it was trained on.
    losses : tuple of float
        Of each update.
    scores : tuple of TileScore
        Of each test tile.
    """

    mix: str
    seed: int
    real: int
    drawn: int
    losses: tuple[float, ...]
    scores: tuple[TileScore, ...]

    def write(self, path: Path, digest: str) -> None:
        """Keep the run, with the digest of all that decided it.

        Raises
        ------
        StorageError
            When the file cannot be written.
        """
        scores = [
            asdict(score)
            | {name: getattr(score, name).tolist() for name in ("hits", "sums", "support")}
            for score in self.scores
        ]
        kept = {name: getattr(self, name) for name in ("mix", "seed", "real", "drawn", "losses")}
        told = json.dumps({"digest": digest, **kept, "scores": scores})
        try:
            write_whole(path, told.encode(), sync=False)
        except OSError as error:
            raise StorageError(
                f"expected to write {path}, got '{error.strerror or error}'; free some space, "
                "and start the study again: it goes on from here"
            ) from error

    @classmethod
    def read(cls, path: Path, digest: str) -> MixRun | None:
        """Return a run that was kept; None where there is none of this digest."""
        try:
            kept = json.loads(path.read_text("utf-8"))
            if kept.pop("digest") != digest:
                return None
            scores = tuple(
                TileScore(
                    dice=score["dice"],
                    aji=score["aji"],
                    quality=PanopticQuality(**score["quality"]),
                    hits=np.array(score["hits"]),
                    sums=np.array(score["sums"]),
                    support=np.array(score["support"]),
                    density=(score["density"][0], score["density"][1]),
                )
                for score in kept.pop("scores")
            )
            return cls(**kept | {"losses": tuple(kept["losses"])}, scores=scores)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not trained yet, or cut short: train it
