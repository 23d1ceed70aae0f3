"""A reader study in one SQLite file: images, trials, every reader's order, and the answers.

One file, images included, so that a study can be moved, sent and kept. Nothing in a name or a
number says which image is real: ids are dealt at random, and images are encoded without metadata.
Each call opens the file for itself: windows, pages and readers can share it.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from napari_histodiff.core.errors import InvalidRequest, StorageError
from napari_histodiff.studies.reading.answers import RATINGS, Answer
from napari_histodiff.studies.reading.trials import TrialKind, order

__all__ = ["SCHEMA", "ReaderStudy", "Seat", "ShownTrial"]

_VERSION: Final = 1
_APPLICATION: Final = 0x48445253  # "HDRS", in the file's header
_TIMEOUT: Final = 20.0  # seconds to wait for another reader's answer to be written
_LONGEST_NAME: Final = 80
_LONGEST_REASON: Final = 1000

#: Makes an empty study.
SCHEMA: Final = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE images (
  id INTEGER PRIMARY KEY, synthetic INTEGER NOT NULL, name TEXT NOT NULL,
  media TEXT NOT NULL, sha256 TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE trials (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, practice INTEGER NOT NULL,
  first INTEGER NOT NULL REFERENCES images, second INTEGER REFERENCES images,
  organ TEXT NOT NULL, class TEXT NOT NULL, stain TEXT NOT NULL, quality INTEGER NOT NULL);
CREATE TABLE readers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  since TEXT NOT NULL);
CREATE TABLE sequence (
  reader INTEGER NOT NULL REFERENCES readers, position INTEGER NOT NULL,
  trial INTEGER NOT NULL REFERENCES trials, mirrored INTEGER NOT NULL,
  PRIMARY KEY (reader, position), UNIQUE (reader, trial)) WITHOUT ROWID;
CREATE TABLE answers (
  reader INTEGER NOT NULL REFERENCES readers, trial INTEGER NOT NULL REFERENCES trials,
  chosen INTEGER REFERENCES images, rating INTEGER, seconds REAL NOT NULL,
  reason TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (reader, trial)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Seat:
    """A reader's place: number, name, and how many trials are answered of how many."""

    reader: int
    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class ShownTrial:
    """A trial as one reader sees it: `images` from left to right, one of a single."""

    trial: int
    kind: TrialKind
    images: tuple[int, ...]
    practice: bool
    position: int
    total: int


class ReaderStudy:
    """A study that exists.

    Parameters
    ----------
    path : Path
        Its file.

    Raises
    ------
    InvalidRequest
        When there is no such file, it is no reader study, or one of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InvalidRequest(
                f"expected a reader study at {path}, got no file; make one with "
                "`histodiff study new`"
            )
        with self._connected() as connection:
            try:
                application = connection.execute("PRAGMA application_id").fetchone()[0]
                version = connection.execute("PRAGMA user_version").fetchone()[0]
            except sqlite3.DatabaseError as error:
                raise InvalidRequest(
                    f"expected a reader study in {path}, got something else ({error}); choose "
                    "the file that `histodiff study new` wrote"
                ) from error
            if application != _APPLICATION:
                raise InvalidRequest(
                    f"expected a reader study in {path}, got another database; choose the file "
                    "that `histodiff study new` wrote"
                )
            if version > _VERSION:
                raise InvalidRequest(
                    f"expected a study of version {_VERSION} in {path}, got version {version}, "
                    "which a newer napari-histodiff made; update this one"
                )
            self._facts: dict[str, str] = dict(connection.execute("SELECT key, value FROM facts"))

    @property
    def title(self) -> str:
        """What readers see above."""
        return self._facts["title"]

    @property
    def facts(self) -> dict[str, str]:
        """How the study was made, as text."""
        return dict(self._facts)

    def readers(self) -> list[Seat]:
        """Return everybody who has begun, in that order."""
        with self._connected() as connection:
            rows = connection.execute("SELECT id FROM readers ORDER BY id").fetchall()
            return [_seat(connection, row[0]) for row in rows]

    def join(self, name: str) -> Seat:
        """Return the seat of a reader: a new one, or where somebody of that name left off.

        Raises
        ------
        InvalidRequest
            When the name is empty or longer than 80 characters.
        StorageError
            When the file cannot be written.
        """
        name = " ".join(name.split())
        if not 0 < len(name) <= _LONGEST_NAME:
            raise InvalidRequest(
                f"expected a name of 1 to {_LONGEST_NAME} characters, got {len(name)}; initials do"
            )
        with self._connected(write=True) as connection:
            found = connection.execute("SELECT id FROM readers WHERE name = ?", (name,)).fetchone()
            reader = int(found[0]) if found else self._seat_reader(connection, name)
            return _seat(connection, reader)

    def seat(self, reader: int) -> Seat:
        """Return how far a reader is.

        Raises
        ------
        InvalidRequest
            When nobody has that number.
        """
        with self._connected() as connection:
            return _seat(connection, reader)

    def next_trial(self, reader: int) -> ShownTrial | None:
        """Return what the reader has not answered yet, in order; None when all is done."""
        with self._connected() as connection:
            seat = _seat(connection, reader)
            row = connection.execute(
                "SELECT t.id, t.kind, t.practice, t.first, t.second, s.mirrored, s.position "
                "FROM sequence s JOIN trials t ON t.id = s.trial "
                "LEFT JOIN answers a ON a.reader = s.reader AND a.trial = s.trial "
                "WHERE s.reader = ? AND a.trial IS NULL ORDER BY s.position LIMIT 1",
                (reader,),
            ).fetchone()
        if row is None:
            return None
        trial, kind, practice, first, second, mirrored, position = row
        images = (first,) if second is None else (second, first) if mirrored else (first, second)
        return ShownTrial(trial, kind, images, bool(practice), position, seat.total)

    def image(self, image: int) -> tuple[str, bytes]:
        """Return media type and bytes of an image, checked against what was written.

        Raises
        ------
        InvalidRequest
            When there is no such image.
        StorageError
            When it changed on disk.
        """
        with self._connected() as connection:
            row = connection.execute(
                "SELECT media, sha256, data FROM images WHERE id = ?", (image,)
            ).fetchone()
        if row is None:
            raise InvalidRequest(f"expected an image of the study, got number {image}; begin again")
        media, digest, data = row
        if hashlib.sha256(data).hexdigest() != digest:
            raise StorageError(
                f"expected image {image} of {self.path} as it was written, got other bytes; the "
                "file is damaged: take a copy of it that is whole"
            )
        return str(media), bytes(data)

    def answer(
        self,
        reader: int,
        trial: int,
        *,
        chosen: int | None = None,
        rating: int | None = None,
        seconds: float,
        reason: str = "",
    ) -> None:
        """Keep what a reader says: of two images the one `chosen` as real, of one its `rating`.

        Parameters
        ----------
        reader, trial : int
        chosen : int
            Id of an image of the trial.
        rating : int
            1 (surely drawn) to 6 (surely real).
        seconds : float
            From when the trial was seen.
        reason : str
            What the reader adds, up to 1,000 characters.

        Raises
        ------
        InvalidRequest
            When the answer does not fit the trial, or the trial has been answered.
        StorageError
            When the file cannot be written.
        """
        if not math.isfinite(seconds) or seconds < 0:
            raise InvalidRequest(f"expected a time of 0 s or more, got {seconds}; measure it again")
        with self._connected(write=True) as connection:
            row = connection.execute(
                "SELECT t.first, t.second FROM sequence s JOIN trials t ON t.id = s.trial "
                "WHERE s.reader = ? AND s.trial = ?",
                (reader, trial),
            ).fetchone()
            if row is None:
                raise InvalidRequest(
                    f"expected a trial of this reader, got number {trial}; begin again"
                )
            _check_answer(row, chosen, rating)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            try:
                connection.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (reader, trial, chosen, rating, seconds, reason[:_LONGEST_REASON], now),
                )
            except sqlite3.IntegrityError as error:
                raise InvalidRequest(
                    "expected one answer to a trial, got a second one; go on with the next"
                ) from error

    def answers(self, *, practice: bool = False) -> list[Answer]:
        """Return all answers in the order of readers and trials; practice only when asked for."""
        with self._connected() as connection:
            truth = {
                int(i): (bool(synthetic), str(name))
                for i, synthetic, name in connection.execute(
                    "SELECT id, synthetic, name FROM images"
                )
            }
            rows = connection.execute(
                "SELECT r.name, t.id, t.kind, t.first, t.second, t.organ, t.class, t.stain, "
                "t.quality, s.mirrored, a.chosen, a.rating, a.seconds, a.reason FROM answers a "
                "JOIN readers r ON r.id = a.reader JOIN trials t ON t.id = a.trial "
                "JOIN sequence s ON s.reader = a.reader AND s.trial = a.trial "
                "WHERE t.practice <= ? ORDER BY a.reader, s.position",
                (int(practice),),
            ).fetchall()
        return [_answer(row, truth) for row in rows]

    def counts(self) -> dict[str, int]:
        """Return how many trials there are of each kind, practice apart."""
        with self._connected() as connection:
            return dict(
                connection.execute(
                    "SELECT CASE practice WHEN 1 THEN 'practice' ELSE kind END, count(*) "
                    "FROM trials GROUP BY 1"
                ).fetchall()
            )

    def _seat_reader(self, connection: sqlite3.Connection, name: str) -> int:
        number = int(connection.execute("SELECT count(*) FROM readers").fetchone()[0])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        cursor = connection.execute("INSERT INTO readers (name, since) VALUES (?, ?)", (name, now))
        reader = int(cursor.lastrowid or 0)
        rows = connection.execute("SELECT id, kind, practice FROM trials ORDER BY id").fetchall()
        kinds = [(kind, bool(practice)) for _, kind, practice in rows]
        sequence = order(kinds, int(self._facts["seed"]), number)
        connection.executemany(
            "INSERT INTO sequence VALUES (?, ?, ?, ?)",
            [(reader, p, rows[i][0], int(m)) for p, (i, m) in enumerate(sequence)],
        )
        return reader

    @contextmanager
    def _connected(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """Open the file for one piece of work; what fails halfway is not written."""
        try:
            with closing(sqlite3.connect(self.path, timeout=_TIMEOUT)) as connection, connection:
                if write:
                    connection.execute("BEGIN IMMEDIATE")
                yield connection
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"expected to use {self.path}, got '{error}'; make it writable, or close what "
                "else uses it"
            ) from error


def _seat(connection: sqlite3.Connection, reader: int) -> Seat:
    row = connection.execute("SELECT name FROM readers WHERE id = ?", (reader,)).fetchone()
    if row is None:
        raise InvalidRequest(f"expected a reader of the study, got number {reader}; begin again")
    count = "SELECT count(*) FROM {} WHERE reader = ?"
    done, total = (
        int(connection.execute(count.format(table), (reader,)).fetchone()[0])
        for table in ("answers", "sequence")
    )
    return Seat(reader, str(row[0]), done, total)


def _check_answer(images: Sequence[int | None], chosen: int | None, rating: int | None) -> None:
    if images[1] is None:
        if rating not in RATINGS or chosen is not None:
            raise InvalidRequest(
                f"expected a rating from {min(RATINGS)} to {max(RATINGS)}, got {rating}; rate it"
            )
    elif chosen not in images or rating is not None:
        raise InvalidRequest(f"expected one of the two images, got {chosen}; choose one")


def _answer(row: Sequence[Any], truth: dict[int, tuple[bool, str]]) -> Answer:
    reader, trial, kind, first, second, organ, group, stain, quality, mirrored, *said = row
    images = [first] if second is None else [second, first] if mirrored else [first, second]
    chosen, rating, seconds, reason = said
    return Answer(
        reader=reader,
        trial=trial,
        kind=kind,
        images=tuple(images),
        synthetic=tuple(truth[i][0] for i in images),
        names=tuple(truth[i][1] for i in images),
        chosen=None if chosen is None else images.index(chosen),
        rating=rating,
        seconds=seconds,
        reason=reason,
        organ=organ,
        group=group,
        stain=stain,
        quality=quality,
    )
