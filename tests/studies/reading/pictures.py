"""Folders of small pictures for reader studies, and readers whose skill is known."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from napari_histodiff.studies.reading.database import ReaderStudy


def folders(
    root: Path, count: int = 12, organs: tuple[str, ...] = ("colon", "kidney"), side: int = 72
) -> tuple[Path, Path]:
    """A folder of real and one of synthetic noise, `count` of each side in each organ."""
    rng = np.random.default_rng(0)
    for name in ("real", "synthetic"):
        for organ in organs:
            (root / name / organ).mkdir(parents=True)
            for i in range(count):
                noise = rng.normal(rng.uniform(150, 220), 20, (side, side, 3)) * [1, 0.7, 0.9]
                picture = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
                picture.save(root / name / organ / f"{name}-{organ}-{i}.png")
    return root / "real", root / "synthetic"


def drawn_images(study: ReaderStudy) -> dict[int, bool]:
    """Which images of a study are drawn, by number."""
    with closing(sqlite3.connect(study.path)) as connection:
        rows = connection.execute("SELECT id, synthetic FROM images").fetchall()
    return {image: bool(synthetic) for image, synthetic in rows}


def read_all(study: ReaderStudy, name: str, *, right: bool, seconds: float = 1.0) -> None:
    """Answer everything that is open, always right or always wrong; of catch trials the left."""
    drawn = drawn_images(study)
    seat = study.join(name)
    while (trial := study.next_trial(seat.reader)) is not None:
        kinds = [drawn[image] for image in trial.images]
        if len(kinds) == 1:
            rating = 6 if kinds[0] is not right else 1
            study.answer(seat.reader, trial.trial, rating=rating, seconds=seconds)
        else:
            chosen = trial.images[kinds.index(not right)] if True in kinds else trial.images[0]
            study.answer(seat.reader, trial.trial, chosen=chosen, seconds=seconds)
