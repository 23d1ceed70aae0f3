"""What a fine-tuning run is asked to do, its command line, and what keeps it from starting."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from napari_histodiff.core.errors import TrainingError
from napari_histodiff.core.json_data import fields_from_json
from napari_histodiff.datasets.folders import detect_format
from napari_histodiff.files import config_file, read_config, write_config
from napari_histodiff.ui.text import bytes_text

__all__ = [
    "BUNDLED",
    "LIMITS",
    "RunFolder",
    "TrainingSettings",
    "TrainingStore",
    "problem_of",
    "suggested_output",
    "training_command",
]

#: Value of `start` for the model shipped with the package.
BUNDLED: Final = "bundled"

#: Smallest and largest value of each number.
LIMITS: Final[dict[str, tuple[float, float]]] = {
    "mpp": (0.05, 8.0),
    "minutes": (1, 10_080),
    "samples": (100, 100_000_000),
}

#: Checkpoints, the model and sample sheets stay well below this.
_ROOM: Final = 500_000_000


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """A fine-tuning run as the form shows it.

    Parameters
    ----------
    data : str
        Folder of images and labels.
    mpp : float
        Micrometres per pixel of these images.
    organ : str
        Organ of the images whose caption names none, empty when it is not to be said.
    start : str
        `BUNDLED` or a model folder.
    output : str
        Folder for checkpoints, sample sheets, the log and the model.
    by_time : bool
        Whether `minutes` ends the run, otherwise `samples`, in training crops.
    device : str
        "auto" or a torch device.
    """

    data: str = ""
    mpp: float = 0.5
    organ: str = ""
    start: str = BUNDLED
    output: str = ""
    by_time: bool = True
    minutes: int = 120
    samples: int = 20_000
    device: str = "auto"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild settings, ignoring unknown names, values of another type and out of limits."""
        known = fields_from_json(cls, data)
        return cls(**{name: value for name, value in known.items() if _within(name, value)})


def _within(name: str, value: Any) -> bool:
    limits = LIMITS.get(name)
    return limits is None or limits[0] <= value <= limits[1]


class TrainingStore:
    """Settings in a JSON file of the user's configuration folder.

    Parameters
    ----------
    path : Path, optional
        Another file than the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_file("training.json")

    def load(self) -> TrainingSettings:
        """Return the remembered settings, or the defaults when there are none readable."""
        return TrainingSettings.from_dict(read_config(self.path))

    def save(self, settings: TrainingSettings) -> None:
        """Write the settings; a read-only home only means that they are not remembered."""
        write_config(self.path, asdict(settings))


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run keeps its files, below its output folder."""

    path: Path

    @property
    def log(self) -> Path:
        """Everything the run printed."""
        return self.path / "training.log"

    @property
    def model(self) -> Path:
        """The model, once there is one."""
        return self.path / "pipeline"

    @property
    def has_checkpoint(self) -> bool:
        """Whether a run stopped here and can go on."""
        return (self.path / "checkpoint.pt").is_file()

    @property
    def has_model(self) -> bool:
        """Whether there is a model to use."""
        return (self.model / "model_index.json").is_file()

    def newest_sheet(self) -> Path | None:
        """Return the sample sheet drawn last."""
        return max((self.path / "sheets").glob("sheet_*.png"), default=None)


def training_command(settings: TrainingSettings, *, resume: bool = False) -> list[str]:
    """Return the arguments of the process that trains; the only place that knows them."""
    minutes, samples = (int(LIMITS[name][1]) for name in ("minutes", "samples"))
    if settings.by_time:
        minutes = settings.minutes
    else:
        samples = settings.samples
    return [
        *(sys.executable, "-P", "-m", "napari_histodiff", "train"),
        *("--from", settings.start),
        *("--data", settings.data),
        *("--mpp", f"{settings.mpp:g}"),
        *(["--organ", settings.organ] if settings.organ else []),
        *("--hours", f"{minutes / 60:.6g}", "--samples", str(samples)),
        *("--device", settings.device),
        *("-o", settings.output),
        *(["--resume"] if resume else []),
    ]


def suggested_output(data: str) -> str:
    """Return a folder for the run on `data` that no other run has used."""
    base = Path.home() / "histodiff-models"
    name = Path(data).name or "model"
    number = 1
    while (base / f"{name}-{number}").exists():
        number += 1
    return str(base / f"{name}-{number}")


def problem_of(settings: TrainingSettings) -> str:
    """Say what keeps the run from starting and what to do about it; empty when nothing does."""
    return _data_problem(settings) or _start_problem(settings) or _output_problem(settings)


def _data_problem(settings: TrainingSettings) -> str:
    if not settings.data:
        return "Choose the folder with your images and labels."
    try:
        detect_format(Path(settings.data))
    except TrainingError as error:
        said = str(error)
        return f"{said[:1].upper()}{said[1:]}."
    except OSError as error:
        return f"Expected to read {settings.data}, got “{error.strerror}”; choose another folder."
    return ""


def _start_problem(settings: TrainingSettings) -> str:
    if settings.start == BUNDLED:
        return ""
    if not settings.start:
        return "Choose the model folder to start from, or start from the bundled model."
    if not (Path(settings.start) / "model_index.json").is_file():
        return (
            f"Expected a model folder, got {settings.start}, which has no model_index.json; "
            "choose the folder “pipeline” of an earlier training, or the bundled model."
        )
    return ""


def _output_problem(settings: TrainingSettings) -> str:
    if not settings.output:
        return "Choose an output folder."
    output = Path(settings.output)
    if not output.is_absolute():
        return f"Expected the full path of an output folder, got {output}; choose it with “…”."
    if output == Path(settings.data) or output in Path(settings.data).parents:
        return "Expected an output folder of its own, got the one of the images; choose another."
    if output.exists() and not output.is_dir():
        return f"Expected an output folder, got {output}, which is a file; choose another."
    there = next(folder for folder in (output, *output.parents) if folder.exists())
    if not os.access(there, os.W_OK):
        return f"Expected to write into {there}, got no permission; choose another output folder."
    free = shutil.disk_usage(there).free
    if free < _ROOM:
        return (
            f"Expected {bytes_text(_ROOM)} of free space for {output}, got {bytes_text(free)}; "
            "free some or choose another disk."
        )
    return ""
