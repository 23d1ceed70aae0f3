"""Training sets cut out of slides: split by slide, with the balance of classes told."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from skimage.measure import label

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import CLASS_NAMES, N_CLASSES
from napari_histodiff.datasets.packing import held_out_slides
from napari_histodiff.slide.exporting.source import ExportSource
from napari_histodiff.slide.exporting.targets import OnProgress, Steps, staged
from napari_histodiff.slide.exporting.training_formats import WRITERS, SetWriter, TrainingTile

__all__ = ["SET_FORMATS", "Balance", "export_training_set", "tiles_of"]

#: The formats by name.
SET_FORMATS: Final = tuple(WRITERS)

_UNKNOWN: Final = "unknown"
_NAMES: Final = (_UNKNOWN, *CLASS_NAMES)
_SIDES: Final = (32, 4096)


@dataclass(slots=True)
class Balance:
    """What a training set holds: tiles and nuclei by side of the split, nuclei by class."""

    tiles: Counter[str] = field(default_factory=Counter)
    nuclei: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, side: str, tile: TrainingTile) -> None:
        """Count a tile."""
        self.tiles[side] += 1
        counts = self.nuclei.setdefault(side, Counter())
        counts.update(_NAMES[class_id] for class_id in tile.class_of_nuclei.tolist())

    def __str__(self) -> str:
        lines = []
        for side, count in self.tiles.items():
            nuclei = self.nuclei[side]
            total = max(1, sum(nuclei.values()))
            shares = ", ".join(
                f"{n} {nuclei[n]} ({nuclei[n] / total:.1%})" for n in _NAMES if nuclei[n]
            )
            lines.append(f"{side}: {count} tiles, {shares or 'no nuclei'}")
        missing = [name for name in CLASS_NAMES if not any(n[name] for n in self.nuclei.values())]
        if missing:
            lines.append(f"no nucleus of: {', '.join(missing)}")
        return "\n".join(lines)


def tiles_of(
    source: ExportSource, side: int, level: int = 0, steps: Steps | None = None
) -> Iterator[TrainingTile]:
    """Yield the tiles of a slide that are drawn and hold a nucleus, row by row.

    Nuclei at the border of a tile are cut there; what the slide's border cuts is left out.

    Parameters
    ----------
    source : ExportSource
        Has labels.
    side : int
        Pixels a side.
    level : int
        The level to cut them from.
    steps : Steps, optional
        Told of each place.

    Raises
    ------
    InvalidRequest
        When there are no labels.
    """
    if source.labels is None:
        raise InvalidRequest(
            f"expected a slide with nuclei, got {source.name}, which keeps none; propose or paint "
            "nuclei first"
        )
    for place in _places(source, side, level):
        if steps is not None:
            steps.step(source.name)
        labels = source.labels(place)
        if not labels.any() or not source.is_drawn(place):
            continue
        edit = next((e for e in source.provenance.edits if _is_in(place, e.region, level)), None)
        yield TrainingTile(
            name=f"{source.name}-{place.y}-{place.x}",
            slide=source.name,
            pixels=source.read(place),
            instances=label(labels, connectivity=2, background=0).astype(np.int32),
            classes=np.where(labels > 0, labels % (N_CLASSES + 1), 0).astype(np.uint8),
            tissue=None if source.tissue is None else source.tissue(place),
            mpp=None if source.mpp is None else source.mpp[0] * 2**level,
            caption=source.provenance.caption if edit is None else edit.caption,
        )


def export_training_set(
    sources: Sequence[ExportSource],
    path: Path | str,
    *,
    kind: str = "folder",
    side: int = 256,
    level: int = 0,
    validation: float = 0.2,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Balance:
    """Write tiles with their nuclei as a folder that training scripts read.

    With several slides there are `train/` and `validation/`, and no slide is in both; one slide
    alone is not split. `README.txt` says what it is, `histodiff.json` how it was made,
    `balance.csv` how many nuclei of each class there are.

    Parameters
    ----------
    sources : sequence of ExportSource
        Slides, or parts of them, of different names.
    path : Path
        A new folder.
    kind : str
        One of `SET_FORMATS`.
    side : int
        Pixels of a tile a side.
    level : int
        The level that tiles are cut from.
    validation : float
        Share of the slides for validation.
    overwrite, on_progress
        As in `export_tiff`.

    Raises
    ------
    InvalidRequest
        When an argument is out of range, two slides have one name, or there is no nucleus.
    StorageError
        When something is there, or cannot be written; nothing is left then.
    """
    path = Path(path)
    _check(sources, kind, side)
    for source in sources:
        source.check_target(path)
    held_out = held_out_slides([source.name for source in sources], validation)
    steps = Steps(sum(len(_places(source, side, level)) for source in sources), on_progress)
    balance = Balance()
    with staged(path, overwrite=overwrite) as (folder,):
        folder.mkdir()
        with ExitStack() as stack:
            writers: dict[str, SetWriter] = {}
            for source in sources:
                split = "validation" if source.name in held_out else "train"
                for tile in tiles_of(source, side, level, steps):
                    if split not in writers:
                        place = folder / split if held_out else folder
                        place.mkdir(exist_ok=True)
                        writers[split] = stack.enter_context(WRITERS[kind](place))
                    writers[split].add(tile)
                    balance.add(split, tile)
        if not balance.tiles:
            raise InvalidRequest(
                f"expected drawn tiles with nuclei, got none of {side} pixels; draw the slide "
                "first, or choose a smaller side or another level"
            )
        _describe(folder, sources, kind, balance)
    return balance


def _check(sources: Sequence[ExportSource], kind: str, side: int) -> None:
    if kind not in WRITERS:
        raise InvalidRequest(
            f"expected a format of {', '.join(WRITERS)}, got {kind!r}; choose one of these"
        )
    low, high = _SIDES
    if not low <= side <= high:
        raise InvalidRequest(
            f"expected tiles of {low} to {high} pixels a side, got {side}; choose one in that range"
        )
    names = Counter(source.name for source in sources)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise InvalidRequest(
            f"expected slides of different names, got two called {twice[0]}; rename one, so that "
            "the split keeps them apart"
        )


def _places(source: ExportSource, side: int, level: int) -> list[Region]:
    blocks = source.spec.bounds(level).blocks(side)
    return [block for block in blocks if block.shape == (side, side)]


def _is_in(place: Region, region: Region, level: int) -> bool:
    full = Region(
        0, place.y << level, place.x << level, place.height << level, place.width << level
    )
    return region.contains(full)


def _describe(folder: Path, sources: Sequence[ExportSource], kind: str, balance: Balance) -> None:
    said: list[dict[str, Any]] = [
        {"slide": source.name} | source.provenance.to_dict() for source in sources
    ]
    (folder / "histodiff.json").write_text(json.dumps(said, indent=1), encoding="utf-8")
    with (folder / "balance.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("split", "tiles", *_NAMES))
        for split, count in balance.tiles.items():
            rows.writerow((split, count, *(balance.nuclei[split][name] for name in _NAMES)))
    statements = "\n".join(f"{one['slide']}: {one['statement']}" for one in said)
    (folder / "README.txt").write_text(
        f"A training set made by napari-histodiff, in the format {kind}.\n\n{statements}\n\n"
        f"{balance}\n\nValidate and test on real tissue of other patients. Count these images as "
        "augmentation, not as\npatients, and say in your methods that you used them, and which "
        "model drew them.\nhistodiff.json has the models, captions, seeds and masks.\n",
        encoding="utf-8",
    )
