"""Makes a reader study of folders of images: whole, or not at all."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from napari_histodiff.core.errors import StorageError
from napari_histodiff.datasets.pictures import read_picture
from napari_histodiff.files import move_into_place
from napari_histodiff.studies.reading.database import SCHEMA, ReaderStudy
from napari_histodiff.studies.reading.images import FoundImages, collect_images, encoded, square
from napari_histodiff.studies.reading.trials import ReadingOptions, Trial, deal

__all__ = ["new_study"]


def new_study(
    path: Path,
    real: Sequence[Path],
    synthetic: Sequence[Path],
    options: ReadingOptions | None = None,
) -> tuple[ReaderStudy, tuple[str, ...]]:
    """Make a study of folders of images, and return it with notes on what was left out.

    Parameters
    ----------
    path : Path
        The file to write; nothing is overwritten, and nothing half written stays.
    real, synthetic : sequence of Path
        Folders, see `images.collect_images`.
    options : ReadingOptions, optional

    Raises
    ------
    InvalidRequest, InvalidImage
        When the images do not make a study.
    StorageError
        When the file cannot be written.
    """
    options = options or ReadingOptions()
    if path.exists():
        raise StorageError(
            f"expected a new file, got {path}, which exists and may hold answers; choose another"
        )
    found = collect_images(real, synthetic, options.size)
    trials = deal([image.card for image in found.images], options)
    facts = {
        "title": options.title,
        "seed": str(options.seed),
        "size": str(found.size),
        "jpeg": " ".join(map(str, options.jpeg)),
        "real": str(sum(not image.card.synthetic for image in found.images)),
        "synthetic": str(sum(image.card.synthetic for image in found.images)),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with closing(sqlite3.connect(partial)) as connection, connection:
            connection.executescript(SCHEMA)
            connection.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
            _write_trials(connection, found, trials, options.seed)
        move_into_place(partial, path)
    except (OSError, sqlite3.OperationalError) as error:
        raise StorageError(
            f"expected to write {path}, got '{error}'; free some space or choose another place"
        ) from error
    finally:
        with suppress(OSError):  # the first error is the one to tell
            partial.unlink(missing_ok=True)
    return ReaderStudy(path), found.notes


def _write_trials(
    connection: sqlite3.Connection, found: FoundImages, trials: Sequence[Trial], seed: int
) -> None:
    """Write trials and their images, which get numbers at random."""
    numbers = iter(np.random.default_rng(seed).permutation(sum(len(t.images) for t in trials)) + 1)
    for trial in trials:
        ids: list[int | None] = []
        for i in trial.images:
            image, number = found.images[i], int(next(numbers))
            pixels = square(read_picture(image.path).rgb(), found.size)
            media, data = encoded(pixels, trial.quality)
            digest = hashlib.sha256(data).hexdigest()
            row = (number, int(image.card.synthetic), image.path.name, media, digest, data)
            connection.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?)", row)
            ids.append(number)
        first, second = (*ids, None)[:2]
        connection.execute(
            "INSERT INTO trials (kind, practice, first, second, organ, class, stain, quality) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(trial.kind, int(trial.practice), first, second),
                *(trial.organ, trial.group, trial.stain, trial.quality),
            ),
        )
