"""What was measured of trained generators, kept in files so that drawing can go on later."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks.learning import Learner
from benchmarks.networks.measuring import (
    FIDELITY,
    HeldOut,
    HeldOutLoss,
    distances,
    drawn_panel,
    ratio,
)
from napari_histodiff.diffusion.training.generator import Generator
from napari_histodiff.evaluation.fidelity import TileScore

__all__ = ["Run", "print_table"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """The generator `name` in `folder`; `start` makes it as it is before training."""

    folder: Path
    name: str
    start: Callable[[], Generator]

    @property
    def row(self) -> dict[str, Any]:
        """What was measured so far, of the weights saved last."""
        path = self._path("json")
        row: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return row

    def save(self, learner: Learner, crops: int, loss: HeldOutLoss) -> None:
        """Keep the averaged weights, and measure them in place of those saved before."""
        recent = learner.losses[-len(learner.losses) // 4 :]
        speed = {
            "crops": crops,
            "crops/s": learner.crops_per_second,
            "training loss": sum(recent) / len(recent),
        }
        self._keep(learner.ema.module, speed, loss)

    def save_start(self, loss: HeldOutLoss) -> None:
        """Keep and measure the generator without training, unless that is done."""
        if not self.row:
            self._keep(self.start().eval(), {"crops": 0}, loss)

    def draw(self, held_out: HeldOut) -> list[TileScore]:
        """Draw the tiles, or take those drawn before, and return how the judge scores them."""
        generator = self.start()
        generator.load_state_dict(torch.load(self._path("pt"), weights_only=True))
        name = f"{self.name}-{self.row['crops']}"
        _log.info("drawing %s", name)
        drawn = drawn_panel(generator, held_out, name, self.folder / "drawn")
        scores = held_out.scores(drawn)
        row: dict[str, Any] = {"tiles": len(scores)}
        for figure in FIDELITY:
            found = ratio(held_out, scores, figure)
            row[figure] = [found.value, found.low, found.high]
        self._write(self.row | row | distances(held_out, drawn))
        return scores

    def _keep(self, generator: Generator, figures: dict[str, Any], loss: HeldOutLoss) -> None:
        torch.save(generator.state_dict(), self._path("pt"))
        thirds = loss.of(generator)
        _log.info("%s: held-out loss %.4f %.4f %.4f", self.name, *thirds)
        parameters = sum(p.numel() for p in generator.network.parameters())
        row: dict[str, Any] = {"parameters": parameters} | figures
        self._write(row | {f"loss {i + 1}/3": value for i, value in enumerate(thirds)})

    def _write(self, row: dict[str, Any]) -> None:
        self._path("json").write_text(json.dumps(row, indent=2))

    def _path(self, kind: str) -> Path:
        return self.folder / f"{self.name}.{kind}"


def print_table(rows: dict[str, dict[str, Any]]) -> None:
    """Print rows as Markdown, intervals in brackets."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    print(f"\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, row in rows.items():
        cells = (_cell(row[column]) if column in row else "" for column in columns)
        print(f"| {name} | {' | '.join(cells)} |")
    print(flush=True)


def _cell(value: float | list[float]) -> str:
    if isinstance(value, list):
        return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
