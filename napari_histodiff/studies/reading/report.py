"""The report of a reader study: figures, plots and the images that decided it, in one folder."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from html import escape
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from napari_histodiff.core.errors import InvalidRequest, StorageError, make_folder
from napari_histodiff.evaluation.pages import image_uri
from napari_histodiff.evaluation.tables import Cell, Table
from napari_histodiff.studies.reading.answers import RATING_WORDS, Answer
from napari_histodiff.studies.reading.database import ReaderStudy
from napari_histodiff.studies.reading.figures import (
    LONGEST,
    believed,
    cohen_kappas,
    crossed_bootstrap,
    d_prime_pairs,
    d_prime_singles,
    fleiss_kappa,
    fooled,
    left_share,
    median_seconds,
    rates,
    roc_area,
    weighted_error,
)
from napari_histodiff.studies.reading.plots import reader_plots
from napari_histodiff.studies.report import write_study_report

__all__ = ["report_tables", "write_reading_report"]

_SHOWN: Final = 8  # images most and least believed
_SHOWN_SIDE: Final = 220
_NOTES: Final = (
    "p is the share of pairs in which the drawn image was called real: 0.5 where nobody can tell, "
    "0 where everybody can; its interval is exact (Clopper and Pearson). Opposite preferences of "
    "readers cancel in p; they do not in |p - 0.5| weighted by the answers of each reader. Of "
    "single images a positive of the ROC is a real one; sensitivity is the share of drawn images "
    "called drawn, specificity of real ones called real. d' is 0 at chance. Intervals of the whole "
    "study draw readers and cases with replacement, with one reader cases alone. Practice is left "
    f"out everywhere; times above {LONGEST:g} s, when a reader was away, out of the medians. Kappa "
    "compares what readers said, right or wrong."
)


def write_reading_report(study: ReaderStudy, output: Path, *, draws: int = 1000) -> list[Table]:
    """Write `report.html`, `report.md`, `figures.json` and `answers.csv`, and return the tables.

    Parameters
    ----------
    study : ReaderStudy
    output : Path
        Folder; files of those names in it are replaced.
    draws : int
        Of the bootstrap.

    Raises
    ------
    InvalidRequest
        When nobody has answered yet, or scikit-learn is missing.
    StorageError
        When the folder cannot be written.
    """
    if find_spec("sklearn") is None:
        raise InvalidRequest(
            'expected scikit-learn, got none; run pip install "napari-histodiff[evaluate]"'
        )
    answers = study.answers()
    if not answers:
        raise InvalidRequest(
            f"expected answers in {study.path}, got none besides practice; let somebody read it "
            "with `histodiff study run`"
        )
    tables = report_tables(answers, draws=draws)
    make_folder(output)
    facts = study.facts | {f"trials, {kind}": str(n) for kind, n in study.counts().items()}
    write_study_report(
        output,
        study.title,
        _NOTES,
        tables,
        plots=reader_plots(answers),
        facts=facts,
        more=[*_believed_images(study, answers), _reasons(answers)],
    )
    try:
        _write_answers(output / "answers.csv", answers)
    except OSError as error:
        raise StorageError(
            f"expected to write into {output}, got '{error.strerror or error}'; choose another "
            "folder"
        ) from error
    return tables


def report_tables(answers: Sequence[Answer], *, draws: int = 1000) -> list[Table]:
    """Return the tables of the report; those that have nothing to say are left out."""
    readers = list(dict.fromkeys(answer.reader for answer in answers))
    tables = [
        _whole(answers, draws),
        _pairs(answers, readers),
        _singles(answers, readers),
        _agreement(answers),
        _times(answers, readers),
        _strata(answers),
    ]
    return [table for table in tables if table.rows]


def _whole(answers: Sequence[Answer], draws: int) -> Table:
    table = Table("whole", "The whole study", ("figure, 95 % over readers and cases", "answers"))
    pairs = [a for a in answers if a.kind == "pair"]
    singles = [a for a in answers if a.kind == "single"]
    statistics: dict[str, tuple[Sequence[Answer], _Statistic]] = {
        "p, drawn called real": (pairs, _weighted_p),
        "|p - 0.5|": (pairs, lambda a, w: abs(_weighted_p(a, w) - 0.5)),
        "|p - 0.5| by reader, weighted": (pairs, weighted_error),
        "AUC of single images": (singles, roc_area),
    }
    for name, (some, statistic) in statistics.items():
        if some:
            table.rows[name] = (crossed_bootstrap(some, statistic, draws=draws), len(some))
    if pairs:
        table.rows["d' of pairs"] = (d_prime_pairs(pairs), len(pairs))
    if singles:
        table.rows["d' of single images"] = (d_prime_singles(singles), len(singles))
    caught = [a for a in answers if a.kind == "catch"]
    if caught:
        table.rows["left of two real ones (catch), exact"] = (left_share(caught), len(caught))
    return table


def _pairs(answers: Sequence[Answer], readers: Sequence[str]) -> Table:
    columns = ("p, exact 95 %", "|p - 0.5|", "d'", "pairs", "left of two real ones", "catch trials")
    table = Table("pairs", "Pairs by reader", columns)
    for name, some in _by_reader(answers, readers):
        pairs = [a for a in some if a.kind == "pair"]
        if pairs:
            p = fooled(pairs)
            caught = sum(a.kind == "catch" for a in some)
            figures: tuple[Cell, ...] = (p, abs(p.value - 0.5), d_prime_pairs(pairs), len(pairs))
            table.rows[name] = (*figures, left_share(some) if caught else None, caught)
    return table


def _singles(answers: Sequence[Answer], readers: Sequence[str]) -> Table:
    columns = ("AUC", "d'", "sensitivity, exact 95 %", "specificity, exact 95 %", "images")
    table = Table("singles", "Single images by reader", columns)
    for name, some in _by_reader(answers, readers):
        singles = [a for a in some if a.kind == "single"]
        if singles:
            figures = (roc_area(singles), d_prime_singles(singles), *rates(singles))
            table.rows[name] = (*figures, len(singles))
    return table


def _agreement(answers: Sequence[Answer]) -> Table:
    table = Table("agreement", "Agreement of readers", ("kappa", "trials both answered"))
    kappas = cohen_kappas(answers)
    table.rows.update({f"{a} and {b} (Cohen)": pair for (a, b), pair in kappas.items()})
    if kappas:
        table.rows["all (Fleiss)"] = fleiss_kappa(answers)
    return table


def _times(answers: Sequence[Answer], readers: Sequence[str]) -> Table:
    columns = ("right", "wrong", "catch trials", "all")
    table = Table("times", "Median seconds of an answer", columns)
    for name, some in _by_reader(answers, readers):
        medians = [median_seconds(some, right) for right in (True, False, None)]
        known = sorted(a.seconds for a in some if a.seconds <= LONGEST)
        table.rows[name] = (*medians, known[len(known) // 2] if known else None)
    return table


def _strata(answers: Sequence[Answer]) -> Table:
    columns = ("p, exact 95 %", "pairs", "AUC of single images", "images")
    table = Table("strata", "By organ, class, stain and encoding", columns)
    strata: dict[str, Callable[[Answer], str]] = {
        "organ": lambda a: a.organ,
        "class": lambda a: a.group,
        "stain": lambda a: a.stain,
        "JPEG quality": lambda a: str(a.quality or "lossless"),
    }
    for kind, of in strata.items():
        names = sorted({of(a) for a in answers if of(a)})
        for name in names if len(names) > 1 or kind in {"organ", "class"} else []:
            some = [a for a in answers if of(a) == name and a.kind != "catch"]
            counts = [sum(a.kind == shown for a in some) for shown in ("pair", "single")]
            if some:
                row = (fooled(some), counts[0], roc_area(some), counts[1])
                table.rows[f"{kind} {name}"] = row
    return table


_Statistic = Callable[[Sequence[Answer], Sequence[float]], float]


def _weighted_p(answers: Sequence[Answer], weights: Sequence[float]) -> float:
    total = sum(weights)
    wrong = sum(w for a, w in zip(answers, weights, strict=True) if a.right is False)
    return wrong / total if total else float("nan")


def _by_reader(answers: Sequence[Answer], readers: Sequence[str]) -> list[tuple[str, list[Answer]]]:
    rows = [(reader, [a for a in answers if a.reader == reader]) for reader in readers]
    return [*rows, ("all", list(answers))] if len(readers) > 1 else rows


def _believed_images(study: ReaderStudy, answers: Sequence[Answer]) -> list[str]:
    counts = believed(answers)
    names = {i: name for a in answers for i, name in zip(a.images, a.names, strict=True)}
    synthetic = {i: s for a in answers for i, s in zip(a.images, a.synthetic, strict=True)}
    parts = []
    for title, drawn, sign in (
        ("Drawn images most believed", True, -1),
        ("Drawn images least believed", True, 1),
        ("Real images least believed", False, 1),
    ):
        ranked = sorted(
            (i for i in counts if synthetic[i] is drawn),
            key=lambda i: (sign * counts[i][0] / counts[i][1], -counts[i][1], i),
        )[:_SHOWN]
        if not ranked:
            continue
        cells = []
        for i in ranked:
            called, seen = counts[i]
            with Image.open(BytesIO(study.image(i)[1])) as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
            said = f"called real {called} of {seen} times"
            cells.append(
                f'<figure style="display:inline-block;margin:.3rem"><img alt="{said}" '
                f'src="{image_uri(picture)}"><figcaption>{said}<br><small>'
                f"{escape(names[i])}</small></figcaption></figure>"
            )
        parts.append(f"<h2>{title}</h2>" + "".join(cells))
    return parts


def _reasons(answers: Sequence[Answer]) -> str:
    rows = "".join(
        f"<li>{escape(a.reason)} <small>({escape(a.reader)}, {_said(a)}: {escape(_names(a))})"
        "</small>"
        for a in answers
        if a.reason.strip()
    )
    return f"<h2>What readers wrote</h2><ul>{rows}</ul>" if rows else ""


def _said(answer: Answer) -> str:
    verdict = {True: "right", False: "wrong", None: "two real ones"}[answer.right]
    if answer.rating is not None:
        return f"{RATING_WORDS[answer.rating - 1]}, {verdict}"
    return verdict


def _names(answer: Answer) -> str:
    return " | ".join(answer.names)


def _write_answers(path: Path, answers: Sequence[Answer]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            (
                *("reader", "trial", "kind", "left or only", "right", "left drawn", "right drawn"),
                *("chosen", "rating", "is right", "seconds", "organ", "class", "stain", "jpeg"),
                "reason",
            )
        )
        for a in answers:
            names, drawn = ((*pair, "")[:2] for pair in (a.names, a.synthetic))
            chosen = "" if a.chosen is None else ("left", "right")[a.chosen]
            writer.writerow(
                (
                    *(a.reader, a.trial, a.kind, *names, *drawn, chosen, a.rating, a.right),
                    *(round(a.seconds, 3), a.organ, a.group, a.stain, a.quality, a.reason),
                )
            )
