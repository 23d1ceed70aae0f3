"""What decides a training run; read from and written to JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.json_data import from_json, read_json_object
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.diffusion.model_folder import bundled_model_path
from napari_histodiff.optimization import cosine_rate

__all__ = ["Drop", "Progress", "Stage", "TrainingConfig"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Train on crops of `size` pixels, `batch` at a time, until `until` of the run is done."""

    size: int
    batch: int
    until: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Probability that a condition is hidden, so that one network serves every mode.

    `soft`: of nuclei that a network set, beside `nuclei`.
    """

    prompt: float = 0.12
    nuclei: float = 0.05
    tissue: float = 0.3
    caption: float = 0.15
    slot: float = 0.35
    known: float = 0.55
    coarse: float = 0.75
    stain: float = 0.3
    soft: float = 0.5


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """A training run.

    Parameters
    ----------
    data, output : str
        Packed training file, and the folder that receives checkpoints, sheets and the pipeline.
    fine : str, optional
        Packed file of images at twice the resolution; some crops then come from it.
    validation : str, optional
        Packed file of held-out images; the run then ends with the weights that did best on them.
    name, version : str
        Of the model, shown to users.
    init_from : str, optional
        Model folder whose weights the run starts from, or "bundled"; otherwise at random.
    teacher : str, optional
        Model folder whose flow teaches the jumps, where it is not that of `init_from`; for
        distillation only.
    samples : int
        Length of the run in training crops.
    hours : float
        Upper limit of wall time; the learning rate is at its end by whichever comes first.
    stages : tuple of Stage
        Crop sizes, small to large.
    scales : dict of str to float
        Share of the draws at each reduction of the images ("1", "2" ...); by default those of
        `crops.SCALES`.
    tissues : tuple of str
        Tissues, by name, that alone are taught, by how they modulate the blocks of a network with
        "tissue_modulation": where there is none of them, the model goes on drawing what it drew.
        Most crops are then drawn around them. By default all weights are trained.
    precision : {"auto", "bfloat16", "float32"}
    tensorboard : bool
        Write scalars for TensorBoard as well; needs the `tensorboard` extra.
    """

    data: str
    output: str
    fine: str | None = None
    validation: str | None = None
    name: str = "my-model"
    version: str = "1"
    init_from: str | None = None
    teacher: str | None = None
    samples: int = 300_000
    hours: float = 24.0
    stages: tuple[Stage, ...] = (Stage(64, 32, 0.1), Stage(96, 16, 0.5), Stage(128, 16, 1.0))
    scales: dict[str, float] = field(default_factory=dict)
    tissues: tuple[str, ...] = ()
    drop: Drop = field(default_factory=Drop)
    network: dict[str, Any] = field(default_factory=dict)
    learning_rate: float = 6e-4
    warmup: int = 400
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.9995
    seed: int = 0
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    compile: bool = True
    device: str = "auto"
    save_every_minutes: float = 5.0
    tensorboard: bool = False

    @property
    def start(self) -> Path | None:
        """The model folder that the weights start from; None = from random ones."""
        if self.init_from is None:
            return None
        return bundled_model_path() if self.init_from == "bundled" else Path(self.init_from)

    def __post_init__(self) -> None:
        if self.precision not in ("auto", "bfloat16", "float32"):
            raise TrainingError(
                f"expected precision auto, bfloat16 or float32, got {self.precision!r}; "
                "choose one of these"
            )
        if not all(
            scale.isdecimal() and int(scale) and share > 0 for scale, share in self.scales.items()
        ):
            raise TrainingError(
                f'expected scales like {{"1": 0.6, "2": 0.4}}, got {self.scales}; name whole '
                "numbers and shares above 0"
            )
        if unknown := [name for name in self.tissues if name not in TISSUE_NAMES[1:]]:
            raise TrainingError(
                f"expected tissues by name, got {', '.join(map(repr, unknown))}; choose from "
                + ", ".join(TISSUE_NAMES[1:])
            )
        if self.samples < 1 or self.hours <= 0 or not self.stages:
            raise TrainingError(
                f"expected samples, hours and at least one stage, got {self.samples} samples, "
                f"{self.hours} hours, {len(self.stages)} stages; leave them out for the defaults"
            )

    def rate_at(self, share: float, steps: int) -> float:
        """Return the learning rate: linear warm-up, then half a cosine to 2 % of the peak."""
        return cosine_rate(self.learning_rate, share, steps, warmup=self.warmup, floor=0.02)

    @classmethod
    def load(cls, path: Path) -> TrainingConfig:
        """Read a JSON file of these names.

        Raises
        ------
        TrainingError
            When the file is missing, is no JSON object, lacks a setting, or has one that is
            unknown or out of range.
        """
        try:
            return from_json(cls, read_json_object(path), strict=True)
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"expected an object of settings as JSON in {path}, got {error}; correct it, as in "
                '{"data": ..., "output": ...}'
            ) from error

    def dump(self, path: Path) -> None:
        """Write the settings as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2))


@dataclass(slots=True)
class Progress:
    """How far a run is, and the best loss on the validation crops."""

    samples: int = 0
    steps: int = 0
    seconds: float = 0.0
    best: float = math.inf

    def share(self, config: TrainingConfig) -> float:
        """Return the done share of the run, by crops or by hours, whichever is further."""
        return min(1.0, max(self.samples / config.samples, self.seconds / 3600 / config.hours))
